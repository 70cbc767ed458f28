// Escaping of what peers sent, so that a log line stays one line and a terminal stays still (threat model, log injection).
// In: any bytes. Out: appended text. RFC 8259 (7) for JSON, RFC 3629 for what counts as UTF-8.
#include "telemetry/access_log_format.h"

#include <fmt/format.h>

#include <iterator>

namespace sluice::telemetry {

namespace {

/// Length of the valid UTF-8 sequence at the start of `text`, its code point in `code`; 0 if the bytes are not UTF-8.
size_t utf8(std::string_view text, uint32_t& code) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const size_t length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > text.size()) return 0;
    code = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        const auto next = static_cast<unsigned char>(text[i]);
        if ((next & 0xc0) != 0x80) return 0;
        code = code << 6 | (next & 0x3fu);
    }
    constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return 0;
    return length;
}

/// C0, DEL, C1 controls, and the separators that some readers take for line ends (U+2028, U+2029).
bool is_control(uint32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029; }

}  // namespace

void append_escaped_text(std::string_view text, std::string& out) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            if (c == '"' || c == '\\') out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c == '\t') {
            out += "\\t";
        } else {
            fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
        }
    }
}

void append_escaped_json(std::string_view text, std::string& out) {
    while (!text.empty()) {
        uint32_t code = 0;
        const size_t length = utf8(text, code);
        if (length == 0) {
            out += "\\ufffd";
        } else if (is_control(code)) {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
        } else {
            if (code == '"' || code == '\\') out += '\\';
            out.append(text.data(), length);
        }
        text.remove_prefix(length ? length : 1);
    }
}

}  // namespace sluice::telemetry
