// A TCP segment's header read once into plain fields, and headers written (RFC 9293 3.1, 7323, 2018).
// In: bytes of a packet, or the fields to send. Out: Segment, or bytes with the checksum still to fill in.
// Owns nothing. Options of a wrong length end the parse: what was read before them counts, nothing after does.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/endian.h"
#include "base/seq.h"

namespace sluice::tcp {

enum Flag : uint8_t {
    kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20, kEce = 0x40, kCwr = 0x80,
};

struct WireHeader {
    be16_t source_port, destination_port;
    be32_t sequence, acknowledgment;
    uint8_t data_offset;  // high nibble: 32-bit words
    uint8_t flags;
    be16_t window;
    uint16_t checksum;  // memory order
    be16_t urgent;
};
static_assert(sizeof(WireHeader) == 20 && alignof(WireHeader) <= 2);

inline constexpr uint32_t kHeaderBytesMax = 60;
inline constexpr uint32_t kTimestampBytes = 12;  // NOP NOP TS, RFC 7323 appendix A
inline constexpr uint8_t kWindowShiftMax = 14;   // RFC 7323 2.3

/// What the IP header's two bits say (RFC 3168 5).
inline constexpr uint8_t kEct0 = 2, kCongestionExperienced = 3;

/// [start, end) in sequence space.
struct SackBlock {
    Seq start, end;
    friend bool operator==(const SackBlock&, const SackBlock&) = default;
};

/// One received header. Ports stay with the four-tuple.
struct Segment {
    Seq seq, ack;
    uint32_t window = 0;         // as on the wire, unscaled
    uint32_t payload_bytes = 0;
    uint8_t flags = 0;
    uint8_t header_bytes = 0;
    uint8_t sack_count = 0;
    bool has_timestamp = false, has_mss = false, has_window_scale = false, sack_permitted = false;
    uint8_t window_shift = 0;
    uint8_t ecn = 0;             // the two bits of the IP header
    uint16_t mss = 0;
    uint16_t merged_bytes = 0;   // payload of each segment of which the port made this one; 0: it came as it is
    uint32_t ts_value = 0, ts_echo = 0;
    std::array<SackBlock, 4> sack;

    /// Payload of what the peer calls one segment.
    uint32_t piece_bytes() const { return merged_bytes != 0 && merged_bytes < payload_bytes ? merged_bytes : payload_bytes; }
    bool has(uint8_t any_of) const { return (flags & any_of) != 0; }
    /// Sequence numbers it occupies (RFC 9293: SEG.LEN).
    uint32_t length() const { return payload_bytes + (has(kSyn) ? 1 : 0) + (has(kFin) ? 1 : 0); }
    Seq end() const { return seq + length(); }
};

/// Reads the header at `bytes` (header and payload). Empty if it is malformed.
std::optional<Segment> parse_segment(std::span<const uint8_t> header, uint32_t segment_bytes);

/// What a header to be sent says; options appear where set.
struct HeaderFields {
    uint16_t source_port = 0, destination_port = 0;
    Seq seq, ack;
    uint8_t flags = 0;
    uint16_t window = 0;  // scaled already
    uint16_t mss = 0;                          // 0: no option
    std::optional<uint8_t> window_shift;
    bool sack_permitted = false;
    bool timestamp = false;
    uint32_t ts_value = 0, ts_echo = 0;
    std::span<const SackBlock> sack;           // as many as fit are written
    bool ecn_capable = false;                  // the IP header will say ECT(0) (RFC 3168 5)
};

/// Writes header and options (checksum 0) to `out`, at most kHeaderBytesMax bytes; returns the header's length.
uint8_t write_header(const HeaderFields& fields, uint8_t* out);

}  // namespace sluice::tcp
