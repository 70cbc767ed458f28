// Walks a message's descriptor and a YAML tree side by side.
// In: yaml::Node. Out: message fields, findings.
// Recursion is bounded by the tree's depth cap. Owns nothing.
// proto3 JSON mapping: names in lowerCamelCase, int64 as number, bytes as base64, Duration as text.
#include "ctrl/model/message_reader.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include <absl/strings/escaping.h>
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>

#include "ctrl/model/options.pb.h"

namespace sluice::model {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FieldOptions;
using google::protobuf::Message;
using google::protobuf::Reflection;
using yaml::Node;

std::string_view what_is(const Node& node) {
    switch (node.kind) {
        case Node::Kind::kNull: return "nothing";
        case Node::Kind::kSequence: return "a list";
        case Node::Kind::kMap: return "a map";
        case Node::Kind::kScalar: break;
    }
    if (node.quoted) return "text";
    const std::string& t = node.text;
    if (t == "true" || t == "false") return "true or false";
    double number = 0;
    const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), number);
    return error == std::errc() && end == t.data() + t.size() ? "a number" : "text";
}

// What YAML 1.1 readers (Kubernetes' among them) take for something else than text.
bool reads_as_other_than_text(const Node& node) {
    if (node.quoted) return false;
    const std::string_view kind = what_is(node);
    if (kind != "text") return true;
    for (std::string_view word : {"yes", "no", "on", "off", "Yes", "No", "On", "Off", "YES", "NO", "ON",
                                  "OFF", "True", "False", "TRUE", "FALSE"})
        if (node.text == word) return true;
    return false;
}

class Reader {
 public:
    explicit Reader(ReadContext& context) : context_(context) {}

    void read(const Node& node, const std::string& path, Message& message);
    size_t errors() const { return errors_; }

 private:
    // Where a value goes: a singular field, or one more element of a repeated one.
    struct Slot {
        Message& message;
        const FieldDescriptor* field;
        const Node& node;
        const std::string& path;
    };

    void fail(yaml::Place at, int width, std::string code, const std::string& path, std::string message,
              std::string cure = "") {
        ++errors_;
        if (context_.out.size() >= kFindingsMax) return;
        Diagnostic d = yaml::diagnostic(context_.file, at, std::move(code), std::move(message));
        d.object = context_.object;
        d.field = path;
        d.cure = std::move(cure);
        d.caret_width = width;
        context_.out.push_back(std::move(d));
    }
    void fail_value(const Node& node, const std::string& path, std::string message, std::string cure = "",
                    std::string code = "SLC0103") {
        fail(node.at, yaml::width_of(node), std::move(code), path, std::move(message), std::move(cure));
    }
    void expected(const Slot& slot, std::string_view wanted, std::string cure = "") {
        fail_value(slot.node, slot.path, fmt::format("expected {}, got {}", wanted, what_is(slot.node)),
                   std::move(cure));
    }

    void read_entry(const yaml::Entry& entry, const std::string& path, Message& message);
    void unknown(const yaml::Entry& entry, const std::string& path, const Message& message);
    bool refused(const yaml::Entry& entry, const std::string& path, const FieldDescriptor* field);
    bool other_value(const yaml::Entry& entry, const std::string& path, const FieldDescriptor* field);
    bool other_of_oneof(const yaml::Entry& entry, const std::string& path, const Message& message,
                        const FieldDescriptor* field);
    void require(const Node& node, const std::string& path, const Message& message);
    void read_field(const Slot& slot);
    void read_list(const Slot& slot);
    void read_map(const Slot& slot);
    void read_value(const Slot& slot);
    void read_submessage(const Slot& slot);
    void read_duration(const Slot& slot, Message& message);
    void read_text(const Slot& slot);
    void read_bytes(const Slot& slot);
    void read_bool(const Slot& slot);
    void read_enum(const Slot& slot);
    template <typename Number>
    std::optional<Number> number(const Slot& slot);
    template <typename Set, typename Add, typename Value>
    static void put(const Slot& slot, Set set, Add add, Value value) {
        const Reflection* reflection = slot.message.GetReflection();
        if (slot.field->is_repeated())
            (reflection->*add)(&slot.message, slot.field, value);
        else
            (reflection->*set)(&slot.message, slot.field, value);
    }

    ReadContext& context_;
    size_t errors_ = 0;
    std::set<std::pair<std::string, std::string>> refused_;  // path of the parent, reason
};

