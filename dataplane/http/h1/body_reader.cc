// Moves body bytes from the receive queue onward without copying; knows how much is left and when a body is whole.
// In: slices. Out: the same slices (cut ones are shared). Owns no bytes. RFC 9112 6 and 8.
#include <algorithm>

#include "http/h1/body_state.h"
#include "http/h1/codec.h"

namespace sluice::http::h1 {

void BodyReader::start(Framing framing, uint64_t content_length, const Limits& limits) {
    *this = BodyReader();
    framing_ = framing;
    state_ = State::kSize;
    remaining_ = framing == Framing::kLength ? content_length : 0;
    trailer_bytes_max_ = limits.trailer_bytes;
    trailers_max_ = limits.headers;
    done_ = framing == Framing::kNone || (framing == Framing::kLength && content_length == 0);
}

Status BodyReader::fail(Error error) {
    error_ = error;
    return Status::kError;
}

// False if no node was left to cut a slice; what had moved by then is counted.
bool BodyReader::move(SliceQueue& in, SliceQueue& out, uint64_t n, uint64_t* consumed) {
    const uint64_t before = in.bytes();
    const bool whole = in.split_to(n, out);
    const uint64_t moved = before - in.bytes();
    *consumed += moved;
    if (framing_ != Framing::kUntilClose) remaining_ -= moved;
    return whole;
}

Status BodyReader::read(SliceQueue& in, SliceQueue& out, uint64_t max_bytes, HeaderList* trailers, uint64_t* consumed) {
    if (error_ != Error::kNone) return Status::kError;
    if (done_) return Status::kDone;
    return framing_ == Framing::kChunked ? read_chunked(in, out, max_bytes, trailers, consumed)
                                         : read_counted(in, out, max_bytes, consumed);
}

Status BodyReader::read_counted(SliceQueue& in, SliceQueue& out, uint64_t max_bytes, uint64_t* consumed) {
    uint64_t n = std::min(in.bytes(), max_bytes);
    if (framing_ == Framing::kLength) n = std::min(n, remaining_);
    if (!move(in, out, n, consumed)) return fail(Error::kArenaFull);
    done_ = framing_ == Framing::kLength && remaining_ == 0;
    return done_ ? Status::kDone : Status::kNeedMore;
}

Status BodyReader::read_chunked(SliceQueue& in, SliceQueue& out, uint64_t max_bytes, HeaderList* trailers, uint64_t* consumed) {
    while (!done_) {
        if (in.empty()) return Status::kNeedMore;
        if (state_ == State::kData) {
            const uint64_t n = std::min({in.bytes(), remaining_, max_bytes});
            if (n == 0) return Status::kNeedMore;  // max_bytes are moved
            if (!move(in, out, n, consumed)) return fail(Error::kArenaFull);
            max_bytes -= n;
            if (remaining_ == 0) state_ = State::kDataCr;
            continue;
        }
        const Slice& front = in.front();
        const uint32_t size = front.size();
        uint32_t taken = 0;
        Error error = Error::kNone;
        while (taken < size && !done_ && state_ != State::kData && error == Error::kNone)
            error = step(static_cast<char>(front.data()[taken++]), trailers);
        in.consume(taken);
        *consumed += taken;
        if (error != Error::kNone) return fail(error);
    }
    return Status::kDone;
}

Status BodyReader::end_of_stream() {
    if (error_ != Error::kNone) return Status::kError;
    if (framing_ == Framing::kUntilClose) done_ = true;  // RFC 9112 6.3 (8)
    if (done_) return Status::kDone;
    return fail(Error::kUnexpectedEnd);  // RFC 9112 8: incomplete
}

}  // namespace sluice::http::h1
