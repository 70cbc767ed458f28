// Reads a head: at once if it lies in one slice, else gathered in the arena piece by piece; then one parse over the whole.
// In: the receive queue. Out: a Request or Response whose views point into the arena's copy. RFC 9112 2.2, 3, 4, 6.3, 9.3.
// Errors depend on the bytes alone: bytes that no head may hold are refused when they come, the rest when the head is whole.
#include <algorithm>
#include <cstring>

#include "http/authority.h"
#include "http/h1/codec.h"
#include "http/h1/fields.h"
#include "http/h1/head_scan.h"
#include "http/h1/start_line.h"

namespace sluice::http::h1 {

struct HeadReader::Head {
    const char* text = nullptr;   // from the start line on, kHeadPadding readable bytes behind it
    uint32_t lines = 0;
    uint32_t line_ends[kHeadersMax + 2];
};

namespace {

// Beside the target: a method that is a known one or at most 32 bytes, two spaces, the version and CRLF.
constexpr uint32_t kRequestLineOverhead = 48;
// A head that spans slices is copied this much at a time, so that little of a body behind it is copied too.
constexpr uint32_t kGatherStepBytes = 1984;

HeadBounds bounds_of(HeadReader::Kind kind, const Limits& limits) {
    const bool request = kind == HeadReader::Kind::kRequest;
    return {.head_bytes = limits.header_bytes,
            .first_line_bytes = request ? limits.target_bytes + kRequestLineOverhead : limits.header_bytes,
            .lines = limits.headers + 1,
            .skip_one_empty_line = request,
            .bad_first_line = request ? Error::kBadRequestLine : Error::kBadStatusLine};
}

// RFC 9112 9.3: the default of the version unless Connection says otherwise; close wins.
bool wants_keep_alive(Version version, const FieldFacts& facts) {
    if (facts.close) return false;
    return version == Version::kHttp11 || facts.keep_alive;
}

// What holds for both directions: RFC 9112 6.1 and 6.3.
Error check_framing(Version version, const FieldFacts& facts) {
    if (!facts.has_transfer_encoding) return Error::kNone;
    if (facts.has_length) return Error::kLengthWithTransferEncoding;
    if (version == Version::kHttp10) return Error::kTransferEncodingInHttp10;
    return facts.transfer_encoding;
}

Error finish_framing(Request& request, const FieldFacts& facts) {
    const Error error = check_framing(request.version, facts);
    if (error != Error::kNone) return error;
    if (request.method == Method::kConnect || request.method == Method::kTrace) {
        // RFC 9110 9.3.6 and 9.3.8: no content is defined for CONNECT, none allowed for TRACE; what a next hop takes for
        // tunnel bytes or for a request must not be in doubt.
        if (facts.has_transfer_encoding) return Error::kBadTransferEncoding;
        if (facts.content_length > 0) return Error::kBadContentLength;
    }
    request.framing = facts.has_transfer_encoding ? Framing::kChunked : facts.has_length ? Framing::kLength : Framing::kNone;
    request.content_length = facts.content_length;
    return Error::kNone;
}

// RFC 9112 3.2 and 3.2.2: a target's own authority replaces Host, which must be there and valid nonetheless.
Error finish_authority(Request& request, const FieldFacts& facts) {
    if (!facts.has_host) return request.version == Version::kHttp10 ? Error::kNone : Error::kNoHost;
    Authority host;
    if (!parse_authority(facts.host, &host)) return Error::kBadHost;
    if (request.authority.empty()) request.authority = facts.host;
    return Error::kNone;
}

Error finish_request(Request& request, const FieldFacts& facts) {
    Error error = finish_authority(request, facts);
    if (error == Error::kNone) error = finish_framing(request, facts);
    if (error != Error::kNone) return error;
    const bool is_http11 = request.version == Version::kHttp11;
    request.keep_alive = wants_keep_alive(request.version, facts);
    // RFC 9110 7.8 and 10.1.1: a 1.0 client's Upgrade and 100-continue are ignored. So is an Upgrade with a body, as 7.8 allows:
    // readers differ on whether the tunnel starts before or behind it.
    const bool has_body = request.framing == Framing::kChunked || request.content_length > 0;
    request.upgrade = is_http11 && facts.upgrade_option && facts.has_upgrade && !has_body;
    if (facts.has_expect && !facts.expect_is_continue) return Error::kBadExpect;
    request.expect_continue = is_http11 && facts.has_expect && has_body;
    return Error::kNone;
}

// RFC 9112 6.3, in its order.
Error finish_response(Response& response, const FieldFacts& facts, Method request_method) {
    const Error error = check_framing(response.version, facts);
    if (error != Error::kNone) return error;
    const uint16_t status = response.status;
    response.keep_alive = wants_keep_alive(response.version, facts);
    response.content_length = facts.content_length;
    response.framing = Framing::kNone;
    if (status == 101 && !(facts.upgrade_option && facts.has_upgrade)) return Error::kBadUpgrade;
    if (status < 200) {
        // RFC 9110 8.6 and RFC 9112 6.1: neither field may be there; bytes after it would be read as the final response.
        if (facts.has_transfer_encoding) return Error::kBadTransferEncoding;
        return facts.content_length > 0 ? Error::kBadContentLength : Error::kNone;
    }
    if (status == 204) {
        // Against the same clauses, but seen with 0 in the field; with more, the connection is not to be trusted again.
        if (facts.has_transfer_encoding || facts.content_length > 0) response.keep_alive = false;
        return Error::kNone;
    }
    if (request_method == Method::kHead || status == 304) return Error::kNone;
    if (request_method == Method::kConnect && status < 300) return Error::kNone;
    if (facts.has_transfer_encoding) {
        response.framing = Framing::kChunked;
    } else if (facts.has_length) {
        response.framing = Framing::kLength;
    } else {
        response.framing = Framing::kUntilClose;
        response.keep_alive = false;
    }
    return Error::kNone;
}

}  // namespace

HeadReader::HeadReader(Kind kind, const Limits& limits, const PathOptions& path) : kind_(kind), limits_(limits), path_(path) {
    limits_.headers = std::min(limits_.headers, kHeadersMax);
    limits_.header_bytes = std::min(limits_.header_bytes, kHeadBytesMax);
    limits_.target_bytes = std::min(limits_.target_bytes, kHeadBytesMax);
}

void HeadReader::start() {
    error_ = Error::kNone;
    scan_ = {};
    buffer_ = nullptr;
    buffer_size_ = buffer_used_ = 0;
}

Status HeadReader::fail(Error error) {
    error_ = error;
    return Status::kError;
}

bool HeadReader::grow(uint32_t needed, Arena& arena) {
    needed += kHeadPadding;
    if (needed <= buffer_size_) return true;
    // Half a chunk, a whole one, then at once a large one, of which there are few.
    constexpr uint32_t kChunk = sizeof(ArenaChunk::bytes), kLarge = Arena::max_allocation();
    const uint32_t size = needed <= kGatherStepBytes ? kGatherStepBytes : needed <= kChunk ? kChunk : kLarge;
    auto* buffer = static_cast<char*>(arena.allocate(size, 1));
    if (!buffer) return false;
    if (buffer_used_) std::memcpy(buffer, buffer_, buffer_used_);
    buffer_ = buffer;
    buffer_size_ = size;
    return true;
}

// The way of a head that spans slices, or comes in pieces: all bytes go to the buffer as they come.
Status HeadReader::gather(SliceQueue& in, Arena& arena, Head& head) {
    const HeadBounds bounds = bounds_of(kind_, limits_);
    while (!in.empty()) {
        const Slice& front = in.front();
        const uint32_t room = limits_.header_bytes - std::min(buffer_used_, limits_.header_bytes);
        const uint32_t n = std::min({front.size(), room, kGatherStepBytes});
        if (!grow(buffer_used_ + n, arena)) return fail(Error::kArenaFull);
        std::memcpy(buffer_ + buffer_used_, front.data(), n);
        const uint32_t before = buffer_used_;
        buffer_used_ += n;
        const Status status = scan_head(scan_, buffer_, buffer_used_, buffer_size_, bounds, nullptr);
        if (status == Status::kError) return fail(scan_.error);
        if (status == Status::kNeedMore) {
            in.consume(n);
            continue;
        }
        in.consume(scan_.scanned - before);
        HeadScan again;
        if (scan_head(again, buffer_, scan_.scanned, buffer_size_, bounds, head.line_ends) != Status::kDone)
            return fail(again.error);
        head.text = buffer_;
        head.lines = again.lines;
        return Status::kDone;
    }
    return Status::kNeedMore;
}

Status HeadReader::read_head(SliceQueue& in, Arena& arena, Head& head) {
    if (error_ != Error::kNone) return Status::kError;
    if (in.empty()) return Status::kNeedMore;
    if (buffer_used_ > 0 || in.front().empty()) {
        in.consume(0);  // drops empty slices at the front
        return gather(in, arena, head);
    }

    const Slice& front = in.front();
    const auto* text = reinterpret_cast<const char*>(front.data());
    // An mbuf's room behind the bytes is readable, and saves copying the last block of the head.
    const uint32_t readable = std::max(front.size(), uint32_t{front.segment()->buf_len} - front.offset());
    const Status status = scan_head(scan_, text, front.size(), readable, bounds_of(kind_, limits_), head.line_ends);
    if (status == Status::kError) return fail(scan_.error);
    if (status == Status::kNeedMore) {
        scan_ = {};
        return gather(in, arena, head);
    }
    const uint32_t size = scan_.scanned;
    auto* copy = static_cast<char*>(arena.allocate(size + kHeadPadding, 1));
    if (!copy) return fail(Error::kArenaFull);
    std::memcpy(copy, text, size);
    in.consume(size);
    head.text = copy;
    head.lines = scan_.lines;
    return Status::kDone;
}

Status HeadReader::read_request(SliceQueue& in, Request& request) {
    Head head;
    const Status status = read_head(in, request.headers.arena(), head);
    if (status != Status::kDone) return status;
    const std::string_view line(head.text + scan_.begin, head.line_ends[0] - scan_.begin - 2);
    Error error = parse_request_line(line, limits_, path_, request);
    if (error != Error::kNone) return fail(error);
    FieldFacts facts;
    error = parse_fields(head.text, head.line_ends, head.lines, kind_, request.headers, facts);
    if (error == Error::kNone) error = finish_request(request, facts);
    return error == Error::kNone ? Status::kDone : fail(error);
}

Status HeadReader::read_response(SliceQueue& in, Response& response, Method request_method) {
    Head head;
    const Status status = read_head(in, response.headers.arena(), head);
    if (status != Status::kDone) return status;
    Error error = parse_status_line({head.text, head.line_ends[0] - 2}, response);
    if (error != Error::kNone) return fail(error);
    FieldFacts facts;
    error = parse_fields(head.text, head.line_ends, head.lines, kind_, response.headers, facts);
    if (error == Error::kNone) error = finish_response(response, facts, request_method);
    return error == Error::kNone ? Status::kDone : fail(error);
}

}  // namespace sluice::http::h1
