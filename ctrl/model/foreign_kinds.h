// Objects in mesh files that are none of ours: which are passed over, which refuse the revision, and what to write instead.
// In: apiVersion and kind as written. Out: a verdict, or nothing for kinds that the reader knows or should guess at.
// Pure function over one table (foreign_kinds.cc).
// docs/decisions/0080-foreign-kinds.md: what could open something when left out is refused; what cannot is passed over.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::model {

struct ForeignKind {
    bool refused = false;  // SLC0102; else SLC0122
    std::string message;
    std::string cure;
};

std::optional<ForeignKind> foreign_kind(std::string_view api_version, std::string_view kind);

}  // namespace sluice::model
