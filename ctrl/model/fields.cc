// Walks the API's messages from the five kinds down and writes what the reader does with each field.
// In: descriptors. Out: Markdown.
// Pure functions.
// The reader (message_reader.cc) reads the same options.
#include "ctrl/model/fields.h"

#include <map>
#include <set>
#include <vector>

#include <google/protobuf/descriptor.h>

#include "ctrl/model/istio.pb.h"
#include "ctrl/model/options.pb.h"

namespace sluice::model {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

const Descriptor* message_below(const FieldDescriptor* field) {
    if (field->is_map()) field = field->message_type()->map_value();
    const Descriptor* type = field->message_type();
    return type && type->file() == istio::Gateway::descriptor()->file() ? type : nullptr;
}

// Messages in the order in which a reader of the API meets them, each once.
void collect(const Descriptor* message, std::set<const Descriptor*>& seen, std::vector<const Descriptor*>& out) {
    if (!seen.insert(message).second) return;
    out.push_back(message);
    for (int i = 0; i < message->field_count(); ++i)
        if (const Descriptor* below = message_below(message->field(i))) collect(below, seen, out);
}

void append(std::string& list, const std::string& item) { list += (list.empty() ? "" : ", ") + item; }

std::string row(const Descriptor* message) {
    std::string read;
    std::map<std::string, std::string> not_read[2];  // reason -> names; refused, ignored
    for (int i = 0; i < message->field_count(); ++i) {
        const FieldDescriptor* field = message->field(i);
        const auto& options = field->options();
        const std::string name = field->json_name();
        if (options.HasExtension(refused)) append(not_read[0][options.GetExtension(refused)], "`" + name + "`");
        else if (options.HasExtension(ignored)) append(not_read[1][options.GetExtension(ignored)], "`" + name + "`");
        else append(read, "`" + name + "`" + (options.GetExtension(required) ? "*" : ""));
    }
    std::string out = "| " + message->name() + " | " + read + " | ";
    for (const auto& names : not_read) {
        std::string cell;
        for (const auto& [reason, list] : names) cell += (cell.empty() ? "" : "; ") + list + ": " + reason;
        out += cell + " | ";
    }
    out.pop_back();
    return out + "\n";
}

}  // namespace

std::string fields_markdown() {
    std::vector<const Descriptor*> messages;
    std::set<const Descriptor*> seen;
    for (const Descriptor* kind :
         {istio::Gateway::descriptor(), istio::VirtualService::descriptor(), istio::DestinationRule::descriptor(),
          istio::ServiceEntry::descriptor(), istio::WorkloadEntry::descriptor(), istio::ObjectMeta::descriptor()})
        collect(kind, seen, messages);
    std::string out = "| message | read (* required) | refused, SLC0105 | ignored |\n|---|---|---|---|\n";
    for (const Descriptor* message : messages) out += row(message);
    return out;
}

}  // namespace sluice::model
