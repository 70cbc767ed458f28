// Building candidate lists and their indexes, and the look-up through an index.
// In: ranked candidates. Out: lists, pruned to what can ever be first.
// A list is indexed by the equality that tells most of its candidates apart: the subject with the most distinct values.
#include "route/candidates.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace sluice::route {
namespace {

constexpr size_t kIndexFrom = 8;  // shorter lists are walked: as cheap as one hash

}  // namespace

uint32_t CandidateLists::add(std::vector<Candidate> candidates, uint32_t parent, const ConditionSet& conditions) {
    uint32_t cut = this->cut(parent);
    size_t kept = 0;
    while (kept < candidates.size() && candidates[kept].order < cut) {
        if (candidates[kept].conditions.count == 0) cut = candidates[kept].order;
        kept++;
    }
    candidates.resize(kept);
    if (candidates.empty() && parent != kNone) return parent;
    if (!candidates.empty() && candidates.front().conditions.count == 0 && candidates.front().order < first_order(parent)) {
        return candidates.front().order | kDirect;
    }

    List list;
    list.parent = parent;
    list.cut = cut;
    list.first_order = std::min(candidates.empty() ? kNone : candidates.front().order, first_order(parent));
    if (candidates.size() >= kIndexFrom) add_indexed(list, candidates, conditions);
    list.begin = static_cast<uint32_t>(candidates_.size());
    candidates_.insert(candidates_.end(), candidates.begin(), candidates.end());
    list.end = static_cast<uint32_t>(candidates_.size());
    lists_.push_back(list);
    return static_cast<uint32_t>(lists_.size() - 1);
}

void CandidateLists::add_indexed(List& list, std::vector<Candidate>& candidates, const ConditionSet& conditions) {
    std::map<uint32_t, std::unordered_set<std::string_view>> distinct;  // values by subject
    for (const Candidate& candidate : candidates) {
        for (const auto& equality : conditions.equalities(candidate.conditions)) distinct[equality.subject].insert(equality.text);
    }
    std::map<std::pair<uint32_t, std::string_view>, std::vector<Candidate>> buckets;
    std::vector<Candidate> rest;
    for (const Candidate& candidate : candidates) {
        const auto equalities = conditions.equalities(candidate.conditions);
        const auto best = std::max_element(equalities.begin(), equalities.end(), [&](const auto& a, const auto& b) {
            return distinct[a.subject].size() < distinct[b.subject].size();
        });
        if (best == equalities.end()) rest.push_back(candidate);
        else buckets[{best->subject, best->text}].push_back(candidate);
    }
    list.index_begin = static_cast<uint32_t>(indexes_.size());
    for (auto& [key, members] : buckets) {
        if (indexes_.size() == list.index_begin || indexes_.back().subject != key.first) {
            indexes_.push_back({key.first, static_cast<uint32_t>(indexes_.size())});
        }
        values_.insert(indexes_.back().space, key.second, static_cast<uint32_t>(buckets_.size()));
        const auto begin = static_cast<uint32_t>(candidates_.size());
        candidates_.insert(candidates_.end(), members.begin(), members.end());
        buckets_.push_back({begin, static_cast<uint32_t>(candidates_.size())});
    }
    list.index_end = static_cast<uint32_t>(indexes_.size());
    candidates = std::move(rest);
}

void CandidateLists::find_indexed(const List& list, const ConditionSet& conditions, const http::Request& request,
                                  Scratch& scratch, uint32_t& best) const {
    for (uint32_t i = list.index_begin; i < list.index_end; i++) {
        bool too_long = false;
        const auto value = value_of(conditions.subject(indexes_[i].subject), request, scratch, too_long);
        if (!value) continue;
        const uint32_t bucket = values_.find(indexes_[i].space, *value);
        if (bucket != kNone) walk(buckets_[bucket].begin, buckets_[bucket].end, conditions, request, scratch, best);
    }
}

}  // namespace sluice::route
