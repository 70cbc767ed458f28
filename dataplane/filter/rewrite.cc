// Path rewrites and redirect locations. Regular expressions are RE2's (linear time); results are built in the arena.
#include "filter/rewrite.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>

namespace sluice::filter {
namespace {

/// The path without its query, and the query with its '?' (empty if none).
struct PathParts {
    std::string_view path, query;
};
PathParts split_query(std::string_view path) {
    const size_t mark = std::min(path.find('?'), path.size());
    return {path.substr(0, mark), path.substr(mark)};
}

/// authority without its port, and the port with its ':' (empty if none). IPv6 literals keep their brackets.
struct HostParts {
    std::string_view host, port;
};
HostParts split_port(std::string_view authority) {
    const size_t bracket = authority.rfind(']');
    const size_t colon = authority.rfind(':');
    if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) return {authority, {}};
    return {authority.substr(0, colon), authority.substr(colon)};
}

/// Where the pieces go: first counted, then written.
struct Sink {
    char* out = nullptr;
    size_t size = 0;
    void put(std::string_view text) {
        if (out) std::copy(text.begin(), text.end(), out + size);
        size += text.size();
    }
};

/// One pass of the replacement. Empty matches advance by one byte, as RE2::GlobalReplace does.
void replace_all(const re2::RE2& regex, std::string_view text, std::string_view substitution, Sink& sink) {
    constexpr int kGroups = 10;
    re2::StringPiece groups[kGroups];
    const re2::StringPiece input(text.data(), text.size());
    const int n = std::min(kGroups, regex.NumberOfCapturingGroups() + 1);
    size_t at = 0;
    size_t last_end = std::string_view::npos;  // an empty match right after a match is not replaced again
    while (at <= text.size() && regex.Match(input, at, text.size(), re2::RE2::UNANCHORED, groups, n)) {
        const auto begin = static_cast<size_t>(groups[0].data() - text.data());
        const size_t end = begin + groups[0].size();
        sink.put(text.substr(at, begin - at));
        if (begin == end && begin == last_end) {
            if (begin < text.size()) sink.put(text.substr(begin, 1));
            at = begin + 1;
            continue;
        }
        for (size_t i = 0; i < substitution.size(); i++) {
            const char c = substitution[i];
            if (c != '\\' || i + 1 == substitution.size()) {
                sink.put(substitution.substr(i, 1));
                continue;
            }
            const char next = substitution[++i];
            const int group = next - '0';
            if (group >= 0 && group < n && groups[group].data())
                sink.put({groups[group].data(), groups[group].size()});
            else if (next == '\\') sink.put("\\");
        }
        at = last_end = end;
    }
    if (at < text.size()) sink.put(text.substr(at));
}

std::string_view scheme_of(const route::Redirect& redirect, std::string_view scheme) {
    if (redirect.https) return "https";
    return redirect.scheme.empty() ? scheme : std::string_view(redirect.scheme);
}

/// The request's own authority in the new place: a port that belonged to the old scheme or is replaced goes.
std::string_view own_host(std::string_view authority, std::string_view old_scheme, std::string_view new_scheme, bool new_port) {
    const HostParts parts = split_port(authority);
    if (parts.port.empty()) return authority;
    if (new_port) return parts.host;
    const bool left_http = old_scheme == "http" && new_scheme == "https" && parts.port == ":80";
    const bool left_https = old_scheme == "https" && new_scheme == "http" && parts.port == ":443";
    return left_http || left_https ? parts.host : authority;
}

}  // namespace

std::string_view regex_replace(const re2::RE2& regex, std::string_view text, std::string_view substitution, Arena& arena) {
    Sink sink;
    replace_all(regex, text, substitution, sink);
    auto* out = static_cast<char*>(arena.allocate(sink.size ? sink.size : 1, 1));
    if (!out) return {};
    sink = {.out = out};
    replace_all(regex, text, substitution, sink);
    return {out, sink.size};
}

std::string_view rewrite_path(const route::Route& route, std::string_view path, Arena& arena) {
    const route::Rewrite& rewrite = route.rewrite;
    const PathParts parts = split_query(path);
    switch (rewrite.path) {
        case route::Rewrite::Path::kNone: return path;
        case route::Rewrite::Path::kPrefix: {
            const size_t matched = std::min<size_t>(route.matched_prefix_bytes, parts.path.size());
            const std::string_view pieces[] = {rewrite.text, parts.path.substr(matched), parts.query};
            return arena.concat(pieces);
        }
        case route::Rewrite::Path::kFull: {
            const std::string_view pieces[] = {rewrite.text, parts.query};
            return arena.concat(pieces);
        }
        case route::Rewrite::Path::kRegex: {
            if (!rewrite.regex) return path;
            const std::string_view replaced = regex_replace(*rewrite.regex, parts.path, rewrite.text, arena);
            if (!replaced.data()) return {};
            const std::string_view pieces[] = {replaced, parts.query};
            return arena.concat(pieces);
        }
    }
    return path;
}

std::string_view redirect_location(const route::Route& route, const http::Request& request, std::string_view scheme,
                                   Arena& arena) {
    const route::Redirect& redirect = route.redirect;
    const std::string_view new_scheme = scheme_of(redirect, scheme);
    const bool own = redirect.host.empty();
    const std::string_view host =
        own ? own_host(request.authority, scheme, new_scheme, redirect.port.has_value()) : std::string_view(redirect.host);
    char port[8] = ":";
    size_t port_size = 0;
    if (redirect.port) port_size = static_cast<size_t>(std::to_chars(port + 1, port + sizeof port, *redirect.port).ptr - port);

    const PathParts parts = split_query(request.path);
    std::string_view path = parts.path, tail, query = redirect.strip_query ? std::string_view{} : parts.query;
    if (!redirect.path.empty()) {
        path = redirect.path;
        if (path.find('?') != std::string_view::npos) query = {};  // the new path brings its own
    } else if (!redirect.prefix_rewrite.empty()) {
        path = redirect.prefix_rewrite;
        tail = parts.path.substr(std::min<size_t>(route.matched_prefix_bytes, parts.path.size()));
    } else if (redirect.regex) {
        path = regex_replace(*redirect.regex, parts.path, redirect.regex_substitution, arena);
        if (!path.data()) return {};
    }
    const std::string_view pieces[] = {new_scheme, "://", host, {port, port_size}, path, tail, query};
    return arena.concat(pieces);
}

}  // namespace sluice::filter
