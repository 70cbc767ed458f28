// Metadata of clusters and endpoints -> upstream::Destination: who serves, for the labels of metrics.
// In: metadata "istio" as istiod and ctrl/translate write it. Out: destinations with stable ids; texts are bounded in length.
// Istio: extensions/stats; a cluster without services is named by its host, one of another shape by its name.
#include "ctrl/apply/readers.h"

namespace sluice::apply {
namespace {

using envoy::config::core::v3::Metadata;
using google::protobuf::Struct;

constexpr size_t kTextMax = 256;   // of one label

std::string bounded(std::string_view text) { return std::string(text.substr(0, kTextMax)); }

std::string text_of(const Struct& fields, const char* name) {
    const auto found = fields.fields().find(name);
    return found == fields.fields().end() ? std::string() : bounded(found->second.string_value());
}

const google::protobuf::Value* istio_value(const Metadata& metadata, const char* name) {
    const auto istio = metadata.filter_metadata().find("istio");
    if (istio == metadata.filter_metadata().end()) return nullptr;
    const auto value = istio->second.fields().find(name);
    return value == istio->second.fields().end() ? nullptr : &value->second;
}

/// outbound|9080|v1|reviews.shop.svc.cluster.local -> its host, else the whole name.
std::string_view host_of(std::string_view cluster) {
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        at = cluster.find('|', at);
        if (at == cluster.npos) return cluster;
        at++;
    }
    return cluster.substr(at);
}

}  // namespace

std::string key_of(const upstream::Destination& d) {
    std::string key;
    for (const std::string* text : {&d.service, &d.service_name, &d.service_namespace, &d.workload, &d.workload_namespace, &d.app, &d.version,
                                    &d.canonical_service, &d.canonical_revision, &d.cluster})
        key.append(*text).push_back('\n');
    return key;
}

upstream::Destination read_service(std::string_view cluster_name, const Metadata& metadata) {
    upstream::Destination out;
    const auto* services = istio_value(metadata, "services");
    if (services && services->list_value().values_size() > 0) {
        const Struct& first = services->list_value().values(0).struct_value();
        out.service = text_of(first, "host");
        out.service_name = text_of(first, "name");
        out.service_namespace = text_of(first, "namespace");
    }
    if (out.service.empty()) out.service = bounded(host_of(cluster_name));
    if (out.service_name.empty()) out.service_name = out.service;
    return out;
}

upstream::Destination read_workload(const upstream::Destination& service, const Metadata& metadata) {
    upstream::Destination out = service;
    const auto* workload = istio_value(metadata, "workload");
    if (!workload) return out;
    std::string_view rest = workload->string_value();
    for (std::string* field : {&out.workload, &out.workload_namespace, &out.canonical_service, &out.canonical_revision, &out.cluster}) {
        const size_t end = rest.find(';');
        *field = bounded(rest.substr(0, end));
        rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    }
    // What istiod tells of an endpoint holds no labels: the canonical service is made of `app` and `version` first of all.
    out.app = out.canonical_service;
    if (out.canonical_revision != "latest") out.version = out.canonical_revision;
    return out;
}

}  // namespace sluice::apply
