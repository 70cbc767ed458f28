// Look-ups of header names that may be any text. The table and the fast look-up of tokens: header_table.h.
// In: names. Out: ids, and back. Owns nothing.
#include "http/header_names.h"

#include "http/chars.h"
#include "http/header_table.h"

namespace sluice::http {

using namespace header_table;

std::string_view name_of(HeaderId id) { return kNames[static_cast<size_t>(id)]; }

HeaderId header_id(std::string_view name) {
    if (name.size() < 2 || name.size() > kLongestName) return HeaderId::kOther;
    const Entry& entry = kEntries[slot_of(hash_key(name.data(), name.size()), kMultiplier)];
    if (entry.length != name.size()) return HeaderId::kOther;
    for (size_t i = 0; i < name.size(); i++)
        if (to_lower(name[i]) != entry.name[i]) return HeaderId::kOther;
    return entry.id;
}

}  // namespace sluice::http
