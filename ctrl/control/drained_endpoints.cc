// A resource is copied only where it has an endpoint that is drained; the rest of the set is shared.
#include "ctrl/control/drained_endpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/ip_address.h"

namespace sluice::control {

namespace {

using envoy::config::core::v3::HealthStatus;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::endpoint::v3::LbEndpoint;

bool is_used(const LbEndpoint& endpoint) {
    const auto status = endpoint.health_status();
    return status == HealthStatus::UNKNOWN || status == HealthStatus::HEALTHY || status == HealthStatus::DEGRADED;
}

DrainedEndpoints::Key key_of(const LbEndpoint& endpoint) {
    const auto& socket = endpoint.endpoint().address().socket_address();
    const auto ip = IpAddress::parse(socket.address());
    return {ip ? ip->to_string() : socket.address(), static_cast<uint16_t>(socket.port_value())};
}

bool covers(const DrainedEndpoints::Key& key, const DrainedEndpoints::Key& endpoint) {
    return key.address == endpoint.address && (key.port == 0 || key.port == endpoint.port);
}

/// Every assignment of the set: those of EDS, and those that stand within STATIC clusters. `visit` gets the cluster's name.
template <typename Visit>
void each_assignment(const xds::ResourceSet& resources, Visit&& visit) {
    for (const auto& [name, assignment] : resources.endpoints) visit(name, *assignment);
    for (const auto& [name, cluster] : resources.clusters)
        if (cluster->has_load_assignment()) visit(name, cluster->load_assignment());
}

template <typename Marked>
bool any_marked(const ClusterLoadAssignment& assignment, Marked&& marked) {
    for (const auto& locality : assignment.endpoints())
        if (std::any_of(locality.lb_endpoints().begin(), locality.lb_endpoints().end(), marked)) return true;
    return false;
}

}  // namespace

std::string DrainedEndpoints::Key::to_string() const {
    if (port == 0) return address;
    return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port) : fmt::format("[{}]:{}", address, port);
}

std::expected<DrainedEndpoints::Key, std::string> DrainedEndpoints::parse(std::string_view text) {
    const auto wrong = [&] { return std::unexpected(fmt::format("`{}` is not an endpoint: 10.0.0.21:9080, [2001:db8::1]:9080, or an address alone", text.substr(0, 64))); };
    if (const auto whole = IpAddress::parse(std::string(text))) return Key{whole->to_string(), 0};
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return wrong();
    std::string_view host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string_view::npos) return wrong();
    const auto ip = IpAddress::parse(std::string(host));
    uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (!ip || error != std::errc{} || end != digits.data() + digits.size() || port == 0) return wrong();
    return Key{ip->to_string(), port};
}

DrainedEndpoints::Effect DrainedEndpoints::effect_of(const Key& key, const xds::ResourceSet& resources) const {
    Effect effect;
    each_assignment(resources, [&](const std::string& name, const ClusterLoadAssignment& assignment) {
        bool has_it = false, others = false;
        for (const auto& locality : assignment.endpoints()) {
            for (const auto& endpoint : locality.lb_endpoints()) {
                const Key one = key_of(endpoint);
                if (covers(key, one)) has_it = true;
                else others |= is_used(endpoint) && !has(one);
            }
        }
        if (has_it) effect.clusters.push_back(name);
        if (has_it && !others) effect.without_any.push_back(name);
    });
    return effect;
}

bool DrainedEndpoints::add(const Key& key) {
    std::lock_guard lock(mutex_);
    const auto at = std::lower_bound(keys_.begin(), keys_.end(), key);
    if (at != keys_.end() && *at == key) return false;
    keys_.insert(at, key);
    return true;
}

bool DrainedEndpoints::remove(const Key& key) {
    std::lock_guard lock(mutex_);
    return std::erase_if(keys_, [&](const Key& one) { return covers(key, one) || one == key; }) != 0;
}

std::vector<DrainedEndpoints::Key> DrainedEndpoints::list() const {
    std::lock_guard lock(mutex_);
    return keys_;
}

bool DrainedEndpoints::has(const Key& endpoint) const {
    std::lock_guard lock(mutex_);
    return std::any_of(keys_.begin(), keys_.end(), [&](const Key& key) { return covers(key, endpoint); });
}

std::unique_ptr<const xds::ResourceSet> DrainedEndpoints::mark(const xds::ResourceSet& resources) const {
    if (list().empty()) return nullptr;
    auto marked = std::make_unique<xds::ResourceSet>(resources);
    const auto drained = [&](const LbEndpoint& endpoint) { return has(key_of(endpoint)); };
    const auto change = [&](ClusterLoadAssignment& assignment) {
        for (auto& locality : *assignment.mutable_endpoints())
            for (auto& endpoint : *locality.mutable_lb_endpoints())
                if (drained(endpoint)) endpoint.set_health_status(HealthStatus::DRAINING);
    };
    for (const auto& [name, assignment] : resources.endpoints)
        if (any_marked(*assignment, drained)) marked->endpoints[name].edit(change);
    for (const auto& [name, cluster] : resources.clusters)
        if (any_marked(cluster->load_assignment(), drained)) marked->clusters[name].edit([&](auto& one) { change(*one.mutable_load_assignment()); });
    return marked;
}

}  // namespace sluice::control
