// The strict walk over a resource.
// In: any message of the generated API. Out: what is not supported, by path.
// The path is only put together when something is wrong; a good resource costs a hash look-up per set field.
#include "ctrl/apply/field_walk.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/wrappers.pb.h>

#include <vector>

#include "ctrl/apply/field_table.h"
#include "ctrl/apply/filter_configs.h"
#include "envoy/type/v3/percent.pb.h"
#include "udpa/type/v1/typed_struct.pb.h"

namespace sluice::apply {
namespace {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kDepthMax = 64;

/// One step of the path: ".name", "[index]" or "[key]".
struct Step {
    const FieldDescriptor* field = nullptr;
    int index = -1;
    const Message* map_entry = nullptr;
};

class Walk {
 public:
    Walk(NackSink& sink, const Within& within) : sink_(sink), before_(sink.size()), under_(within.path) {
        if (!within.place.source.empty() || !within.place.object.empty()) places_.push_back(within.place);
    }
    bool clean() const { return sink_.size() == before_; }
    void message(const Message& message);

 private:
    void field(const Message& message, const FieldDescriptor* field);
    void value(const Message& message, const FieldDescriptor* field, int index);
    void text(const std::string& text);
    void any(const Any& any);
    void only(const Message& message, const FieldDescriptor* field, const FieldRule& rule);
    void refuse(std::string message) { sink_.add(path(), std::move(message), places_.empty() ? xds::Provenance{} : places_.back()); }
    std::string path() const;

    NackSink& sink_;
    size_t before_;
    const std::string& under_;
    std::vector<Step> steps_;
    std::vector<xds::Provenance> places_;
};

/// A single value as the table writes it: 0%, 5s, true, KEEP_UNCHANGED, {}.
std::string shown(const Message& message, const FieldDescriptor* field) {
    const auto* reflection = message.GetReflection();
    if (field->is_repeated()) return "[...]";
    switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_BOOL: return reflection->GetBool(message, field) ? "true" : "false";
        case FieldDescriptor::CPPTYPE_ENUM: return reflection->GetEnum(message, field)->name();
        case FieldDescriptor::CPPTYPE_UINT32: return std::to_string(reflection->GetUInt32(message, field));
        case FieldDescriptor::CPPTYPE_MESSAGE: break;
        default: return "?";
    }
    const Message& inner = reflection->GetMessage(message, field);
    if (const auto* flag = dynamic_cast<const google::protobuf::BoolValue*>(&inner)) return flag->value() ? "true" : "false";
    if (const auto* percent = dynamic_cast<const envoy::type::v3::Percent*>(&inner)) return percent->value() == 0 ? "0%" : "above 0%";
    return inner.ByteSizeLong() == 0 ? "{}" : "{...}";
}

bool lists(std::string_view values, std::string_view one) {
    while (!values.empty()) {
        const size_t bar = std::min(values.find('|'), values.size());
        if (values.substr(0, bar) == one) return true;
        values.remove_prefix(std::min(bar + 1, values.size()));
    }
    return false;
}

void Walk::message(const Message& message) {
    if (sink_.full()) return;
    if (steps_.size() > kDepthMax) return refuse("nested too deeply");
    if (const auto* packed = dynamic_cast<const Any*>(&message)) return any(*packed);
    if (message.GetReflection()->GetUnknownFields(message).field_count() != 0) refuse("holds a field that this gateway's API does not know");
    std::vector<const FieldDescriptor*> set;
    message.GetReflection()->ListFields(message, &set);
    bool placed = false;
    for (const FieldDescriptor* field : set) {
        if (field->name() != "metadata" || field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
        const auto* metadata = dynamic_cast<const envoy::config::core::v3::Metadata*>(&message.GetReflection()->GetMessage(message, field));
        if (!metadata) continue;
        if (auto place = xds::provenance(*metadata); !place.source.empty() || !place.object.empty()) {
            places_.push_back(std::move(place));
            placed = true;
        }
    }
    for (const FieldDescriptor* field : set) this->field(message, field);
    if (placed) places_.pop_back();
}

void Walk::field(const Message& message, const FieldDescriptor* field) {
    steps_.push_back({field, -1, nullptr});
    const FieldRule* rule = find_rule(field);
    // Well-known wrappers and durations have no rows of their own: their only fields are their values.
    if (!rule && field->containing_type()->file()->package() == "google.protobuf") {
        value(message, field, -1);
    } else if (!rule) {
        refuse("not supported");
    } else if (rule->rule == Rule::kRefuse) {
        refuse(rule->text);
    } else if (rule->rule == Rule::kOnly) {
        only(message, field, *rule);
    } else if (rule->rule == Rule::kRead) {
        const int count = field->is_repeated() ? message.GetReflection()->FieldSize(message, field) : 1;
        for (int i = 0; i < count; i++) {
            steps_.back().index = field->is_repeated() ? i : -1;
            value(message, field, steps_.back().index);
        }
    }
    steps_.pop_back();
}

void Walk::value(const Message& message, const FieldDescriptor* field, int index) {
    const auto* reflection = message.GetReflection();
    std::string buffer;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && field->type() != FieldDescriptor::TYPE_BYTES) {
        text(index < 0 ? reflection->GetStringReference(message, field, &buffer)
                       : reflection->GetRepeatedStringReference(message, field, index, &buffer));
    }
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return;
    const Message& inner = index < 0 ? reflection->GetMessage(message, field) : reflection->GetRepeatedMessage(message, field, index);
    if (!field->is_map()) return this->message(inner);
    // A map entry: key and value have no rows, the field that holds the map has.
    const auto* value_field = inner.GetDescriptor()->map_value();
    steps_.back().map_entry = &inner;
    if (value_field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) this->message(inner.GetReflection()->GetMessage(inner, value_field));
    steps_.back().map_entry = nullptr;
}

/// Texts end up in heads and logs: no control character gets in (THREATS 22, 38). Bodies are bytes and exempt.
void Walk::text(const std::string& text) {
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return refuse("holds a control character");
    }
}

