// From a directory of mesh files to the xDS resources of this gateway: read, check, translate, in one step.
// In: the directory and who the proxy is. Out: what Revisions puts in force, or every mistake with its place.
#pragma once

#include <expected>
#include <set>
#include <string>

#include "ctrl/control/revisions.h"
#include "ctrl/source/mesh_reader.h"
#include "ctrl/translate/translate.h"

namespace sluice::control {

/// The node with the files of certificates that the mesh asks it for.
struct Certificates {
    translate::ProxyNode node;
    std::set<std::string> paths;
    std::string mark;             // of when they were read (source::mark_of)
};
Certificates with_certificates(const model::MeshConfig& mesh, const translate::ProxyNode& node);

/// `shown_as` is the directory's name in messages.
std::expected<Loaded, Refused> load_mesh(const std::string& directory, const std::string& shown_as,
                                         const translate::ProxyNode& node);

/// The same of files that are kept elsewhere, or are not written yet.
std::expected<Loaded, Refused> load_mesh_files(source::Files files, const std::string& shown_as, const translate::ProxyNode& node);

/// The same directory again and again, with the same answers: what did not change since the last time is not done again.
class MeshLoader {
 public:
    MeshLoader(std::string directory, const std::string& shown_as, translate::ProxyNode node)
        : directory_(std::move(directory)), shown_as_(shown_as), node_(std::move(node)), reader_(shown_as) {}
    std::expected<Loaded, Refused> load();
    std::expected<Loaded, Refused> load_files(source::Files files);
    const source::MeshReader& reader() const { return reader_; }
    const translate::Translator& translator() const { return translator_; }

 private:
    const std::string directory_, shown_as_;
    const translate::ProxyNode node_;
    source::MeshReader reader_;
    translate::Translator translator_;
};

}  // namespace sluice::control
