// Bytes that came before their turn: runs of contiguous sequence space, sorted, at least one byte apart (RFC 9293 3.10.7.4).
// In: slices with their sequence number. Out: the bytes from rcv_nxt on once the gap is closed, and SACK blocks (RFC 2018).
// Owns the slices queued in it; runs come from a per-core pool. At most kRunsMax runs and a byte charge: a flood of
// one-byte holes (CVE-2018-5390) costs a bounded walk and is dropped beyond. What came first wins an overlap.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/pool.h"
#include "base/seq.h"
#include "base/slice.h"
#include "tcp/segment.h"

namespace sluice::tcp {

struct Run {
    Run(SliceNodePool& nodes, Seq start_at) : start(start_at), end(start_at), bytes(nodes) {}
    Seq start, end;
    uint32_t touched = 0;  // order of last growth, for SACK's "most recent first"
    Run* next = nullptr;
    SliceQueue bytes;
};
using RunPool = Pool<Run>;

class Reassembly {
 public:
    static constexpr uint16_t kRunsMax = 128;

    bool empty() const { return head_ == nullptr; }
    uint16_t runs() const { return runs_; }
    /// Memory the queued slices pin.
    uint64_t charge() const;
    /// Queues `bytes` that start at `seq`. `known`: the first part of them that was held already. False if part of them was dropped for lack of room (pool, cap or charge_max).
    bool insert(Seq seq, SliceQueue&& bytes, RunPool& pool, uint64_t charge_max, SackBlock& known);
    /// Moves what now follows `next` in order to `out` and returns how many bytes that was.
    uint32_t take(Seq next, SliceQueue& out, RunPool& pool);
    /// The runs as SACK blocks, last grown first (RFC 2018 4). Returns how many were written.
    unsigned sack_blocks(std::span<SackBlock> out) const;
    /// End of the highest run; precondition: not empty.
    Seq highest() const;
    void clear(RunPool& pool);

 private:
    bool add_piece(Run*& before, Seq at, uint32_t length, SliceQueue& bytes, RunPool& pool);

    Run* head_ = nullptr;
    uint32_t touches_ = 0;
    uint16_t runs_ = 0;
};

}  // namespace sluice::tcp
