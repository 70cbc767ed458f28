// Sealing records into fresh mbufs in one pass: header, ciphertext and tag lie tightly, each mbuf holds what TCP sends as one segment, with
// headroom for its headers. In: plain slices of any cut, only read. Out: slices that own their mbufs. All mbufs and list nodes of a record
// are there before its nonce is used: what cannot be sealed stays in the input. RFC 8446 5.1-5.5, RFC 5288, RFC 7905.
#include <algorithm>
#include <cstring>

#include "tls/record_format.h"
#include "tls/record_protect.h"

namespace sluice::tls {

namespace {

constexpr uint32_t kSegmentsMax = (kRecordHeaderBytes + kCiphertextMax) / kSegmentBytesMin + 1;

uint8_t* data_of(rte_mbuf* m) { return rte_pktmbuf_mtod(m, uint8_t*); }

/// Bytes of a queue, from its front.
class QueueSource {
 public:
    explicit QueueSource(const SliceQueue& queue) : node_(queue.head()) {}
    /// At most `most` bytes that lie together.
    std::span<const uint8_t> take(uint32_t most) {
        while (offset_ == node_->slice.size()) node_ = node_->next, offset_ = 0;
        const uint32_t n = std::min(most, node_->slice.size() - offset_);
        const uint8_t* from = node_->slice.data() + offset_;
        offset_ += n;
        return {from, n};
    }

 private:
    const SliceNode* node_;
    uint32_t offset_ = 0;
};

/// Bytes in one piece.
class BytesSource {
 public:
    explicit BytesSource(std::span<const uint8_t> bytes) : bytes_(bytes) {}
    std::span<const uint8_t> take(uint32_t most) {
        const auto part = bytes_.first(std::min<size_t>(most, bytes_.size()));
        bytes_ = bytes_.subspan(part.size());
        return part;
    }

 private:
    std::span<const uint8_t> bytes_;
};

constexpr int kNoType = -1;

/// What is encrypted: data, and 1.3's type behind it.
template <typename Source>
class Content {
 public:
    Content(Source& source, uint32_t data_bytes, int type) : source_(source), data_left_(data_bytes), type_(type) {}
    uint32_t left() const { return data_left_ + (type_ != kNoType); }
    /// The next n bytes in one piece: where they lie, else copied to `at`, where their ciphertext will be. One call of the cipher on a
    /// copy costs less than one for each cut of the input.
    const uint8_t* gather(uint8_t* at, uint32_t n) {
        uint32_t done = 0;
        while (done < n && data_left_ > 0) {
            const std::span<const uint8_t> part = source_.take(std::min(n - done, data_left_));
            data_left_ -= static_cast<uint32_t>(part.size());
            if (part.size() == n) return part.data();
            std::memcpy(at + done, part.data(), part.size());
            done += static_cast<uint32_t>(part.size());
        }
        if (done < n) at[done] = static_cast<uint8_t>(std::exchange(type_, kNoType));
        return at;
    }

