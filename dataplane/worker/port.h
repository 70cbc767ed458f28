// One core's share of a logical port: receives from its queues in turn, transmits bursts, makes frames fit the driver.
// In: frames of net::Stack. Out: frames received; unsent ones are offered again next turn, bounded, then dropped and counted.
// Owns frames between transmit() and the driver. The queues belong to Eal.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "worker/counter.h"
#include "worker/eal.h"

namespace sluice::worker {

struct PortCounters {
    RelaxedCounter rx_frames, rx_bytes, tx_frames, tx_bytes, tx_retried, tx_dropped, frames_linearized, bytes_linearized, no_mbuf;
};

class Port {
 public:
    /// `core` picks the queues of `info`; `pool` is that core's, the one its queues were set up with.
    Port(const PortInfo& info, uint32_t core, rte_mempool* pool);
    Port(const Port&) = delete;
    ~Port();

    /// Frames of the next queue in turn; each call goes on where the last one stopped.
    uint16_t receive(rte_mbuf** frames, uint16_t max);
    uint32_t queues() const { return static_cast<uint32_t>(queues_.size()); }

    /// Frames that transmit() takes now.
    uint16_t transmit_room() const { return static_cast<uint16_t>(waiting_.size() - waiting_count_); }
    /// Takes ownership of n <= transmit_room() frames; they leave at the next flush(). Returns bytes copied to linearise.
    uint64_t transmit(rte_mbuf** frames, uint16_t n);
    /// Hands what waits to the driver. True if something left. Frames refused for longer than 10 ms are dropped.
    bool flush(Instant now);
    bool has_waiting() const { return waiting_count_ != 0; }

    const PortCounters& counters() const { return counters_; }
    const PortInfo& info() const { return info_; }

 private:
    rte_mbuf* linearize(rte_mbuf* frame);
    void prepare(const Queue& queue);
    void drop_waiting();

    const PortInfo& info_;
    std::vector<Queue> queues_;
    rte_mempool* pool_;
    std::array<rte_mbuf*, 512> waiting_{};
    uint16_t waiting_count_ = 0;
    uint16_t prepared_ = 0;      // of them, the first ones are in the driver's form
    const bool prepares_whole_frames_;
    bool has_frame_to_cut_ = false;   // among those that are not prepared
    uint32_t rx_next_ = 0, tx_next_ = 0;
    Instant stuck_since_ = Instant::never();
    PortCounters counters_;
};

}  // namespace sluice::worker
