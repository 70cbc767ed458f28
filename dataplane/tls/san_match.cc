// Matching of alternative names (see verify.h). envoy SubjectAltNameMatcher; RFC 6125 6.4 for wildcards in certificates.
#include <algorithm>

#include "tls/verify.h"

namespace sluice::tls {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = lower(c);
    return out;
}

/// A certificate's dNSName against a host: any case; "*." stands for exactly one label, at the left, of a name with at least two more.
bool host_matches(std::string_view host, std::string_view name) {
    const std::string wanted = lower(host), pattern = lower(name);
    if (!pattern.starts_with("*.")) return wanted == pattern;
    const std::string_view suffix = std::string_view(pattern).substr(1);
    if (suffix.find('*') != std::string_view::npos || suffix.find('.', 1) == std::string_view::npos) return false;
    return wanted.size() > suffix.size() && wanted.ends_with(suffix) &&
           wanted.substr(0, wanted.size() - suffix.size()).find('.') == std::string::npos;
}

bool text_matches(const SanMatcher& matcher, std::string_view text) {
    if (matcher.kind == SanMatcher::Kind::kCustom) return matcher.custom && matcher.custom(text);
    const std::string wanted = matcher.ignore_case ? lower(matcher.text) : matcher.text;
    const std::string value = matcher.ignore_case ? lower(text) : std::string(text);
    switch (matcher.kind) {
        case SanMatcher::Kind::kExact: return value == wanted;
        case SanMatcher::Kind::kPrefix: return value.starts_with(wanted);
        case SanMatcher::Kind::kSuffix: return value.ends_with(wanted);
        case SanMatcher::Kind::kContains: return value.find(wanted) != std::string::npos;
        case SanMatcher::Kind::kCustom: break;
    }
    return false;
}

bool matches(const SanMatcher& matcher, const AlternativeName& name) {
    if (matcher.type != SanMatcher::Type::kAny && matcher.type != name.type) return false;
    if (matcher.kind == SanMatcher::Kind::kExact && matcher.type == SanMatcher::Type::kDns) return host_matches(matcher.text, name.text);
    return text_matches(matcher, name.text);
}

}  // namespace

bool any_matches(const std::vector<SanMatcher>& matchers, const std::vector<AlternativeName>& names) {
    return std::any_of(matchers.begin(), matchers.end(), [&](const SanMatcher& matcher) {
        return std::any_of(names.begin(), names.end(), [&](const AlternativeName& name) { return matches(matcher, name); });
    });
}

std::string describe(const SanMatcher& matcher) {
    return std::to_string(static_cast<int>(matcher.type)) + "," + std::to_string(static_cast<int>(matcher.kind)) + "," +
           std::to_string(matcher.ignore_case) + "," + matcher.text;
}

}  // namespace sluice::tls
