// Heads and chunk framing into fresh mbufs: all of a message part or nothing.
// In: messages of the model. Out: slices appended to a queue; body slices are moved, small bodies copied beside their framing.
// Framing fields come from arguments alone. RFC 9112 3, 4, 6, 7.1; RFC 9110 8.6.
#include <immintrin.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/short_copy.h"
#include "http/chars.h"
#include "http/h1/codec.h"

namespace sluice::http::h1 {
namespace {

// Below 0x20 but HTAB, and 0x7f.
uint64_t count_controls(std::span<const uint8_t> bytes) {
    uint64_t count = 0;
    size_t i = 0;
    for (; i + 32 <= bytes.size(); i += 32) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes.data() + i));
        const __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
        const __m256i tab = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t'));
        const __m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
        const auto mask = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, low), del)));
        count += static_cast<uint32_t>(__builtin_popcount(mask));
    }
    for (; i < bytes.size(); i++) count += (bytes[i] < 0x20 && bytes[i] != '\t') || bytes[i] == 0x7f;
    return count;
}

// Bytes that may stand in a request target, from the start: visible ASCII but "#".
size_t target_prefix(std::string_view text) {
    size_t good = 0;
    for (; good + 16 <= text.size(); good += 16) {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + good));
        const __m128i off = _mm_sub_epi8(v, _mm_set1_epi8(0x21));
        const __m128i visible = _mm_cmpeq_epi8(_mm_min_epu8(off, _mm_set1_epi8(0x7e - 0x21)), off);
        const __m128i hash = _mm_cmpeq_epi8(v, _mm_set1_epi8('#'));
        const auto fine = static_cast<uint32_t>(_mm_movemask_epi8(_mm_andnot_si128(hash, visible)));
        if (fine != 0xffff) return good + static_cast<uint32_t>(__builtin_ctz(~fine));
    }
    while (good < text.size() && is_char(text[good], kTargetChar)) good++;
    return good;
}

// Text into mbufs, collected in a queue of its own until finish() hands it over. Everything is dropped if memory runs out.
class Output {
 public:
    Output(rte_mempool* pool, SliceNodePool& nodes) : pool_(pool), collected_(nodes) { open_segment(); }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;
    ~Output() {
        if (segment_) rte_pktmbuf_free_seg(segment_);
    }

    void put(std::string_view text) {
        if (text.size() <= static_cast<size_t>(end_ - at_)) [[likely]] {
            at_ = copy_short(at_, text);
            return;
        }
        put_across(text);
    }
    /// Text of a message: a line break in it would become one of the head's own.
    void put_clean(std::string_view text) {
        if (!cleaning_) return put(text);
        for (char c : text) {
            const auto byte = static_cast<uint8_t>(c);
            const char clean = (byte < 0x20 && c != '\t') || byte == 0x7f ? ' ' : c;
            put({&clean, 1});
        }
    }
    void end_line() {
        put("\r\n");
        lines_++;
    }
    /// A request target: what may not stand in one (a rewrite could have put it there) is written percent-encoded.
    void put_target(std::string_view text) {
        const size_t good = target_prefix(text);
        put(text.substr(0, good));
        for (char c : text.substr(good)) {
            if (is_char(c, kTargetChar)) {
                put({&c, 1});
                continue;
            }
            static constexpr char kHex[] = "0123456789ABCDEF";
            const auto byte = static_cast<uint8_t>(c);
            const char escaped[3] = {'%', kHex[byte >> 4], kHex[byte & 15]};
            put({escaped, 3});
        }
    }
    /// name ": " value CRLF. When cleaning, a name that is no token is left out: "transfer-encoding " would be no mere name.
    void put_field(std::string_view name, std::string_view value) {
        const size_t size = name.size() + value.size() + 4;
        if (size > static_cast<size_t>(end_ - at_) || cleaning_) [[unlikely]] {
            if (cleaning_ && !is_token(name)) return;
            put(name);
            put(": ");
            put_clean(value);
            end_line();
            return;
        }
        at_ = copy_short(copy_short(copy_short(copy_short(at_, name), ": "), value), "\r\n");
        lines_++;
    }
    void put_number(uint64_t value, int base = 10) {
        char digits[24];
        const auto result = std::to_chars(digits, digits + sizeof digits, value, base);
        put({digits, static_cast<size_t>(result.ptr - digits)});
    }
    void set_cleaning() { cleaning_ = true; }

