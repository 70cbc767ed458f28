// Which of a device's offloads are used: checksums, segmentation (TSO), large receive (LRO), chained mbufs.
// In: what the device offers, what the operator wants, whether the kernel gets this port's frames too. Out: ethdev's flags.
// Owns nothing. DPDK rte_ethdev; virtio 1.1 5.1.3 (feature bits), 5.1.6.4 (receiving partial checksums).
#pragma once

#include <rte_ethdev.h>

#include <cstdint>
#include <string_view>

namespace sluice::worker {

/// The operator's: what may be used where the device has it.
struct OffloadWish {
    bool checksum = true, segmentation = true, large_receive = true;
};

struct Offloads {
    uint64_t rx = 0, tx = 0;        // of rte_eth_conf
    uint32_t lro_bytes_max = 0;     // 0: the driver's own
    bool tso = false;               // in `tx`, or done without being announced (vhost)
};

/// `device_arguments`: of --vdev. `to_kernel`: frames may go on to the kernel as they are.
Offloads choose_offloads(const rte_eth_dev_info& device, std::string_view device_arguments, const OffloadWish& wish, bool to_kernel);

}  // namespace sluice::worker
