// Where an object's fields stand.
// In: field paths. Out: file:line, findings.
// Borrows the object's own file.
// OPERATOR.md's SOURCE column and caret format.
#include "ctrl/model/mesh_config.h"

#include <tuple>

#include <fmt/format.h>

namespace sluice::model {

std::string ObjectBase::source(std::string_view path) const {
    if (!file || !root) return "";
    return fmt::format("{}:{}", file->name, yaml::locate(*root, path).at.line);
}

Diagnostic ObjectBase::finding(std::string code, std::string_view path, std::string message, std::string cure,
                               bool at_value) const {
    const yaml::Located found = yaml::locate(*root, path);
    yaml::Place at = found.at;
    int width = found.width;
    if (at_value && found.value && found.value->kind == yaml::Node::Kind::kScalar) {
        at = found.value->at;
        width = yaml::width_of(*found.value);
    }
    Diagnostic d = yaml::diagnostic(*file, at, std::move(code), std::move(message));
    d.object = id();
    d.field = std::string(path);
    d.cure = std::move(cure);
    d.caret_width = width;
    return d;
}

bool reads_before(const ObjectBase& a, const ObjectBase& b) {
    if (!a.file || !b.file || !a.root || !b.root) return false;
    if (a.file != b.file)
        if (const int order = a.file->name.compare(b.file->name); order != 0) return order < 0;
    return std::tie(a.root->at.line, a.root->at.column) < std::tie(b.root->at.line, b.root->at.column);
}

}  // namespace sluice::model
