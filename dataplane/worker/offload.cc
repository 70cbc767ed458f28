// The choice, with the reason at each driver's trap (see offload.h).
// In and out: see the header. Nothing here changes a device: Eal configures it with what comes out.
#include "worker/offload.h"

namespace sluice::worker {

namespace {

/// Frames come from another process's memory, unfinished: it leaves out the checksums that we say we do not need.
bool leaves_checksums_out(std::string_view driver) { return driver.find("virtio") != driver.npos || driver == "net_vhost"; }

/// net_vhost announces no TSO, yet hands a large frame on as it is to a peer that takes large frames: whoever writes tso=1
/// says that the peer does.
bool vhost_with_tso(std::string_view driver, std::string_view arguments) {
    return driver == "net_vhost" && (arguments.ends_with(",tso=1") || arguments.find(",tso=1,") != arguments.npos);
}

}  // namespace

Offloads choose_offloads(const rte_eth_dev_info& device, std::string_view arguments, const OffloadWish& wish, bool to_kernel) {
    const std::string_view driver = device.driver_name;
    Offloads out;
    // What the kernel gets must be whole: frames that fit its TAP's slots, with their checksums.
    const bool rx_checksum = wish.checksum && !(to_kernel && leaves_checksums_out(driver));
    if (rx_checksum)
        out.rx |= device.rx_offload_capa &
                  (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
    // A merged frame spans mbufs, and its checksum is no one's: the port must scatter, and say that the parts were good.
    constexpr uint64_t kLargeReceive = RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
    if (rx_checksum && wish.large_receive && !to_kernel && (device.rx_offload_capa & kLargeReceive) == kLargeReceive) {
        out.rx |= kLargeReceive;
        out.lro_bytes_max = device.max_lro_pkt_size;
    }
    out.tx = device.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    if (!wish.checksum) return out;
    out.tx |= device.tx_offload_capa & (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
    if (!wish.segmentation || !(out.tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)) return out;
    out.tx |= device.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO;
    out.tso = (out.tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0 || vhost_with_tso(driver, arguments);
    return out;
}

}  // namespace sluice::worker
