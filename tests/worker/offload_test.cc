// Which offloads are asked of a device: what it has, what the operator wants, and what the kernel could not read.
#include "worker/offload.h"

#include <gtest/gtest.h>

namespace sluice::worker {
namespace {

constexpr uint64_t kRxSums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
constexpr uint64_t kLro = RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER;
constexpr uint64_t kTxSums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
constexpr uint64_t kTso = RTE_ETH_TX_OFFLOAD_TCP_TSO, kChains = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

rte_eth_dev_info able(const char* driver) {
    rte_eth_dev_info device{};
    device.driver_name = driver;
    device.rx_offload_capa = kRxSums | kLro | RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
    device.tx_offload_capa = kTxSums | kTso | kChains | RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
    device.max_lro_pkt_size = 65000;
    return device;
}

TEST(Offload, AllThatTheDeviceHasAndNothingElse) {
    const Offloads o = choose_offloads(able("net_ixgbe"), "", {}, false);
    EXPECT_EQ(o.rx, kRxSums | kLro);
    EXPECT_EQ(o.tx, kTxSums | kTso | kChains);
    EXPECT_TRUE(o.tso);
    EXPECT_EQ(o.lro_bytes_max, 65000u);
    rte_eth_dev_info bare{};
    bare.driver_name = "net_af_xdp";
    const Offloads none = choose_offloads(bare, "", {}, false);
    EXPECT_EQ(none.rx | none.tx, 0u);
    EXPECT_FALSE(none.tso);
}

TEST(Offload, LargeReceiveOnlyIntoChainsWithCheckedSums) {
    for (const uint64_t missing : {RTE_ETH_RX_OFFLOAD_SCATTER, RTE_ETH_RX_OFFLOAD_TCP_CKSUM}) {
        rte_eth_dev_info device = able("net_ixgbe");
        device.rx_offload_capa &= ~missing;
        EXPECT_EQ(choose_offloads(device, "", {}, false).rx & RTE_ETH_RX_OFFLOAD_TCP_LRO, 0u);
    }
}

TEST(Offload, FramesForTheKernelAreWhole) {
    // A NIC's check does not change the frame; a virtio peer would leave the sum out.
    EXPECT_EQ(choose_offloads(able("net_ixgbe"), "", {}, true).rx, kRxSums);
    for (const char* driver : {"net_virtio", "net_virtio_user", "net_vhost"}) EXPECT_EQ(choose_offloads(able(driver), "", {}, true).rx, 0u) << driver;
    EXPECT_EQ(choose_offloads(able("net_virtio_user"), "", {}, false).rx, kRxSums | kLro);
}

TEST(Offload, TheOperatorTurnsThemOff) {
    const auto device = able("net_ixgbe");
    EXPECT_EQ(choose_offloads(device, "", {.large_receive = false}, false).rx, kRxSums);
    const Offloads uncut = choose_offloads(device, "", {.segmentation = false}, false);
    EXPECT_EQ(uncut.tx, kTxSums | kChains);
    EXPECT_FALSE(uncut.tso);
    const Offloads none = choose_offloads(device, "", {.checksum = false}, false);   // the others need it
    EXPECT_EQ(none.rx, 0u);
    EXPECT_EQ(none.tx, kChains);
    EXPECT_FALSE(none.tso);
}

TEST(Offload, VhostCutsWhereItsArgumentsSaySo) {
    rte_eth_dev_info device = able("net_vhost");
    device.tx_offload_capa &= ~kTso;
    EXPECT_FALSE(choose_offloads(device, "devargs:net_vhost0,iface=/s", {}, false).tso);
    EXPECT_FALSE(choose_offloads(device, "devargs:net_vhost0,iface=/s,tso=0", {}, false).tso);
    EXPECT_FALSE(choose_offloads(device, "devargs:net_vhost0,iface=/s,tso=10", {}, false).tso);
    for (const char* arguments : {"devargs:net_vhost0,iface=/s,tso=1", "devargs:net_vhost0,tso=1,iface=/s"}) {
        const Offloads o = choose_offloads(device, arguments, {}, false);
        EXPECT_TRUE(o.tso);
        EXPECT_EQ(o.tx & kTso, 0u) << "ethdev refuses what the driver does not announce";
    }
}

}  // namespace
}  // namespace sluice::worker
