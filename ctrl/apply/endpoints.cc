// ClusterLoadAssignment -> EndpointSet: the endpoints that may be used, best priority first, with weights.
// In: an assignment. Out: the set. UNHEALTHY, DRAINING and TIMEOUT endpoints are listed apart; UNKNOWN counts as healthy.
// With locality weights a locality's share of the traffic is its weight, whatever its endpoints' weights add up to.
// Envoy endpoint.v3.
#include <algorithm>

#include "ctrl/apply/readers.h"

namespace sluice::apply {
namespace {

namespace pb = envoy::config::endpoint::v3;
using envoy::config::core::v3::HealthStatus;

constexpr uint32_t kPriorityMax = 127;           // Envoy's highest is 128
constexpr double kWeightOfLargest = 1'000'000;   // where localities are weighed: keeps their ratios to a millionth

bool usable(HealthStatus status) {
    return status == HealthStatus::UNKNOWN || status == HealthStatus::HEALTHY || status == HealthStatus::DEGRADED;
}

upstream::LeftOut left_out_as(HealthStatus status) {
    if (status == HealthStatus::DRAINING) return upstream::LeftOut::kDraining;
    return status == HealthStatus::TIMEOUT ? upstream::LeftOut::kTimeout : upstream::LeftOut::kUnhealthy;
}

std::string locality_text(const envoy::config::core::v3::Locality& in) {
    std::string text = in.region();
    if (!in.zone().empty()) text += "/" + in.zone();
    if (!in.sub_zone().empty()) text += "/" + in.sub_zone();
    return text;
}

class EndpointsReader {
 public:
    EndpointsReader(Build& build, const EndpointOptions& options) : build_(build), options_(options) {}
    bool locality(const pb::LocalityLbEndpoints& in, const At& at);
    std::shared_ptr<const upstream::EndpointSet> finish();

 private:
    bool endpoint(const pb::LbEndpoint& in, upstream::Endpoint& out, const At& at);
    void weigh_localities();
    uint32_t destination_id(const envoy::config::core::v3::Metadata& metadata);

    Build& build_;
    const EndpointOptions& options_;
    std::vector<upstream::Endpoint> endpoints_;
    std::vector<upstream::LeftOutEndpoint> left_out_;
    std::vector<upstream::Destination> destinations_;
    std::unordered_map<std::string, uint32_t> destination_ids_;
    std::vector<double> shares_;  // of each endpoint in the traffic, where localities are weighed; unscaled
};

bool EndpointsReader::endpoint(const pb::LbEndpoint& in, upstream::Endpoint& out, const At& at) {
    if (!in.endpoint().has_address()) return at.child("endpoint.address").refuse("is missing");
    if (!read_address(in.endpoint().address(), out.address, at.child("endpoint.address"))) return false;
    out.weight = in.has_load_balancing_weight() ? in.load_balancing_weight().value() : 1;
    if (out.weight == 0) return at.child("load_balancing_weight").refuse("must be at least 1");
    out.destination_id = destination_id(in.metadata());
    if (options_.cluster) out.transport_socket = choose_transport_socket(*options_.cluster, in.metadata());
    out.id = build_.publisher.id_of(snapshot::Publisher::IdKind::kEndpoint,
                                    std::to_string(options_.cluster_id) + '\n' + out.address.to_string());
    return out.id != UINT32_MAX || at.refuse("more endpoints than this gateway has room for");
}

/// The destination that the endpoint's metadata tells of: one for all endpoints with the same.
uint32_t EndpointsReader::destination_id(const envoy::config::core::v3::Metadata& metadata) {
    upstream::Destination destination = read_workload(options_.service, metadata);
    const auto [known, is_new] = destination_ids_.try_emplace(key_of(destination), UINT32_MAX);
    if (!is_new) return known->second;
    destination.id = build_.publisher.id_of(snapshot::Publisher::IdKind::kDestination, known->first);   // UINT32_MAX: counted as unknown
    destinations_.push_back(std::move(destination));
    return known->second = destinations_.back().id;
}

bool EndpointsReader::locality(const pb::LocalityLbEndpoints& in, const At& at) {
    if (in.priority() > kPriorityMax) return at.child("priority").refuse("above 127");
    // Envoy: a locality without a weight gets no traffic where localities are weighed.
    if (options_.weigh_localities && in.load_balancing_weight().value() == 0) return true;
    const size_t first = endpoints_.size();
    uint64_t total = 0;
    for (int i = 0; i < in.lb_endpoints_size(); i++) {
        const auto& one = in.lb_endpoints(i);
        const bool use = usable(one.health_status());
        if (!use) left_out_.emplace_back().why = left_out_as(one.health_status());
        upstream::Endpoint& out = use ? endpoints_.emplace_back() : left_out_.back();
        out.priority = static_cast<uint8_t>(in.priority());
        out.locality = locality_text(in.locality());
        if (!endpoint(one, out, at.child("lb_endpoints", i))) return false;
        if (use) total += out.weight;
    }
    for (size_t i = first; options_.weigh_localities && i < endpoints_.size(); i++) {
        shares_.push_back(static_cast<double>(in.load_balancing_weight().value()) * endpoints_[i].weight / static_cast<double>(total));
    }
    return true;
}

void EndpointsReader::weigh_localities() {
    if (shares_.empty()) return;
    const double scale = kWeightOfLargest / *std::max_element(shares_.begin(), shares_.end());
    for (size_t i = 0; i < shares_.size(); i++) {
        endpoints_[i].weight = static_cast<uint32_t>(std::max(1.0, shares_[i] * scale + 0.5));
    }
}

std::shared_ptr<const upstream::EndpointSet> EndpointsReader::finish() {
    weigh_localities();
    std::stable_sort(endpoints_.begin(), endpoints_.end(),
                     [](const auto& a, const auto& b) { return a.priority < b.priority; });
    auto set = std::make_shared<upstream::EndpointSet>();
    set->endpoints = std::move(endpoints_);
    upstream::index_endpoints(*set);
    set->left_out = std::move(left_out_);
    set->destinations = std::move(destinations_);
    return set;
}

}  // namespace

std::shared_ptr<const upstream::EndpointSet> read_endpoints(Build& build, const pb::ClusterLoadAssignment& in,
                                                            const EndpointOptions& options, const At& at) {
    EndpointsReader reader(build, options);
    bool good = true;
    for (int i = 0; i < in.endpoints_size(); i++) good &= reader.locality(in.endpoints(i), at.child("endpoints", i));
    return good ? reader.finish() : nullptr;
}

}  // namespace sluice::apply
