// Looking a field up in the file, once more.
// In: paths. Out: places.
// The file is read again for a failed start: rare, and then the file is what the operator looks at.
// yaml::locate finds the longest part of a path that is written.
#include "ctrl/host/finding.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

#include <fmt/format.h>

namespace sluice::host {

namespace {

const yaml::Node* root_of(const yaml::File& file) { return file.documents.empty() ? nullptr : &file.documents[0]; }

std::string slurp(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    if (in) text << in.rdbuf();
    return std::move(text).str();
}

/// The index of the port that the reason begins with ("port NAME: ..."), or -1.
int port_in(const std::string& reason, const yaml::Node& root) {
    if (!reason.starts_with("port ")) return -1;
    const std::string name = reason.substr(5, reason.find(':') - 5);
    const yaml::Node* ports = root.find("ports");
    for (size_t i = 0; ports && i < ports->items.size(); i++)
        if (const yaml::Node* found = ports->items[i].find("name"); found && found->text == name) return static_cast<int>(i);
    return -1;
}

struct Word {
    const char* in_reason;
    const char* field;   // of the port, or of the file
};
constexpr Word kPortFields[] = {{": exception", "exception"}, {": mtu", "mtu"}, {"queues", "device"}, {"", "device"}};
constexpr Word kFields[] = {{"tls.handshakeCores", "tls.handshakeCores"}, {"memory.hugepages", "memory.hugepages"}, {"mbuf", "memory.limit"},
                            {"limits.ephemeralPorts", "limits.ephemeralPorts"},
                            {"accessLog", "accessLog.path"}, {"access log", "accessLog.path"}, {"admin", "admin.socket"},
                            {"workers", "workers.cores"}, {"worker ", "workers.cores"}, {"mesh directory", "mesh.directory"}};

std::string field_of(const std::string& reason, const yaml::Node& root) {
    if (const int port = port_in(reason, root); port >= 0)
        for (const Word& word : kPortFields)
            if (reason.find(word.in_reason) != std::string::npos) return fmt::format("ports[{}].{}", port, word.field);
    for (const Word& word : kFields)
        if (reason.find(word.in_reason) != std::string::npos) return word.field;
    return "";
}

}  // namespace

Diagnostic finding(const yaml::File& file, std::string code, std::string field, std::string message, std::string cure) {
    const yaml::Node* root = root_of(file);
    const yaml::Located found = root ? yaml::locate(*root, field) : yaml::Located{};
    yaml::Place at = found.at;
    int width = found.width;
    if (found.value && found.value->kind == yaml::Node::Kind::kScalar) at = found.value->at, width = yaml::width_of(*found.value);
    Diagnostic d = yaml::diagnostic(file, at, std::move(code), std::move(message));
    d.object = kObject;
    d.field = std::move(field);
    d.cure = std::move(cure);
    d.caret_width = width;
    return d;
}

Diagnostic start_failure(const std::string& file_name, const std::string& reason) {
    std::vector<Diagnostic> ignored;
    const auto file = yaml::parse(file_name, slurp(file_name), ignored);
    const yaml::Node* root = root_of(*file);
    return finding(*file, "SLC0013", root ? field_of(reason, *root) : "", reason);
}

}  // namespace sluice::host
