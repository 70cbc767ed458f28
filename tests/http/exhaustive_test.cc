// All strings of a small alphabet at the places where framing is decided, against rules written down a second time, plainly.
#include <gtest/gtest.h>

#include <functional>

#include "tests/http/h1_driver.h"

namespace sluice::http::h1::test {
namespace {

// Calls `check` with every string of 0 to `length` characters of `alphabet`.
void for_all(std::string_view alphabet, size_t length, const std::function<void(const std::string&)>& check) {
    std::string text;
    const std::function<void()> extend = [&] {
        check(text);
        if (text.size() == length || testing::Test::HasFatalFailure()) return;
        for (char c : alphabet) {
            text.push_back(c);
            extend();
            text.pop_back();
        }
    };
    extend();
}

bool accepted(std::string_view bytes) { return read_requests(bytes, {}).find("END\n") != std::string::npos; }
bool all_of(std::string_view text, std::string_view allowed) { return text.find_first_not_of(allowed) == text.npos; }
std::string trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t");
    return first == text.npos ? "" : std::string(text.substr(first, text.find_last_not_of(" \t") + 1 - first));
}

TEST(Exhaustive, ContentLengthValues) {
    for_all("01 \t,+-x", 5, [](const std::string& text) {
        const std::string value = trimmed(text);
        const bool good = !value.empty() && all_of(value, "01") && text.find('\t') == text.npos;  // no HTAB around framing fields
        std::string body(good ? std::stoul(value) : 0, 'x');
        ASSERT_EQ(accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:" + text + "\r\n\r\n" + body), good) << '"' << text << '"';
    });
}

TEST(Exhaustive, ChunkSizeLines) {
    for_all("01aA; x_\r", 4, [](const std::string& text) {
        // Hex digits, then extensions of single "x", "0", "1", "a", "A", "_" characters.
        const size_t digits = std::min(text.find_first_not_of("01aA"), text.size());
        bool good = digits > 0;
        for (size_t i = digits; good && i < text.size();) {
            const size_t end = std::min(text.find(';', i + 1), text.size());
            good = text[i] == ';' && end > i + 1 && all_of(text.substr(i + 1, end - i - 1), "01aAx_");
            i = end;
        }
        const unsigned long size = good ? std::stoul(text.substr(0, digits), nullptr, 16) : 0;
        const std::string rest = size == 0 ? "\r\n" : std::string(size, 'd') + "\r\n0\r\n\r\n";
        ASSERT_EQ(accepted("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + text + "\r\n" + rest), good) << testing::PrintToString(text);
    });
}

TEST(Exhaustive, TransferEncodingValues) {
    for_all("cC, \t;", 5, [](const std::string& text) {
        // "c" stands for "chunked", "C" for "CHUNKED".
        std::string value;
        for (char c : text) value += c == 'c' ? "chunked" : c == 'C' ? "CHUNKED" : std::string(1, c);
        const std::string plain = trimmed(text);
        ASSERT_EQ(accepted("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:" + value + "\r\n\r\n0\r\n\r\n"), (plain == "c" || plain == "C") && text.find('\t') == text.npos) << value;
    });
}

TEST(Exhaustive, StartLines) {
    const std::string_view parts[] = {"GET", " ", "/", "HTTP/1.1", "\t", "*", "a"};
    for (unsigned n = 0; n < 7u * 7 * 7 * 7 * 7 * 7; n++) {
        std::string line;
        for (unsigned rest = n, i = 0; i < 6; i++, rest /= 7) line += parts[rest % 7];
        // By the grammar: method SP target SP version, with nothing else that is a space in it.
        const size_t first = line.find(' '), last = line.rfind(' ');
        bool good = first != line.npos && first < last && line.substr(last + 1) == "HTTP/1.1" && line.find('\t') == line.npos;
        if (good) {
            const std::string method = line.substr(0, first), target = line.substr(first + 1, last - first - 1);
            good = !method.empty() && method.find_first_of("/") == method.npos && target.find(' ') == target.npos && !target.empty() && target[0] == '/';
        }
        ASSERT_EQ(accepted(line + "\r\nHost: a\r\n\r\n"), good) << testing::PrintToString(line);
    }
}

TEST(Exhaustive, FieldLines) {
    for_all("a:; \t\r\n", 6, [](const std::string& text) {
        // One line of field text; a line end inside makes it two or an early end, which only good pieces may be.
        const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n" + text + "\r\n\r\n";
        bool good = true;
        for (size_t at = 0, end;; at = end + 2) {
            end = (text + "\r\n").find("\r\n", at);
            const std::string line = (text + "\r\n").substr(at, end - at);
            if (line.find_first_of("\r\n") != line.npos) good = false;
            if (line.empty()) {
                // The head ends here; what follows would be a second request that starts with this alphabet: only an empty
                // line or nothing is.
                break;
            }
            const size_t colon = line.find(':');
            if (colon == line.npos || colon == 0 || !all_of(line.substr(0, colon), "a")) good = false;
            if (!good || end + 2 >= text.size() + 2) break;
        }
        const std::string log = read_requests(bytes, {});
        ASSERT_EQ(log.find("END\n") != log.npos, good) << testing::PrintToString(text) << "\n" << log;
    });
}

// Every byte value at every place of a small request: what is refused does not depend on the cuts, and what is accepted is
// one of few things.
TEST(Exhaustive, EveryByteEverywhere) {
    const std::string good = "POST /p HTTP/1.1\r\nHost: h\r\nX: v\r\nTransfer-Encoding: chunked\r\n\r\n1;e=f\r\nd\r\n0\r\nT: t\r\n\r\n";
    for (size_t at = 0; at < good.size(); at++)
        for (int c = 0; c < 256; c++) {
            std::string bytes = good;
            bytes[at] = static_cast<char>(c);
            const std::string whole = read_requests(bytes, {});
            ASSERT_EQ(read_requests(bytes, cut_every(bytes.size(), 1)), whole) << at << " " << c;
            if (c < 0x20 && c != '\t' && bytes != good) {
                const bool in_data = at == good.find("d\r\n0");
                ASSERT_EQ(whole.find("END\n") != whole.npos, in_data) << at << " " << c << whole;
            }
        }
}

}  // namespace
}  // namespace sluice::http::h1::test
