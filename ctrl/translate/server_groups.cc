// Names, and sockets that Gateways share.
// In: mesh, node. Out: groups of servers; findings about them.
// Owns nothing.
// istiod's resource names: listeners ADDRESS_PORT, routes http.PORT, clusters DIRECTION|PORT|SUBSET|HOST.
#include <algorithm>
#include <map>

#include <absl/strings/match.h>
#include <fmt/format.h>

#include "ctrl/model/names.h"
#include "ctrl/translate/parts.h"

namespace sluice::translate {
namespace {

// VirtualService -> virtual-service, as istiod writes kinds in paths.
std::string kebab_case(std::string_view kind) {
    std::string out;
    for (char c : kind) {
        if (c >= 'A' && c <= 'Z') {
            if (!out.empty()) out += '-';
            out += static_cast<char>(c + ('a' - 'A'));
        } else {
            out += c;
        }
    }
    return out;
}

bool is_any_address(std::string_view bind) { return bind == "0.0.0.0" || bind == "::"; }

// Files have no creation time, by which istiod orders; the name decides, as it does there between equals.
template <typename Spec>
std::vector<const model::Object<Spec>*> in_order(const model::Objects<Spec>& objects) {
    std::vector<const model::Object<Spec>*> out;
    for (const auto& object : objects) out.push_back(&object);
    std::sort(out.begin(), out.end(), [](const auto* a, const auto* b) {
        return std::tie(a->name, a->ns) < std::tie(b->name, b->ns);
    });
    return out;
}

void check_bind(Context& context, const ServerGroup::Member& member) {
    const std::string& bind = member.server().bind();
    const auto& ours = context.node.listen_addresses;
    if (bind.empty() || is_any_address(bind) || ours.empty()) return;
    if (std::find(ours.begin(), ours.end(), bind) != ours.end()) return;
    std::string known;
    for (const std::string& address : ours) known += (known.empty() ? "" : ", ") + address;
    context.errors.push_back(member.gateway->finding(
        "SLC0117", member.path() + ".bind", fmt::format("{} is not an address of a port marked `listen`", bind),
        "those are " + known));
}

// Two listeners on one socket: the wide one would take what the narrow one is for.
void check_overlap(Context& context, const std::vector<ServerGroup>& groups) {
    for (const ServerGroup& narrow : groups) {
        if (narrow.bind.empty()) continue;
        for (const ServerGroup& wide : groups) {
            if (!wide.bind.empty() || wide.port != narrow.port) continue;
            const auto& member = narrow.members.front();
            context.errors.push_back(
                member.gateway->finding("SLC0116", member.path() + ".bind",
                                        fmt::format("port {} is already open on all addresses by {}", narrow.port,
                                                    wide.members.front().gateway->id()),
                                        "give both a `bind`, or none"));
        }
    }
}

// A server name chooses one chain: two servers cannot both have it.
void check_server_names(Context& context, const ServerGroup& group) {
    std::map<std::string, const ServerGroup::Member*> taken;
    for (const ServerGroup::Member& member : group.members) {
        if (!member.tls()) continue;
        std::vector<std::string> names = server_names(member.server());
        if (names.empty()) names.push_back("*");
        for (const std::string& name : names) {
            const auto [other, is_new] = taken.emplace(name, &member);
            if (is_new) continue;
            context.errors.push_back(member.gateway->finding("SLC0116", member.path() + ".hosts",
                                                             fmt::format("{} answers for {} on port {} already", other->second->gateway->id(), name, group.port),
                                                             "a server name chooses one certificate: put the hosts into one server"));
        }
    }
}

}  // namespace

std::string cluster_name(uint32_t port, std::string_view subset, std::string_view host) {
    return fmt::format("outbound|{}|{}|{}", port, subset, host);
}

void describe(const model::ObjectBase& object, std::string_view path, envoy::config::core::v3::Metadata& metadata) {
    auto& istio = *(*metadata.mutable_filter_metadata())["istio"].mutable_fields();
    istio["config"].set_string_value(fmt::format("/apis/networking.istio.io/v1/namespaces/{}/{}/{}", object.ns,
                                                 kebab_case(object.kind), object.name));
    xds::set_provenance(metadata, {object.source(path), object.id(), std::string(path)});
}

std::string ServerGroup::listener_name() const {
    return fmt::format("{}_{}", bind.empty() ? "0.0.0.0" : bind, port);
}

bool ServerGroup::Member::tls() const { return absl::EqualsIgnoreCase(server().port().protocol(), "HTTPS"); }

std::string ServerGroup::route_name() const {
    if (tls) {
        const Member& only = members.front();
        const std::string& name = only.server().port().name();
        return fmt::format("https.{}.{}.{}.{}{}", port, name.empty() ? fmt::format("server{}", only.index) : name, only.gateway->name, only.gateway->ns,
                           bind.empty() ? "" : "." + bind);
    }
    return bind.empty() ? fmt::format("http.{}", port) : fmt::format("http.{}.{}", port, bind);
}

std::vector<ServerGroup> ServerGroup::by_routes() const {
    std::vector<ServerGroup> out;
    ServerGroup plain{.port = port, .bind = bind, .members = {}, .tls = false};
    for (const Member& member : members) {
        if (member.tls()) out.push_back({.port = port, .bind = bind, .members = {member}, .tls = true});
        else plain.members.push_back(member);
    }
    if (!plain.members.empty()) out.insert(out.begin(), std::move(plain));
    return out;
}

std::vector<ServerGroup> group_servers(Context& context) {
    std::map<std::pair<uint32_t, std::string>, ServerGroup> groups;
    for (const auto* gateway : in_order(context.mesh.gateways)) {
        if (!model::has_labels(context.node.labels, gateway->spec.selector())) continue;
        for (int i = 0; i < gateway->spec.servers_size(); ++i) {
            const istio::Server& server = gateway->spec.servers(i);
            check_bind(context, {gateway, i});
            const std::string bind = is_any_address(server.bind()) ? "" : server.bind();
            ServerGroup& group = groups[{server.port().number(), bind}];
            group.port = server.port().number();
            group.bind = bind;
            group.members.push_back({gateway, i});
        }
    }
    std::vector<ServerGroup> out;
    for (auto& [key, group] : groups) out.push_back(std::move(group));
    check_overlap(context, out);
    for (const ServerGroup& group : out) check_server_names(context, group);
    return out;
}

// Only a gateway that opens nothing has a reason to hear of Gateways meant for others.
void warn_unselected(const Context& context, std::vector<Diagnostic>& warnings) {
    for (const auto& gateway : context.mesh.gateways) {
        if (model::has_labels(context.node.labels, gateway.spec.selector())) continue;
        std::string labels;
        for (const auto& [name, value] : context.node.labels)
            labels += (labels.empty() ? "" : ", ") + name + ": " + value;
        warnings.push_back(gateway.finding(
            "SLC0131", "spec.selector", fmt::format("this gateway is not selected; its labels are {{{}}}", labels),
            "make `selector` and node.labels agree"));
    }
}

}  // namespace sluice::translate
