// Who needs an interface, and every check of ports.cc both ways.
#include "ctrl/doctor/nic_use.h"
#include "tests/ctrl/doctor/tree.h"

namespace sluice::doctor {
namespace {

using test::Doctor;
using test::kRouteHead;
using test::kTcpHead;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kPci = "/sys/bus/pci/devices/0000:3b:00.0";

class Ports : public Doctor {
 protected:
    /// 192.0.2.0/24 by `interface`, the default route by eth0 unless told otherwise.
    void routes(const std::string& interface, bool default_too = false) const {
        tree->file("/proc/net/route", std::string(kRouteHead) + interface + "\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n" +
                                          (default_too ? interface : "eth0") + "\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0");
    }
    /// From 192.0.2.7:50106 to our port.
    void ssh(const std::string& state = "01", const std::string& port = "0016") const {
        tree->file("/proc/net/tcp", std::string(kTcpHead) + "   0: 0A0200C0:" + port + " 070200C0:C3BA " + state + " 00000000:00000000");
    }
    std::string refusal() const { return takeover_refusal(*tree, host.ports[0]); }
    void pci(const std::string& driver) const {
        tree->file(std::string(kPci) + "/vendor", "0x8086");
        tree->file("/sys/module/vfio_pci/x", "");
        if (!driver.empty()) tree->link_to(std::string(kPci) + "/driver", "../../drivers/" + driver);
        tree->link_to(std::string(kPci) + "/iommu_group", "../../../../kernel/iommu_groups/7");
        tree->file("/sys/kernel/iommu_groups/7/devices/0000:3b:00.0/x", "");
    }
};

TEST_F(Ports, TheDefaultRoute) {
    EXPECT_EQ(refusal(), "");
    routes("eth1", true);
    EXPECT_EQ(refusal(), "eth1 carries the default route");
    EXPECT_THAT(worst(), StartsWith("FAIL outside eth1 carries the default route: the kernel would lose it: choose another NIC"));
    host.ports[0].takeover = true;
    EXPECT_EQ(refusal(), "");
    EXPECT_THAT(worst(), StartsWith("warn outside eth1 carries the default route: takeover: true takes it all the same"));
    host.ports[0].takeover = false;
    host.ports[0].exception = "kernel0";
    EXPECT_EQ(refusal(), "");
    EXPECT_THAT(worst(), HasSubstr("it goes on only by kernel0: move the kernel's addresses and routes from eth1 to kernel0"));
    host.ports[0].exception = "";
    host.ports[0].device = "af_packet:eth1";
    EXPECT_EQ(refusal(), "") << "the kernel sees every frame of it";
}

TEST_F(Ports, TheDefaultRouteOfIpv6) {
    tree->file("/proc/net/ipv6_route", "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth1\n"
                                       "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo");
    EXPECT_EQ(refusal(), "eth1 carries the default route");
}

TEST_F(Ports, AnUnreachableDefaultRouteIsNone) {
    tree->file("/proc/net/route", std::string(kRouteHead) + "eth1\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0");
    EXPECT_EQ(refusal(), "");
}

TEST_F(Ports, AnSshSession) {
    routes("eth1");
    ssh();
    EXPECT_EQ(refusal(), "eth1 carries an SSH session (from 192.0.2.7:50106)");
    ssh("0A");
    EXPECT_EQ(refusal(), "") << "listening is no session";
    ssh("01", "0050");
    EXPECT_EQ(refusal(), "") << "another service's connection";
    routes("eth2");
    ssh();
    EXPECT_EQ(refusal(), "") << "the session is another interface's";
    EXPECT_THAT(worst(), StartsWith("FAIL inside eth2 carries an SSH session"));
}

TEST_F(Ports, AnSshSessionOnAnotherPortOfSshd) {
    routes("eth1");
    ssh("01", "08AE");
    EXPECT_EQ(refusal(), "");
    tree->file("/etc/ssh/sshd_config.d/port.conf", "  Port 2222");
    EXPECT_THAT(refusal(), HasSubstr("SSH session"));
}

TEST_F(Ports, AnSshSessionOverIpv6) {
    tree->file("/proc/net/ipv6_route", "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1");
    tree->file("/proc/net/tcp6", std::string(kTcpHead) + "  0: B80D0120000000000000000010000000:0016 B80D0120000000000000000002000000:C3BA 01 0:0");
    EXPECT_EQ(refusal(), "eth1 carries an SSH session (from [2001:db8::2]:50106)");
    // A dual-stack sshd shows IPv4 peers as mapped ones.
    routes("eth1");
    tree->file("/proc/net/tcp6", std::string(kTcpHead) + "  0: 0000000000000000FFFF00000A0200C0:0016 0000000000000000FFFF0000070200C0:C3BA 01 0:0");
    EXPECT_EQ(refusal(), "eth1 carries an SSH session (from 192.0.2.7:50106)");
}

TEST_F(Ports, WhatLiesOnAnInterfaceNeedsIt) {
    routes("br0.7", true);
    EXPECT_EQ(refusal(), "");
    tree->link_to("/sys/class/net/eth1/upper_br0", "../br0");
    tree->link_to("/sys/class/net/br0/upper_br0.7", "../br0.7");
    EXPECT_EQ(refusal(), "eth1 carries the default route");
}

TEST_F(Ports, APciPortIsItsKernelInterface) {
    host.ports[0].device = "pci:0000:3b:00.0";
    pci("ixgbe");
    tree->file(std::string(kPci) + "/net/eth7/x", "");
    routes("eth7", true);
    EXPECT_EQ(refusal(), "eth7 carries the default route");
    pci("vfio-pci");
    tree->remove(std::string(kPci) + "/net");
    EXPECT_EQ(refusal(), "");
}

// ---- PCI ----

TEST_F(Ports, PciDrivers) {
    host.ports[0].device = "pci:0000:3b:00.0";
    EXPECT_THAT(worst(), StartsWith("FAIL outside there is no PCI device 0000:3b:00.0"));
    pci("ixgbe");
    EXPECT_EQ(worst(), "FAIL outside 0000:3b:00.0 is the kernel's, under ixgbe: sluice-prepare-host apply --bind 0000:3b:00.0");
    pci("uio_pci_generic");
    EXPECT_THAT(worst(), StartsWith("warn outside 0000:3b:00.0 under uio_pci_generic"));
    pci("mlx5_core");
    EXPECT_EQ(worst(), "");
    pci("vfio-pci");
    EXPECT_EQ(worst(), "");
    tree->remove(std::string(kPci) + "/driver");
    EXPECT_THAT(worst(), StartsWith("FAIL outside 0000:3b:00.0 has no driver"));
    tree->remove("/sys/module/vfio_pci");
    bool told = false;
    for (const Finding& f : examined()) told |= f.cure == "modprobe vfio-pci";
    EXPECT_TRUE(told);
}

TEST_F(Ports, Iommu) {
    host.ports[0].device = "pci:0000:3b:00.0";
    pci("vfio-pci");
    tree->file("/sys/kernel/iommu_groups/7/devices/0000:3b:00.1/x", "");
    tree->link_to("/sys/bus/pci/devices/0000:3b:00.1/driver", "../../drivers/ixgbe");
    EXPECT_THAT(worst(), StartsWith("FAIL outside IOMMU group 7 holds 0000:3b:00.1 (ixgbe) too"));
    tree->link_to("/sys/bus/pci/devices/0000:3b:00.1/driver", "../../drivers/vfio-pci");
    EXPECT_EQ(worst(), "");
    tree->remove(std::string(kPci) + "/iommu_group");
    EXPECT_THAT(worst(), StartsWith("FAIL outside 0000:3b:00.0 is in no IOMMU group"));
    tree->file("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y");
    EXPECT_THAT(worst(), StartsWith("warn outside no IOMMU: the card may write to all memory"));
}

TEST_F(Ports, WhoUsesTheCard) {
    host.ports[0].device = "pci:0000:3b:00.0";
    pci("vfio-pci");
    tree->file("/proc/500/comm", "qemu-system-x86");
    tree->link_to("/proc/500/fd/9", "/dev/vfio/7");
    EXPECT_EQ(worst(), "FAIL outside 0000:3b:00.0 is in use by qemu-system-x86 (pid 500): stop that process");
    tree->file("/proc/500/comm", "sluiced");
    EXPECT_EQ(worst(), "");
}

// ---- Interfaces ----

TEST_F(Ports, NoSuchInterface) {
    tree->remove("/sys/class/net/eth1");
    EXPECT_EQ(worst(), "FAIL outside there is no interface eth1: ip link lists those that are");
}

TEST_F(Ports, LinkAndMtu) {
    tree->file("/sys/class/net/eth1/operstate", "down");
    EXPECT_THAT(worst(), StartsWith("warn outside eth1 has no link"));
    tree->file("/sys/class/net/eth1/mtu", "1400");
    EXPECT_EQ(worst(), "FAIL outside mtu 1500 is more than the 1400 of eth1: ip link set eth1 mtu 1500");
}

TEST_F(Ports, QueuesAgainstWorkers) {
    tree->remove("/sys/class/net/eth1/queues/rx-1");
    EXPECT_THAT(worst(), StartsWith("FAIL outside eth1 has 1 receive queue, 2 workers want one each: ethtool -L eth1 combined 2"));
    host.ports[0].device = "af_packet:eth1";
    EXPECT_EQ(worst(), "") << "AF_PACKET splits in software";
}

TEST_F(Ports, AddressesLeftOnAnAfXdpInterface) {
    tree->addresses = {{"eth0", "10.10.10.5/24"}};
    EXPECT_EQ(worst(), "");
    tree->addresses = {{"eth1", "192.0.2.9/24"}};
    EXPECT_EQ(worst(), "warn outside 192.0.2.9/24 stays on eth1, where the kernel no longer hears anything: ip addr flush dev eth1");
    host.ports[0].exception = "kernel0";
    EXPECT_THAT(worst(), HasSubstr("ip addr add 192.0.2.9/24 dev kernel0"));
    tree->addresses.clear();
    tree->file("/proc/net/if_inet6", "fe800000000000000000000000000001 02 40 20 80     eth1");
    EXPECT_EQ(worst(), "") << "a link-local one comes by itself and does no harm";
    tree->file("/proc/net/if_inet6", "20010db8000000000000000000000009 02 40 00 80     eth1");
    EXPECT_THAT(worst(), HasSubstr("2001:db8::9/64 stays on eth1"));
}

TEST_F(Ports, AddressesOnAnAfPacketInterface) {
    host.ports[0].device = "af_packet:eth1";
    tree->addresses = {{"eth1", "192.0.2.9/24"}};
    EXPECT_EQ(worst(), "") << "other addresses than the gateway's";
    tree->addresses = {{"eth1", "192.0.2.10/24"}};
    EXPECT_EQ(worst(), "FAIL outside the kernel has 192.0.2.10 on eth1 too, and resets the gateway's connections: ip addr del 192.0.2.10/24 dev eth1");
    tree->addresses.clear();
    tree->file("/proc/net/if_inet6", "fe800000000000000000000000000001 02 40 20 80     eth1");
    EXPECT_THAT(worst(), HasSubstr("sysctl net.ipv6.conf.eth1.disable_ipv6=1"));
}

TEST_F(Ports, OffloadsOfAVethPeer) {
    tree->drivers["eth1"] = "veth";
    EXPECT_EQ(worst(), "") << "its peer is not to be seen here";
    tree->file("/sys/class/net/eth1/iflink", "12");
    tree->file("/sys/class/net/peer1/ifindex", "12");
    EXPECT_EQ(worst(), "");
    tree->offloads = {{"peer1", {"tx", "tso"}}};
    EXPECT_THAT(worst(), HasSubstr("ethtool -K peer1 tx off tso off"));
}

TEST_F(Ports, AnyOtherDeviceIsDpdks) {
    host.ports[0].device = "devargs:net_null0";
    EXPECT_EQ(worst(), "");
}

}  // namespace
}  // namespace sluice::doctor
