// From a directory of mesh files to the xDS resources of this gateway: read, check, translate, in one step.
// In: the directory and who the proxy is. Out: what Revisions puts in force, or every mistake with its place.
#pragma once

#include <expected>
#include <set>
#include <string>

#include "ctrl/control/revisions.h"
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

}  // namespace sluice::control
