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

/// Where a record's bytes go: segments of `room` bytes in order.
class Output {
 public:
    Output(rte_mbuf** segments, uint32_t room) : segments_(segments), room_(room) { next(); }
    uint8_t* at() const { return at_; }
    uint32_t left() const { return left_; }
    void advance(uint32_t n) {
        at_ += n, left_ -= n;
        if (left_ == 0) next();
    }
    void copy(const uint8_t* from, uint32_t bytes) {
        while (bytes > 0) {
            const uint32_t n = std::min(bytes, left_);
            std::memcpy(at_, from, n);
            advance(n);
            from += n, bytes -= n;
        }
    }
    /// Encrypts into as many segments as it takes.
    void seal(AeadPass<true>& pass, const uint8_t* from, uint32_t bytes) {
        while (bytes > 0) {
            const uint32_t n = std::min(bytes, left_);
            pass.update(at_, from, n);
            advance(n);
            from += n, bytes -= n;
        }
    }

 private:
    void next() {   // one behind the last is never written: the record fits exactly
        at_ = *segments_ ? rte_pktmbuf_mtod(*segments_, uint8_t*) : nullptr;
        segments_++;
        left_ = room_;
    }
    rte_mbuf** segments_;
    uint8_t* at_ = nullptr;
    uint32_t room_, left_ = 0;
};

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

}  // namespace

bool Records::seal(SliceQueue& plain, SliceQueue& out, Instant now) {
    if (closing_ || state_ == kPeerAlerted) return false;
    const auto now_ms = static_cast<uint32_t>(now.us >> 10);
    if (now_ms - sealed_at_ > static_cast<uint32_t>(kPause.us >> 10)) young_bytes_ = 0;
    sealed_at_ = now_ms;
    while (!plain.empty()) {
        if (version_ == Version::kTls13 && (control_ != 0 || transmit_.sequence >= kKeyRecordsMax) && !update_transmit_key(out)) return false;
        const uint32_t bytes = next_record_bytes(plain.bytes());
        if (!seal_record(QueueSource(plain), bytes, kTypeApplicationData, out)) return false;
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
bool Records::seal_record(Source&& source, uint32_t bytes, uint8_t type, SliceQueue& out) {
    RecordCounters& counters = engine_->counters;
    const uint32_t total = bytes + overhead();
    const uint32_t segments = (total + segment_bytes_ - 1) / segment_bytes_;
    rte_mbuf* mbufs[kSegmentsMax + 1];
    if (transmit_.sequence == UINT64_MAX) {   // RFC 8446 5.3: never wraps; 2^64 records are never reached
        closing_ = true;
        return false;
    }
    if (out.nodes().available() < segments || rte_pktmbuf_alloc_bulk(engine_->mbufs, mbufs, segments) != 0) [[unlikely]] {
        counters.no_mbuf++;
        return false;
    }
    mbufs[segments] = nullptr;

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
    Output output(mbufs, segment_bytes_);
    output.copy(header, kRecordHeaderBytes + explicit_bytes());
    AeadPass<true> pass(*engine_, aead_, transmit_, protection);
    for (uint32_t left = bytes; left > 0;) {
        const std::span<const uint8_t> part = source.take(left);
        output.seal(pass, part.data(), static_cast<uint32_t>(part.size()));
        left -= static_cast<uint32_t>(part.size());
    }
    if (inner) output.seal(pass, &type, 1);
    uint8_t tag[kTagBytes];
    pass.finish(tag);
    output.copy(tag, kTagBytes);

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
    return seal_record(BytesSource(content), static_cast<uint32_t>(content.size()), type, out);
}

}  // namespace sluice::tls
