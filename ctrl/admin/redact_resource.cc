// By reflection: a field of these names is emptied wherever it stands.
// In: a message. Out: the same without secrets.
// Envoy marks such fields with udpa.annotations.sensitive; these are all of them in the resources that come here.
#include "ctrl/admin/redact_resource.h"

#include <google/protobuf/any.pb.h>

#include <array>
#include <memory>
#include <string_view>
#include <vector>

namespace sluice::admin {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr int kDepthMax = 64;
constexpr std::string_view kHidden = "[redacted]";

bool is_sensitive(const FieldDescriptor* field) {
    const std::string& owner = field->containing_type()->full_name();
    if (!owner.starts_with("envoy.extensions.transport_sockets.tls.v3.")) return false;
    const std::string& name = field->name();
    return name == "private_key" || name == "password" || name == "pkcs12" || name == "keys" || name == "generic_secret" || name == "secrets" ||
           name == "private_key_provider";
}

/// What stands in a DataSource becomes text; anything else is emptied.
void hide(Message& message) {
    const auto* text = message.GetDescriptor()->FindFieldByName("inline_string");
    message.Clear();
    if (text) message.GetReflection()->SetString(&message, text, std::string(kHidden));
}

void walk(Message& message, int depth);

void walk_any(google::protobuf::Any& any, int depth) {
    const std::string type = any.type_url().substr(any.type_url().rfind('/') + 1);
    const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
    const Message* prototype = descriptor ? google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor) : nullptr;
    if (!prototype) return;   // shown as bytes that nobody here can read either
    const std::unique_ptr<Message> inner(prototype->New());
    if (!inner->ParseFromString(any.value())) return;
    walk(*inner, depth);
    any.set_value(inner->SerializeAsString());
}

void walk(Message& message, int depth) {
    if (depth > kDepthMax) return message.Clear();
    if (auto* any = dynamic_cast<google::protobuf::Any*>(&message)) return walk_any(*any, depth + 1);
    const auto* reflection = message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
        if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
        const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
        for (int i = 0; i < count; i++) {
            Message& inner = field->is_repeated() ? *reflection->MutableRepeatedMessage(&message, field, i) : *reflection->MutableMessage(&message, field);
            if (is_sensitive(field)) hide(inner);
            else walk(inner, depth + 1);
        }
    }
}

}  // namespace

void redact(Message& message) { walk(message, 0); }

}  // namespace sluice::admin
