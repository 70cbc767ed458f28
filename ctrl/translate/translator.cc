// Translation on top of the one before.
// In: a mesh whose unchanged objects are those of the last one. Out: all resources; the caller's are copies that share.
// Keeps the last mesh and what was made of it.
// Envoy v3 xDS: an edit of endpoints is an edit of ClusterLoadAssignments (and of the line that a Cluster says it is from).
#include "ctrl/model/shape.h"
#include "ctrl/translate/parts.h"

namespace sluice::translate {
namespace {

bool only_endpoints_changed(const model::MeshConfig& a, const model::MeshConfig& b) {
    return a.gateways == b.gateways && a.virtual_services == b.virtual_services && a.destination_rules == b.destination_rules &&
           model::same_but_for_endpoints(a.service_entries, b.service_entries) &&
           model::same_but_for_endpoints(a.workload_entries, b.workload_entries) && model::same_secrets(a, b);
}

bool same_files(const std::shared_ptr<const std::map<std::string, FileText>>& a, const std::shared_ptr<const std::map<std::string, FileText>>& b) {
    return a == b || (a && b && *a == *b);
}

}  // namespace

/// Clusters of the services whose endpoints are not what they were. False if there is anything to be said of them: then all is made
/// anew, and said in its order.
bool Translator::replace_changed(const model::MeshConfig& mesh, const ProxyNode& node) {
    model::MeshConfig part;
    part.destination_rules = mesh.destination_rules;
    const bool workloads_too = mesh.workload_entries != mesh_->workload_entries;
    for (size_t i = 0; i < mesh.service_entries.size(); i++) {
        const auto& entry = mesh.service_entries.shared()[i];
        if (entry != mesh_->service_entries.shared()[i] || (workloads_too && entry->spec.has_workload_selector())) part.service_entries.push_back(entry);
    }
    const model::Registry registry(part);
    std::vector<Diagnostic> said;
    Context context{mesh, registry, node, resources_, said, said};
    build_clusters(context);
    return said.empty();
}

std::expected<xds::ResourceSet, std::vector<Diagnostic>> Translator::translate(std::shared_ptr<const model::MeshConfig> mesh, const ProxyNode& node,
                                                                               std::vector<Diagnostic>* warnings) {
    whole_ = !mesh_ || !same_files(files_, node.files) || !only_endpoints_changed(*mesh, *mesh_) || !replace_changed(*mesh, node);
    if (whole_) {
        std::vector<Diagnostic> said;
        mesh_ = nullptr;
        auto made = translate::translate(*mesh, node, &said);
        if (!made) return made;
        resources_ = std::move(*made);
        warnings_ = std::move(said);
    }
    mesh_ = std::move(mesh);
    files_ = node.files;
    if (warnings) warnings->insert(warnings->end(), warnings_.begin(), warnings_.end());
    return resources_;
}

}  // namespace sluice::translate
