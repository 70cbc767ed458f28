// Field names against the table, then one method for each kind of value.
#include "ctrl/host/field_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace sluice::host {

Diagnostic& Context::report(yaml::Place at, size_t width, std::string code, std::string field, std::string message, std::string cure) {
    Diagnostic d = yaml::diagnostic(file, at, std::move(code), std::move(message));
    d.field = std::move(field);
    d.cure = std::move(cure);
    d.caret_width = static_cast<int>(std::clamp<size_t>(width, 1, 200));
    out.push_back(std::move(d));
    return out.back();
}

Diagnostic& Context::report(const yaml::Node& node, std::string code, std::string field, std::string message, std::string cure) {
    const bool scalar = node.kind == yaml::Node::Kind::kScalar;
    return report(node.at, scalar ? node.text.size() + (node.quoted ? 2 : 0) : 1, std::move(code), std::move(field),
                  std::move(message), std::move(cure));
}

std::string kind_of(const yaml::Node& node) {
    switch (node.kind) {
        case yaml::Node::Kind::kNull: return "nothing";
        case yaml::Node::Kind::kScalar: return fmt::format("`{}`", node.text.substr(0, 80));
        case yaml::Node::Kind::kSequence: return "a list";
        case yaml::Node::Kind::kMap: return "a map";
    }
    return "nothing";
}

bool parse_number(const yaml::Node& node, uint64_t& value) {
    if (node.kind != yaml::Node::Kind::kScalar || node.quoted || node.text.empty()) return false;
    const char* end = node.text.data() + node.text.size();
    const auto [stop, error] = std::from_chars(node.text.data(), end, value);
    return error == std::errc{} && stop == end;
}

Object::Object(Context& context, const yaml::Node& node, std::string path, const ObjectFields& fields)
    : context_(context), node_(node), path_(std::move(path)) {
    if (node.kind == yaml::Node::Kind::kMap) {
        check_names(fields);
    } else {
        context.report(node, "SLC0005", path_, fmt::format("{} where a map of fields is wanted", kind_of(node)));
    }
}

void Object::check_names(const ObjectFields& fields) const {
    for (const yaml::Entry& entry : node_.entries) {
        if (std::find(fields.fields.begin(), fields.fields.end(), entry.key) != fields.fields.end()) continue;
        const auto later = std::find_if(fields.unsupported.begin(), fields.unsupported.end(),
                                        [&](const UnsupportedField& f) { return f.name == entry.key; });
        if (later != fields.unsupported.end()) {
            context_.report(entry.at, entry.key.size(), "SLC0004", path(entry.key), std::string(later->why), "remove it");
            continue;
        }
        const std::vector<std::string> names(fields.fields.begin(), fields.fields.end());
        std::string cure = did_you_mean(entry.key, names);
        if (cure.empty()) cure = fmt::format("known here: {}", fmt::join(names, ", "));
        context_.report(entry.at, entry.key.size(), "SLC0003", path(entry.key), "unknown field", std::move(cure));
    }
}

const yaml::Node* Object::find(std::string_view field) const {
    const yaml::Node* found = node_.find(field);
    return found && found->kind != yaml::Node::Kind::kNull ? found : nullptr;
}

bool Object::scalar(std::string_view field, std::string& value) const {
    const yaml::Node* node = find(field);
    if (!node) return false;
    if (node->kind != yaml::Node::Kind::kScalar) {
        wrong(field, fmt::format("{} where text is wanted", kind_of(*node))).code = "SLC0005";
        return false;
    }
    value = node->text;
    return true;
}

void Object::text(std::string_view field, std::string& value) const {
    std::string given;
    if (!scalar(field, given)) return;
    if (std::any_of(given.begin(), given.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
        wrong(field, "control characters");
        return;
    }
    value = std::move(given);
}

void Object::boolean(std::string_view field, bool& value) const {
    const yaml::Node* node = find(field);
    if (!node) return;
    if (node->kind == yaml::Node::Kind::kScalar && !node->quoted && (node->text == "true" || node->text == "false")) {
        value = node->text == "true";
        return;
    }
    wrong(field, fmt::format("{} where true or false is wanted", kind_of(*node))).code = "SLC0005";
}

bool Object::number_between(std::string_view field, uint64_t& value, uint64_t min, uint64_t max) const {
    const yaml::Node* node = find(field);
    if (!node) return false;
    if (!parse_number(*node, value)) {
        wrong(field, fmt::format("{} where a whole number is wanted", kind_of(*node)),
              node->quoted ? "write it without quotes" : "").code = "SLC0005";
        return false;
    }
    if (value < min || value > max) {
        wrong(field, fmt::format("{} is out of range", value), fmt::format("{} to {}", min, max));
        return false;
    }
    return true;
}

bool Object::word(std::string_view field, std::span<const std::string_view> words, size_t& index) const {
    std::string given;
    if (!scalar(field, given)) return false;
    const auto found = std::find(words.begin(), words.end(), given);
    if (found == words.end()) {
        const std::vector<std::string> names(words.begin(), words.end());
        std::string cure = did_you_mean(given, names);
        wrong(field, fmt::format("`{}` is none of {}", given.substr(0, 80), fmt::join(names, ", ")), std::move(cure));
        return false;
    }
    index = static_cast<size_t>(found - words.begin());
    return true;
}

std::span<const yaml::Node> Object::list(std::string_view field) const {
    const yaml::Node* node = find(field);
    if (!node) return {};
    if (node->kind != yaml::Node::Kind::kSequence) {
        wrong(field, fmt::format("{} where a list is wanted", kind_of(*node)), fmt::format("{}: [...]", field)).code = "SLC0005";
        return {};
    }
    return node->items;
}

Diagnostic& Object::wrong(std::string_view field, std::string message, std::string cure) const {
    const yaml::Entry* entry = node_.entry(field);
    if (entry && entry->value.kind == yaml::Node::Kind::kScalar)
        return context_.report(entry->value, "SLC0006", path(field), std::move(message), std::move(cure));
    const yaml::Place at = entry ? entry->at : node_.at;
    return context_.report(at, entry ? field.size() : 1, "SLC0006", path(field), std::move(message), std::move(cure));
}

Diagnostic& Object::missing(std::string_view field, std::string cure) const {
    return context_.report(node_.at, 1, "SLC0007", path(field), "missing", std::move(cure));
}

}  // namespace sluice::host
