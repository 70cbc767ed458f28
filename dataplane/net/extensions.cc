// One loop over the headers and one over the options of a header (see extensions.h).
#include "net/extensions.h"

#include <algorithm>

#include "base/endian.h"
#include "net/ip_headers.h"

namespace sluice::net {

namespace {
constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kNoNextHeader = 59, kDestinationOptions = 60;
constexpr int kExtensionsMax = 6;
constexpr uint32_t kExtensionBytesMax = 256;
constexpr uint32_t kOptionsMax = 8;
constexpr uint8_t kErroneousField = 0, kUnrecognizedNextHeader = 1, kUnrecognizedOption = 2;

bool is_extension(uint8_t next) {
    return next == kHopByHop || next == kRouting || next == kFragment || next == kDestinationOptions;
}

void complain(Chain& chain, ChainEnd end, uint8_t code, uint32_t at) {
    chain.end = end;
    chain.problem_code = code;
    chain.problem = at;
    chain.answered = true;
}

/// Options at [at, end) of a hop-by-hop or destination header; chain.end stays kUpperLayer if all may be passed over.
void check_options(const rte_mbuf* packet, uint32_t at, uint32_t end, bool to_group, Chain& chain) {
    for (uint32_t n = 0; at < end; n++) {
        const auto* p = rte_pktmbuf_mtod_offset(packet, const uint8_t*, at);
        if (n == kOptionsMax) {
            chain.end = ChainEnd::kTooLong;
            return;
        }
        if (p[0] == 0) {  // Pad1
            at++;
            continue;
        }
        if (at + 2 > end || at + 2 + p[1] > end) {
            chain.end = ChainEnd::kMalformed;
            return;
        }
        switch (p[0] >> 6) {  // RFC 8200 4.2: what to do about an option one does not know, and we know none
            case 0: break;
            case 1: chain.end = ChainEnd::kDiscard; return;
            default:
                complain(chain, ChainEnd::kUnknownOption, kUnrecognizedOption, at);
                chain.answer_groups = p[0] >> 6 == 2;
                chain.answered = chain.answer_groups || !to_group;
                return;
        }
        at += 2u + p[1];
    }
}
}  // namespace

Chain walk_extensions(const rte_mbuf* packet, uint32_t next_field, uint32_t offset, uint32_t end, bool first) {
    Chain c;
    c.next_field = next_field;
    c.offset = offset;
    c.next = *rte_pktmbuf_mtod_offset(packet, const uint8_t*, next_field);
    const auto* fixed = rte_pktmbuf_mtod_offset(packet, const Ipv6Header*, packet->l2_len);
    const bool to_group = fixed->destination[0] == 0xff;
    bool fragment_seen = !first;   // we go on behind a fragment header, or start at the top
    for (int n = 0; is_extension(c.next); n++) {
        if (c.next == kHopByHop && (n != 0 || !first)) {   // RFC 8200 4.1: only directly behind the fixed header
            complain(c, ChainEnd::kMisplaced, kUnrecognizedNextHeader, c.next_field);
            return c;
        }
        if (n == kExtensionsMax || c.offset - offset > kExtensionBytesMax) {
            c.end = ChainEnd::kTooLong;
            return c;
        }
        const uint32_t limit = std::min<uint32_t>(end, packet->data_len);
        const auto* p = rte_pktmbuf_mtod_offset(packet, const uint8_t*, c.offset);
        const uint32_t bytes = c.offset + 8 > limit ? 8 : c.next == kFragment ? 8 : (p[1] + 1u) * 8;
        if (c.offset + bytes > limit) {
            c.end = ChainEnd::kMalformed;
            return c;
        }
        if (c.next == kFragment) {
            if (fragment_seen) {
                complain(c, ChainEnd::kMisplaced, kUnrecognizedNextHeader, c.next_field);
                return c;
            }
            fragment_seen = true;
            if ((load_be16(p + 2) & 0xfff9) != 0) {   // an offset, or more to come
                c.end = ChainEnd::kFragment;
                c.fragment = c.offset;
            }
        } else if (c.next == kRouting) {
            if (p[3] != 0) {   // segments left: RFC 8200 4.4 and RFC 5095 3 treat every type as unknown
                complain(c, ChainEnd::kSourceRouted, kErroneousField, c.offset + 2);
                return c;
            }
        } else {
            check_options(packet, c.offset + 2, c.offset + bytes, to_group, c);
            if (c.end != ChainEnd::kUpperLayer) return c;
        }
        c.next_field = c.offset;
        c.next = p[0];
        c.offset += bytes;
        if (c.end == ChainEnd::kFragment) return c;
    }
    if (c.next == kNoNextHeader) c.end = ChainEnd::kDiscard;
    return c;
}

Chain walk_packet(const rte_mbuf* packet) {
    const auto* h = rte_pktmbuf_mtod_offset(packet, const Ipv6Header*, packet->l2_len);
    const uint32_t start = packet->l2_len + uint32_t{sizeof(Ipv6Header)};
    return walk_extensions(packet, packet->l2_len + 6u, start, start + h->payload_length.value(), true);
}

}  // namespace sluice::net
