// Strict start lines: single spaces, four target forms each only where its method allows it.
#include "http/h1/start_line.h"

#include <cstring>

#include "http/authority.h"
#include "http/chars.h"
#include "http/path.h"

namespace sluice::http::h1 {
namespace {

Error parse_version(std::string_view text, Version* version) {
    uint64_t word = 0;
    if (text.size() == 8) std::memcpy(&word, text.data(), 8);
    static constexpr char k11[] = "HTTP/1.1", k10[] = "HTTP/1.0";
    uint64_t word11, word10;
    std::memcpy(&word11, k11, 8);
    std::memcpy(&word10, k10, 8);
    if (word == word11) *version = Version::kHttp11;
    else if (word == word10) *version = Version::kHttp10;
    else if (text.size() == 8 && text.substr(0, 5) == "HTTP/" && is_digit(text[5]) && text[6] == '.' && is_digit(text[7]))
        return Error::kVersionNotSupported;
    else return Error::kBadVersion;
    return Error::kNone;
}

Error to_error(PathStatus status) {
    if (status == PathStatus::kOk) return Error::kNone;
    return status == PathStatus::kArenaFull ? Error::kArenaFull : Error::kBadTarget;
}

// RFC 9112 3.2.3: only CONNECT, host and port; RFC 9110 9.3.6: an empty or invalid port is refused.
Error parse_authority_form(std::string_view target, Request& request) {
    Authority authority;
    if (!parse_authority(target, &authority) || authority.port == 0) return Error::kBadTarget;
    request.authority = target;
    request.path = {};
    return Error::kNone;
}

// RFC 9112 3.2.2. The target's authority replaces Host, whatever that said.
Error parse_absolute_form(std::string_view target, const PathOptions& options, Request& request) {
    const size_t colon = target.find("://");
    if (colon == target.npos) return Error::kBadTarget;
    const auto scheme = target.substr(0, colon);
    if (iequals(scheme, "http")) request.scheme = "http";
    else if (iequals(scheme, "https")) request.scheme = "https";
    else return Error::kBadTarget;
    const auto rest = target.substr(colon + 3);
    const size_t authority_size = rest.find_first_of("/?");
    Authority authority;
    request.authority = rest.substr(0, authority_size);
    if (!parse_authority(request.authority, &authority)) return Error::kBadTarget;
    std::string_view path = authority_size == rest.npos ? std::string_view() : rest.substr(authority_size);
    if (path.empty()) {
        // RFC 9112 3.2.4: OPTIONS on a whole server.
        request.path = request.method == Method::kOptions ? "*" : "/";
        return Error::kNone;
    }
    if (path[0] == '?') {
        const std::string_view parts[] = {"/", path};
        path = request.headers.arena().concat(parts);
        if (!path.data()) return Error::kArenaFull;
    }
    return to_error(canonical_path(path, options, request.headers.arena(), &request.path));
}

Error parse_target(std::string_view target, const PathOptions& options, Request& request) {
    request.original_path = target;
    if (request.method == Method::kConnect) return parse_authority_form(target, request);
    if (target[0] == '/') return to_error(canonical_path(target, options, request.headers.arena(), &request.path));
    if (target == "*") {
        if (request.method != Method::kOptions) return Error::kBadTarget;
        request.path = target;
        return Error::kNone;
    }
    return parse_absolute_form(target, options, request);
}

}  // namespace

Error parse_request_line(std::string_view line, const Limits& limits, const PathOptions& options, Request& request) {
    const uint32_t method_size = token_prefix32(line.data());
    if (method_size >= line.size()) return Error::kBadRequestLine;
    if (method_size == 0 || line[method_size] != ' ') return Error::kBadMethod;  // also: longer than any method we know of
    request.method_text = line.substr(0, method_size);
    request.method = parse_method(request.method_text);
    const size_t last_space = line.rfind(' ');
    if (last_space == method_size) return Error::kBadRequestLine;  // HTTP/0.9
    const Error version = parse_version(line.substr(last_space + 1), &request.version);
    if (version != Error::kNone) return version;
    const auto target = line.substr(method_size + 1, last_space - method_size - 1);
    if (target.empty() || target[0] == ' ') return Error::kBadRequestLine;
    if (target.size() > limits.target_bytes) return Error::kTargetTooLong;
    return parse_target(target, options, request);
}

Error parse_status_line(std::string_view line, Response& response) {
    const Error version = parse_version(line.substr(0, 8), &response.version);
    if (version == Error::kVersionNotSupported) return version;
    // RFC 9112 4 wants a space after the code even if no reason follows; without it nothing is ambiguous, and servers do so.
    if (version != Error::kNone || line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' '))
        return Error::kBadStatusLine;
    if (!is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) || line[9] == '0') return Error::kBadStatusLine;
    response.status = static_cast<uint16_t>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
    return Error::kNone;
}

}  // namespace sluice::http::h1
