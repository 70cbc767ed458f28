// The plain look-up: no index, no order but the one of the input.
// In: inputs of the table and a request. Out: what must be found.
// Test code only.
#include "tests/route/reference.h"

#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <optional>

namespace sluice::route::test {
namespace {

const re2::RE2& compiled(const std::string& regex) {
    static std::map<std::string, re2::RE2> known;
    return known.try_emplace(regex, regex).first->second;
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
    return out;
}

int find_host(const std::vector<VirtualHostInput>& hosts, std::string authority, bool ignore_port) {
    authority = lower(authority);
    if (ignore_port) {
        if (const size_t colon = authority.rfind(':'); colon != std::string::npos) {
            if (authority.find(']', colon) == std::string::npos) authority.resize(colon);
        }
    }
    int best = -1;
    size_t best_rank = 0;  // exact > longest suffix > longest prefix > star
    for (size_t i = 0; i < hosts.size(); i++) {
        for (const std::string& written : hosts[i].virtual_host.domains) {
            const std::string domain = lower(written);
            size_t rank = 0;
            if (domain == "*") rank = 1;
            else if (authority.empty()) continue;
            else if (domain == authority && domain.find('*') == std::string::npos) rank = 1'000'000;
            else if (domain[0] == '*' && authority.size() >= domain.size() && authority.ends_with(domain.substr(1))) rank = 10'000 + domain.size();
            else if (domain.back() == '*' && authority.size() >= domain.size() && authority.starts_with(domain.substr(0, domain.size() - 1))) rank = 1 + domain.size();
            if (rank > best_rank) {
                best_rank = rank;
                best = static_cast<int>(i);
            }
        }
    }
    return best;
}

bool value_matches(const StringMatch& match, std::optional<std::string> value) {
    if (!value && match.missing_as_empty) value = "";
    if (match.kind == StringMatch::Kind::kPresent) return value.has_value() != match.invert;
    if (!value) return false;
    const std::string text = match.ignore_case ? lower(match.text) : match.text;
    const std::string subject = match.ignore_case ? lower(*value) : *value;
    bool matched = false;
    switch (match.kind) {
        case StringMatch::Kind::kExact: matched = subject == text; break;
        case StringMatch::Kind::kPrefix: matched = subject.starts_with(text); break;
        case StringMatch::Kind::kSuffix: matched = subject.ends_with(text); break;
        case StringMatch::Kind::kContains: matched = subject.find(text) != std::string::npos; break;
        case StringMatch::Kind::kRegex: matched = re2::RE2::FullMatch(*value, compiled(match.text)); break;
        case StringMatch::Kind::kPresent: break;
    }
    return matched != match.invert;
}

std::optional<std::string> header(const http::Request& request, const std::string& name) {
    const std::string wanted = lower(name);
    if (wanted == ":method") return std::string(request.method_text);
    if (wanted == ":authority" || wanted == "host") return std::string(request.authority);
    if (wanted == ":path") return std::string(request.path);
    std::optional<std::string> joined;
    for (const http::Header& h : request.headers.items()) {
        if (lower(h.name) != wanted) continue;
        joined = joined ? *joined + "," + std::string(h.value) : std::string(h.value);
    }
    return joined;
}

std::optional<std::string> query(const http::Request& request, const std::string& name) {
    const std::string path(request.path);
    const size_t mark = path.find('?');
    if (mark == std::string::npos) return std::nullopt;
    std::string rest = path.substr(mark + 1) + "&";
    for (size_t end; (end = rest.find('&')) != std::string::npos; rest = rest.substr(end + 1)) {
        const std::string item = rest.substr(0, end);
        const size_t equals = item.find('=');
        if (item.substr(0, equals) != name || (item.empty() && !name.empty())) continue;
        return equals == std::string::npos ? "" : item.substr(equals + 1);
    }
    return std::nullopt;
}

}  // namespace

bool reference_matches(const RouteMatch& match, const http::Request& request) {
    const std::string raw(request.path.substr(0, request.path.find('?')));
    const std::string path = match.ignore_case ? lower(raw) : raw;
    const std::string text = match.ignore_case ? lower(match.path_text) : match.path_text;
    switch (match.path) {
        case RouteMatch::Path::kPrefix: if (!path.starts_with(text)) return false; break;
        case RouteMatch::Path::kExact: if (path != text) return false; break;
        case RouteMatch::Path::kSegmentPrefix: if (path != text && !path.starts_with(text + "/")) return false; break;
        case RouteMatch::Path::kRegex: if (!re2::RE2::FullMatch(raw, compiled(match.path_text))) return false; break;
    }
    for (const auto& named : match.headers) {
        if (!value_matches(named.match, header(request, named.name))) return false;
    }
    for (const auto& named : match.query) {
        if (!value_matches(named.match, query(request, named.name))) return false;
    }
    return true;
}

std::pair<int, int> reference_find(const std::vector<VirtualHostInput>& hosts, const http::Request& request, bool ignore_port) {
    const int host = find_host(hosts, std::string(request.authority), ignore_port);
    if (host < 0) return {-1, -1};
    const auto& matches = hosts[static_cast<size_t>(host)].matches;
    for (size_t i = 0; i < matches.size(); i++) {
        if (reference_matches(matches[i], request)) return {host, static_cast<int>(i)};
    }
    return {host, -1};
}

}  // namespace sluice::route::test
