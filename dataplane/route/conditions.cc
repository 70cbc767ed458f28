// Evaluation and building of conditions.
// In: RouteMatch from apply; requests. Out: whether all conditions hold.
// Semantics are Envoy's (HeaderUtility::matchHeaders): a missing header fails every value match, inverted or not, unless it is
// to be treated as empty; presence alone is inverted as one expects. Query parameters are compared as sent, not decoded.
#include "route/conditions.h"

#include <algorithm>

#include "route/text.h"

namespace sluice::route {
namespace {

std::optional<std::string_view> query_value(std::string_view path, std::string_view name) {
    size_t at = without_query(path).size();
    if (at == path.size() || path[at] != '?') return std::nullopt;
    std::string_view query = path.substr(at + 1);
    query = query.substr(0, query.find('#'));
    while (!query.empty()) {
        const size_t end = std::min(query.find('&'), query.size());
        const std::string_view parameter = query.substr(0, end);
        const size_t equals = std::min(parameter.find('='), parameter.size());
        if (parameter.substr(0, equals) == name) return parameter.substr(std::min(equals + 1, parameter.size()));
        query = query.substr(std::min(end + 1, query.size()));
    }
    return std::nullopt;
}

std::optional<std::string_view> header_value(const http::HeaderList& headers, std::string_view name, Scratch& scratch,
                                             bool& too_long) {
    const http::Header* first = nullptr;
    size_t joined = 0;
    for (const http::Header& header : headers.items()) {
        if (header.name.size() != name.size() || !equals_lower(header.name, name)) continue;
        if (!first) {
            first = &header;
            continue;
        }
        if (joined == 0) {
            if (!scratch.text || first->value.size() > scratch.text_bytes) return too_long = true, std::nullopt;
            if (!first->value.empty()) std::memcpy(scratch.text, first->value.data(), first->value.size());
            joined = first->value.size();
        }
        if (joined + 1 + header.value.size() > scratch.text_bytes) return too_long = true, std::nullopt;
        scratch.text[joined++] = ',';
        if (!header.value.empty()) std::memcpy(scratch.text + joined, header.value.data(), header.value.size());
        joined += header.value.size();
    }
    if (!first) return std::nullopt;
    return joined ? std::string_view(scratch.text, joined) : first->value;
}

bool starts_with(std::string_view text, std::string_view prefix, bool ignore_case) {
    if (!ignore_case) return text.starts_with(prefix);
    return text.size() >= prefix.size() && equals_lower(text.substr(0, prefix.size()), prefix);
}

bool contains(std::string_view text, std::string_view part, bool ignore_case) {
    if (!ignore_case) return text.find(part) != std::string_view::npos;
    for (size_t i = 0; i + part.size() <= text.size(); i++) {
        if (equals_lower(text.substr(i, part.size()), part)) return true;
    }
    return false;
}

bool text_matches(const StringMatch& match, std::string_view value) {
    switch (match.kind) {
        case StringMatch::Kind::kExact:
            return match.ignore_case ? equals_lower(value, match.text) : value == match.text;
        case StringMatch::Kind::kPrefix:
            return starts_with(value, match.text, match.ignore_case);
        case StringMatch::Kind::kSuffix:
            return value.size() >= match.text.size() &&
                   starts_with(value.substr(value.size() - match.text.size()), match.text, match.ignore_case);
        case StringMatch::Kind::kContains:
            return contains(value, match.text, match.ignore_case);
        case StringMatch::Kind::kPresent:
        case StringMatch::Kind::kRegex:
            break;
    }
    return true;
}

}  // namespace

Subject header_subject(std::string_view name) {
    std::string lower = to_lower(name);
    if (lower == ":method") return {Subject::Kind::kMethod, {}};
    if (lower == ":authority" || lower == "host") return {Subject::Kind::kAuthority, {}};
    if (lower == ":path") return {Subject::Kind::kPath, {}};
    if (lower == ":scheme") return {Subject::Kind::kScheme, {}};
    return {Subject::Kind::kHeader, std::move(lower)};
}

std::optional<std::string_view> value_of(const Subject& subject, const http::Request& request, Scratch& scratch,
                                         bool& too_long) {
    switch (subject.kind) {
        case Subject::Kind::kHeader:
            return header_value(request.headers, subject.name, scratch, too_long);
        case Subject::Kind::kQuery:
            return query_value(request.path, subject.name);
        case Subject::Kind::kMethod:
            return request.method_text;
        case Subject::Kind::kAuthority:
            return request.authority;
        case Subject::Kind::kPath:
            return request.path;
        case Subject::Kind::kScheme:
            return request.scheme;
    }
    return std::nullopt;
}

Result<ConditionSet::Range> ConditionSet::add(const RouteMatch& match) {
    Range range{static_cast<uint32_t>(conditions_.size()), 0};
    for (const RouteMatch::Named& named : match.headers) {
        if (named.name.empty()) return unexpected("a header match without a name");
        if (auto added = add_one(header_subject(named.name), named.match); !added) {
            return unexpected("header " + named.name + ": " + added.error());
        }
    }
    for (const RouteMatch::Named& named : match.query) {
        if (named.name.empty()) return unexpected("a query parameter match without a name");
        if (auto added = add_one({Subject::Kind::kQuery, named.name}, named.match); !added) {
            return unexpected("query parameter " + named.name + ": " + added.error());
        }
    }
    range.count = static_cast<uint32_t>(conditions_.size()) - range.begin;
    return range;
}

Result<void> ConditionSet::add_one(Subject subject, const StringMatch& match) {
    const auto [known, is_new] = subject_index_.try_emplace(subject, static_cast<uint32_t>(subjects_.size()));
    if (is_new) subjects_.push_back(std::move(subject));
    Condition condition{known->second, match, 0, 0};
    if (match.kind == StringMatch::Kind::kRegex) {
        auto regex = compile_regex(match.text);
        if (!regex) return unexpected(regex.error());
        auto& pending = pending_[known->second][match.text];
        pending.pattern = {match.text, *regex};
        pending.conditions.push_back(static_cast<uint32_t>(conditions_.size()));
    } else if (match.ignore_case) {
        condition.match.text = to_lower(match.text);
    }
    conditions_.push_back(std::move(condition));
    return {};
}

void ConditionSet::finish(uint32_t& budget) {
    for (auto& [subject, regexes] : pending_) {
        std::vector<std::string> texts;
        for (const auto& [text, pending] : regexes) texts.push_back(text);
        for (size_t begin = 0; begin < texts.size();) {
            const size_t end = shard_end(texts, begin);
            std::vector<Shard::Pattern> patterns;
            for (size_t i = begin; i < end; i++) {
                PendingRegex& pending = regexes[texts[i]];
                for (uint32_t condition : pending.conditions) {
                    conditions_[condition].shard = static_cast<uint32_t>(shards_.size());
                    conditions_[condition].bit = static_cast<uint32_t>(i - begin);
                }
                patterns.push_back(std::move(pending.pattern));
            }
            shards_.emplace_back(std::move(patterns), budget);
            begin = end;
        }
    }
    pending_.clear();
    subject_index_.clear();
}

bool ConditionSet::holds(const Condition& condition, const http::Request& request, Scratch& scratch) const {
    const StringMatch& match = condition.match;
    bool too_long = false;
    auto value = value_of(subjects_[condition.subject], request, scratch, too_long);
    if (too_long) return false;  // fails closed, inverted or not
    if (!value && match.missing_as_empty) value = std::string_view();
    if (match.kind == StringMatch::Kind::kPresent) return value.has_value() != match.invert;
    if (!value) return false;
    const bool matched = match.kind == StringMatch::Kind::kRegex ? regex_holds(condition, *value, scratch)
                                                                 : text_matches(match, *value);
    return matched != match.invert;
}

bool ConditionSet::regex_holds(const Condition& condition, std::string_view value, Scratch& scratch) const {
    const uint64_t bit = uint64_t{1} << condition.bit;
    const Shard& shard = shards_[condition.shard];
    // Without a database each pattern costs its own pass: then only the one that is asked for.
    if (!shard.database() || condition.shard >= scratch.answers_size) return shard.match(value, bit, scratch.hyperscan) != 0;
    Scratch::Answer& answer = scratch.answers[condition.shard];
    if (answer.request != scratch.request) answer = {scratch.request, 0, 0};
    if (!(answer.asked & bit)) {
        const uint64_t asking = is_ascii(value) ? bit | shard.in_one_pass() : bit;
        answer.matched |= shard.match(value, asking, scratch.hyperscan);
        answer.asked |= asking;
    }
    return (answer.matched & bit) != 0;
}

std::vector<ConditionSet::Equality> ConditionSet::equalities(Range range) const {
    std::vector<Equality> found;
    for (uint32_t i = range.begin; i < range.begin + range.count; i++) {
        const StringMatch& match = conditions_[i].match;
        if (match.kind == StringMatch::Kind::kExact && !match.ignore_case && !match.invert && !match.missing_as_empty) {
            found.push_back({conditions_[i].subject, match.text});
        }
    }
    return found;
}

}  // namespace sluice::route