    bool complete() {
        close_segment();
        return !failed_;
    }
    /// True if the controls written are those of end_line() alone. After complete().
    bool clean() const {
        uint64_t controls = 0;
        for (const SliceNode* node = collected_.head(); node; node = node->next) controls += count_controls(node->slice.span());
        return controls == 2 * lines_;
    }
    SliceQueue& collected() { return collected_; }

 private:
    void put_across(std::string_view text) {
        while (!text.empty() && !failed_) {
            if (at_ == end_ && !open_segment()) return;
            const size_t n = std::min(text.size(), static_cast<size_t>(end_ - at_));
            std::memcpy(at_, text.data(), n);
            at_ += n;
            text.remove_prefix(n);
        }
    }
    bool open_segment() {
        close_segment();
        segment_ = failed_ ? nullptr : rte_pktmbuf_alloc(pool_);
        if (!segment_) {
            failed_ = true;
            at_ = end_ = nullptr;
            return false;
        }
        at_ = rte_pktmbuf_mtod(segment_, char*);
        end_ = at_ + rte_pktmbuf_tailroom(segment_);
        return true;
    }
    void close_segment() {
        if (!segment_) return;
        const auto size = static_cast<uint32_t>(at_ - rte_pktmbuf_mtod(segment_, char*));
        Slice slice(segment_, segment_->data_off, size);
        segment_ = nullptr;
        at_ = end_ = nullptr;
        if (!collected_.push_back(std::move(slice))) failed_ = true;
    }

    rte_mempool* pool_;
    SliceQueue collected_;
    rte_mbuf* segment_ = nullptr;
    char* at_ = nullptr;
    char* end_ = nullptr;
    uint64_t lines_ = 0;
    bool failed_ = false;
    bool cleaning_ = false;
};

// Runs `write(Output&)`; should a control have got into the message's text by a filter's or another version's fault, runs it
// again with spaces in their place (RFC 9110 5.5). The check reads what was just written, once, from the cache.
template <typename Write>
bool write_clean(rte_mempool* pool, SliceQueue& out, Write write) {
    Output output(pool, out.nodes());
    write(output);
    if (!output.complete()) return false;
    if (output.clean()) [[likely]] {
        out.append(std::move(output.collected()));
        return true;
    }
    Output cleaned(pool, out.nodes());
    cleaned.set_cleaning();
    write(cleaned);
    if (!cleaned.complete()) return false;
    out.append(std::move(cleaned.collected()));
    return true;
}

void put_content_length(Output& output, uint64_t length) {
    output.put("content-length: ");
    output.put_number(length);
    output.end_line();
}

void put_status_line(Output& output, uint16_t status) {
    if (status == 200) [[likely]] {
        output.put("HTTP/1.1 200 OK");
    } else {
        output.put("HTTP/1.1 ");
        output.put_number(status);
        output.put(" ");
        output.put(reason_phrase(status));
    }
    output.end_line();
}

// Everything but what this file writes itself.
void put_fields(Output& output, const HeaderList& headers) {
    for (const Header& header : headers.items()) {
        switch (header.id) {
            case HeaderId::kHost:
            case HeaderId::kConnection:
            case HeaderId::kKeepAlive:
            case HeaderId::kProxyConnection:
            case HeaderId::kTransferEncoding:
            case HeaderId::kContentLength:
            case HeaderId::kUpgrade:
            case HeaderId::kTe:
                continue;
            default:
                output.put_field(header.name, header.value);
        }
    }
}

void put_connection(Output& output, const Header* upgrade, bool te, std::string_view option) {
    if (upgrade) output.put_field("upgrade", upgrade->value);
    if (te) output.put_field("te", "trailers");
    if (!upgrade && !te && option.empty()) return;
    output.put("connection: ");
    std::string_view separator;
    const auto put_option = [&](std::string_view text) {
        output.put(separator);
        output.put(text);
        separator = ", ";
    };
    if (upgrade) put_option("upgrade");
    if (te) put_option("te");
    if (!option.empty()) put_option(option);
    output.end_line();
}

