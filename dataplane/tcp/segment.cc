// Reading and writing TCP headers and options. Bounds are checked before each read; nothing is trusted.
// In and out: see segment.h. No memory of its own. RFC 9293 3.1 and 3.2, RFC 7323 2.2 and 3.2, RFC 2018 2 and 3.
#include "tcp/segment.h"

#include <algorithm>
#include <cstring>

namespace sluice::tcp {

namespace {

enum Kind : uint8_t { kEnd = 0, kNop = 1, kMss = 2, kWindowScale = 3, kSackPermitted = 4, kSack = 5, kTimestamp = 8 };

void read_option(Segment& segment, const uint8_t* option, uint8_t length) {
    switch (option[0]) {
        case kMss:
            if (length != 4) return;
            segment.has_mss = true;
            segment.mss = load_be16(option + 2);
            return;
        case kWindowScale:
            if (length != 3) return;
            segment.has_window_scale = true;
            segment.window_shift = std::min(option[2], kWindowShiftMax);  // RFC 7323 2.3: larger means 14
            return;
        case kSackPermitted:
            if (length == 2) segment.sack_permitted = true;
            return;
        case kTimestamp:
            if (length != 10) return;
            segment.has_timestamp = true;
            segment.ts_value = load_be32(option + 2);
            segment.ts_echo = load_be32(option + 6);
            return;
        case kSack:
            if (length < 10 || (length - 2) % 8 != 0) return;
            segment.sack_count = static_cast<uint8_t>(std::min<size_t>((length - 2) / 8, segment.sack.size()));
            for (unsigned i = 0; i < segment.sack_count; i++) {
                segment.sack[i] = {Seq{load_be32(option + 2 + 8 * i)}, Seq{load_be32(option + 6 + 8 * i)}};
            }
            return;
        default: return;  // unknown options are skipped (RFC 9293 MUST-6)
    }
}

void read_options(Segment& segment, const uint8_t* at, const uint8_t* end) {
    while (at < end) {
        if (*at == kEnd) return;
        if (*at == kNop) {
            at++;
            continue;
        }
        if (end - at < 2 || at[1] < 2 || at[1] > end - at) return;  // RFC 9293 MUST-7: bad lengths must not hurt
        read_option(segment, at, at[1]);
        at += at[1];
    }
}

}  // namespace

std::optional<Segment> parse_segment(std::span<const uint8_t> header, uint32_t segment_bytes) {
    if (header.size() < sizeof(WireHeader) || segment_bytes < sizeof(WireHeader)) return std::nullopt;
    const uint8_t* p = header.data();
    const uint32_t header_bytes = static_cast<uint32_t>(p[12] >> 4) * 4;
    if (header_bytes < sizeof(WireHeader) || header_bytes > header.size() || header_bytes > segment_bytes) return std::nullopt;

    Segment segment;
    segment.seq = Seq{load_be32(p + 4)};
    segment.ack = Seq{load_be32(p + 8)};
    segment.flags = p[13];
    segment.window = load_be16(p + 14);
    segment.header_bytes = static_cast<uint8_t>(header_bytes);
    segment.payload_bytes = segment_bytes - header_bytes;

    const uint8_t* options = p + sizeof(WireHeader);
    static constexpr uint8_t kOnlyTimestamp[4] = {kNop, kNop, kTimestamp, 10};
    if (header_bytes == sizeof(WireHeader) + kTimestampBytes && std::memcmp(options, kOnlyTimestamp, 4) == 0) {
        segment.has_timestamp = true;  // nearly every segment looks like this (RFC 7323 appendix A)
        segment.ts_value = load_be32(options + 4);
        segment.ts_echo = load_be32(options + 8);
    } else {
        read_options(segment, options, p + header_bytes);
    }
    return segment;
}

uint8_t write_header(const HeaderFields& fields, uint8_t* out) {
    store_be16(out, fields.source_port);
    store_be16(out + 2, fields.destination_port);
    store_be32(out + 4, fields.seq.v);
    store_be32(out + 8, fields.ack.v);
    out[13] = fields.flags;
    store_be16(out + 14, fields.window);
    std::memset(out + 16, 0, 4);

    uint8_t* at = out + sizeof(WireHeader);
    auto put = [&at](std::initializer_list<uint8_t> bytes) { at = std::copy(bytes.begin(), bytes.end(), at); };
    if (fields.mss) {
        put({kMss, 4, static_cast<uint8_t>(fields.mss >> 8), static_cast<uint8_t>(fields.mss)});
    }
    if (fields.timestamp) {
        // On a SYN, SACK-permitted takes the place of the two NOPs.
        if (fields.sack_permitted) put({kSackPermitted, 2, kTimestamp, 10});
        else put({kNop, kNop, kTimestamp, 10});
        store_be32(at, fields.ts_value);
        store_be32(at + 4, fields.ts_echo);
        at += 8;
    } else if (fields.sack_permitted) {
        put({kNop, kNop, kSackPermitted, 2});
    }
    if (fields.window_shift) put({kNop, kWindowScale, 3, *fields.window_shift});
    const size_t room = kHeaderBytesMax - static_cast<size_t>(at - out);
    const size_t blocks = room < 12 ? 0 : std::min(fields.sack.size(), (room - 4) / 8);
    if (blocks > 0) {
        put({kNop, kNop, kSack, static_cast<uint8_t>(2 + 8 * blocks)});
        for (const SackBlock& block : fields.sack.first(blocks)) {
            store_be32(at, block.start.v);
            store_be32(at + 4, block.end.v);
            at += 8;
        }
    }
    const auto length = static_cast<uint8_t>(at - out);
    out[12] = static_cast<uint8_t>(length / 4 << 4);
    return length;
}

}  // namespace sluice::tcp
