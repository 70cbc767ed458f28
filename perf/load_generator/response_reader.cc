// Framing of responses (see response_reader.h). The usual one, a head and a length in one piece, is read where it lies.
// In and out: see the header. A head in pieces beyond 4 KiB, or a length that is none, ends the reading: a load test wants to know.
#include "perf/load_generator/response_reader.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace sluice::perf {

namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";

std::string_view text(std::span<const uint8_t> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

bool is(std::string_view word, std::string_view wanted) { return word.size() == wanted.size() && strncasecmp(word.data(), wanted.data(), word.size()) == 0; }

bool ends_with(std::string_view value, std::string_view word) { return value.size() >= word.size() && is(value.substr(value.size() - word.size()), word); }

int hex(uint8_t c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; }

}  // namespace

ResponseReader::Step ResponseReader::done(size_t used) {
    part_ = Part::kHead;
    head_bytes_ = 0;
    return {State::kDone, static_cast<uint32_t>(used)};
}

/// Status line and the fields that say where the body ends.
bool ResponseReader::read_head(std::string_view head) {
    if (head.size() < 12 || !head.starts_with("HTTP/1.") || std::from_chars(head.data() + 9, head.data() + 12, status_).ec != std::errc{}) return false;
    close_ = head[7] == '0';
    bool chunked = false, has_length = false;
    left_ = 0;
    for (size_t at = head.find("\r\n"); at != head.npos && at + 2 < head.size();) {
        const size_t begin = at + 2;
        at = head.find("\r\n", begin);
        const std::string_view line = head.substr(begin, at == head.npos ? at : at - begin);
        const size_t colon = line.find(':');
        if (colon == line.npos) continue;
        const std::string_view name = line.substr(0, colon);
        std::string_view value = line.substr(colon + 1);
        while (value.starts_with(' ')) value.remove_prefix(1);
        if (is(name, "content-length")) {
            has_length = true;
            if (std::from_chars(value.data(), value.data() + value.size(), left_).ec != std::errc{}) return false;
        } else if (is(name, "transfer-encoding")) {
            chunked = ends_with(value, "chunked");
        } else if (is(name, "connection")) {
            close_ = is(value, "close") || (close_ && !is(value, "keep-alive"));
        }
    }
    if (status_ < 200 && status_ != 101) return true;   // an interim response: the next head follows (take_head)
    const bool no_body = status_ == 204 || status_ == 304;
    part_ = chunked ? Part::kChunkSize : has_length || no_body ? Part::kBody : Part::kToClose;
    if (no_body) left_ = 0;
    close_ |= part_ == Part::kToClose;
    line_bytes_ = 0;
    digits_over_ = false;
    return true;
}

ResponseReader::Step ResponseReader::take_head(std::span<const uint8_t> bytes) {
    if (head_bytes_ == 0) {   // whole, where it lies
        const size_t end = text(bytes).find(kHeadEnd);
        if (end != std::string_view::npos) return {read_head(text(bytes).substr(0, end)) ? State::kMore : State::kBad, static_cast<uint32_t>(end + 4)};
    }
    const size_t n = std::min<size_t>(bytes.size(), kHeadBytesMax - head_bytes_);
    std::memcpy(head_.data() + head_bytes_, bytes.data(), n);
    const uint32_t from = head_bytes_ < 3 ? 0 : head_bytes_ - 3;
    const std::string_view have(head_.data(), head_bytes_ + n);
    const size_t end = have.find(kHeadEnd, from);
    if (end == have.npos) {
        head_bytes_ += static_cast<uint32_t>(n);
        return {head_bytes_ == kHeadBytesMax ? State::kBad : State::kMore, static_cast<uint32_t>(n)};
    }
    const auto used = static_cast<uint32_t>(end + 4 - head_bytes_);
    head_bytes_ = 0;
    return {read_head(have.substr(0, end)) ? State::kMore : State::kBad, used};
}

/// One byte of a chunk's size line. False: it is none.
bool ResponseReader::chunk_line(uint8_t byte) {
    if (++line_bytes_ > kChunkLineMax) return false;
    const int digit = hex(byte);
    if (byte == '\n') {
        if (line_bytes_ < 3) return false;
        part_ = left_ == 0 ? Part::kTrailer : Part::kChunkData;
        line_bytes_ = 0;
        digits_over_ = false;
    } else if (digit >= 0 && !digits_over_) {
        if (left_ >> 56) return false;
        left_ = left_ * 16 + static_cast<uint64_t>(digit);
    } else {
        digits_over_ = true;   // CR, or a chunk extension
    }
    return true;
}

ResponseReader::Step ResponseReader::take_chunked(std::span<const uint8_t> bytes) {
    for (size_t at = 0; at < bytes.size();) {
        if (part_ == Part::kChunkData) {
            const uint64_t n = std::min<uint64_t>(left_, bytes.size() - at);
            at += n, left_ -= n;
            if (left_ == 0) part_ = Part::kChunkEnd;
            continue;
        }
        const uint8_t byte = bytes[at++];
        if (part_ == Part::kChunkSize) {
            if (!chunk_line(byte)) return {State::kBad, static_cast<uint32_t>(at)};
        } else if (part_ == Part::kChunkEnd) {
            if (byte == '\n') part_ = Part::kChunkSize;
        } else if (byte == '\n') {   // a trailer's line; an empty one is the end
            if (line_bytes_ == 0) return done(at);
            line_bytes_ = 0;
        } else if (byte != '\r') {
            line_bytes_++;
        }
    }
    return {State::kMore, static_cast<uint32_t>(bytes.size())};
}

ResponseReader::Step ResponseReader::take(std::span<const uint8_t> bytes) {
    uint32_t used = 0;
    while (part_ == Part::kHead) {
        const Step head = take_head(bytes.subspan(used));
        used += head.used;
        if (head.state == State::kBad) return {State::kBad, used};
        if (part_ == Part::kHead && used == bytes.size()) return {State::kMore, used};
    }
    const auto rest = bytes.subspan(used);
    Step step{State::kMore, static_cast<uint32_t>(rest.size())};
    if (part_ == Part::kBody) {
        const uint64_t n = std::min<uint64_t>(left_, rest.size());
        left_ -= n;
        if (left_ == 0) step = done(n);
    } else if (part_ != Part::kToClose) {
        step = take_chunked(rest);
    }
    return {step.state, used + step.used};
}

}  // namespace sluice::perf
