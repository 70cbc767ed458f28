// Every field of xDS that this gateway knows: read, ignored because it cannot change what we do, or allowed one value only.
// A field that is set and not in the table is refused. In: a message's field. Out: its rule.
// One table (field_table.cc), resolved once against the generated descriptors.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string_view>

namespace sluice::apply {

enum class Rule : uint8_t {
    kRead,     // a reader uses it; its own fields are checked in turn
    kOpaque,   // read as it is, nothing within is checked
    kIgnore,   // cannot change behaviour here; `text` says why
    kOnly,     // `text` lists the values ("a|b") that are what we do anyway
    kRefuse,   // known, and not supported; `text` says so in words
};

struct FieldRule {
    const char* message;
    const char* fields;  // names separated by spaces
    Rule rule;
    const char* text = "";
};

/// nullptr: not in the table.
const FieldRule* find_rule(const google::protobuf::FieldDescriptor* field);

/// An extension (the type within an Any).
struct ExtensionRule {
    const char* type;    // full name of the message
    Rule rule;           // kRead: checked field by field; kIgnore; kRefuse
    const char* text = "";
};
const ExtensionRule* find_extension(std::string_view type);

/// Rows that name a message or a field the API does not have: a typo in the table. Empty when all is well.
std::string table_errors();

}  // namespace sluice::apply
