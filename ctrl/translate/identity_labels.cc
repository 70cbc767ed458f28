// Who serves, for the labels of metrics: services and workloads as istiod writes them into metadata "istio".
// In: a service, an endpoint's labels. Out: fields of cluster and endpoint metadata; nothing where nothing is known.
// Istio: cluster metadata istio.services[]; endpoint metadata istio.workload = workload;namespace;canonical name;revision;cluster.
#include <fmt/format.h>

#include "ctrl/translate/parts.h"

namespace sluice::translate {
namespace {

namespace core = envoy::config::core::v3;

auto& istio_fields(core::Metadata& metadata) { return *(*metadata.mutable_filter_metadata())["istio"].mutable_fields(); }

std::string first_label(const model::Labels& labels, std::initializer_list<const char*> names) {
    for (const char* name : names)
        if (const auto found = labels.find(name); found != labels.end() && !found->second.empty()) return found->second;
    return {};
}

}  // namespace

/// "reviews" of reviews.shop.svc.cluster.local; hosts outside the cluster are their own name.
std::string service_name(std::string_view host) {
    const size_t name_end = host.find('.');
    if (name_end == host.npos) return std::string(host);
    const size_t ns_end = host.find('.', name_end + 1);
    const bool in_cluster = ns_end != host.npos && (host.substr(ns_end) == ".svc" || host.substr(ns_end).starts_with(".svc."));
    return std::string(in_cluster ? host.substr(0, name_end) : host);
}

void name_service(const model::Service& service, core::Metadata& metadata) {
    auto& one = *istio_fields(metadata)["services"].mutable_list_value()->add_values()->mutable_struct_value()->mutable_fields();
    one["host"].set_string_value(service.host);
    one["name"].set_string_value(service_name(service.host));
    one["namespace"].set_string_value(service.ns);
}

void name_workload(const model::Service& service, const model::ServiceEndpoint& endpoint, core::Metadata& metadata) {
    const std::string object = endpoint.name.substr(endpoint.name.find('/') + 1);   // of a WorkloadEntry, else empty
    const std::string labelled = first_label(endpoint.labels, {"service.istio.io/workload-name"});
    const std::string& workload = labelled.empty() ? object : labelled;
    std::string name = first_label(endpoint.labels, {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"});
    const std::string revision = first_label(endpoint.labels, {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"});
    if (workload.empty() && name.empty() && revision.empty()) return;
    if (name.empty()) name = workload;
    istio_fields(metadata)["workload"].set_string_value(
        fmt::format("{};{};{};{};", workload, service.ns, name, revision.empty() ? "latest" : revision));
}

}  // namespace sluice::translate
