// One function for each kind of condition; covers() asks them all.
// In: conditions. Out: whether the second implies the first.
// Owns nothing.
// Envoy: header names are compared without case, method and values with it; a regex matches the whole text.
#include "ctrl/model/match_cover.h"

#include <algorithm>

#include "ctrl/model/names.h"

namespace sluice::model {
namespace {

using Kind = TextMatch::Kind;
using Conditions = google::protobuf::Map<std::string, istio::StringMatch>;

TextMatch text_of(const istio::StringMatch& match) {
    if (!match.exact().empty()) return {Kind::kExact, match.exact(), false};
    if (!match.prefix().empty()) return {Kind::kPrefix, match.prefix(), false};
    if (match.regex().empty() || match.regex() == "*" || match.regex() == ".*") return {};
    return {Kind::kRegex, match.regex(), false};
}

bool covers_text(const TextMatch& wide, const TextMatch& narrow) {
    if (wide.kind == Kind::kAny) return true;
    if (wide.kind == Kind::kRegex) return narrow.kind == Kind::kRegex && wide.text == narrow.text;
    if (narrow.kind == Kind::kAny || narrow.kind == Kind::kRegex) return false;
    if (narrow.ignore_case && !wide.ignore_case) return false;
    const std::string a = wide.ignore_case ? lower(wide.text) : wide.text;
    const std::string b = wide.ignore_case ? lower(narrow.text) : narrow.text;
    if (wide.kind == Kind::kPrefix) return b.starts_with(a);
    return narrow.kind == Kind::kExact && a == b;
}

const istio::StringMatch* find(const Conditions& conditions, const std::string& name, bool fold) {
    if (!fold) {
        const auto found = conditions.find(name);
        return found == conditions.end() ? nullptr : &found->second;
    }
    for (const auto& [key, value] : conditions)
        if (lower(key) == lower(name)) return &value;
    return nullptr;
}

// Each of `wide` is asked by `narrow` at least as strictly.
bool covers_named(const Conditions& wide, const Conditions& narrow, bool fold) {
    return std::all_of(wide.begin(), wide.end(), [&](const auto& condition) {
        const istio::StringMatch* other = find(narrow, condition.first, fold);
        return other && covers_text(text_of(condition.second), text_of(*other));
    });
}

// `not A` is implied by `not B` where B takes all that A takes.
bool covers_absent(const Conditions& wide, const Conditions& narrow) {
    return std::all_of(wide.begin(), wide.end(), [&](const auto& condition) {
        const istio::StringMatch* other = find(narrow, condition.first, true);
        return other && covers_text(text_of(*other), text_of(condition.second));
    });
}

// No condition but those that covers() looks at: one that is added to the API one day must not be overlooked here.
bool is_understood(const istio::HTTPMatchRequest& match) {
    istio::HTTPMatchRequest rest = match;
    rest.clear_name();
    rest.clear_uri();
    rest.clear_ignore_uri_case();
    rest.clear_method();
    rest.clear_authority();
    rest.clear_headers();
    rest.clear_without_headers();
    rest.clear_query_params();
    rest.clear_port();
    rest.clear_gateways();
    rest.clear_source_labels();
    rest.clear_source_namespace();
    return rest.ByteSizeLong() == 0;
}

bool covers_source(const istio::HTTPMatchRequest& wide, const istio::HTTPMatchRequest* narrow) {
    const istio::HTTPMatchRequest none;
    const istio::HTTPMatchRequest& other = narrow ? *narrow : none;
    return (wide.port() == 0 || wide.port() == other.port()) &&
           (wide.source_namespace().empty() || wide.source_namespace() == other.source_namespace()) &&
           has_labels(other.source_labels(), wide.source_labels());
}

}  // namespace

TextMatch path_of(const istio::HTTPMatchRequest* match) {
    if (!match || !match->has_uri()) return {};
    const istio::StringMatch& uri = match->uri();
    // `exact` is a path even when it is empty: nothing is at the empty path.
    if (uri.has_exact()) return {Kind::kExact, uri.exact(), match->ignore_uri_case()};
    TextMatch path = text_of(uri);
    // A request's path begins with `/` (RFC 9112, 3.2.1).
    if ((path.kind == Kind::kPrefix && path.text == "/") || (path.kind == Kind::kRegex && path.text == "/.*")) return {};
    path.ignore_case = match->ignore_uri_case() && path.kind == Kind::kPrefix;
    return path;
}

bool is_catch_all(const istio::HTTPMatchRequest* match) {
    if (!match) return true;
    const TextMatch path = path_of(match);
    return path.kind == Kind::kAny && !match->uri().has_regex() && match->headers().empty() &&
           match->without_headers().empty() && match->query_params().empty() && !match->has_method() &&
           !match->has_authority();
}

bool covers(const MatchBlock& wide, const MatchBlock& narrow) {
    if (!std::includes(wide.gateways->begin(), wide.gateways->end(), narrow.gateways->begin(), narrow.gateways->end()))
        return false;
    if (!wide.match) return true;
    const istio::HTTPMatchRequest none;
    const istio::HTTPMatchRequest& w = *wide.match;
    const istio::HTTPMatchRequest& n = narrow.match ? *narrow.match : none;
    return covers_text(path_of(wide.match), path_of(narrow.match)) && covers_text(text_of(w.method()), text_of(n.method())) &&
           covers_text(text_of(w.authority()), text_of(n.authority())) && covers_named(w.headers(), n.headers(), true) &&
           covers_absent(w.without_headers(), n.without_headers()) &&
           covers_named(w.query_params(), n.query_params(), false) && covers_source(w, narrow.match) && is_understood(w);
}

}  // namespace sluice::model
