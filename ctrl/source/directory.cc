// A directory's files, or files kept elsewhere, as one mesh config.
// In: a FileSet. Out: Load.
// Texts are copied into yaml::File, so that the set can be kept beside it.
// Istio networking API v1, by ctrl/model.
#include "ctrl/source/directory.h"

#include <fmt/format.h>

#include "ctrl/model/check.h"
#include "ctrl/model/object_reader.h"

namespace sluice::source {

void conclude(Load& load, std::shared_ptr<model::MeshConfig> mesh, const std::string& shown_as) {
    note_cut(load.diagnostics, shown_as);
    sort_by_place(load.diagnostics);
    if (has_errors(load.diagnostics)) return;
    mesh->warnings = load.diagnostics;
    load.mesh = std::move(mesh);
}

Load load_files(Files files, const std::string& shown_as) {
    Load load;
    load.files = files.set;
    load.file_count = files.set->files.size();
    load.hash = files.set->hash;
    load.unreadable = has_errors(files.errors);
    load.diagnostics = std::move(files.errors);
    auto mesh = std::make_shared<model::MeshConfig>();
    mesh->hash = load.hash;
    for (const File& file : load.files->files) {
        mesh->files.push_back(shown_as + "/" + file.name);
        model::read_objects(yaml::parse(mesh->files.back(), file.text, load.diagnostics), *mesh, load.diagnostics);
    }
    model::check(*mesh, /*references=*/!has_errors(load.diagnostics), load.diagnostics);
    conclude(load, std::move(mesh), shown_as);
    return load;
}

Load load_directory(const std::string& directory, std::string shown_as) {
    if (shown_as.empty()) shown_as = last_element(directory);
    return load_files(read_files(directory, shown_as), shown_as);
}

}  // namespace sluice::source
