// Bursts in and out of one core's queues of a port (see port.h).
#include "worker/port.h"

#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>

namespace sluice::worker {

namespace {
constexpr Duration kStuckMax = milliseconds(10);
}

Port::Port(const PortInfo& info, uint32_t core, rte_mempool* pool)
    : info_(info), queues_(info.queues[core]), pool_(pool), prepares_whole_frames_(!info.driver.starts_with("net_virtio")) {}

Port::~Port() { drop_waiting(); }

uint16_t Port::receive(rte_mbuf** frames, uint16_t max) {
    const Queue& q = queues_[rx_next_];
    if (++rx_next_ == queues_.size()) rx_next_ = 0;
    const uint16_t n = rte_eth_rx_burst(q.ethdev, q.queue, frames, max);
    if (n == 0) return 0;
    uint64_t bytes = 0;
    for (uint16_t i = 0; i < n; i++) bytes += frames[i]->pkt_len;
    counters_.rx_frames.add(n);
    counters_.rx_bytes.add(bytes);
    return n;
}

/// A fresh single mbuf with the frame's bytes; the frame is freed either way. Null if there is none, or it does not fit.
rte_mbuf* Port::linearize(rte_mbuf* frame) {
    rte_mbuf* flat = rte_pktmbuf_alloc(pool_);
    if (!flat || frame->pkt_len > rte_pktmbuf_tailroom(flat)) {
        ++counters_.no_mbuf;
        rte_pktmbuf_free(flat);
        rte_pktmbuf_free(frame);
        return nullptr;
    }
    auto* to = rte_pktmbuf_mtod(flat, uint8_t*);
    for (const rte_mbuf* s = frame; s; s = s->next) {
        std::memcpy(to, rte_pktmbuf_mtod(s, const void*), s->data_len);
        to += s->data_len;
    }
    flat->data_len = static_cast<uint16_t>(frame->pkt_len);
    flat->pkt_len = frame->pkt_len;
    flat->ol_flags = frame->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
    flat->tx_offload = frame->tx_offload;
    ++counters_.frames_linearized;
    counters_.bytes_linearized.add(frame->pkt_len);
    rte_pktmbuf_free(frame);
    return flat;
}

uint64_t Port::transmit(rte_mbuf** frames, uint16_t n) {
    uint64_t copied = 0;
    for (uint16_t i = 0; i < n; i++) {
        rte_mbuf* frame = frames[i];
        if (!info_.multi_segment && (frame->nb_segs > 1 || !RTE_MBUF_DIRECT(frame))) {
            copied += frame->pkt_len;
            frame = linearize(frame);
        }
        if (!frame) continue;
        has_frame_to_cut_ |= (frame->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
        waiting_[waiting_count_++] = frame;
    }
    return copied;
}

/// A port that finishes checksums wants their fields in a form of its own (rte_eth_tx_prepare): virtio's pseudo-header sum of a
/// frame to be cut has a length, other NICs' has none; virtio has nothing to say on frames that are not cut. A frame that the
/// driver cannot send at all is dropped here: it would stand in the way of all others.
void Port::prepare(const Queue& q) {
    if (!prepares_whole_frames_ && !has_frame_to_cut_) {
        prepared_ = waiting_count_;
        return;
    }
    has_frame_to_cut_ = false;
    while (prepared_ < waiting_count_) {
        prepared_ += rte_eth_tx_prepare(q.ethdev, q.queue, waiting_.data() + prepared_, static_cast<uint16_t>(waiting_count_ - prepared_));
        if (prepared_ == waiting_count_) return;
        ++counters_.tx_dropped;
        rte_pktmbuf_free(waiting_[prepared_]);
        std::copy(waiting_.begin() + prepared_ + 1, waiting_.begin() + waiting_count_, waiting_.begin() + prepared_);
        waiting_count_--;
    }
}

bool Port::flush(Instant now) {
    if (waiting_count_ == 0) return false;
    const Queue& q = queues_[tx_next_];
    if (info_.tx_tcp_checksum) prepare(q);
    uint64_t bytes = 0;
    for (uint16_t i = 0; i < waiting_count_; i++) bytes += waiting_[i]->pkt_len;
    const uint16_t sent = rte_eth_tx_burst(q.ethdev, q.queue, waiting_.data(), waiting_count_);
    if (sent > 0) {
        const auto left = static_cast<uint16_t>(waiting_count_ - sent);
        for (uint16_t i = 0; i < left; i++) {
            waiting_[i] = waiting_[sent + i];
            bytes -= waiting_[i]->pkt_len;
        }
        waiting_count_ = left;
        prepared_ = info_.tx_tcp_checksum ? left : uint16_t{0};
        counters_.tx_frames.add(sent);
        counters_.tx_bytes.add(bytes);
        stuck_since_ = Instant::never();
        if (left == 0) return true;
    }
    counters_.tx_retried.add(waiting_count_);
    if (stuck_since_ == Instant::never()) stuck_since_ = now;
    else if (now - stuck_since_ > kStuckMax) drop_waiting();
    return sent > 0;
}

void Port::drop_waiting() {
    counters_.tx_dropped.add(waiting_count_);
    rte_pktmbuf_free_bulk(waiting_.data(), waiting_count_);
    waiting_count_ = prepared_ = 0;
    stuck_since_ = Instant::never();
}

}  // namespace sluice::worker
