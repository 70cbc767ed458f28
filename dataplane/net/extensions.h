// The IPv6 extension header chain: walked once, bounded in headers and bytes, each refusal with what the sender is told.
// In: a packet whose fixed header was checked. Out: the upper layer, a fragment, or why not. Owns nothing, changes nothing.
// RFC 8200 4, RFC 8504 5.3 (limits are ours to set), RFC 5095 (no routing by the sender), RFC 4443 3.4 (parameter problem).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

namespace sluice::net {

enum class ChainEnd : uint8_t {
    kUpperLayer,
    kFragment,       // a part of a datagram (not an atomic fragment, which is passed over: RFC 6946)
    kMalformed,      // lengths that do not fit
    kTooLong,        // more headers or bytes than we look at
    kDiscard,        // an option that says so (RFC 8200 4.2), or no next header
    kSourceRouted,   // a routing header with segments left
    kUnknownOption,
    kMisplaced,      // hop-by-hop not first, a second fragment header
};

struct Chain {
    ChainEnd end{};
    uint8_t next = 0;            // protocol of what begins at `offset`
    uint32_t offset = 0;         // in the mbuf: the upper layer, or the fragment's data
    uint32_t next_field = 0;     // in the mbuf: the byte that names `next`
    uint32_t fragment = 0;       // in the mbuf: the fragment header, if end is kFragment
    uint32_t problem = 0;        // in the mbuf: the byte that a parameter problem points to
    uint8_t problem_code = 0;    // RFC 4443 3.4
    bool answered = false;       // the RFCs want a parameter problem
    bool answer_groups = false;  // even if the packet went to a group (an option of type 10xxxxxx)
};

/// Walks from `offset`, where the header named by the byte at `next_field` begins, in the first segment of `packet`; the IP packet
/// ends at `end`. `first` if it is the header behind the fixed one.
Chain walk_extensions(const rte_mbuf* packet, uint32_t next_field, uint32_t offset, uint32_t end, bool first);
/// The whole chain of a packet whose link header has l2_len bytes.
Chain walk_packet(const rte_mbuf* packet);

}  // namespace sluice::net
