// Canonicalisation in one forward pass: decode what needs no escape, drop dot segments, merge slashes if asked.
// A path that is canonical already (nearly every one) costs one table look-up a byte and no copy.
#include "http/path.h"

#include <cstring>

#include "http/chars.h"

namespace sluice::http {
namespace {

struct Survey {
    PathStatus status = PathStatus::kOk;
    size_t path_size = 0;     // up to "?" or the end
    bool has_escape = false;
    bool has_dot_segment = false;   // "/." somewhere: perhaps one
    bool has_double_slash = false;
};

// One pass over all of the target: refuses bytes that may not stand there, and notes what the path part would need.
Survey survey(std::string_view target) {
    Survey found;
    char previous = 0;
    size_t i = 0;
    for (; i < target.size(); i++) {
        const char c = target[i];
        if (!is_char(c, kPathPlainChar)) {
            if (c == '?') break;
            if (c == '%') found.has_escape = true;
            else if (c == '.') found.has_dot_segment |= previous == '/';
            else if (c == '/') found.has_double_slash |= previous == '/';
            else return {.status = PathStatus::kBadCharacter};
        }
        previous = c;
    }
    found.path_size = i;
    for (; i < target.size(); i++)
        if (!is_char(target[i], kTargetChar)) return {.status = PathStatus::kBadCharacter};
    return found;
}

// RFC 3986 2.1: "%" two hex digits. %00 ends strings in too many backends to be let through.
PathStatus check_escapes(std::string_view path, const PathOptions& options) {
    for (size_t i = path.find('%'); i != path.npos; i = path.find('%', i + 3)) {
        if (i + 2 >= path.size() || !is_char(path[i + 1], kHexDigit) || !is_char(path[i + 2], kHexDigit)) return PathStatus::kBadEscape;
        const unsigned value = hex_value(path[i + 1]) << 4 | hex_value(path[i + 2]);
        if (value == 0) return PathStatus::kBadEscape;
        if ((value == '/' || value == '\\') && options.escaped_slashes == PathOptions::EscapedSlashes::kReject)
            return PathStatus::kEscapedSlash;
    }
    return PathStatus::kOk;
}

// RFC 3986 6.2.2.1 and 6.2.2.2: unreserved characters decoded, other escapes in upper case. Escapes were checked.
// What comes out of an escape is written, not read again, so "%2541" stays an escaped "%41".
size_t decode_escapes(std::string_view path, const PathOptions& options, char* out) {
    const bool unescape_slashes = options.escaped_slashes == PathOptions::EscapedSlashes::kUnescape;
    static constexpr char kHex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < path.size(); i++) {
        if (path[i] != '%') {
            out[n++] = path[i];
            continue;
        }
        const unsigned value = hex_value(path[i + 1]) << 4 | hex_value(path[i + 2]);
        if (unescape_slashes && (value == '/' || value == '\\')) {
            out[n++] = '/';
        } else if (options.normalize && is_char(static_cast<char>(value), kUnreservedChar)) {
            out[n++] = static_cast<char>(value);
        } else {
            out[n++] = '%';
            out[n++] = options.normalize ? kHex[value >> 4] : path[i + 1];
            out[n++] = options.normalize ? kHex[value & 15] : path[i + 2];
        }
        i += 2;
    }
    return n;
}

// RFC 3986 5.2.4 in place. "/.." at the root stays at the root.
size_t remove_dot_segments(char* path, size_t size) {
    size_t in = 0, out = 0;   // out <= in; both stand at a "/" between segments
    while (in < size) {
        size_t end = in + 1;
        while (end < size && path[end] != '/') end++;
        const std::string_view segment(path + in + 1, end - in - 1);
        const bool last = end == size;
        if (segment == ".") {
            if (last) path[out++] = '/';
        } else if (segment == "..") {
            while (out > 0 && path[--out] != '/') {}
            if (last) path[out++] = '/';
        } else {
            std::memmove(path + out, path + in, end - in);
            out += end - in;
        }
        in = end;
    }
    return out;
}

size_t merge_slashes(char* path, size_t size) {
    size_t out = 0;
    for (size_t in = 0; in < size; in++)
        if (path[in] != '/' || out == 0 || path[out - 1] != '/') path[out++] = path[in];
    return out;
}

}  // namespace

PathStatus canonical_path(std::string_view target, const PathOptions& options, Arena& arena, std::string_view* canonical) {
    const Survey found = survey(target);
    if (found.status != PathStatus::kOk) return found.status;
    const auto path = target.substr(0, found.path_size);
    *canonical = target;
    if (found.has_escape) {
        const PathStatus status = check_escapes(path, options);
        if (status != PathStatus::kOk) return status;
    }
    const bool decodes = options.normalize || options.escaped_slashes == PathOptions::EscapedSlashes::kUnescape;
    if (!(found.has_escape && decodes) && !(found.has_dot_segment && options.normalize) &&
        !(found.has_double_slash && options.merge_slashes))
        return PathStatus::kOk;

    // Every step keeps or shortens the text.
    auto* text = static_cast<char*>(arena.allocate(target.size(), 1));
    if (!text) return PathStatus::kArenaFull;
    size_t size = decode_escapes(path, options, text);
    if (options.normalize) size = remove_dot_segments(text, size);
    if (options.merge_slashes) size = merge_slashes(text, size);
    const auto query = target.substr(found.path_size);
    if (!query.empty()) std::memcpy(text + size, query.data(), query.size());
    *canonical = {text, size + query.size()};
    return PathStatus::kOk;
}

}  // namespace sluice::http
