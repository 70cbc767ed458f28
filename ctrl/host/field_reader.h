// Typed fields out of a located YAML object, each mistake a Diagnostic with its place. One Object per YAML map: it checks the
// field names when made, then hands out values; a value that is absent or wrong leaves the default in place.
// In: nodes of a yaml::File, which outlives this. Out: values, and findings appended to the list given.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/host/fields.h"
#include "ctrl/model/diagnostic.h"
#include "ctrl/model/yaml.h"

namespace sluice::host {

struct Context {
    const yaml::File& file;
    std::vector<Diagnostic>& out;

    /// `width` is the caret's.
    Diagnostic& report(yaml::Place at, size_t width, std::string code, std::string field, std::string message, std::string cure = {});
    /// A scalar's or key's own place and width.
    Diagnostic& report(const yaml::Node& node, std::string code, std::string field, std::string message, std::string cure = {});
};

class Object {
 public:
    /// `path` is shown to the user ("ports[0]"). A node that is no map, and unknown or unsupported fields, are reported.
    Object(Context& context, const yaml::Node& node, std::string path, const ObjectFields& fields);

    bool has(std::string_view field) const { return find(field) != nullptr; }
    const yaml::Node* find(std::string_view field) const;   // null: absent, or written as nothing (reported)
    std::string path(std::string_view field) const { return path_.empty() ? std::string(field) : path_ + "." + std::string(field); }

    void text(std::string_view field, std::string& value) const;
    void boolean(std::string_view field, bool& value) const;
    template <typename T>
    void number(std::string_view field, T& value, uint64_t min, uint64_t max) const {
        uint64_t wide = 0;
        if (number_between(field, wide, min, max)) value = static_cast<T>(wide);
    }
    /// Index into `words`; false if absent or none of them.
    bool word(std::string_view field, std::span<const std::string_view> words, size_t& index) const;
    /// Items of a list; empty if absent or no list (reported).
    std::span<const yaml::Node> list(std::string_view field) const;
    /// True if the field is there and holds text; reports what is not.
    bool scalar(std::string_view field, std::string& value) const;

    Diagnostic& wrong(std::string_view field, std::string message, std::string cure = {}) const;
    /// The object's own place.
    Diagnostic& missing(std::string_view field, std::string cure) const;

 private:
    bool number_between(std::string_view field, uint64_t& value, uint64_t min, uint64_t max) const;
    void check_names(const ObjectFields& fields) const;

    Context& context_;
    const yaml::Node& node_;
    std::string path_;
};

/// A YAML number without quotes, sign or fraction.
bool parse_number(const yaml::Node& node, uint64_t& value);
std::string kind_of(const yaml::Node& node);

}  // namespace sluice::host
