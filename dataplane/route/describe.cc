// A route's match in an operator's words, for `sluicectl pc routes` and the config dump.
// In: a RouteMatch. Out: text such as "prefix /reviews method=GET header x-user=~alice.* query debug=1".
// Control thread.
#include "route/route_table.h"

namespace sluice::route {
namespace {

std::string path_words(const RouteMatch& match) {
    switch (match.path) {
        case RouteMatch::Path::kPrefix:
            return "prefix " + match.path_text;
        case RouteMatch::Path::kExact:
            return "exact " + match.path_text;
        case RouteMatch::Path::kSegmentPrefix:
            return "segment prefix " + match.path_text;
        case RouteMatch::Path::kRegex:
            return "regex " + match.path_text;
    }
    return {};
}

std::string condition_words(const RouteMatch::Named& named) {
    const StringMatch& match = named.match;
    const std::string no = match.invert ? "!" : "";
    const std::string any_case = match.ignore_case ? " (any case)" : "";
    switch (match.kind) {
        case StringMatch::Kind::kExact:
            return named.name + no + "=" + match.text + any_case;
        case StringMatch::Kind::kPrefix:
            return named.name + no + "=" + match.text + "*" + any_case;
        case StringMatch::Kind::kSuffix:
            return named.name + no + "=*" + match.text + any_case;
        case StringMatch::Kind::kContains:
            return named.name + no + "=*" + match.text + "*" + any_case;
        case StringMatch::Kind::kRegex:
            return named.name + (match.invert ? "!~" : "=~") + match.text;
        case StringMatch::Kind::kPresent:
            return no + named.name;
    }
    return {};
}

}  // namespace

std::string describe(const RouteMatch& match) {
    std::string words = path_words(match);
    if (match.ignore_case) words += " (any case)";
    for (const RouteMatch::Named& named : match.headers) {
        const bool pseudo = named.name.starts_with(':');
        RouteMatch::Named shown{pseudo ? named.name.substr(1) : named.name, named.match};
        words += (pseudo ? " " : " header ") + condition_words(shown);
    }
    for (const RouteMatch::Named& named : match.query) words += " query " + condition_words(named);
    return words;
}

}  // namespace sluice::route
