// One path after another; nothing is kept open.
// In: paths. Out: texts and marks.
// Owns nothing.
// A key may be replaced while it is read: who asks compares marks before and after.
#include "ctrl/source/certificate_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "ctrl/source/files.h"

namespace sluice::source {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;   // a bundle of all the world's roots is 200 KiB
constexpr std::string_view kSystem = "system";
constexpr std::array<const char*, 3> kSystemRoots = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};

std::string real(const std::string& path) {
    char buffer[PATH_MAX];
    return realpath(path.c_str(), buffer) ? buffer : "";
}

/// Where it lies; or nothing, and why.
std::string resolve(const std::string& path, const std::string& mesh_directory, std::string& error) {
    if (path == kSystem) {
        for (const char* candidate : kSystemRoots)
            if (access(candidate, R_OK) == 0) return candidate;
        return error = "this machine has no root certificates (package ca-certificates)", "";
    }
    if (path.starts_with('/')) return path;
    for (const auto& part : std::filesystem::path(path))
        if (part == "..") return error = "a relative path must not leave the mesh directory", "";
    const std::string whole = mesh_directory + "/" + path, root = real(mesh_directory), lies = real(whole);
    if (lies.empty()) return error = std::strerror(errno), "";
    // What a name in the mesh directory may open is what is in it.
    if (root.empty() || !lies.starts_with(root + "/")) return error = "it leads out of the mesh directory", "";
    return whole;
}

CertificateText read_one(const std::string& path, const std::string& mesh_directory) {
    CertificateText out;
    const std::string lies = resolve(path, mesh_directory, out.error);
    if (lies.empty()) return out;
    out.error = read_file(AT_FDCWD, lies, kFileBytesMax, out.text);
    if (out.text.size() > kFileBytesMax) out.error = "larger than 1 MiB";
    if (out.error.empty() && out.text.empty()) out.error = "it is empty";
    if (!out.error.empty()) out.text.clear();
    return out;
}

}  // namespace

std::map<std::string, CertificateText> read_certificate_files(const std::set<std::string>& paths, const std::string& mesh_directory) {
    std::map<std::string, CertificateText> out;
    for (const std::string& path : paths) out[path] = read_one(path, mesh_directory);
    return out;
}

std::string mark_of(const std::set<std::string>& paths, const std::string& mesh_directory) {
    std::string out;
    for (const std::string& path : paths) {
        std::string error;
        const std::string lies = resolve(path, mesh_directory, error);
        struct stat status {};
        if (lies.empty() || stat(lies.c_str(), &status) != 0) {
            out += fmt::format("{} -\n", path);
            continue;
        }
        out += fmt::format("{} {} {} {} {}.{}\n", path, status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    }
    return out;
}

}  // namespace sluice::source
