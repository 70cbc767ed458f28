// Gateway, DestinationRule, ServiceEntry and WorkloadEntry; VirtualService is in check_routes.cc.
// In: objects. Out: findings.
// Borrows everything.
// Istio's validation of the networking API v1.
#include "ctrl/model/check.h"

#include <set>

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <fmt/format.h>
#include <re2/re2.h>

#include "ctrl/model/checks.h"
#include "ctrl/model/names.h"
#include "ctrl/model/together.h"

namespace sluice::model {

void Checker::host(std::string_view path, std::string_view host, bool wildcard_allowed) {
    if (auto wrong = wrong_host(host, wildcard_allowed)) report("SLC0114", path, fmt::format("`{}`: {}", host, *wrong));
}

void Checker::port(std::string_view path, uint32_t number) {
    if (number < 1 || number > 65535) report("SLC0115", path, fmt::format("{} is not a port", number), "1 to 65535");
}

void Checker::ip_address(std::string_view path, const std::string& address) {
    if (is_ip_address(address)) return;
    report("SLC0117", path, fmt::format("`{}` is not an IP address", address),
          absl::StartsWith(address, "unix:") ? "unix sockets are not supported in this version"
                                             : "names are not resolved in this version: write the address");
}

void Checker::export_to(std::string_view path, const google::protobuf::RepeatedPtrField<std::string>& names) {
    for (int i = 0; i < names.size(); ++i)
        if (names[i] != "*" && names[i] != "." && names[i] != "~" && !is_dns_label(names[i]))
            report("SLC0107", fmt::format("{}[{}]", path, i), fmt::format("`{}` is not a namespace", names[i]),
                  "a namespace, `*` or `.`");
}

void Checker::bad_regex(std::string_view path, const std::string& error, std::string_view part) {
    const size_t before = out_.size();
    report("SLC0112", path, error);
    if (out_.size() == before || part.empty()) return;
    Diagnostic& d = out_.back();
    const size_t from = d.column > 0 ? static_cast<size_t>(d.column) - 1 : 0;
    const size_t at = d.source_line.find(part, from);
    if (at == std::string::npos || at + part.size() > from + static_cast<size_t>(d.caret_width)) return;
    d.column = static_cast<int>(at) + 1;
    d.caret_width = static_cast<int>(part.size());
}

void Checker::regex(std::string_view path, const std::string& pattern) {
    constexpr size_t kPatternBytesMax = 4096;
    constexpr int64_t kProgramBytesMax = 1 << 20;
    if (pattern.size() > kPatternBytesMax)
        return report("SLC0112", path, fmt::format("a regex longer than {} bytes", kPatternBytesMax), "split it over several matches");
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kProgramBytesMax);
    const RE2 compiled(pattern, options);
    if (!compiled.ok()) bad_regex(path, "not a regex RE2 takes: " + compiled.error(), compiled.error_arg());
}

const std::vector<std::string>& protocols() {
    static const std::vector<std::string> names = {"HTTP", "HTTP2", "HTTPS", "HTTP_PROXY", "GRPC",  "GRPC-WEB",
                                                   "TCP",  "TLS",   "MONGO", "MYSQL",      "REDIS", "UDP"};
    return names;
}

void Checker::protocol(std::string_view path, const std::string& protocol, bool https) {
    if (absl::EqualsIgnoreCase(protocol, "HTTP") || (https && absl::EqualsIgnoreCase(protocol, "HTTPS"))) return;
    for (const std::string& name : protocols())
        if (absl::EqualsIgnoreCase(protocol, name))
            return report("SLC0105", path, fmt::format("protocol {} is not supported in this version", name),
                         https ? "use HTTP or HTTPS" : "use HTTP; a DestinationRule with `tls` encrypts it");
    if (protocol.empty())
        return report("SLC0105", path, "protocols are not detected in this version", "add protocol: HTTP");
    report("SLC0103", path, fmt::format("unknown protocol {}", protocol),
          did_you_mean(absl::AsciiStrToUpper(protocol), protocols()));
}

