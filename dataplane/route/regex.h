// Regular expressions: RE2 decides what a regex means (full match, as Istio and Envoy have it); Hyperscan matches up to 64 of
// them in one pass over the subject. In: regex texts. Out: a bit mask of those that match.
// Databases are shared by content within the process and freed with the last table that uses them. A few new ones are
// compiled at once; more than that go to a thread of their own, and until a later table adopts them, RE2 serves.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct hs_database;
struct hs_scratch;
namespace re2 {
class RE2;
}

namespace sluice::route {

inline constexpr uint32_t kRegexBytesMax = 4096;
inline constexpr uint32_t kShardPatterns = 64;

/// A checked regex; equal texts share one. On failure RE2's own words.
Result<std::shared_ptr<const re2::RE2>> compile_regex(std::string_view text);

/// True if every \N in `substitution` is a group of the regex.
bool check_substitution(const re2::RE2& regex, std::string_view substitution);

/// A compiled Hyperscan database. Immutable.
struct Database {
    hs_database* handle = nullptr;
    uint64_t without = 0;  // patterns that Hyperscan did not take
    ~Database();
};

/// Up to 64 regexes that are tried on the same subject.
class Shard {
 public:
    struct Pattern {
        std::string text;
        std::shared_ptr<const re2::RE2> re2;
    };
    /// `budget` = patterns that may still be compiled on the spot; lowered by what was.
    Shard(std::vector<Pattern> patterns, uint32_t& budget);
    /// Bits of the patterns in `wanted` that match all of `subject`. Without scratch RE2 does it all.
    uint64_t match(std::string_view subject, uint64_t wanted, hs_scratch* scratch) const;
    const hs_database* database() const { return database_ ? database_->handle : nullptr; }
    const std::vector<Pattern>& patterns() const { return patterns_; }
    /// Patterns that one Hyperscan pass answers together (on an ASCII subject).
    uint64_t in_one_pass() const { return database() ? ~on_re2_ & all() : 0; }
    /// True once the database this shard went without is there: a table built anew would have it.
    bool could_adopt() const;
    bool pending() const { return !database_ && any_for_hyperscan_; }

 private:
    uint64_t all() const { return patterns_.size() >= 64 ? ~uint64_t{0} : (uint64_t{1} << patterns_.size()) - 1; }

    std::vector<Pattern> patterns_;
    std::shared_ptr<const Database> database_;
    uint64_t on_re2_ = 0;
    bool any_for_hyperscan_ = false;
    std::string key_;
};

/// Cuts sorted distinct texts into shards at places that their contents choose, so that an edit changes one shard, not all
/// behind it. Gives the end of the shard that starts at `begin`.
size_t shard_end(const std::vector<std::string>& sorted, size_t begin);

/// True if Hyperscan's reading of the regex is RE2's, on subjects of ASCII without line ends.
bool same_in_hyperscan(std::string_view regex);

}  // namespace sluice::route
