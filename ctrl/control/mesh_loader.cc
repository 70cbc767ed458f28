// source, then translate; their findings are reported together.
#include "ctrl/control/mesh_loader.h"

#include <utility>

#include "ctrl/source/directory.h"

namespace sluice::control {

std::expected<Loaded, Refused> load_mesh(const std::string& directory, const std::string& shown_as,
                                         const translate::ProxyNode& node) {
    return load_mesh_files(source::read_files(directory, shown_as), shown_as, node);
}

std::expected<Loaded, Refused> load_mesh_files(source::Files files, const std::string& shown_as, const translate::ProxyNode& node) {
    source::Load load = source::load_files(std::move(files), shown_as);
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
    auto resources = translate::translate(*load.mesh, node, &warnings);
    if (!resources) {
        warnings.insert(warnings.end(), resources.error().begin(), resources.error().end());
        return refuse(std::move(warnings));
    }
    sort_by_place(warnings);
    return Loaded{.resources = std::make_shared<const xds::ResourceSet>(std::move(*resources)),
                  .content_hash = load.hash,
                  .warnings = std::move(warnings),
                  .files = load.file_count,
                  .content = load.files};
}

}  // namespace sluice::control