namespace {

void check_gateway(const Object<istio::Gateway>& object, std::vector<Diagnostic>& out) {
    Checker c(object, out);
    if (object.spec.servers().empty()) c.report("SLC0106", "spec.servers", "no server", "add at least one");
    std::set<std::string> names;
    for (int i = 0; i < object.spec.servers_size(); ++i) {
        const istio::Server& server = object.spec.servers(i);
        const std::string path = fmt::format("spec.servers[{}]", i);
        c.port(path + ".port.number", server.port().number());
        c.protocol(path + ".port.protocol", server.port().protocol(), true);
        check_server_tls(c, path, server);
        // Istio's validation: statistics and VirtualServices of old went by this name.
        if (!server.port().name().empty() && !names.insert(server.port().name()).second)
            c.report("SLC0107", path + ".port.name", fmt::format("two servers' ports are called {}", server.port().name()),
                     "rename one");
        if (!server.bind().empty()) c.ip_address(path + ".bind", server.bind());
        if (server.hosts().empty()) c.report("SLC0106", path + ".hosts", "no host", "`*` stands for all");
        for (int h = 0; h < server.hosts_size(); ++h) {
            const std::string host_path = fmt::format("{}.hosts[{}]", path, h);
            const ScopedHost scoped = split_scope(server.hosts(h));
            c.host(host_path, scoped.host, true);
            if (scoped.ns != "*" && scoped.ns != "." && !is_dns_label(scoped.ns))
                c.report("SLC0114", host_path, fmt::format("`{}` is not a namespace", scoped.ns),
                        "namespace/host, ./host or */host");
        }
    }
}

void check_pool(Checker& c, const std::string& path, const istio::ConnectionPoolSettings& pool) {
    const auto limit = [&](const char* field, int32_t value) {
        if (value < 0) c.report("SLC0103", path + ".connectionPool." + field, "a limit cannot be negative",
                                "write how many there may be at most");
    };
    limit("tcp.maxConnections", pool.tcp().max_connections());
    limit("http.http1MaxPendingRequests", pool.http().http1_max_pending_requests());
    limit("http.http2MaxRequests", pool.http().http2_max_requests());
    limit("http.maxRequestsPerConnection", pool.http().max_requests_per_connection());
    const auto& connect = pool.tcp().connect_timeout();
    if (pool.tcp().has_connect_timeout() && connect.seconds() == 0 && connect.nanos() < 1'000'000)
        c.report("SLC0113", path + ".connectionPool.tcp.connectTimeout", "must be at least 1ms", "connectTimeout: 1s");
}

void check_policy(Checker& c, const std::string& path, const istio::TrafficPolicy& policy) {
    check_pool(c, path, policy.connection_pool());
    if (policy.has_tls()) check_client_tls(c, path + ".tls", policy.tls());
    std::set<uint32_t> numbers;
    for (int i = 0; i < policy.port_level_settings_size(); ++i) {
        const istio::PortTrafficPolicy& of_port = policy.port_level_settings(i);
        const std::string below = fmt::format("{}.portLevelSettings[{}]", path, i);
        c.port(below + ".port.number", of_port.port().number());
        if (!numbers.insert(of_port.port().number()).second)
            c.report("SLC0107", below + ".port.number", fmt::format("port {} is given twice", of_port.port().number()),
                    "remove one");
        check_pool(c, below, of_port.connection_pool());
        if (of_port.has_tls()) check_client_tls(c, below + ".tls", of_port.tls());
    }
}

void check_destination_rule(const Object<istio::DestinationRule>& object, std::vector<Diagnostic>& out) {
    Checker c(object, out);
    c.host("spec.host", object.spec.host(), true);
    c.export_to("spec.exportTo", object.spec.export_to());
    check_policy(c, "spec.trafficPolicy", object.spec.traffic_policy());
    std::set<std::string> names;
    for (int i = 0; i < object.spec.subsets_size(); ++i) {
        const istio::Subset& subset = object.spec.subsets(i);
        const std::string path = fmt::format("spec.subsets[{}]", i);
        if (!is_dns_label(subset.name()))
            c.report("SLC0107", path + ".name", fmt::format("`{}` is not a name", subset.name()),
                    "use a-z, 0-9 and `-`");
        if (!names.insert(subset.name()).second)
            c.report("SLC0107", path + ".name", fmt::format("two subsets are called {}", subset.name()),
                    "rename or remove one");
        check_policy(c, path + ".trafficPolicy", subset.traffic_policy());
    }
}

void check_workload(Checker& c, const std::string& path, const istio::WorkloadEntry& workload) {
    c.ip_address(path + ".address", workload.address());
    for (const auto& [name, number] : workload.ports()) c.port(path + ".ports" + yaml::path_key(name), number);
}

void check_service_ports(Checker& c, const istio::ServiceEntry& entry) {
    std::set<std::string> names;
    std::set<uint32_t> numbers;
    if (entry.ports().empty()) c.report("SLC0106", "spec.ports", "no port", "add at least one");
    for (int i = 0; i < entry.ports_size(); ++i) {
        const istio::ServicePort& port = entry.ports(i);
        const std::string path = fmt::format("spec.ports[{}]", i);
        c.port(path + ".number", port.number());
        if (port.target_port() != 0) c.port(path + ".targetPort", port.target_port());
        c.protocol(path + ".protocol", port.protocol());
        if (!names.insert(port.name()).second)
            c.report("SLC0107", path + ".name", fmt::format("two ports are called {}", port.name()), "rename one");
        if (!numbers.insert(port.number()).second)
            c.report("SLC0107", path + ".number", fmt::format("port {} is given twice", port.number()), "remove one");
    }
}

void check_service_entry(const Object<istio::ServiceEntry>& object, std::vector<Diagnostic>& out) {
    Checker c(object, out);
    const istio::ServiceEntry& entry = object.spec;
    if (entry.hosts().empty()) c.report("SLC0106", "spec.hosts", "no host", "add at least one");
    for (int i = 0; i < entry.hosts_size(); ++i) c.host(fmt::format("spec.hosts[{}]", i), entry.hosts(i), false);
    c.export_to("spec.exportTo", entry.export_to());
    check_service_ports(c, entry);
    if (entry.resolution() != istio::ServiceEntry::STATIC) {
        // Left out; the reader refuses what is written and is not STATIC.
        c.report("SLC0105", "spec.resolution", "resolution NONE is not supported in this version",
                "write resolution: STATIC and the endpoints' addresses");
        return;
    }
    if (!entry.endpoints().empty() && entry.has_workload_selector())
        c.report("SLC0116", "spec.workloadSelector", "`endpoints` and `workloadSelector` exclude each other",
                "keep one");
    if (entry.endpoints().empty() && !entry.has_workload_selector())
        c.report("SLC0106", "spec", "neither `endpoints` nor `workloadSelector`", "add one");
    if (entry.has_workload_selector() && entry.workload_selector().labels().empty())
        c.report("SLC0106", "spec.workloadSelector.labels", "no label", "add at least one");
    for (int i = 0; i < entry.endpoints_size(); ++i) {
        const std::string path = fmt::format("spec.endpoints[{}]", i);
        check_workload(c, path, entry.endpoints(i));
        for (const auto& [name, number] : entry.endpoints(i).ports()) {
            std::vector<std::string> known;
            for (const auto& port : entry.ports()) known.push_back(port.name());
            if (std::find(known.begin(), known.end(), name) == known.end())
                c.report("SLC0115", path + ".ports" + yaml::path_key(name),
                        fmt::format("the service has no port called {}", name), did_you_mean(name, known));
        }
    }
}

}  // namespace

void check_each(const MeshConfig& mesh, std::vector<Diagnostic>& out) {
    for (const auto& object : mesh.gateways) check_gateway(object, out);
    for (const auto& object : mesh.virtual_services) check_routes(object, out);
    for (const auto& object : mesh.destination_rules) check_destination_rule(object, out);
    for (const auto& object : mesh.service_entries) check_service_entry(object, out);
    for (const auto& object : mesh.workload_entries) {
        Checker c(object, out);
        check_workload(c, "spec", object.spec);
    }
}

void check_together(const MeshConfig& mesh, std::vector<Diagnostic>& out) {
    Together().check(std::shared_ptr<const MeshConfig>(std::shared_ptr<void>(), &mesh), mesh.places, out);
}

void check(const MeshConfig& mesh, bool references, std::vector<Diagnostic>& out) {
    check_each(mesh, out);
    if (references) check_together(mesh, out);
}

}  // namespace sluice::model
