// Fragments of one core put together: datagrams at once, fragments each and memory are bounded; the oldest gives way.
// In: fragments whose headers and lengths were checked, time. Out: whole datagrams as one mbuf chain, without a copy; datagrams
// whose time is over. Owns the mbufs it keeps and fixed tables. RFC 791 3.2, RFC 815, RFC 8200 4.5, RFC 5722 (overlaps).
#pragma once

#include <cstdint>
#include <vector>

#include "base/siphash.h"
#include "base/time.h"
#include "net/datagram.h"

namespace sluice::net {

inline constexpr Duration kReassemblyTime4 = seconds(30);   // RFC 1122 3.3.2 says 60 to 120 s; ids wrap sooner on today's links
inline constexpr Duration kReassemblyTime6 = seconds(60);   // RFC 8200 4.5

struct ReassemblyLimits {
    uint32_t datagrams = 0;            // at once; at most 65534
    uint32_t fragments_each = 0;
    uint64_t bytes = 0;                // of buffers, by their true size
};

class Reassembler {
 public:
    Reassembler(const ReassemblyLimits& limits, const SipKey& key);
    ~Reassembler();
    Reassembler(const Reassembler&) = delete;

    enum class Result : uint8_t {
        kKept,          // waits for the rest
        kWhole,         // `whole` is the datagram; its mbuf is the caller's
        kDuplicate,     // these bytes came before; dropped
        kAbandoned,     // overlap or contradiction: all of the datagram is dropped, its later fragments too (RFC 5722 4)
        kRefused,       // belongs to a datagram abandoned before, or has no room
    };
    /// Takes f.mbuf over in every case.
    Result add(const DatagramIn& f, Instant now, DatagramIn& whole);

    Instant poll_timeout() const;
    /// One datagram whose time is over. False: none. `first` is its first fragment, the caller's mbuf, or has none if that
    /// fragment never came (or the datagram was abandoned): then no error may be sent.
    bool expire(Instant now, DatagramIn& first);

    uint64_t bytes() const { return bytes_; }
    uint32_t datagrams() const { return count_; }
    uint64_t evicted() const { return evicted_; }

 private:
    struct Piece {
        rte_mbuf* mbuf = nullptr;
        uint16_t begin = 0, end = 0;          // of the datagram's payload
        uint16_t payload_offset = 0;          // in the mbuf
        uint16_t next = 0;                    // index + 1
    };
    struct Entry {
        IpAddress source, destination;
        Instant deadline;
        uint32_t id = 0;
        uint32_t total = 0;                   // payload bytes, known from the last fragment; 0 = not yet
        uint32_t held = 0;                    // payload bytes in pieces
        uint64_t charge = 0;                  // bytes of buffers
        uint16_t hash_next = 0;               // index + 1, all four
        uint16_t older = 0, younger = 0;
        uint16_t first = 0, last = 0;         // pieces in order, without overlap
        uint16_t pieces = 0;
        uint8_t protocol = 0;                 // of the first fragment
        uint8_t key_protocol = 0;             // RFC 791: part of the name for IPv4; not for IPv6
        uint8_t port = 0;
        uint8_t ecn_seen = 0;                 // bit per codepoint
        bool v4 = false, abandoned = false;
    };
    struct Age {                              // oldest first; all of one family live equally long
        uint16_t oldest = 0, youngest = 0;
    };

    uint32_t bucket(const IpAddress& source, const IpAddress& destination, uint32_t id, uint8_t protocol) const;
    Entry* find(const DatagramIn& f);
    Entry* open(const DatagramIn& f, Instant now);
    void release(Entry& e);
    void free_pieces(Entry& e);
    bool evict_for(const Entry* keep);
    Result place(Entry& e, const DatagramIn& f);
    bool assemble(Entry& e, DatagramIn& whole);
    uint16_t index(const Entry& e) const { return static_cast<uint16_t>(&e - entries_.data() + 1); }

    ReassemblyLimits limits_;
    SipKey key_;
    std::vector<Entry> entries_;
    std::vector<Piece> pieces_;
    std::vector<uint16_t> buckets_, free_entries_, free_pieces_;
    Age ages_[2];                             // IPv6, IPv4
    uint64_t bytes_ = 0, evicted_ = 0;
    uint32_t count_ = 0;
};

/// What the reassembled datagram says of congestion (RFC 3168 5.3): CE if a fragment says so, unless another cannot mean it.
/// `seen` has a bit for each codepoint that came. False: contradictory, the datagram is dropped.
bool merge_ecn(uint8_t seen, uint8_t& ecn);

}  // namespace sluice::net