// RFC 9110 8.6: a length of zero is said where the method anticipates content.
bool anticipates_content(Method method) { return method == Method::kPost || method == Method::kPut || method == Method::kPatch; }

}  // namespace

bool write_request(const Request& request, Framing framing, uint64_t content_length, bool close, rte_mempool* pool, SliceQueue& out) {
    if (framing == Framing::kUntilClose) return false;  // no request body ends so (RFC 9112 6.3 (7))
    return write_clean(pool, out, [&](Output& output) {
        output.put_clean(request.method_text.empty() ? to_string(request.method) : request.method_text);
        output.put(" ");
        if (request.method == Method::kConnect) output.put_target(request.authority);
        else output.put_target(request.path.empty() ? "/" : request.path);
        output.put(" HTTP/1.1");
        output.end_line();
        output.put_field("host", request.authority);
        put_fields(output, request.headers);
        if (framing == Framing::kChunked) output.put_field("transfer-encoding", "chunked");
        else if (framing == Framing::kLength) put_content_length(output, content_length);
        else if (anticipates_content(request.method)) put_content_length(output, 0);
        const Header* te = request.headers.find(HeaderId::kTe);
        put_connection(output, request.upgrade ? request.headers.find(HeaderId::kUpgrade) : nullptr,
                       te && list_has_token(te->value, "trailers"), close ? "close" : "");
        output.end_line();
    });
}

bool write_response(const Response& response, Framing framing, uint64_t content_length, bool close, Version peer_version,
                    rte_mempool* pool, SliceQueue& out) {
    const bool is_http10 = peer_version == Version::kHttp10;
    if (framing == Framing::kChunked && is_http10) return false;  // RFC 9112 6.1
    const uint16_t status = response.status;
    return write_clean(pool, out, [&](Output& output) {
        put_status_line(output, status);
        put_fields(output, response.headers);
        if (status >= 200 && status != 204) {
            if (framing == Framing::kChunked) output.put_field("transfer-encoding", "chunked");
            else if (framing == Framing::kLength) put_content_length(output, content_length);
        }
        const bool may_upgrade = status == 101 || status == 426;
        const bool closes = close || framing == Framing::kUntilClose;
        put_connection(output, may_upgrade ? response.headers.find(HeaderId::kUpgrade) : nullptr, false,
                       closes ? "close" : is_http10 ? "keep-alive" : "");
        output.end_line();
    });
}

bool write_interim(uint16_t status, rte_mempool* pool, SliceQueue& out) {
    Output output(pool, out.nodes());
    output.put("HTTP/1.1 ");
    output.put_number(status);
    output.put(" ");
    output.put(reason_phrase(status));
    output.put("\r\n\r\n");
    if (!output.complete()) return false;
    out.append(std::move(output.collected()));
    return true;
}

bool write_chunk(SliceQueue& body, rte_mempool* pool, SliceQueue& out) {
    if (body.empty()) return true;
    Output head(pool, out.nodes());
    head.put_number(body.bytes(), 16);
    head.put("\r\n");
    // 1 KiB copied costs less than the mbuf, node and descriptor of a separate CRLF.
    constexpr uint64_t kCopyBytesMax = 1024;
    if (body.bytes() <= kCopyBytesMax) {
        for (const SliceNode* node = body.head(); node; node = node->next)
            head.put({reinterpret_cast<const char*>(node->slice.data()), node->slice.size()});
        head.put("\r\n");
        if (!head.complete()) return false;
        body.clear();
        out.append(std::move(head.collected()));
        return true;
    }
    Output tail(pool, out.nodes());
    tail.put("\r\n");
    if (!head.complete() || !tail.complete()) return false;
    out.append(std::move(head.collected()));
    out.append(std::move(body));
    out.append(std::move(tail.collected()));
    return true;
}

bool write_last_chunk(const HeaderList* trailers, rte_mempool* pool, SliceQueue& out) {
    return write_clean(pool, out, [&](Output& output) {
        output.put("0");
        output.end_line();
        if (trailers) put_fields(output, *trailers);
        output.end_line();
    });
}

}  // namespace sluice::http::h1
