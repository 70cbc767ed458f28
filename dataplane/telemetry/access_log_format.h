// Access log lines: Envoy format strings and Envoy's JSON templates, parsed once. In: an AccessLogEntry. Out: one line with its
// newline, appended to a string. Nothing a peer sent can start a new line, leave its quotes or move a terminal's cursor:
// control characters, quotes and backslashes are escaped in both forms. Runs on the telemetry thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "telemetry/access_log.h"
#include "telemetry/access_log_captures.h"

namespace sluice::telemetry {

/// Envoy's default access log format, to the letter.
extern const std::string_view kDefaultTextFormat;

struct FormatError {
    size_t position = 0;    // in the format text, bytes from 0
    size_t length = 0;      // of the offending part
    std::string message;    // "unknown operator %FOO%"
    std::string cure;       // may be empty
    std::string key;        // of a template: "request.path"
};

/// Envoy's json_format: what a line looks like, with format strings for values. Objects keep their order.
struct JsonTemplate {
    enum class Kind : uint8_t { kFormat, kLiteral, kObject, kList } kind = Kind::kObject;
    std::string text;                                         // the format string, or a literal as JSON (12, true, null)
    std::vector<std::pair<std::string, JsonTemplate>> members;   // of an object; a list's have no names
};

class AccessLogFormat {
 public:
    /// Envoy's omit_empty_values: nothing for "-" in text, and in JSON no key whose value is absent.
    struct Options {
        bool omit_empty = false;
    };
    static constexpr size_t kFormatBytesMax = 16 * 1024;
    static constexpr uint32_t kTemplateDepthMax = 8, kTemplateValuesMax = 256;

    /// Envoy's default; a request that did not end well gets its reason in words as one more field: reason="...".
    static AccessLogFormat text();
    /// One JSON object a line with Istio's keys, and ours: reason, listener, attempts, core.
    static AccessLogFormat json();
    /// An Envoy format string. Unknown operators are refused, with what was probably meant.
    static Result<AccessLogFormat, FormatError> parse(std::string_view format, Options options);
    static Result<AccessLogFormat, FormatError> parse(std::string_view format) { return parse(format, Options{}); }
    /// An object of them. Values of one operator alone keep their type: numbers are numbers, what is absent is null.
    static Result<AccessLogFormat, FormatError> parse(const JsonTemplate& object, Options options);
    static Result<AccessLogFormat, FormatError> parse(const JsonTemplate& object) { return parse(object, Options{}); }

    AccessLogFormat(AccessLogFormat&&) noexcept;
    AccessLogFormat& operator=(AccessLogFormat&&) noexcept;
    AccessLogFormat(const AccessLogFormat&);
    AccessLogFormat& operator=(const AccessLogFormat&);
    ~AccessLogFormat();

    /// Appends one line, newline included.
    void format(const AccessLogEntry& entry, std::string& out) const;

    /// What entry.captured must hold. move_captures(): as places among those of several formats; false if they are too many.
    const AccessLogCaptures& captures() const { return captures_; }
    [[nodiscard]] bool move_captures(AccessLogCaptures& all);

    /// Markdown: each of Envoy's operators and what this gateway says there. Part of docs/telemetry.md.
    static std::string operators_markdown();

    struct Part;
    struct Node;

 private:
    AccessLogFormat();
    std::vector<Part> parts_;       // of a line of text
    std::unique_ptr<Node> json_;    // or of an object
    AccessLogCaptures captures_;
    Options options_;
    bool with_reason_ = false;
};

/// The gRPC status of an answer: of its trailer, of its head when it has no body, or what gRPC makes of its HTTP status.
uint64_t grpc_status_number(std::string_view trailer, std::string_view header, uint16_t http_status);

/// Escaping for text lines: \" \\ \n \r \t, other control and non-ASCII bytes as \xNN.
void append_escaped_text(std::string_view text, std::string& out);
/// Escaping inside a JSON string: RFC 8259 7; bytes that are not UTF-8 become U+FFFD.
void append_escaped_json(std::string_view text, std::string& out);

}  // namespace sluice::telemetry