void Reader::read(const Node& node, const std::string& path, Message& message) {
    if (node.kind == Node::Kind::kNull) {
        require(node, path, message);
        return;
    }
    if (node.kind != Node::Kind::kMap) {
        fail_value(node, path, fmt::format("expected a map, got {}", what_is(node)));
        return;
    }
    for (const yaml::Entry& entry : node.entries) read_entry(entry, path, message);
    require(node, path, message);
}

void Reader::read_entry(const yaml::Entry& entry, const std::string& path, Message& message) {
    const std::string below = path.empty() ? entry.key : path + yaml::path_key(entry.key);
    const FieldDescriptor* field = nullptr;
    for (int i = 0; i < message.GetDescriptor()->field_count() && !field; ++i)
        if (message.GetDescriptor()->field(i)->json_name() == entry.key) field = message.GetDescriptor()->field(i);
    if (!field) return unknown(entry, below, message);
    if (field->options().HasExtension(ignored)) return;
    if (refused(entry, below, field)) return;
    if (entry.value.kind == Node::Kind::kNull) return;  // proto3 JSON: null is unset
    if (other_value(entry, below, field)) return;
    if (other_of_oneof(entry, below, message, field)) return;
    read_field({message, field, entry.value, below});
}

void Reader::unknown(const yaml::Entry& entry, const std::string& path, const Message& message) {
    std::vector<std::string> names;
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i)
        names.push_back(message.GetDescriptor()->field(i)->json_name());
    fail(entry.at, std::max(static_cast<int>(entry.key.size()), 1), "SLC0104", path, "unknown field",
         did_you_mean(entry.key, names));
}

bool Reader::refused(const yaml::Entry& entry, const std::string& path, const FieldDescriptor* field) {
    const FieldOptions& options = field->options();
    if (!options.HasExtension(model::refused) || options.HasExtension(only)) return false;
    if (entry.value.kind == Node::Kind::kNull) return false;
    ++errors_;
    // Parts of one thing, such as the fields of `tls`: one finding says it.
    const std::string_view parent = std::string_view(path).substr(0, path.size() - entry.key.size());
    if (!refused_.emplace(std::string(parent), options.GetExtension(model::refused)).second) return true;
    fail(entry.at, static_cast<int>(entry.key.size()), "SLC0105", path, "not supported in this version",
         options.GetExtension(model::refused));
    return true;
}

// A known value of a field of which only some are done. What is no value at all is read_value()'s to say.
bool Reader::other_value(const yaml::Entry& entry, const std::string& path, const FieldDescriptor* field) {
    const FieldOptions& options = field->options();
    if (!options.HasExtension(only) || entry.value.kind != Node::Kind::kScalar) return false;
    const std::string& value = entry.value.text;
    for (std::string_view rest = options.GetExtension(only); !rest.empty();) {
        const size_t end = std::min(rest.find('|'), rest.size());
        if (rest.substr(0, end) == value) return false;
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (field->enum_type() ? !field->enum_type()->FindValueByName(value) : what_is(entry.value) == "text") return false;
    fail_value(entry.value, path, fmt::format("{} is not supported in this version", value),
               options.GetExtension(model::refused), "SLC0105");
    return true;
}

bool Reader::other_of_oneof(const yaml::Entry& entry, const std::string& path, const Message& message,
                            const FieldDescriptor* field) {
    const auto* oneof = field->real_containing_oneof();
    if (!oneof) return false;
    const FieldDescriptor* first = message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
    if (!first) return false;
    fail(entry.at, static_cast<int>(entry.key.size()), "SLC0116", path,
         fmt::format("`{}` and `{}` exclude each other", first->json_name(), field->json_name()), "keep one");
    return true;
}

void Reader::require(const Node& node, const std::string& path, const Message& message) {
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
        const FieldDescriptor* field = message.GetDescriptor()->field(i);
        if (!field->options().GetExtension(required)) continue;
        const Node* given = node.find(field->json_name());
        if (given && given->kind != Node::Kind::kNull) continue;
        const std::string below = path.empty() ? field->json_name() : path + "." + field->json_name();
        fail(node.at, 1, "SLC0106", below, "missing", fmt::format("add `{}`", field->json_name()));
    }
}

void Reader::read_field(const Slot& slot) {
    if (slot.field->is_map()) return read_map(slot);
    if (slot.field->is_repeated()) return read_list(slot);
    read_value(slot);
}

