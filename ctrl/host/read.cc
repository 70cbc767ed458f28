// The file's sections, one function each. Mistakes are collected, not thrown: one run shows them all.
// A mesh file passed by mistake is recognised before its fields are complained about.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "ctrl/host/ephemeral.h"
#include "ctrl/host/field_reader.h"
#include "ctrl/host/finding.h"
#include "ctrl/host/gateway_host.h"
#include "ctrl/host/read_access_log.h"
#include "ctrl/host/read_ports.h"
#include "ctrl/host/read_tcp.h"
#include "ctrl/host/read_tls.h"

namespace sluice::host {

namespace {

constexpr std::string_view kApiVersion = "sluice/v1", kKind = "GatewayHost";
constexpr uint64_t kFileBytesMax = 1 << 20;
constexpr uint32_t kCpuMax = 1023;
constexpr uint16_t kEphemeralMin = 1024;   // below are the system ports (RFC 6335 6)
constexpr uint64_t kRevisionsMin = 2, kRevisionsMax = 1000;   // the one in force and the one to go back to
constexpr size_t kSocketPathMax = 107;   // sockaddr_un

std::string host_name() {
    char name[256] = {};
    return gethostname(name, sizeof name - 1) == 0 && name[0] ? name : "sluice";
}

/// False: this is no GatewayHost at all, further complaints would only hide that.
bool check_kind(Context& context, const yaml::Node& root) {
    if (root.kind != yaml::Node::Kind::kMap) {
        context.report(root, "SLC0002", "", "this is not a GatewayHost file", "start with: apiVersion: sluice/v1, kind: GatewayHost");
        return false;
    }
    const yaml::Node* version = root.find("apiVersion");
    const yaml::Node* kind = root.find("kind");
    const std::string version_text = version ? version->text : "", kind_text = kind ? kind->text : "";
    const bool mesh = version_text.find(".istio.io/") != std::string::npos || version_text.find(".k8s.io/") != std::string::npos;
    if (mesh) {
        context.report(kind ? *kind : *version, "SLC0002", "kind",
                       fmt::format("this is a mesh file ({}), not the gateway's own file", kind_text.empty() ? version_text : kind_text),
                       "put it into mesh.directory and pass the file with kind: GatewayHost");
        return false;
    }
    if (kind_text != kKind) {
        const yaml::Node& at = kind ? *kind : root;
        context.report(at, "SLC0002", "kind", kind ? fmt::format("`{}` is not GatewayHost", kind_text.substr(0, 80)) : "missing",
                       "kind: GatewayHost");
        return false;
    }
    if (version_text != kApiVersion) {
        const yaml::Node& at = version ? *version : root;
        context.report(at, "SLC0002", "apiVersion",
                       version ? fmt::format("`{}` is not sluice/v1", version_text.substr(0, 80)) : "missing", "apiVersion: sluice/v1");
        return false;
    }
    return true;
}

// A DNS label or subdomain: lower-case letters, digits, '-', and '.' where `dots`.
bool is_name(std::string_view text, bool dots, size_t max) {
    if (text.empty() || text.size() > max) return false;
    const auto edge = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return edge(text.front()) && edge(text.back()) &&
           std::all_of(text.begin(), text.end(), [&](char c) { return edge(c) || c == '-' || (dots && (c == '.' || c == '_')); });
}

void read_node(Context& context, const yaml::Node& yaml, Node& node) {
    const Object o(context, yaml, "node", fields::kNodeObject);
    o.text("id", node.id);
    if (o.has("id") && node.id.empty()) o.wrong("id", "empty", "leave it out to use the machine's name");
    o.text("namespace", node.ns);
    if (!is_name(node.ns, false, 63)) o.wrong("namespace", "not a namespace name", "lower-case letters, digits and -");
    o.text("locality", node.locality);
    if (std::count(node.locality.begin(), node.locality.end(), '/') > 2) o.wrong("locality", "more than three parts", "region/zone/subzone");
    const yaml::Node* labels = o.find("labels");
    if (!labels) return;
    if (labels->kind != yaml::Node::Kind::kMap) {
        o.wrong("labels", fmt::format("{} where a map is wanted", kind_of(*labels)), "labels: {istio: ingressgateway}").code = "SLC0005";
        return;
    }
    for (const yaml::Entry& e : labels->entries) {
        if (e.value.kind != yaml::Node::Kind::kScalar) {
            context.report(e.at, e.key.size(), "SLC0005", "node.labels" + yaml::path_key(e.key),
                           fmt::format("{} where text is wanted", kind_of(e.value)));
            continue;
        }
        node.labels[e.key] = e.value.text;
    }
}

void read_workers(Context& context, const yaml::Node& yaml, Workers& workers) {
    const Object o(context, yaml, "workers", fields::kWorkersObject);
    o.number("count", workers.count, 1, limits::kCoresMax);
    constexpr std::string_view kPoll[] = {"adaptive", "busy"};
    size_t poll = 0;
    if (o.word("poll", kPoll, poll)) workers.poll = static_cast<Workers::Poll>(poll);
    if (!o.has("cores")) return;
    if (o.has("count")) o.wrong("count", "cores are given too", "keep one of the two").code = "SLC0008";
    const auto items = o.list("cores");
    const yaml::Node* list = o.find("cores");
    if (items.empty() && list && list->kind == yaml::Node::Kind::kSequence) o.wrong("cores", "an empty list", "cores: [1], or count: 1");
    for (size_t i = 0; i < items.size(); i++) {
        const std::string path = fmt::format("workers.cores[{}]", i);
        uint64_t cpu = 0;
        if (!parse_number(items[i], cpu)) {
            context.report(items[i], "SLC0005", path, fmt::format("{} where a CPU number is wanted", kind_of(items[i])));
        } else if (cpu > kCpuMax) {
            context.report(items[i], "SLC0006", path, fmt::format("{} is out of range", cpu), fmt::format("0 to {}", kCpuMax));
        } else if (std::find(workers.cores.begin(), workers.cores.end(), cpu) != workers.cores.end()) {
            context.report(items[i], "SLC0008", path, fmt::format("CPU {} is given twice", cpu), "a worker owns its core");
        } else {
            workers.cores.push_back(static_cast<uint32_t>(cpu));
        }
    }
    if (items.size() > limits::kCoresMax) o.wrong("cores", fmt::format("more than {} cores", limits::kCoresMax));
    if (!workers.cores.empty()) workers.count = static_cast<uint32_t>(workers.cores.size());
}

/// A size between two bounds, which are named in the cure as the user would write them.
template <typename T>
void read_size(const Object& o, std::string_view field, T& value, uint64_t min, uint64_t max, std::string_view range) {
    std::string text;
    if (!o.scalar(field, text)) return;
    const auto size = parse_size(text);
    if (!size) o.wrong(field, fmt::format("`{}` is not a size", text.substr(0, 80)), "a number with Ki, Mi or Gi: 512Mi");
    else if (*size < min || *size > max) o.wrong(field, fmt::format("{} is out of range", text), std::string(range));
    else value = static_cast<T>(*size);
}

void read_memory(Context& context, const yaml::Node& yaml, Memory& memory) {
    const Object o(context, yaml, "memory", fields::kMemoryObject);
    read_size(o, "limit", memory.limit_bytes, uint64_t{64} << 20, uint64_t{1} << 40, "64Mi to 1Ti");
    constexpr std::string_view kHugepages[] = {"auto", "require", "never"};
    size_t index = 0;
    if (o.word("hugepages", kHugepages, index)) memory.hugepages = static_cast<Memory::Hugepages>(index);
}

void read_limits(Context& context, const yaml::Node& yaml, Limits& limits) {
    const Object o(context, yaml, "limits", fields::kLimitsObject);
    o.number("connections", limits.connections, 1, 16'000'000);
    std::string range;
    if (o.scalar("ephemeralPorts", range)) {
        const auto ports = parse_port_range(range);
        if (!ports || ports->first > ports->last) o.wrong("ephemeralPorts", fmt::format("`{}` is no range of ports", range.substr(0, 80)), "ephemeralPorts: 40000-49999");
        else if (ports->first < kEphemeralMin) o.wrong("ephemeralPorts", fmt::format("{} is out of range", range), "1024-65535");
        else limits.ephemeral_ports = *ports;
    }
    read_size(o, "requestHeader", limits.request_header_bytes, 1 << 10, limits::kRequestHeaderBytes, "1Ki to 60Ki");
}

void read_trust_domains(Context& context, std::span<const yaml::Node> items, const std::string& path, std::vector<std::string>& out) {
    for (size_t i = 0; i < items.size(); i++) {
        if (items[i].kind == yaml::Node::Kind::kScalar && is_name(items[i].text, true, 255)) out.push_back(items[i].text);
        else context.report(items[i], "SLC0006", fmt::format("{}[{}]", path, i), "not a trust domain", "as in old.example: lower-case letters, digits, dots, - and _");
    }
}

void read_mesh(Context& context, const yaml::Node& yaml, Mesh& mesh) {
    const Object o(context, yaml, "mesh", fields::kMeshObject);
    o.text("directory", mesh.directory);
    if (o.has("directory") && mesh.directory.empty()) o.wrong("directory", "empty", "directory: /etc/sluice/mesh");
    o.text("trustDomain", mesh.trust_domain);
    if (!is_name(mesh.trust_domain, true, 255))
        o.wrong("trustDomain", fmt::format("`{}` is not a trust domain", mesh.trust_domain.substr(0, 80)), "as in cluster.local: lower-case letters, digits, dots, - and _");
    read_trust_domains(context, o.list("trustDomainAliases"), "mesh.trustDomainAliases", mesh.trust_domain_aliases);
    const auto anchors = o.list("caCertificates");
    for (size_t i = 0; i < anchors.size(); i++) {
        const std::string path = fmt::format("mesh.caCertificates[{}]", i);
        const Object anchor(context, anchors[i], path, fields::kCaCertificatesObject);
        CaCertificates& out = mesh.ca_certificates.emplace_back();
        anchor.text("pem", out.pem);
        anchor.text("file", out.file);
        read_trust_domains(context, anchor.list("trustDomains"), path + ".trustDomains", out.trust_domains);
        const bool by_url = anchors[i].find("spiffeBundleUrl") != nullptr;   // refused in words of its own
        if (out.pem.empty() && out.file.empty() && !by_url) anchor.missing("file", "file: other-root.pem, or pem with the certificates themselves");
        else if (!out.pem.empty() && !out.file.empty()) anchor.wrong("file", "pem is given too", "keep one").code = "SLC0008";
    }
}

void read_state(Context& context, const yaml::Node& yaml, State& state) {
    const Object o(context, yaml, "state", fields::kStateObject);
    o.text("directory", state.directory);
    o.number("revisions", state.revisions, kRevisionsMin, kRevisionsMax);
}

/// "127.0.0.1:15000" or "[::1]:15000".
std::optional<SocketAddress> parse_socket_address(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == text.npos) return std::nullopt;
    std::string_view ip = text.substr(0, colon);
    const bool brackets = ip.starts_with('[') && ip.ends_with(']');
    if (brackets) ip = ip.substr(1, ip.size() - 2);
    const auto address = IpAddress::parse(ip);
    if (!address || address->is_v4() == brackets) return std::nullopt;
    uint64_t port = 0;
    yaml::Node number;
    number.kind = yaml::Node::Kind::kScalar;
    number.text = text.substr(colon + 1);
    if (!parse_number(number, port) || port == 0 || port > 65535) return std::nullopt;
    return SocketAddress{*address, static_cast<uint16_t>(port)};
}

void read_admin(Context& context, const yaml::Node& yaml, Admin& admin) {
    const Object o(context, yaml, "admin", fields::kAdminObject);
    o.text("socket", admin.socket);
    if (!admin.socket.starts_with('/')) o.wrong("socket", "not an absolute path", "socket: /run/sluice/admin.sock");
    else if (admin.socket.size() > kSocketPathMax) o.wrong("socket", fmt::format("longer than {} bytes", kSocketPathMax));
    std::string http;
    if (!o.scalar("http", http)) return;
    const auto address = parse_socket_address(http);
    if (!address) {
        o.wrong("http", fmt::format("`{}` is not an address and a port", http.substr(0, 80)), "http: \"127.0.0.1:15000\"");
    } else if (address->ip != IpAddress::parse("::1") && !(address->ip.is_v4() && address->ip.bytes[12] == 127)) {
        o.wrong("http", fmt::format("{} is not a loopback address: the endpoint has no passwords", address->ip.to_string()),
                "http: \"127.0.0.1:15000\", and reach it through SSH");
    } else {
        admin.http = *address;
    }
}

void read_drain(Context& context, const yaml::Node& yaml, Duration& deadline) {
    const Object o(context, yaml, "drain", fields::kDrainObject);
    std::string text;
    if (!o.scalar("deadline", text)) return;
    const auto duration = parse_duration(text);
    if (!duration) o.wrong("deadline", fmt::format("`{}` is not a duration", text.substr(0, 80)), "a number with its unit: 500ms, 30s, 1m30s");
    else if (*duration > seconds(24 * 3600)) o.wrong("deadline", fmt::format("{} is out of range", text), "0s to 24h");
    else deadline = *duration;
}

void read_topology(Context& context, const yaml::Node& yaml, Topology& topology) {
    constexpr uint32_t kProxiesMax = 64;
    constexpr std::string_view kDetails[] = {"SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"};
    const Object o(context, yaml, "gatewayTopology", fields::kTopologyObject);
    o.number("numTrustedProxies", topology.num_trusted_proxies, 0, kProxiesMax);
    size_t index = 0;
    if (o.word("forwardClientCertDetails", kDetails, index)) topology.forward_client_cert = kDetails[index];
}

void read_process(Context& context, const yaml::Node& yaml, Process& process) {
    const Object o(context, yaml, "process", fields::kProcessObject);
    o.text("user", process.user);
    const bool odd = process.user.size() > 32 || process.user.find_first_of(":/ \t") != process.user.npos;
    if (o.has("user") && (process.user.empty() || odd)) o.wrong("user", "not a user's name", "user: sluice");
    constexpr std::string_view kSeccomp[] = {"enforce", "log", "off"};
    size_t index = 0;
    if (o.word("seccomp", kSeccomp, index)) process.seccomp = static_cast<Process::Seccomp>(index);
    o.boolean("coreDumps", process.core_dumps);
}

void read_sections(Context& context, const yaml::Node& root, GatewayHost& host) {
    const Object o(context, root, "", fields::kFile);
    if (const auto* node = o.find("node")) read_node(context, *node, host.node);
    if (const auto* workers = o.find("workers")) read_workers(context, *workers, host.workers);
    read_ports(context, o, host.ports);
    if (const auto* memory = o.find("memory")) read_memory(context, *memory, host.memory);
    if (const auto* limits = o.find("limits")) read_limits(context, *limits, host.limits);
    if (const auto* tcp = o.find("tcp")) read_tcp(context, *tcp, host.tcp);
    if (const auto* mesh = o.find("mesh")) read_mesh(context, *mesh, host.mesh);
    if (const auto* identity = o.find("identity")) read_identity(context, *identity, host.identity);
    if (const auto* tls = o.find("tls")) read_tls(context, *tls, host.workers, host.tls);
    if (const auto* topology = o.find("gatewayTopology")) read_topology(context, *topology, host.topology);
    if (const auto* state = o.find("state")) read_state(context, *state, host.state);
    if (const auto* admin = o.find("admin")) read_admin(context, *admin, host.admin);
    if (const auto* log = o.find("accessLog")) read_access_log(context, *log, host.access_log);
    if (const auto* drain = o.find("drain")) read_drain(context, *drain, host.drain_deadline);
    if (const auto* process = o.find("process")) read_process(context, *process, host.process);
}

}  // namespace

