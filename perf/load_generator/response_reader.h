// Where a response ends, and its status: enough of HTTP/1.1 to time it. The body is passed over, not kept.
// In: bytes as they come, cut anywhere. Out: whether the response is over, and how many bytes were its own.
// Owns a copy of an unfinished head. RFC 9112 6.3 (message body length), 7.1 (chunked).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::perf {

class ResponseReader {
 public:
    enum class State : uint8_t { kMore, kDone, kBad };
    struct Step {
        State state = State::kMore;
        uint32_t used = 0;      // of the bytes given; all of them while kMore
    };

    /// After kDone the reader stands before the next response.
    Step take(std::span<const uint8_t> bytes);
    uint16_t status() const { return status_; }
    /// True: the connection ends with this response.
    bool close() const { return close_; }
    /// The peer closed. True if that is where the response ends.
    bool ends_at_close() const { return part_ == Part::kToClose; }
    bool between() const { return part_ == Part::kHead && head_bytes_ == 0; }
    void reset() { *this = {}; }

 private:
    enum class Part : uint8_t { kHead, kBody, kChunkSize, kChunkData, kChunkEnd, kTrailer, kToClose };
    static constexpr uint32_t kHeadBytesMax = 4096, kChunkLineMax = 32;

    bool read_head(std::string_view head);
    Step take_head(std::span<const uint8_t> bytes);
    Step take_chunked(std::span<const uint8_t> bytes);
    bool chunk_line(uint8_t byte);
    Step done(size_t used);

    Part part_ = Part::kHead;
    bool close_ = false;
    uint16_t status_ = 0;
    uint32_t head_bytes_ = 0;
    uint64_t left_ = 0;          // of the body, or of a chunk
    uint32_t line_bytes_ = 0;    // of a chunk's size line or a trailer line, so far
    bool digits_over_ = false;
    std::array<char, kHeadBytesMax> head_;
};

}  // namespace sluice::perf
