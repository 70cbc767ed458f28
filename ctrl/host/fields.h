// The field lists of the gateway's own file, one table: what is known where, and what is known but not supported yet.
// For the reader, for its "did you mean", and for the test that compares them with the JSON schema.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace sluice::host {

struct UnsupportedField {
    std::string_view name, why;
};

struct ObjectFields {
    std::string_view path;                        // "" the file, "ports[]" one port
    std::span<const std::string_view> fields;
    std::span<const UnsupportedField> unsupported;
};

namespace fields {
inline constexpr std::string_view kTop[] = {
    "apiVersion",
    "kind",
    "node",
    "workers",
    "ports",
    "memory",
    "limits",
    "tcp",
    "mesh",
    "admin",
    "accessLog",
    "drain",
    "process",
    "state",
    "identity",
    "tls",
    "gatewayTopology",
};
inline constexpr std::string_view kNode[] = {"id", "namespace", "labels", "locality"};
inline constexpr std::string_view kWorkers[] = {"cores", "count", "poll"};
inline constexpr std::string_view kPort[] = {
    "name",
    "device",
    "addresses",
    "routes",
    "vlan",
    "mtu",
    "reversePath",
    "duplicateDetection",
    "listen",
    "exception",
    "offloads",
    "takeover",
};
inline constexpr std::string_view kOffloads[] = {"checksum", "segmentation", "largeReceive"};
inline constexpr std::string_view kRoute[] = {"to", "via"};
inline constexpr std::string_view kMemory[] = {"limit", "hugepages"};
inline constexpr std::string_view kLimits[] = {"connections", "requestHeader", "ephemeralPorts"};
inline constexpr std::string_view kTcp[] = {"congestionControl", "ecn", "keepAlive", "userTimeout", "synBacklog", "hopLimit", "dscp"};
inline constexpr std::string_view kKeepAlive[] = {"enabled", "idle", "interval", "probes"};
inline constexpr std::string_view kMesh[] = {"directory", "trustDomain", "trustDomainAliases", "caCertificates"};
inline constexpr std::string_view kCaCertificates[] = {"pem", "file", "trustDomains"};
inline constexpr UnsupportedField kCaCertificatesNot[] = {
    {"spiffeBundleUrl", "bundles are not fetched: give pem or file"},
    {"certSigners", "the gateway signs nothing"},
};
inline constexpr std::string_view kAdmin[] = {"socket", "http"};
inline constexpr std::string_view kAccessLog[] = {"path", "format", "omitEmptyValues"};
inline constexpr std::string_view kDrain[] = {"deadline"};
inline constexpr std::string_view kProcess[] = {"user", "seccomp", "coreDumps"};
inline constexpr std::string_view kState[] = {"directory", "revisions"};
inline constexpr std::string_view kIdentity[] = {"certificate", "privateKey", "roots"};
inline constexpr std::string_view kTls[] = {"handshakeThreads", "handshakeCores", "keyLog", "ticketKeys"};
inline constexpr std::string_view kTopology[] = {"numTrustedProxies", "forwardClientCertDetails"};
inline constexpr std::string_view kTicketKeys[] = {"enabled", "rotateEvery", "lifetime"};

// One a line: every section of the file adds its own.
inline constexpr ObjectFields kFile{"", kTop, {}};
inline constexpr ObjectFields kNodeObject{"node", kNode, {}};
inline constexpr ObjectFields kWorkersObject{"workers", kWorkers, {}};
inline constexpr ObjectFields kPortObject{"ports[]", kPort, {}};
inline constexpr ObjectFields kRouteObject{"ports[].routes[]", kRoute, {}};
inline constexpr ObjectFields kOffloadsObject{"ports[].offloads", kOffloads, {}};
inline constexpr ObjectFields kTopologyObject{"gatewayTopology", kTopology, {}};
inline constexpr ObjectFields kMemoryObject{"memory", kMemory, {}};
inline constexpr ObjectFields kLimitsObject{"limits", kLimits, {}};
inline constexpr ObjectFields kTcpObject{"tcp", kTcp, {}};
inline constexpr ObjectFields kKeepAliveObject{"tcp.keepAlive", kKeepAlive, {}};
inline constexpr ObjectFields kMeshObject{"mesh", kMesh, {}};
inline constexpr ObjectFields kCaCertificatesObject{"mesh.caCertificates[]", kCaCertificates, kCaCertificatesNot};
inline constexpr ObjectFields kAdminObject{"admin", kAdmin, {}};
inline constexpr ObjectFields kAccessLogObject{"accessLog", kAccessLog, {}};
inline constexpr ObjectFields kDrainObject{"drain", kDrain, {}};
inline constexpr ObjectFields kProcessObject{"process", kProcess, {}};
inline constexpr ObjectFields kStateObject{"state", kState, {}};

inline constexpr ObjectFields kIdentityObject{"identity", kIdentity, {}};
inline constexpr ObjectFields kTlsObject{"tls", kTls, {}};
inline constexpr ObjectFields kTicketKeysObject{"tls.ticketKeys", kTicketKeys, {}};

inline constexpr const ObjectFields* kAll[] = {
    &kFile,
    &kNodeObject,
    &kWorkersObject,
    &kPortObject,
    &kRouteObject,
    &kOffloadsObject,
    &kTopologyObject,
    &kMemoryObject,
    &kLimitsObject,
    &kTcpObject,
    &kKeepAliveObject,
    &kMeshObject,
    &kCaCertificatesObject,
    &kAdminObject,
    &kAccessLogObject,
    &kDrainObject,
    &kProcessObject,
    &kStateObject,
    &kIdentityObject,
    &kTlsObject,
    &kTicketKeysObject,
};
}  // namespace fields

}  // namespace sluice::host
