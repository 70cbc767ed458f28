// Lists of routes that a path leads to, ranked by the user's order; a list may go on in its parent's (a shorter prefix).
// In: (order, conditions) of each route. Out: the first whose conditions hold. Long lists of conditional routes are indexed by
// an equality each of them has (a header, a parameter, the method), so they are not walked.
// Immutable after building; owned by the table.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "http/message.h"
#include "route/conditions.h"
#include "route/string_table.h"

namespace sluice::route {

struct Candidate {
    uint32_t order = 0;              // index into VirtualHost::routes
    ConditionSet::Range conditions;
};

class CandidateLists {
 public:
    static constexpr uint32_t kNone = StringTable::kNone;
    /// Set in a list's number: the rest of it is the order of the one route that always wins here. The usual case; it spares a
    /// large table two cache misses a request.
    static constexpr uint32_t kDirect = uint32_t{1} << 31;
    static constexpr uint32_t kOrderMax = kDirect - 16;  // kNone and PrefixIndex's marker stay apart from any list

    /// Control thread. Candidates are in rising order. Those behind the first unconditional one (here or in `parent`) are cut
    /// away: they can never be first. Gives the list's number: the parent's own, if nothing is left here.
    uint32_t add(std::vector<Candidate> candidates, uint32_t parent, const ConditionSet& conditions);

    /// Lowers `best` (an order, kNone = nothing yet) to the first route in `list` or its parents whose conditions hold.
    void find(uint32_t list, const ConditionSet& conditions, const http::Request& request, Scratch& scratch,
              uint32_t& best) const {
        while (list != kNone) {
            if (list & kDirect) {
                if ((list ^ kDirect) < best) best = list ^ kDirect;
                return;
            }
            const List& at = lists_[list];
            if (at.first_order >= best) return;  // of this list and all its parents
            walk(at.begin, at.end, conditions, request, scratch, best);
            if (at.index_begin != at.index_end) find_indexed(at, conditions, request, scratch, best);
            list = at.parent;
        }
    }
    /// The first order in a list and its parents.
    uint32_t first_order(uint32_t list) const {
        if (list == kNone) return kNone;
        return list & kDirect ? list ^ kDirect : lists_[list].first_order;
    }

 private:
    struct List {
        uint32_t begin = 0, end = 0;              // candidates_ that are not indexed
        uint32_t index_begin = 0, index_end = 0;  // indexes_
        uint32_t parent = kNone;
        uint32_t first_order = 0;
        uint32_t cut = kNone;                     // order of the first unconditional one, parents included
    };
    struct Index {
        uint32_t subject = 0;
        uint32_t space = 0;                       // in values_: value -> bucket
    };
    struct Bucket {
        uint32_t begin = 0, end = 0;              // candidates_
    };
    /// Order of the first unconditional one in a list and its parents.
    uint32_t cut(uint32_t list) const {
        if (list == kNone) return kNone;
        return list & kDirect ? list ^ kDirect : lists_[list].cut;
    }
    void walk(uint32_t begin, uint32_t end, const ConditionSet& conditions, const http::Request& request, Scratch& scratch,
              uint32_t& best) const {
        for (uint32_t i = begin; i < end && candidates_[i].order < best; i++) {
            if (conditions.hold(candidates_[i].conditions, request, scratch)) {
                best = candidates_[i].order;
                return;
            }
        }
    }
    void find_indexed(const List& list, const ConditionSet& conditions, const http::Request& request, Scratch& scratch,
                      uint32_t& best) const;
    void add_indexed(List& list, std::vector<Candidate>& candidates, const ConditionSet& conditions);

    std::vector<List> lists_;
    std::vector<Candidate> candidates_;
    std::vector<Index> indexes_;
    std::vector<Bucket> buckets_;
    StringTable values_;
};

}  // namespace sluice::route
