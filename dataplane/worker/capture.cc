// Filtering and copying on the core, compiling off it (see capture.h).
#define ALLOW_EXPERIMENTAL_API
#include "worker/capture.h"

#include <pcap/pcap.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/endian.h"
#include "net/ethernet.h"
#include "worker/worker.h"

namespace sluice::worker {

Result<std::unique_ptr<const CaptureFilter>> CaptureFilter::compile(const std::string& expression) {
    pcap_t* const wire = pcap_open_dead(DLT_EN10MB, UINT16_MAX);
    if (!wire) return unexpected(std::string("libpcap has no memory"));
    bpf_program classic{};
    if (pcap_compile(wire, &classic, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
        std::string why = pcap_geterr(wire);
        pcap_close(wire);
        return unexpected(std::move(why));
    }
    rte_bpf_prm* const converted = rte_bpf_convert(&classic);
    pcap_freecode(&classic);
    pcap_close(wire);
    if (!converted) return unexpected(fmt::format("the filter cannot be run on a core: {}", rte_strerror(rte_errno)));
    std::unique_ptr<CaptureFilter> filter(new CaptureFilter);
    filter->program_ = rte_bpf_load(converted);
    const int error = rte_errno;
    rte_free(converted);
    if (!filter->program_) return unexpected(fmt::format("the filter cannot be run on a core: {}", rte_strerror(error)));
    return filter;
}

CaptureFilter::~CaptureFilter() { rte_bpf_destroy(program_); }

void CaptureTap::take(uint8_t port, bool sent, rte_mbuf* const* frames, uint16_t n, Instant now) {
    if ((ports_ >> port & 1) == 0) return;
    seen_[port].add(n);
    for (uint16_t i = 0; i < n; i++)
        if (!filter_ || filter_->matches(frames[i])) copy(port, sent, *frames[i], now);
}

void CaptureTap::copy(uint8_t port, bool sent, const rte_mbuf& frame, Instant now) {
    ++matched_[port];
    // A tag that the port took off is put back: a capture shows the wire.
    const bool stripped = !sent && (frame.ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 && frame.data_len >= net::kEthernetHeaderBytes;
    const uint32_t length = frame.pkt_len + (stripped ? net::kVlanTagBytes : 0u);
    const uint32_t captured = std::min({length, snap_bytes_, ring_.record_bytes_max() - uint32_t{sizeof(CapturedFrame)}});
    std::byte* const room = ring_.reserve(sizeof(CapturedFrame) + captured);
    if (!room) {
        ++dropped_[port];
        return;
    }
    const CapturedFrame record{now, frame.ol_flags, length, captured, static_cast<uint16_t>(frame.l2_len), static_cast<uint16_t>(frame.l3_len),
                               static_cast<uint16_t>(frame.tso_segsz), port, sent};
    std::memcpy(room, &record, sizeof record);
    auto* to = reinterpret_cast<uint8_t*>(room) + sizeof record;
    uint32_t left = captured, skip = 0;
    const auto put = [&](const void* bytes, uint32_t n) {
        n = std::min(n, left);
        std::memcpy(to, bytes, n);
        to += n, left -= n;
    };
    if (stripped) {
        constexpr uint32_t kMacs = 12;
        put(rte_pktmbuf_mtod(&frame, const void*), kMacs);
        uint8_t tag[net::kVlanTagBytes];
        store_be16(tag, net::kEtherTypeVlan);
        store_be16(tag + 2, frame.vlan_tci);
        put(tag, sizeof tag);
        skip = kMacs;
    }
    for (const rte_mbuf* s = &frame; s && left > 0; s = s->next, skip = 0)
        put(rte_pktmbuf_mtod_offset(s, const void*, skip), s->data_len - skip);
    ring_.commit(sizeof record + captured);
}

Job::Step AddTap::step(Worker& worker) {
    added_ = worker.taps().add(tap_);
    return Step::kDone;
}

Job::Step RemoveTap::step(Worker& worker) {
    worker.taps().remove(tap_);
    return Step::kDone;
}

}  // namespace sluice::worker
