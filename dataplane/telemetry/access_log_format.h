// Access log lines: Envoy format strings, parsed once, and JSON objects. In: an AccessLogEntry. Out: one line with its
// newline, appended to a string. Nothing a peer sent can start a new line, leave its quotes or move a terminal's cursor:
// control characters, quotes and backslashes are escaped in both forms. Runs on the telemetry thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "telemetry/access_log.h"

namespace sluice::telemetry {

/// Envoy's default access log format, to the letter.
extern const std::string_view kDefaultTextFormat;

struct FormatError {
    size_t position = 0;    // in the format text, bytes from 0
    size_t length = 0;      // of the offending part
    std::string message;    // "unknown operator %FOO%"
    std::string cure;       // may be empty
};

class AccessLogFormat {
 public:
    /// Envoy's default; a request that did not end well gets its reason in words as one more field: reason="...".
    static AccessLogFormat text();
    /// One JSON object a line with Istio's key names, and "reason".
    static AccessLogFormat json();
    /// An Envoy format string. Unknown operators, and headers that are not recorded, are refused.
    static Result<AccessLogFormat, FormatError> parse(std::string_view format);

    /// Appends one line, newline included.
    void format(const AccessLogEntry& entry, std::string& out) const;

    /// Operators understood, with their headers, for help texts and documentation.
    static std::vector<std::string> operators();

    enum class Op : uint8_t;
    struct Part {
        Op op;
        std::string argument;   // literal text, or the time format of START_TIME
        uint32_t max = 0;       // %OP:max%: at most so many characters; 0 = all
    };

 private:
    AccessLogFormat() = default;
    enum class Kind : uint8_t { kText, kJson, kCustom } kind_ = Kind::kText;
    std::vector<Part> parts_;
};

/// Escaping for text lines: \" \\ \n \r \t, other control and non-ASCII bytes as \xNN.
void append_escaped_text(std::string_view text, std::string& out);
/// Escaping inside a JSON string: RFC 8259 7; bytes that are not UTF-8 become U+FFFD.
void append_escaped_json(std::string_view text, std::string& out);

}  // namespace sluice::telemetry
