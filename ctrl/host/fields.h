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
inline constexpr std::string_view kTop[] = {"apiVersion", "kind", "node", "workers", "ports", "memory",
                                            "limits", "mesh", "state", "admin", "accessLog", "drain"};
inline constexpr std::string_view kNode[] = {"id", "namespace", "labels", "locality"};
inline constexpr std::string_view kWorkers[] = {"cores", "count", "poll"};
inline constexpr std::string_view kPort[] = {"name", "device", "addresses", "routes", "vlan", "mtu",
                                             "reversePath", "duplicateDetection", "listen", "exception"};
inline constexpr std::string_view kRoute[] = {"to", "via"};
inline constexpr std::string_view kMemory[] = {"limit", "hugepages"};
inline constexpr std::string_view kLimits[] = {"connections", "requestHeader", "ephemeralPorts"};
inline constexpr std::string_view kMesh[] = {"directory", "trustDomain"};
inline constexpr std::string_view kState[] = {"directory", "revisions"};
inline constexpr std::string_view kAdmin[] = {"socket", "http"};
inline constexpr std::string_view kAccessLog[] = {"path", "format"};
inline constexpr std::string_view kDrain[] = {"deadline"};
inline constexpr UnsupportedField kTopLater[] = {
    {"identity", "not supported yet: this version terminates and originates no TLS"}};

inline constexpr ObjectFields kFile{"", kTop, kTopLater}, kNodeObject{"node", kNode, {}}, kWorkersObject{"workers", kWorkers, {}},
    kPortObject{"ports[]", kPort, {}}, kRouteObject{"ports[].routes[]", kRoute, {}}, kMemoryObject{"memory", kMemory, {}},
    kLimitsObject{"limits", kLimits, {}}, kMeshObject{"mesh", kMesh, {}}, kStateObject{"state", kState, {}}, kAdminObject{"admin", kAdmin, {}},
    kAccessLogObject{"accessLog", kAccessLog, {}}, kDrainObject{"drain", kDrain, {}};

inline constexpr const ObjectFields* kAll[] = {&kFile, &kNodeObject, &kWorkersObject, &kPortObject, &kRouteObject, &kMemoryObject,
                                               &kLimitsObject, &kMeshObject, &kStateObject, &kAdminObject, &kAccessLogObject, &kDrainObject};
}  // namespace fields

}  // namespace sluice::host
