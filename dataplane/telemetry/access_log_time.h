// START_TIME's format: the strftime letters that make sense in UTC, and Envoy's fractions of a second. In: microseconds
// since 1970. Out: text appended. Formats are checked once by check_time_format().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::telemetry {

/// Envoy's default: 2026-11-22T23:21:13.123Z.
inline constexpr std::string_view kDefaultTimeFormat = "%Y-%m-%dT%H:%M:%E3SZ";

/// Offset of the first specifier that is not known; empty if all are.
std::optional<size_t> check_time_format(std::string_view format);
void append_time(std::string_view format, uint64_t unix_us, std::string& out);

}  // namespace sluice::telemetry
