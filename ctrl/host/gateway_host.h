// The gateway's own file: this machine's cores, ports, memory and paths (apiVersion sluice/v1, kind GatewayHost). Traffic
// rules live in mesh. In: YAML text. Out: a GatewayHost, or every mistake as a Diagnostic with place and cure (SLC00xx).
// Plain values. The same field names as configs/schema/sluice.schema.json; a test holds them together.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "base/limits.h"
#include "base/time.h"
#include "ctrl/model/diagnostic.h"
#include "ctrl/model/yaml.h"
#include "telemetry/access_log_format.h"

namespace sluice::host {

struct Node {
    std::string id;                               // default: the machine's name
    std::string ns = "istio-system";
    std::map<std::string, std::string> labels;    // what Gateway selectors match
    std::string locality;                         // region/zone/subzone
};

struct Workers {
    enum class Poll : uint8_t { kAdaptive, kBusy };
    std::vector<uint32_t> cores;                  // CPU numbers; empty: the first `count` that may be used
    uint32_t count = 1;                           // = cores.size() where cores are given
    Poll poll = Poll::kAdaptive;
};

struct Port {
    struct Route {
        IpPrefix to;                              // default: 0.0.0.0/0 or ::/0, by the family of via
        IpAddress via;
    };
    struct Offloads {
        bool checksum = true, segmentation = true, large_receive = true;   // used where the device has them
    };
    std::string name;
    std::string device;                           // pci:ADDRESS | af_xdp:IFACE | af_packet:IFACE | devargs:STRING
    std::vector<IpPrefix> addresses;              // with the on-link prefix length
    std::vector<Route> routes;
    uint16_t vlan = 0;                            // 0 = untagged
    enum class ReversePath : uint8_t { kLoose, kStrict };
    uint16_t mtu = 1500;
    ReversePath reverse_path = ReversePath::kLoose;   // sources that some port leads to, or this one
    bool duplicate_detection = true;              // RFC 5227, RFC 4862
    bool listen = false;                          // Gateways without bind open here, and only here
    std::string exception;                        // TAP device for what is not the gateway's; empty = refused
    Offloads offloads;
    bool takeover = false;                        // even if this machine's default route or an SSH session uses the device
};

struct Memory {
    enum class Hugepages : uint8_t { kAuto, kRequire, kNever };
    uint64_t limit_bytes = uint64_t{1} << 30;
    Hugepages hugepages = Hugepages::kAuto;
};

struct PortRange {
    uint16_t first = 0, last = 0;                 // both included
};

struct Limits {
    uint32_t connections = 65536;
    std::optional<PortRange> ephemeral_ports;     // of connections to backends; absent: see ctrl/host/ephemeral.h
    uint32_t request_header_bytes = limits::kRequestHeaderBytes;
};

/// Towards clients and backends alike.
struct Tcp {
    enum class Congestion : uint8_t { kCubic, kNewReno };
    enum class Ecn : uint8_t { kOff, kPassive, kOn };  // Linux's tcp_ecn 0, 2, 1
    Congestion congestion = Congestion::kCubic;
    Ecn ecn = Ecn::kPassive;
    bool keepalive = true;
    Duration keepalive_idle = seconds(7200), keepalive_interval = seconds(75);
    uint8_t keepalive_probes = 9;
    Duration user_timeout = seconds(0);           // 0: by the number of repeats
    uint32_t syn_backlog = 1024;                  // of a core; beyond it, cookies
    uint8_t hop_limit = 64, dscp = 0;
};

/// Roots beside the identity's, of these trust domains alone (Istio's MeshConfig.caCertificates).
struct CaCertificates {
    std::string pem, file;                        // one of them
    std::vector<std::string> trust_domains;       // empty: the mesh's own, and its older names
};

struct Mesh {
    std::string directory = "/etc/sluice/mesh";   // a relative one counts from the file's own directory
    std::string trust_domain = "cluster.local";
    std::vector<std::string> trust_domain_aliases;   // older names of it, taken for the same
    std::vector<CaCertificates> ca_certificates;
};

/// Who the gateway is to mutual TLS within the mesh.
struct Identity {
    std::string certificate, private_key, roots;  // files; a relative one counts from the file's own directory; empty = none
};

struct Tls {
    uint32_t handshake_threads = 1;               // 0: workers shake hands themselves
    std::vector<uint32_t> handshake_cores;        // CPU numbers; empty: any but the workers'
    std::string key_log;                          // SSLKEYLOGFILE for debugging; empty = off
    bool tickets = true;                          // sessions are resumed
    Duration ticket_rotate = seconds(12 * 3600), ticket_lifetime = seconds(24 * 3600);
};

/// What stands before the gateway, in the words of Istio's ProxyConfig.gatewayTopology.
struct Topology {
    uint32_t num_trusted_proxies = 0;             // whose X-Forwarded-For is believed
    std::string forward_client_cert = "SANITIZE_SET";   // Envoy's ForwardClientCertDetails, of X-Forwarded-Client-Cert
};

struct State {
    std::string directory = "/var/lib/sluice";    // of revisions that were; relative as above; empty = none
    uint32_t revisions = 20;                      // kept
};

struct Admin {
    std::string socket = "/run/sluice/admin.sock";
    std::optional<SocketAddress> http;            // loopback only; absent = none
};

struct AccessLog {
    enum class Format : uint8_t { kText, kJson, kCustom };
    std::string path = "/dev/stdout";             // empty = no access log
    Format format = Format::kText;
    bool omit_empty = false;                      // of kCustom: Envoy's omit_empty_values
    std::string custom;                           // Envoy format string, checked; empty for a map
    std::optional<telemetry::AccessLogFormat> parsed;   // of kCustom
};

struct Process {
    enum class Seccomp : uint8_t { kEnforce, kLog, kOff };
    std::string user;                             // name or number to become after start; empty = stay what it was started as
    Seccomp seccomp = Seccomp::kEnforce;
    bool core_dumps = false;                      // a dump holds keys and clients' bytes
};

struct GatewayHost {
    std::string file;                             // as the user named it
    Node node;
    Workers workers;
    std::vector<Port> ports;
    Memory memory;
    Limits limits;
    Tcp tcp;
    Mesh mesh;
    Identity identity;
    Tls tls;
    Topology topology;
    State state;
    Admin admin;
    AccessLog access_log;
    Duration drain_deadline = seconds(30);
    Process process;
};

/// The kernel's interface behind an AF_XDP or AF_PACKET port; empty if it has none.
std::string interface_of(const Port& port);

struct Reading {
    std::optional<GatewayHost> host;              // empty if there was any error
    std::vector<Diagnostic> diagnostics;          // by place; may hold warnings beside a host
    std::shared_ptr<const yaml::File> file;       // what was read; null if it could not be
    std::string mesh_directory;                   // of a file with errors too, as far as it is known
};

/// `name` is the file as shown to the user; relative directories in it count from that name's directory.
Reading read(std::string name, std::string text);
/// Reads the file itself too.
Reading read_file(const std::string& path);

/// Every field the reader knows, as paths: "ports[].name". For the test that compares with the schema.
std::vector<std::string> known_fields();
/// Fields that are refused by name as not supported yet.
std::vector<std::string> unsupported_fields();

/// "30s", "1m30s", "250ms", "1h". No sign, no bare numbers (but "0").
std::optional<Duration> parse_duration(std::string_view text);
/// "512Mi", "2Gi", "60Ki", "1500" (bytes), "1k", "10M", "1G".
std::optional<uint64_t> parse_size(std::string_view text);

}  // namespace sluice::host