std::string interface_of(const Port& port) {
    for (const std::string_view kind : {"af_xdp:", "af_packet:"})
        if (port.device.starts_with(kind)) return port.device.substr(kind.size());
    return {};
}

Reading read(std::string name, std::string text) {
    Reading out;
    const auto file = yaml::parse(name, std::move(text), out.diagnostics, {.bytes_max = kFileBytesMax, .depth_max = 16});
    Context context{*file, out.diagnostics};
    GatewayHost host;
    host.file = name;
    host.node.id = host_name();
    bool is_gateway_host = false;
    const auto duplicates = static_cast<size_t>(std::count_if(out.diagnostics.begin(), out.diagnostics.end(), [](const Diagnostic& d) { return d.code == "SLC0121"; }));
    if (out.diagnostics.size() > duplicates) {
        // Not YAML: what stands before the error says little.
    } else if (file->documents.empty()) {
        context.report({1, 1}, 1, "SLC0002", "", "this file is empty", "start with: apiVersion: sluice/v1, kind: GatewayHost");
    } else if (check_kind(context, file->documents[0])) {
        is_gateway_host = true;
        read_sections(context, file->documents[0], host);
        if (file->documents.size() > 1)
            context.report(file->documents[1], "SLC0009", "", "a second document: one GatewayHost describes one machine", "remove it; mesh files live in mesh.directory");
    }
    std::vector<std::string*> paths = {&host.mesh.directory, &host.state.directory, &host.identity.certificate, &host.identity.private_key, &host.identity.roots};
    for (CaCertificates& anchor : host.mesh.ca_certificates) paths.push_back(&anchor.file);
    for (std::string* written : paths) {
        const std::filesystem::path path(*written);
        if (!path.empty() && path.is_relative()) *written = (std::filesystem::path(name).parent_path() / path).lexically_normal();
    }
    if (out.diagnostics.size() > kFindingsMax) out.diagnostics.resize(kFindingsMax);
    for (Diagnostic& d : out.diagnostics)
        if (d.object.empty()) d.object = kObject;
    sort_by_place(out.diagnostics);
    out.file = file;
    if (is_gateway_host) out.mesh_directory = host.mesh.directory;
    if (!has_errors(out.diagnostics)) out.host = std::move(host);
    return out;
}

Reading read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    errno = 0;
    if (in) text << in.rdbuf();
    std::error_code ignored;
    if (!in || std::filesystem::is_directory(path, ignored)) {
        Diagnostic d;
        d.file = path;
        d.code = "SLC0001";
        d.message = std::filesystem::is_directory(path, ignored) ? "is a directory: --config wants the gateway's own file"
                                                                 : fmt::format("cannot be read: {}", std::strerror(errno ? errno : EIO));
        d.cure = "configs/demo/sluice.yaml is an example to start from";
        return {std::nullopt, {std::move(d)}, nullptr, ""};
    }
    return read(path, std::move(text).str());
}

std::vector<std::string> known_fields() {
    std::vector<std::string> out;
    for (const ObjectFields* object : fields::kAll)
        for (const auto& field : object->fields) out.push_back(object->path.empty() ? std::string(field) : fmt::format("{}.{}", object->path, field));
    std::sort(out.begin(), out.end());
    return out;
}

std::vector<std::string> unsupported_fields() {
    std::vector<std::string> out;
    for (const ObjectFields* object : fields::kAll)
        for (const auto& field : object->unsupported) out.push_back(object->path.empty() ? std::string(field.name) : fmt::format("{}.{}", object->path, field.name));
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace sluice::host