void Walk::only(const Message& message, const FieldDescriptor* field, const FieldRule& rule) {
    const std::string now = shown(message, field);
    if (lists(rule.text, now)) return;
    std::string allowed = rule.text;
    for (size_t bar; (bar = allowed.find('|')) != std::string::npos;) allowed.replace(bar, 1, ", ");
    refuse(allowed == "{}" ? std::string("not supported yet") : now + " is not supported (only " + allowed + ")");
}

void Walk::any(const Any& any) {
    const std::string type = extension_type(any);
    const ExtensionRule* rule = find_extension(type);
    if (rule && rule->rule == Rule::kIgnore) return;
    if (rule && rule->rule == Rule::kRefuse) return refuse(rule->text);
    // Filters registered from outside of the table check their own fields.
    if (!rule && (find_filter_reader(any.type_url()) || find_route_reader(any.type_url()))) return;
    if (!rule) return refuse(type.empty() ? "an extension without a type" : "extension " + type + " is not supported");
    const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
    const Message* prototype = descriptor ? google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor) : nullptr;
    if (!prototype) return refuse("extension " + type + " is not supported");
    const std::unique_ptr<Message> inner(prototype->New());
    if (!inner->ParseFromString(any.value())) return refuse("does not parse as " + type);
    message(*inner);
}

std::string Walk::path() const {
    std::string path = under_;
    for (const Step& step : steps_) {
        if (!path.empty()) path += '.';
        path += step.field->name();
        if (step.map_entry) {
            const auto* entry = step.map_entry;
            const auto* key = entry->GetDescriptor()->map_key();
            if (key->cpp_type() == FieldDescriptor::CPPTYPE_STRING) path += "[" + entry->GetReflection()->GetString(*entry, key) + "]";
        } else if (step.index >= 0) {
            path += "[" + std::to_string(step.index) + "]";
        }
    }
    return path;
}

}  // namespace

bool check_fields(const Message& message, NackSink& sink) { return check_fields(message, sink, {}); }

bool check_fields(const Message& message, NackSink& sink, const Within& within) {
    Walk walk(sink, within);
    walk.message(message);
    return walk.clean();
}

std::string extension_type(const Any& any) {
    const auto bare = [](const std::string& url) { return url.substr(url.rfind('/') + 1); };
    std::string type = bare(any.type_url());
    // xds.type.v3.TypedStruct has the same wire format.
    if (type == "udpa.type.v1.TypedStruct" || type == "xds.type.v3.TypedStruct") {
        udpa::type::v1::TypedStruct wrapped;
        return wrapped.ParseFromString(any.value()) ? bare(wrapped.type_url()) : std::string();
    }
    return type;
}

}  // namespace sluice::apply
