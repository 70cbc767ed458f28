// One canonical path for router, policy, logs and the upstream: what was matched is what is forwarded.
// In: the path-and-query of a request target. Out: a view of it if it was canonical already, else new text in the arena.
// RFC 3986 5.2.4 and 6.2.2. The query is never touched; nothing is decoded twice.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"

namespace sluice::http {

/// What is to be done with path text before routing and policy (Envoy: normalize_path, merge_slashes, escaped slashes).
struct PathOptions {
    bool normalize = true;        // RFC 3986 6.2.2: dot segments, %-case, decode unreserved
    bool merge_slashes = false;
    enum class EscapedSlashes : uint8_t { kKeep, kReject, kUnescape } escaped_slashes = EscapedSlashes::kKeep;
};

enum class PathStatus : uint8_t {
    kOk,
    kBadCharacter,   // control, space, "#", "\" in the path, or a byte above 0x7e
    kBadEscape,      // "%" without two hex digits, or %00
    kEscapedSlash,   // %2F or %5C where options refuse them
    kArenaFull,
};

/// `target` starts with "/" and may have a query. Whatever the options, bytes that no URI may hold are refused.
[[nodiscard]] PathStatus canonical_path(std::string_view target, const PathOptions& options, Arena& arena,
                                        std::string_view* canonical);

/// The part before "?".
inline std::string_view path_of(std::string_view path_and_query) {
    return path_and_query.substr(0, path_and_query.find('?'));
}

}  // namespace sluice::http
