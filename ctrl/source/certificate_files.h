// Files of certificates and keys that mesh objects and the gateway's own file name: read whole, and looked at for change.
// In: paths as users wrote them, the mesh directory. Out: texts, or in words why not; a mark that changes when any file does.
// Texts belong to the caller. Relative paths stay within the mesh directory, links followed; absolute ones may be anywhere.
// stat(2) of what a path leads to, so that Kubernetes' swapped links, bind mounts and renames are all the same.
#pragma once

#include <map>
#include <set>
#include <string>

namespace sluice::source {

struct CertificateText {
    std::string text, error;
};

/// `system` stands for the machine's root certificates.
std::map<std::string, CertificateText> read_certificate_files(const std::set<std::string>& paths, const std::string& mesh_directory);

/// Of all files: what they are and when they were last written; a missing one counts too.
std::string mark_of(const std::set<std::string>& paths, const std::string& mesh_directory);

}  // namespace sluice::source
