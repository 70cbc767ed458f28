// HeaderValueOption.append_action in its four kinds, with %FORMAT% values.
#include "filter/header_ops.h"

#include "filter/header_format.h"

namespace sluice::filter {

bool apply_header_ops(const route::HeaderOps& ops, http::HeaderList& headers, StreamContext& context) {
    for (const std::string& name : ops.remove) headers.remove(name);
    for (const route::HeaderOps::Add& add : ops.add) {
        using Append = route::HeaderOps::Append;
        const bool exists = add.append != Append::kAppendIfExistsOrAdd && headers.find(add.name);
        if (add.append == Append::kAddIfAbsent && exists) continue;
        if (add.append == Append::kOverwriteIfExists && !exists) continue;
        const std::string_view value = format_header_value(add.value, context);
        if (!value.data()) return false;
        const bool done = exists ? headers.set(add.name, value) : headers.add(add.name, value);
        if (!done) return false;
    }
    return true;
}

}  // namespace sluice::filter
