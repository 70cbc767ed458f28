// One AVX2 step per field name, one byte test per interesting field; everything that decides framing is a slow, plain path.
#include "http/h1/fields.h"

#include <cstring>

#include "http/chars.h"
#include "http/header_table.h"

namespace sluice::http::h1 {
namespace {

constexpr uint64_t bit(HeaderId id) { return uint64_t{1} << static_cast<unsigned>(id); }
static_assert(static_cast<unsigned>(HeaderId::kCount) <= 64);
constexpr uint64_t kFraming = bit(HeaderId::kContentLength) | bit(HeaderId::kTransferEncoding);
constexpr uint64_t kLookedAt = bit(HeaderId::kHost) | bit(HeaderId::kContentLength) | bit(HeaderId::kTransferEncoding) |
                               bit(HeaderId::kConnection) | bit(HeaderId::kUpgrade) | bit(HeaderId::kExpect);

// Why [line, end) has no "name:" at its start; `n` token characters were found.
Error name_error(const char* line, const char* end, uint32_t n) {
    if (n == 0 && is_space_or_tab(*line)) return Error::kObsFold;  // RFC 9112 5.2
    const char* at = line + n;
    while (at < end && is_space_or_tab(*at)) at++;
    const bool spaced_colon = n > 0 && at > line + n && at < end && *at == ':';  // RFC 9112 5.1
    return spaced_colon ? Error::kSpaceBeforeColon : Error::kBadHeaderName;
}

uint32_t token_length(const char* line) {
    uint32_t n = token_prefix32(line);
    // A head's text ends in CRLF and padding, so a full step never runs past what is readable.
    while (n % 32 == 0 && n > 0) {
        const uint32_t more = token_prefix32(line + n);
        n += more;
        if (more < 32) break;
    }
    return n;
}

// RFC 9112 6.1 and 6.3: only "chunked" alone is understood. A list of other codings that ends in one chunked is well formed
// but unknown (501); anything else leaves the length unknown (400).
Error check_transfer_encoding(std::string_view value) {
    if (iequals(value, "chunked")) return Error::kNone;
    std::string_view list = value, coding, last;
    uint32_t chunked = 0;
    while (next_list_element(list, coding)) {
        if (!is_token(coding)) return Error::kBadTransferEncoding;
        chunked += iequals(coding, "chunked");
        last = coding;
    }
    return chunked == 1 && iequals(last, "chunked") && last.size() != value.size() && value.front() != ',' && value.back() != ','
               ? Error::kUnknownTransferCoding
               : Error::kBadTransferEncoding;
}

Error take_connection(std::string_view list, FieldFacts& facts) {
    std::string_view option;
    while (next_list_element(list, option)) {
        if (!is_token(option)) return Error::kBadHeaderValue;
        if (++facts.connection_options > kConnectionOptionsMax) return Error::kTooManyHeaders;
        if (iequals(option, "close")) facts.close = true;
        else if (iequals(option, "keep-alive")) facts.keep_alive = true;
        else if (iequals(option, "upgrade")) facts.upgrade_option = true;
    }
    return Error::kNone;
}

// RFC 9110 7.8: 1#protocol, each a token with an optional "/" token.
Error check_upgrade(std::string_view list) {
    std::string_view protocol;
    uint32_t count = 0;
    while (next_list_element(list, protocol)) {
        const size_t slash = protocol.find('/');
        if (!is_token(protocol.substr(0, slash))) return Error::kBadUpgrade;
        if (slash != protocol.npos && !is_token(protocol.substr(slash + 1))) return Error::kBadUpgrade;
        count++;
    }
    return count ? Error::kNone : Error::kBadUpgrade;
}

Error look_at(HeaderId id, std::string_view value, HeadReader::Kind kind, FieldFacts& facts) {
    switch (id) {
        case HeaderId::kHost:
            if (kind != HeadReader::Kind::kRequest) return Error::kNone;
            if (facts.has_host) return Error::kManyHosts;
            facts.has_host = true;
            facts.host = value;
            return Error::kNone;
        case HeaderId::kContentLength:
            // RFC 9110 8.6 lets a recipient merge equal ones; we refuse, as two readers of a list may differ.
            if (facts.has_length) return Error::kManyContentLengths;
            facts.has_length = true;
            return parse_content_length(value, &facts.content_length) ? Error::kNone : Error::kBadContentLength;
        case HeaderId::kTransferEncoding:
            if (facts.has_transfer_encoding) return Error::kBadTransferEncoding;
            facts.has_transfer_encoding = true;
            facts.transfer_encoding = check_transfer_encoding(value);
            return Error::kNone;
        case HeaderId::kConnection:
            return take_connection(value, facts);
        case HeaderId::kUpgrade:
            facts.has_upgrade = true;
            return check_upgrade(value);
        case HeaderId::kExpect:
            facts.has_expect = true;
            facts.expect_is_continue = facts.expect_is_continue && iequals(value, "100-continue");
            return Error::kNone;
        default:
            return Error::kNone;
    }
}

}  // namespace

bool parse_content_length(std::string_view text, uint64_t* length) {
    if (text.empty() || text.size() > 19) return false;  // 19 digits cannot overflow 64 bits
    uint64_t value = 0;
    for (char c : text) {
        if (!is_digit(c)) return false;
        value = value * 10 + static_cast<uint64_t>(c - '0');
    }
    *length = value;
    return value <= INT64_MAX;
}

Error parse_fields(const char* text, const uint32_t* line_ends, uint32_t lines, HeadReader::Kind kind, HeaderList& headers,
                   FieldFacts& facts) {
    if (!headers.reserve(headers.size() + lines)) return Error::kArenaFull;
    for (uint32_t i = 1; i + 1 < lines; i++) {
        const char* const line = text + line_ends[i - 1];
        const char* const line_end = text + line_ends[i] - 2;
        const char* end = line_end;
        const uint32_t name_length = token_length(line);
        if (line[name_length] != ':' || name_length == 0) [[unlikely]]
            return name_error(line, end, name_length);
        const char* value = line + name_length + 1;
        while (is_space_or_tab(*value)) value++;  // stops at the line's CR
        while (end > value && is_space_or_tab(end[-1])) end--;
        const Header header{{line, name_length}, {value, static_cast<size_t>(end - value)}, header_table::header_id_of_padded_token(line, name_length)};
        if (kLookedAt >> static_cast<unsigned>(header.id) & 1) {
            // HTAB is white space around a value (RFC 9110 5.5), but not every reader's: no doubt about framing fields.
            if ((kFraming >> static_cast<unsigned>(header.id) & 1) && std::memchr(line, '\t', static_cast<size_t>(line_end - line))) [[unlikely]]
                return header.id == HeaderId::kContentLength ? Error::kBadContentLength : Error::kBadTransferEncoding;
            const Error error = look_at(header.id, header.value, kind, facts);
            if (error != Error::kNone) [[unlikely]] return error;
            if (header.id == HeaderId::kHost && kind == HeadReader::Kind::kRequest) continue;
        }
        if (!headers.add(header)) return Error::kArenaFull;
    }
    return Error::kNone;
}

}  // namespace sluice::http::h1
