// Field lines of a head into a HeaderList, and what they say about framing and connection.
// In: a padded head text and its line ends. Out: views of that text. Owns nothing; the list's array is the arena's.
// RFC 9110 5 (fields), 7.6.1 (Connection), 8.6 (Content-Length), 10.1.1 (Expect); RFC 9112 5, 6.1, 9.3.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/h1/codec.h"

namespace sluice::http::h1 {

struct FieldFacts {
    std::string_view host;
    uint64_t content_length = 0;
    bool has_host = false;
    bool has_length = false;
    bool has_transfer_encoding = false;
    Error transfer_encoding = Error::kNone;  // kNone: exactly "chunked"
    bool close = false;
    bool keep_alive = false;
    bool upgrade_option = false;             // Connection: upgrade
    bool has_upgrade = false;
    bool has_expect = false;
    bool expect_is_continue = true;          // every Expect value was 100-continue
    uint8_t connection_options = 0;
};

/// Bytes that must be readable behind a head's text.
inline constexpr uint32_t kHeadPadding = 64;

/// Lines 1.. of `text` (line 0 is the start line, the last is empty): line i is [line_ends[i - 1], line_ends[i] - 2).
/// A request's Host goes to facts.host and not into the list.
[[nodiscard]] Error parse_fields(const char* text, const uint32_t* line_ends, uint32_t lines, HeadReader::Kind kind,
                                 HeaderList& headers, FieldFacts& facts);

/// 1*DIGIT without sign, white space or list; at most 2^63 - 1, which every reader behind us can hold.
[[nodiscard]] bool parse_content_length(std::string_view text, uint64_t* length);

}  // namespace sluice::http::h1
