// Walks the API's messages from the kinds down and writes what the reader does with each field.
// In: descriptors. Out: Markdown, and paths with types.
// Pure functions.
// The reader (message_reader.cc) reads the same options.
#include "ctrl/model/fields.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include "ctrl/model/istio.pb.h"
#include "ctrl/model/options.pb.h"
#include "ctrl/model/sidecar.pb.h"

namespace sluice::model {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

const Descriptor* const kKinds[] = {istio::Gateway::descriptor(),         istio::VirtualService::descriptor(),
                                    istio::DestinationRule::descriptor(), istio::ServiceEntry::descriptor(),
                                    istio::WorkloadEntry::descriptor(),   istio::Sidecar::descriptor()};

const Descriptor* message_below(const FieldDescriptor* field) {
    if (field->is_map()) field = field->message_type()->map_value();
    const Descriptor* type = field->message_type();
    return type && type->file()->package() == istio::Gateway::descriptor()->file()->package() ? type : nullptr;
}

bool is_read(const FieldDescriptor* field) {
    const auto& options = field->options();
    return !options.HasExtension(ignored) && (!options.HasExtension(refused) || options.HasExtension(only));
}

std::string quoted(std::string_view text) { return fmt::format("`{}`", text); }

// `DISABLE`, `SIMPLE`: a list of values as the options hold it.
std::string quoted_values(std::string text) {
    for (size_t at = 0; (at = text.find('|', at)) != text.npos; at += 4) text.replace(at, 1, "`, `");
    return quoted(text);
}

std::string what_we_do(const FieldDescriptor* field) {
    const auto& options = field->options();
    if (options.HasExtension(ignored)) return "ignored: " + options.GetExtension(ignored);
    if (options.HasExtension(only))
        return fmt::format("{} supported, else refused: {}", quoted_values(options.GetExtension(only)),
                           options.GetExtension(refused));
    if (options.HasExtension(refused)) return "refused: " + options.GetExtension(refused);
    std::string out = "supported";
    if (options.GetExtension(required)) out += ", required";
    if (options.HasExtension(note)) out += ": " + options.GetExtension(note);
    return out;
}

// Everything that is read, each message where it is first met; kinds have sections of their own.
void collect(const Descriptor* message, std::set<const Descriptor*>& seen, std::vector<const Descriptor*>& out) {
    if (!seen.insert(message).second) return;
    out.push_back(message);
    for (int i = 0; i < message->field_count(); ++i)
        if (const Descriptor* below = message_below(message->field(i)); below && is_read(message->field(i)))
            collect(below, seen, out);
}

// Fields that follow each other and fare alike share a row.
std::string table(const Descriptor* message) {
    std::string out = fmt::format("\n| {} | |\n|---|---|\n", message->name());
    std::string names;
    for (int i = 0; i < message->field_count(); ++i) {
        const FieldDescriptor* field = message->field(i);
        names += (names.empty() ? "" : ", ") + quoted(field->json_name());
        const std::string what = what_we_do(field);
        if (i + 1 < message->field_count() && what_we_do(message->field(i + 1)) == what) continue;
        out += fmt::format("| {} | {} |\n", names, what);
        names.clear();
    }
    return out;
}

// Messages that only a refused or ignored field leads to: nothing within them is looked at.
void list_unread(const Descriptor* message, const std::string& owner, std::set<const Descriptor*>& seen, std::string& out) {
    if (!seen.insert(message).second) return;
    std::string names;
    for (int i = 0; i < message->field_count(); ++i)
        names += (names.empty() ? "" : ", ") + quoted(message->field(i)->json_name());
    out += fmt::format("- {} of {}: {}\n", message->name(), owner, names);
    for (int i = 0; i < message->field_count(); ++i)
        if (const Descriptor* below = message_below(message->field(i))) list_unread(below, owner, seen, out);
}

std::string section(const Descriptor* kind, std::set<const Descriptor*>& seen) {
    std::string out = fmt::format("\n### {}\n", kind->name());
    const Descriptor* wrapper = kind->file()->FindMessageTypeByName(kind->name() + "Object");
    const std::string& why = wrapper->options().GetExtension(ignored_kind);
    if (!why.empty()) out += fmt::format("\nObjects of this kind are taken and ignored: {}.\n", why);
    seen.erase(kind);
    std::vector<const Descriptor*> messages;
    collect(kind, seen, messages);
    std::string unread;
    for (const Descriptor* message : messages) {
        out += table(message);
        for (int i = 0; i < message->field_count(); ++i) {
            const FieldDescriptor* field = message->field(i);
            if (const Descriptor* below = message_below(field); below && !is_read(field))
                list_unread(below, quoted(message->name() + "." + field->json_name()), seen, unread);
        }
    }
    if (!unread.empty()) out += "\nNot looked into:\n\n" + unread;
    return out;
}

std::string enum_names(const google::protobuf::EnumDescriptor* type) {
    std::vector<std::string> names;
    for (int i = 0; i < type->value_count(); ++i) names.push_back(type->value(i)->name());
    std::sort(names.begin(), names.end());
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : "|") + name;
    return out;
}

void list_paths(const Descriptor* message, const std::string& path, std::string& out);

// Of one value, not of the list or map it may be in; adds what is below a message.
std::string type_of(const FieldDescriptor* field, const std::string& path, std::string& out) {
    switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_BOOL: return "boolean";
        case FieldDescriptor::CPPTYPE_STRING: return "string";
        case FieldDescriptor::CPPTYPE_ENUM: return enum_names(field->enum_type());
        case FieldDescriptor::CPPTYPE_MESSAGE: break;
        default: return "number";
    }
    if (field->message_type()->full_name() == "google.protobuf.Duration") return "string";
    list_paths(field->message_type(), path, out);
    return "object";
}

void list_paths(const Descriptor* message, const std::string& path, std::string& out) {
    for (int i = 0; i < message->field_count(); ++i) {
        const FieldDescriptor* field = message->field(i);
        const std::string below = path + "." + field->json_name();
        if (field->is_map()) {
            const std::string type = type_of(field->message_type()->map_value(), below + "{}", out);
            out += fmt::format("{}{{}}: {}\n{}: map\n", below, type, below);
        } else if (field->is_repeated()) {
            const std::string type = type_of(field, below + "[]", out);
            out += fmt::format("{}[]: {}\n{}: list\n", below, type, below);
        } else {
            const std::string type = type_of(field, below, out);
            out += fmt::format("{}: {}\n", below, type);
        }
    }
}

}  // namespace

std::string fields_markdown() {
    std::set<const Descriptor*> seen(std::begin(kKinds), std::end(kKinds));
    // What is read of a message counts, wherever else it stands: first all that is read, then the rest.
    std::string out = "\n### Every object\n";
    std::vector<const Descriptor*> metadata;
    collect(istio::ObjectMeta::descriptor(), seen, metadata);
    for (const Descriptor* message : metadata) out += table(message);
    for (const Descriptor* kind : kKinds) out += section(kind, seen);
    return out;
}

std::string fields_paths() {
    std::string out;
    for (const Descriptor* kind : kKinds) list_paths(kind, kind->name(), out);
    return out;
}

}  // namespace sluice::model