 private:
    Source& source_;
    uint32_t data_left_;
    int type_;
};

/// A record over several segments, whose first begins with `header_bytes`. The tag may be cut too.
template <typename Source>
void seal_segments(RecordEngine::Impl& engine, Aead aead, Records::Direction& direction, const Protection& protection,
                   Content<Source>& content, rte_mbuf** segment, uint32_t segment_bytes, uint32_t header_bytes) {
    AeadPass<true> pass(engine, aead, direction, protection);
    uint8_t* at = data_of(*segment) + header_bytes;
    uint32_t room = segment_bytes - header_bytes;
    while (content.left() > 0) {
        if (room == 0) at = data_of(*++segment), room = segment_bytes;
        const uint32_t n = std::min(room, content.left());
        pass.update(at, content.gather(at, n), n);
        at += n, room -= n;
    }
    uint8_t tag[kTagBytes];
    pass.finish(tag);
    const uint32_t here = std::min(room, kTagBytes);
    std::memcpy(at, tag, here);
    if (here < kTagBytes) std::memcpy(data_of(*++segment), tag + here, kTagBytes - here);
}

}  // namespace

bool Records::seal(SliceQueue& plain, SliceQueue& out, Instant now) {
    if (closing_ || state_ == kPeerAlerted) return false;
    const auto now_ms = static_cast<uint32_t>(now.us >> 10);
    if (now_ms - sealed_at_ > static_cast<uint32_t>(kPause.us >> 10)) young_bytes_ = 0;
    sealed_at_ = now_ms;
    while (!plain.empty()) {
        if (version_ == Version::kTls13 && (control_ != 0 || transmit_.sequence >= engine_->key_records_max) && !update_transmit_key(out)) return false;
        const uint32_t bytes = next_record_bytes(plain.bytes());
        QueueSource source(plain);
        if (!seal_record(source, bytes, kTypeApplicationData, out)) return false;
        plain.consume(bytes);
        engine_->counters.bytes_out += bytes;
        young_bytes_ = std::min(young_bytes_ + bytes, kYoungBytes);
    }
    return true;
}

/// One segment while young, then the most that fills whole segments, or all that is left.
uint32_t Records::next_record_bytes(uint64_t available) const {
    const uint32_t overhead_bytes = overhead();
    if (young_bytes_ < kYoungBytes) return static_cast<uint32_t>(std::min<uint64_t>(available, segment_bytes_ - overhead_bytes));
    if (available <= kPlaintextMax) return static_cast<uint32_t>(available);
    return (kPlaintextMax + overhead_bytes) / segment_bytes_ * segment_bytes_ - overhead_bytes;
}

/// False: no mbufs or nodes, or no sequence number is left; then nothing happened.
template <typename Source>
bool Records::seal_record(Source& source, uint32_t bytes, uint8_t type, SliceQueue& out) {
    RecordCounters& counters = engine_->counters;
    const uint32_t total = bytes + overhead();
    const uint32_t segments = (total + segment_bytes_ - 1) / segment_bytes_;
    rte_mbuf* mbufs[kSegmentsMax];
    if (transmit_.sequence == UINT64_MAX) {   // RFC 8446 5.3: never wraps; 2^64 records are never reached
        closing_ = true;
        return false;
    }
    if (out.nodes().available() < segments || rte_pktmbuf_alloc_bulk(engine_->mbufs, mbufs, segments) != 0) [[unlikely]] {
        counters.no_mbuf++;
        return false;
    }

    const bool inner = version_ == Version::kTls13;
    const uint32_t payload = total - kRecordHeaderBytes;
    uint8_t header[kRecordHeaderBytes + 8] = {inner ? kTypeApplicationData : type, kWireVersion >> 8, kWireVersion & 0xff,
                                              static_cast<uint8_t>(payload >> 8), static_cast<uint8_t>(payload)};
    const uint8_t* explicit_nonce = nullptr;
    if (explicit_bytes() > 0) {
        uint64_t ahead;
        std::memcpy(&ahead, transmit_.secret, sizeof ahead);
        store_be64(header + kRecordHeaderBytes, transmit_.sequence + ahead);
        explicit_nonce = header + kRecordHeaderBytes;
    }
    const Protection protection(version_, transmit_, header, bytes, explicit_nonce);
    const uint32_t header_bytes = kRecordHeaderBytes + explicit_bytes();
    uint8_t* const first = data_of(mbufs[0]);
    std::memcpy(first, header, header_bytes);
    Content<Source> content(source, bytes, inner ? type : kNoType);
    if (segments == 1) {
        uint8_t* const at = first + header_bytes;
        const uint32_t n = content.left();
        const uint8_t* const from = content.gather(at, n);
        protect_whole<true>(*engine_, aead_, transmit_, protection, at, from, n, at + n);
    } else {
        seal_segments(*engine_, aead_, transmit_, protection, content, mbufs, segment_bytes_, header_bytes);
    }

    transmit_.sequence++;
    counters.records_out++;
    for (uint32_t i = 0, left = total; i < segments; i++) {
        const uint32_t n = std::min<uint32_t>(left, segment_bytes_);
        if (!out.push_back(Slice(mbufs[i], mbufs[i]->data_off, n))) std::unreachable();   // nodes were counted above
        left -= n;
    }
    return true;
}

bool Records::seal_control(std::span<const uint8_t> content, uint8_t type, SliceQueue& out) {
    BytesSource source(content);
    return seal_record(source, static_cast<uint32_t>(content.size()), type, out);
}

}  // namespace sluice::tls
