// Request line and status line. In: one line of a padded head, without its CRLF. Out: the message's first fields, views of
// the line or of the arena. RFC 9112 2.3, 3 and 4.
#pragma once

#include <string_view>

#include "http/h1/codec.h"

namespace sluice::http::h1 {

/// Fills method, target forms (scheme and authority only for absolute- and authority-form), paths and version.
[[nodiscard]] Error parse_request_line(std::string_view line, const Limits& limits, const PathOptions& options, Request& request);
/// Fills status and version.
[[nodiscard]] Error parse_status_line(std::string_view line, Response& response);

}  // namespace sluice::http::h1
