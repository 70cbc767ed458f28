// What a route asks of a request beyond its path: conditions on headers, method, authority and query parameters.
// In: a request. Out: true if all of a candidate's conditions hold. Regex answers are kept in the scratch for the request, so
// a thousand routes with a regex on one header cost one scan per 64 of them.
// The set owns its texts; find() works in the scratch. Envoy route.v3.HeaderMatcher, QueryParameterMatcher.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "route/regex.h"
#include "route/route_table.h"

namespace sluice::route {

/// What a condition looks at.
struct Subject {
    enum class Kind : uint8_t { kHeader, kQuery, kMethod, kAuthority, kPath, kScheme } kind = Kind::kHeader;
    std::string name;  // of a header (lower case) or a parameter
    auto operator<=>(const Subject&) const = default;
};
Subject header_subject(std::string_view name);

/// The subject's value in this request. A header given several times is joined with "," (RFC 9110 5.3) in the scratch, and
/// valid until the next call; a parameter given several times counts as its first. `too_long`: joined would not fit.
std::optional<std::string_view> value_of(const Subject& subject, const http::Request& request, Scratch& scratch, bool& too_long);

class ConditionSet {
 public:
    struct Range {
        uint32_t begin = 0, count = 0;
    };
    /// Control thread. All conditions of one route; the failure names the one at fault.
    Result<Range> add(const RouteMatch& match);
    /// After the last add(): cuts the regexes into shards.
    void finish(uint32_t& budget);

    bool hold(Range range, const http::Request& request, Scratch& scratch) const {
        for (uint32_t i = range.begin; i < range.begin + range.count; i++) {
            if (!holds(conditions_[i], request, scratch)) return false;
        }
        return true;
    }
    /// A plain equality among the route's conditions: what lists of many candidates are indexed by.
    struct Equality {
        uint32_t subject;
        std::string_view text;
    };
    std::vector<Equality> equalities(Range range) const;
    const Subject& subject(uint32_t index) const { return subjects_[index]; }
    const std::vector<Shard>& shards() const { return shards_; }

 private:
    struct Condition {
        uint32_t subject = 0;
        StringMatch match;
        uint32_t shard = 0, bit = 0;  // of a regex
    };
    struct PendingRegex {
        Shard::Pattern pattern;
        std::vector<uint32_t> conditions;
    };
    bool holds(const Condition& condition, const http::Request& request, Scratch& scratch) const;
    bool regex_holds(const Condition& condition, std::string_view value, Scratch& scratch) const;
    Result<void> add_one(Subject subject, const StringMatch& match);

    std::vector<Condition> conditions_;
    std::vector<Subject> subjects_;
    std::vector<Shard> shards_;
    std::map<Subject, uint32_t> subject_index_;                             // only while building
    std::map<uint32_t, std::map<std::string, PendingRegex>> pending_;       // by subject, by text
};

}  // namespace sluice::route
