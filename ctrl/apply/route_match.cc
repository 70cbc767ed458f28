// RouteMatch, HeaderMatcher, QueryParameterMatcher and StringMatcher as the route table takes them.
// In: route.v3.RouteMatch. Out: route::RouteMatch; wrong or empty matchers are refused.
// Regexes are compiled here so that an error has its field; the table finds them compiled.
#include "ctrl/apply/readers.h"
#include "route/regex.h"

namespace sluice::apply {
namespace {

namespace pb = envoy::config::route::v3;
using Kind = route::StringMatch::Kind;

bool check_regex(const std::string& regex, const At& at) {
    if (auto compiled = route::compile_regex(regex); !compiled) return at.child("regex").refuse(compiled.error());
    return true;
}

bool set(route::StringMatch& out, Kind kind, const std::string& text) {
    out.kind = kind;
    out.text = text;
    return true;
}

bool read_string(const envoy::type::matcher::v3::StringMatcher& in, route::StringMatch& out, const At& at) {
    using Matcher = envoy::type::matcher::v3::StringMatcher;
    out.ignore_case = in.ignore_case();
    switch (in.match_pattern_case()) {
        case Matcher::kExact: return set(out, Kind::kExact, in.exact());
        case Matcher::kPrefix: return set(out, Kind::kPrefix, in.prefix());
        case Matcher::kSuffix: return set(out, Kind::kSuffix, in.suffix());
        case Matcher::kContains: return set(out, Kind::kContains, in.contains());
        case Matcher::kSafeRegex:
            out.ignore_case = false;
            return set(out, Kind::kRegex, in.safe_regex().regex()) && check_regex(out.text, at.child("safe_regex"));
        default: return at.refuse("a string match without a pattern");
    }
}

bool read_parameter(const pb::QueryParameterMatcher& in, route::RouteMatch::Named& out, const At& at) {
    out.name = in.name();
    if (in.name().empty()) return at.child("name").refuse("is missing");
    switch (in.query_parameter_match_specifier_case()) {
        case pb::QueryParameterMatcher::kStringMatch: return read_string(in.string_match(), out.match, at.child("string_match"));
        case pb::QueryParameterMatcher::kPresentMatch: out.match.invert = !in.present_match(); [[fallthrough]];
        default: out.match.kind = Kind::kPresent; return true;
    }
}

bool read_path(const pb::RouteMatch& in, route::RouteMatch& out, const At& at) {
    using Path = route::RouteMatch::Path;
    out.ignore_case = in.has_case_sensitive() && !in.case_sensitive().value();
    const auto is = [&](Path path, const std::string& text) {
        out.path = path;
        out.path_text = text;
        return true;
    };
    switch (in.path_specifier_case()) {
        case pb::RouteMatch::kPrefix: return is(Path::kPrefix, in.prefix());
        case pb::RouteMatch::kPath: return is(Path::kExact, in.path());
        case pb::RouteMatch::kPathSeparatedPrefix: {
            const std::string& text = in.path_separated_prefix();
            if (text.size() < 2 || text.front() != '/' || text.back() == '/' || text.find_first_of("?#") != std::string::npos) {
                return at.child("path_separated_prefix").refuse("\"" + text + "\" must start with a slash, not end with one, and hold no ? or #");
            }
            return is(Path::kSegmentPrefix, text);
        }
        case pb::RouteMatch::kSafeRegex:
            out.ignore_case = false;  // Envoy: case_sensitive does not apply to regexes
            return is(Path::kRegex, in.safe_regex().regex()) && check_regex(out.path_text, at.child("safe_regex"));
        default: return at.refuse("a match without a path: give prefix, path, path_separated_prefix or safe_regex");
    }
}

}  // namespace

bool read_header_match(const pb::HeaderMatcher& in, route::RouteMatch::Named& out, const At& at) {
    out.name = in.name();
    if (in.name().empty()) return at.child("name").refuse("is missing");
    route::StringMatch& match = out.match;
    match.missing_as_empty = in.treat_missing_header_as_empty();
    bool good = true;
    switch (in.header_match_specifier_case()) {
        case pb::HeaderMatcher::kExactMatch: set(match, Kind::kExact, in.exact_match()); break;
        case pb::HeaderMatcher::kPrefixMatch: set(match, Kind::kPrefix, in.prefix_match()); break;
        case pb::HeaderMatcher::kSuffixMatch: set(match, Kind::kSuffix, in.suffix_match()); break;
        case pb::HeaderMatcher::kContainsMatch: set(match, Kind::kContains, in.contains_match()); break;
        case pb::HeaderMatcher::kSafeRegexMatch:
            good = set(match, Kind::kRegex, in.safe_regex_match().regex()) && check_regex(match.text, at.child("safe_regex_match"));
            break;
        case pb::HeaderMatcher::kStringMatch: good = read_string(in.string_match(), match, at.child("string_match")); break;
        case pb::HeaderMatcher::kPresentMatch:
        case pb::HeaderMatcher::HEADER_MATCH_SPECIFIER_NOT_SET: set(match, Kind::kPresent, ""); break;
        default: return at.refuse("a header match of an unknown kind");
    }
    const bool absent = in.header_match_specifier_case() == pb::HeaderMatcher::kPresentMatch && !in.present_match();
    match.invert = in.invert_match() != absent;
    // Presence is presence: "missing as empty" would make an absent header count as there.
    if (match.kind == Kind::kPresent) match.missing_as_empty = false;
    return good;
}

bool read_match(const pb::RouteMatch& in, route::RouteMatch& out, const At& at) {
    bool good = read_path(in, out, at);
    out.headers.resize(static_cast<size_t>(in.headers_size()));
    for (int i = 0; i < in.headers_size(); i++) good &= read_header_match(in.headers(i), out.headers[static_cast<size_t>(i)], at.child("headers", i));
    out.query.resize(static_cast<size_t>(in.query_parameters_size()));
    for (int i = 0; i < in.query_parameters_size(); i++) {
        good &= read_parameter(in.query_parameters(i), out.query[static_cast<size_t>(i)], at.child("query_parameters", i));
    }
    return good;
}

}  // namespace sluice::apply
