// Copies of frames for a capture: on a core, behind receive and before transmit, whatever the filter lets through goes into a
// ring that another thread empties. In: bursts of frames, which stay the core's. Out: CapturedFrame records, bytes behind them.
// A full ring drops and counts; the core never waits. The filter is BPF, compiled by libpcap and translated by DPDK, run on the
// mbufs. A tap belongs to who captures; a core knows it from AddTap to RemoveTap.
#pragma once

#include <rte_bpf.h>
#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/byte_ring.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/time.h"
#include "worker/counter.h"
#include "worker/mailbox.h"

namespace sluice::worker {

/// One frame in the ring; `captured` bytes follow.
struct CapturedFrame {
    Instant at;
    uint64_t ol_flags;        // of the mbuf: which checksums are the device's to complete
    uint32_t length, captured;
    uint16_t l2_bytes, l3_bytes, segment_bytes;   // as given to the device (transmit)
    uint8_t port;
    bool sent;
};

/// A compiled filter: any thread may run it.
class CaptureFilter {
 public:
    /// libpcap's syntax. Error: its message. Control thread: it allocates.
    static Result<std::unique_ptr<const CaptureFilter>> compile(const std::string& expression);
    ~CaptureFilter();
    CaptureFilter(const CaptureFilter&) = delete;
    /// For headers: filters on payload bytes do not match reliably.
    bool matches(rte_mbuf* frame) const { return rte_bpf_exec(program_, frame) != 0; }

 private:
    CaptureFilter() = default;
    rte_bpf* program_ = nullptr;
};

class CaptureTap {
 public:
    static constexpr uint32_t kRingBytes = 4u << 20;

    /// `filter` (null: everything) outlives the tap.
    CaptureTap(uint32_t ports, uint32_t snap_bytes, const CaptureFilter* filter)
        : ports_(ports), snap_bytes_(snap_bytes), filter_(filter), ring_(kRingBytes) {}

    // ---- The core ----
    void take(uint8_t port, bool sent, rte_mbuf* const* frames, uint16_t n, Instant now);

    // ---- The thread that captures ----
    ByteRing& ring() { return ring_; }
    /// Frames of a port seen, and lost to a full ring.
    uint64_t seen(uint32_t port) const { return seen_[port].get(); }
    uint64_t matched(uint32_t port) const { return matched_[port].get(); }
    uint64_t dropped(uint32_t port) const { return dropped_[port].get(); }

 private:
    void copy(uint8_t port, bool sent, const rte_mbuf& frame, Instant now);
    const uint32_t ports_;         // bit by port
    const uint32_t snap_bytes_;
    const CaptureFilter* const filter_;
    ByteRing ring_;
    RelaxedCounter seen_[limits::kPortsMax], matched_[limits::kPortsMax], dropped_[limits::kPortsMax];
};

/// The taps of one core.
class CaptureTaps {
 public:
    static constexpr uint32_t kMax = 4;
    bool any() const { return count_ != 0; }
    bool add(CaptureTap& tap) { return count_ < kMax && (taps_[count_++] = &tap); }
    void remove(const CaptureTap& tap) {
        for (uint32_t i = 0; i < count_; i++)
            if (taps_[i] == &tap) taps_[i--] = taps_[--count_];
    }
    void take(uint8_t port, bool sent, rte_mbuf* const* frames, uint16_t n, Instant now) {
        for (uint32_t i = 0; i < count_; i++) taps_[i]->take(port, sent, frames, n, now);
    }

 private:
    CaptureTap* taps_[kMax] = {};
    uint32_t count_ = 0;
};

class AddTap final : public Job {
 public:
    explicit AddTap(CaptureTap& tap) : tap_(tap) {}
    Step step(Worker& worker) override;
    bool added() const { return added_; }

 private:
    CaptureTap& tap_;
    bool added_ = false;
};

/// Runs even if nobody waits any more: whoever owns the tap keeps it until it has run.
class RemoveTap final : public Job {
 public:
    explicit RemoveTap(CaptureTap& tap) : tap_(tap) {}
    Step step(Worker& worker) override;
    bool runs_when_cancelled() const override { return true; }

 private:
    CaptureTap& tap_;
};

}  // namespace sluice::worker
