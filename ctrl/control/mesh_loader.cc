// source, then translate; their findings are reported together.
#include "ctrl/control/mesh_loader.h"

#include <ctime>
#include <utility>

#include "ctrl/source/certificate_files.h"
#include "ctrl/source/directory.h"

namespace sluice::control {

Certificates with_certificates(const model::MeshConfig& mesh, const translate::ProxyNode& node) {
    Certificates out{node, translate::certificate_files(mesh, node), ""};
    // Before they are read: what changes meanwhile is noticed later.
    out.mark = source::mark_of(out.paths, node.mesh_directory);
    auto files = std::make_shared<std::map<std::string, translate::FileText>>();
    for (auto& [path, text] : source::read_certificate_files(out.paths, node.mesh_directory)) (*files)[path] = {std::move(text.text), std::move(text.error)};
    out.node.files = std::move(files);
    return out;
}

namespace {

/// `translate(mesh, node, warnings)` gives the resources, or why there are none.
template <typename Translate>
std::expected<Loaded, Refused> finish(source::Load load, const translate::ProxyNode& node, Translate&& translate) {
    // What is merely worth knowing is told by --check and `sluicectl analyze`, not by a gateway; but not that something was left out.
    std::erase_if(load.diagnostics, [](const Diagnostic& d) { return d.severity == Severity::kInfo && d.code != "SLC0135"; });
    auto refuse = [&](std::vector<Diagnostic> diagnostics) {
        sort_by_place(diagnostics);
        Refused refused;
        refused.content_hash = load.hash;
        refused.diagnostics = std::move(diagnostics);
        refused.files = load.file_count;
        refused.cause = load.unreadable ? Cause::kUnreadable : Cause::kInvalid;
        refused.content = load.files;
        return std::unexpected(std::move(refused));
    };
    if (!load.mesh) return refuse(std::move(load.diagnostics));

    std::vector<Diagnostic> warnings = std::move(load.diagnostics);
    Certificates certificates = with_certificates(*load.mesh, node);
    auto resources = translate(load.mesh, certificates.node, warnings);
    if (!resources) {
        warnings.insert(warnings.end(), resources.error().begin(), resources.error().end());
        return refuse(std::move(warnings));
    }
    translate::check_certificates(*resources, std::time(nullptr), /*refusals=*/false, warnings);
    sort_by_place(warnings);
    return Loaded{.resources = std::make_shared<const xds::ResourceSet>(std::move(*resources)),
                  .content_hash = load.hash,
                  .warnings = std::move(warnings),
                  .files = load.file_count,
                  .content = load.files,
                  .certificate_files = std::move(certificates.paths),
                  .certificate_mark = std::move(certificates.mark)};
}

}  // namespace

std::expected<Loaded, Refused> load_mesh(const std::string& directory, const std::string& shown_as,
                                         const translate::ProxyNode& node) {
    return load_mesh_files(source::read_files(directory, shown_as), shown_as, node);
}

std::expected<Loaded, Refused> load_mesh_files(source::Files files, const std::string& shown_as, const translate::ProxyNode& node) {
    return finish(source::load_files(std::move(files), shown_as), node,
                  [](const auto& mesh, const auto& with_files, auto& warnings) { return translate::translate(*mesh, with_files, &warnings); });
}

std::expected<Loaded, Refused> MeshLoader::load() { return load_files(source::read_files(directory_, shown_as_)); }

std::expected<Loaded, Refused> MeshLoader::load_files(source::Files files) {
    return finish(reader_.load(std::move(files)), node_,
                  [&](const auto& mesh, const auto& with_files, auto& warnings) { return translator_.translate(mesh, with_files, &warnings); });
}

}  // namespace sluice::control