void Reader::read_list(const Slot& slot) {
    if (slot.node.kind != Node::Kind::kSequence)
        return expected(slot, "a list", "start each item with `- `");
    for (size_t i = 0; i < slot.node.items.size(); ++i) {
        const Node& item = slot.node.items[i];
        const std::string path = fmt::format("{}[{}]", slot.path, i);
        const Slot element{slot.message, slot.field, item, path};
        if (item.kind == Node::Kind::kNull)
            expected(element, "an item");
        else
            read_value(element);
    }
}

// protobuf keeps a map as a repeated message {key = 1, value = 2}.
void Reader::read_map(const Slot& slot) {
    if (slot.node.kind != Node::Kind::kMap) return expected(slot, "a map");
    const FieldDescriptor* value = slot.field->message_type()->map_value();
    for (const yaml::Entry& entry : slot.node.entries) {
        const std::string path = slot.path + yaml::path_key(entry.key);
        Message* pair = slot.message.GetReflection()->AddMessage(&slot.message, slot.field);
        pair->GetReflection()->SetString(pair, slot.field->message_type()->map_key(), entry.key);
        // An absent message is a default one: `headers: {x-user: }` asks for presence.
        if (entry.value.kind != Node::Kind::kNull)
            read_value({*pair, value, entry.value, path});
        else if (value->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
            expected({*pair, value, entry.value, path}, "a value");
    }
}

void Reader::read_value(const Slot& slot) {
    if (slot.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) return read_submessage(slot);
    if (slot.node.kind != Node::Kind::kScalar) {
        const bool text = slot.field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
        const bool boolean = slot.field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL;
        return expected(slot, text ? "text" : boolean ? "true or false" : "a number");
    }
    switch (slot.field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_STRING:
            return slot.field->type() == FieldDescriptor::TYPE_BYTES ? read_bytes(slot) : read_text(slot);
        case FieldDescriptor::CPPTYPE_BOOL: return read_bool(slot);
        case FieldDescriptor::CPPTYPE_ENUM: return read_enum(slot);
        case FieldDescriptor::CPPTYPE_INT32:
            if (auto v = number<int32_t>(slot)) put(slot, &Reflection::SetInt32, &Reflection::AddInt32, *v);
            return;
        case FieldDescriptor::CPPTYPE_INT64:
            if (auto v = number<int64_t>(slot)) put(slot, &Reflection::SetInt64, &Reflection::AddInt64, *v);
            return;
        case FieldDescriptor::CPPTYPE_UINT32:
            if (auto v = number<uint32_t>(slot)) put(slot, &Reflection::SetUInt32, &Reflection::AddUInt32, *v);
            return;
        case FieldDescriptor::CPPTYPE_UINT64:
            if (auto v = number<uint64_t>(slot)) put(slot, &Reflection::SetUInt64, &Reflection::AddUInt64, *v);
            return;
        case FieldDescriptor::CPPTYPE_DOUBLE:
            if (auto v = number<double>(slot)) put(slot, &Reflection::SetDouble, &Reflection::AddDouble, *v);
            return;
        case FieldDescriptor::CPPTYPE_FLOAT:
            if (auto v = number<float>(slot)) put(slot, &Reflection::SetFloat, &Reflection::AddFloat, *v);
            return;
        case FieldDescriptor::CPPTYPE_MESSAGE: return;
    }
}

void Reader::read_submessage(const Slot& slot) {
    const Reflection* reflection = slot.message.GetReflection();
    Message& below = slot.field->is_repeated() ? *reflection->AddMessage(&slot.message, slot.field)
                                               : *reflection->MutableMessage(&slot.message, slot.field);
    const Descriptor* type = below.GetDescriptor();
    if (type->full_name() == "google.protobuf.Duration") return read_duration(slot, below);
    // wrappers.proto: a scalar that knows whether it was given.
    if (type->full_name().ends_with("Value") && type->file()->name() == "google/protobuf/wrappers.proto")
        return read_value({below, type->FindFieldByName("value"), slot.node, slot.path});
    read(slot.node, slot.path, below);
}

void Reader::read_duration(const Slot& slot, Message& message) {
    const auto parsed =
        slot.node.kind == Node::Kind::kScalar ? parse_duration(slot.node.text) : std::nullopt;
    if (!parsed) {
        const bool plain_number = what_is(slot.node) == "a number";
        return fail_value(slot.node, slot.path, fmt::format("not a duration: {}", slot.node.kind == Node::Kind::kScalar
                                                                ? slot.node.text : std::string(what_is(slot.node))),
                          plain_number ? fmt::format("add the unit: {0}s or {0}ms", slot.node.text)
                                       : "write it like 1.5s, 100ms or 1h30m",
                          "SLC0113");
    }
    auto& duration = static_cast<google::protobuf::Duration&>(message);
    duration.set_seconds(parsed->count() / 1'000'000'000);
    duration.set_nanos(static_cast<int32_t>(parsed->count() % 1'000'000'000));
}

void Reader::read_text(const Slot& slot) {
    const std::string cure = fmt::format("quote it: \"{}\"", slot.node.text);
    if (reads_as_other_than_text(slot.node)) {
        if (what_is(slot.node) != "text") return expected(slot, "text", cure);
        return fail_value(slot.node, slot.path,
                          fmt::format("expected text, and {} is true or false to YAML 1.1", slot.node.text), cure);
    }
    put(slot, &Reflection::SetString, &Reflection::AddString, slot.node.text);
}

void Reader::read_bytes(const Slot& slot) {
    std::string decoded;
    if (!absl::Base64Unescape(slot.node.text, &decoded)) return expected(slot, "base64");
    put(slot, &Reflection::SetString, &Reflection::AddString, decoded);
}

void Reader::read_bool(const Slot& slot) {
    if (slot.node.quoted || (slot.node.text != "true" && slot.node.text != "false"))
        return expected(slot, "true or false", slot.node.quoted ? "remove the quotes" : "");
    put(slot, &Reflection::SetBool, &Reflection::AddBool, slot.node.text == "true");
}

void Reader::read_enum(const Slot& slot) {
    const auto* type = slot.field->enum_type();
    if (const auto* value = type->FindValueByName(slot.node.text))
        return put(slot, &Reflection::SetEnum, &Reflection::AddEnum, value);
    std::vector<std::string> names;
    std::string all;
    for (int i = 0; i < type->value_count(); ++i) {
        names.push_back(type->value(i)->name());
        all += (i > 0 ? ", " : "") + names.back();
    }
    const std::string guess = did_you_mean(slot.node.text, names);
    fail_value(slot.node, slot.path, fmt::format("`{}` is not one of {}", slot.node.text, all), guess);
}

template <typename Number>
std::optional<Number> Reader::number(const Slot& slot) {
    const std::string& text = slot.node.text;
    if (slot.node.quoted) {
        expected(slot, "a number", "remove the quotes");
        return std::nullopt;
    }
    Number value{};
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc::result_out_of_range) {
        fail_value(slot.node, slot.path, fmt::format("{} is out of range", text));
        return std::nullopt;
    }
    bool finite = true;
    if constexpr (std::is_floating_point_v<Number>) finite = std::isfinite(value);
    if (error == std::errc() && stop == end && finite) return value;
    if (std::is_unsigned_v<Number> && text.starts_with('-') && what_is(slot.node) == "a number")
        fail_value(slot.node, slot.path, fmt::format("{} is out of range", text), "it cannot be negative");
    else if (std::is_integral_v<Number> && what_is(slot.node) == "a number")
        fail_value(slot.node, slot.path, fmt::format("{} is not a whole number", text));
    else
        expected(slot, "a number");
    return std::nullopt;
}

struct Unit {
    std::string_view name;
    double nanoseconds;
};
constexpr Unit kUnits[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};

}  // namespace

bool read_message(const Node& node, std::string_view path, ReadContext& context, Message& message) {
    Reader reader(context);
    reader.read(node, std::string(path), message);
    return reader.errors() == 0;
}

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
    constexpr double kLongest = 24.0 * 24 * 3600e9;  // milliseconds fit an int32
    if (text == "0") return std::chrono::nanoseconds(0);
    if (text.empty()) return std::nullopt;
    double total = 0;
    while (!text.empty()) {
        const size_t digits = text.find_first_not_of("0123456789.");
        if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
        double value = 0;
        const auto [stop, error] = std::from_chars(text.data(), text.data() + digits, value, std::chars_format::fixed);
        if (error != std::errc() || stop != text.data() + digits) return std::nullopt;
        text.remove_prefix(digits);
        const std::string_view name = text.substr(0, text.find_first_of("0123456789."));
        double scale = 0;
        for (const Unit& unit : kUnits)
            if (unit.name == name) scale = unit.nanoseconds;
        if (scale == 0) return std::nullopt;
        text.remove_prefix(name.size());
        total += value * scale;
        if (total > kLongest) return std::nullopt;
    }
    return std::chrono::nanoseconds(static_cast<int64_t>(std::llround(total)));
}

}  // namespace sluice::model
