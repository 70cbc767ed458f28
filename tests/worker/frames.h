// Frames for the tests of this room, byte by byte, and a port over DPDK's ring driver whose frames come back to it.
// In: addresses as text. Out: strings with right checksums. Owns nothing but what EAL keeps.
#pragma once

#include <gtest/gtest.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#include <cstring>
#include <string>

#include "base/checksum.h"
#include "base/clock.h"
#include "base/ip_address.h"
#include "net/ethernet.h"
#include "net/ip_headers.h"
#include "tests/support/eal.h"
#include "worker/eal.h"

namespace sluice::worker::test {

/// One net_ring ethdev, started: what it sends it receives. Its ring holds 1,023 frames.
inline PortInfo ring_port(bool multi_segment, uint32_t cores = 1, uint32_t core = 0) {
    sluice::test::test_eal();
    TscClock::calibrate();
    static int number = 0;
    const std::string name = "net_ring" + std::to_string(number++);
    EXPECT_EQ(rte_eal_hotplug_add("vdev", name.c_str(), ""), 0);
    PortInfo info;
    info.name = name;
    info.mac = {2, 0, 0, 0, 0, 1};
    info.multi_segment = multi_segment;
    info.queues.resize(cores);
    uint16_t ethdev = 0;
    EXPECT_EQ(rte_eth_dev_get_port_by_name(name.c_str(), &ethdev), 0);
    rte_eth_conf conf{};
    EXPECT_EQ(rte_eth_dev_configure(ethdev, 1, 1, &conf), 0);
    EXPECT_EQ(rte_eth_rx_queue_setup(ethdev, 0, 256, 0, nullptr, sluice::test::test_mempool()), 0);
    EXPECT_EQ(rte_eth_tx_queue_setup(ethdev, 0, 256, 0, nullptr), 0);
    EXPECT_EQ(rte_eth_dev_start(ethdev), 0);
    info.queues[core].push_back({ethdev, 0});
    return info;
}

inline rte_mbuf* mbuf_of(std::string_view bytes) {
    sluice::test::test_eal();
    rte_mbuf* m = rte_pktmbuf_alloc(sluice::test::test_mempool());
    std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(bytes.size())), bytes.data(), bytes.size());
    return m;
}
inline std::string text_of(const rte_mbuf* m) {
    std::string out;
    for (; m; m = m->next) out.append(rte_pktmbuf_mtod(m, const char*), m->data_len);
    return out;
}
inline unsigned mbufs_in_use() { return rte_mempool_in_use_count(sluice::test::test_mempool()); }

inline std::string be16_text(uint32_t v) { return {static_cast<char>(v >> 8), static_cast<char>(v)}; }
inline std::string be32_text(uint32_t v) { return be16_text(v >> 16) + be16_text(v & 0xffff); }
inline std::string bytes_of(const IpAddress& a) {
    const auto* p = reinterpret_cast<const char*>(a.bytes.data());
    return a.is_v4() ? std::string(p + 12, 4) : std::string(p, 16);
}
inline std::string bytes_of(const net::MacAddress& m) { return {reinterpret_cast<const char*>(m.data()), m.size()}; }
inline void put_checksum(std::string& bytes, size_t at, uint64_t sum) {
    store_checksum(bytes.data() + at, checksum_finish(checksum_add(bytes.data(), static_cast<uint32_t>(bytes.size()), sum)));
}

inline std::string ethernet(const net::MacAddress& to, const net::MacAddress& from, uint16_t type) {
    return bytes_of(to) + bytes_of(from) + be16_text(type);
}
inline std::string ipv4(const char* from, const char* to, uint8_t protocol, const std::string& payload, uint16_t fragment = 0) {
    std::string h = std::string("\x45\0", 2) + be16_text(static_cast<uint32_t>(20 + payload.size())) + be16_text(1) + be16_text(fragment) +
                    std::string(1, 64) + static_cast<char>(protocol) + be16_text(0) + bytes_of(*IpAddress::parse(from)) + bytes_of(*IpAddress::parse(to));
    put_checksum(h, 10, 0);
    return h + payload;
}
inline std::string ipv6(const char* from, const char* to, uint8_t next, const std::string& payload) {
    return be32_text(0x60000000) + be16_text(static_cast<uint32_t>(payload.size())) + static_cast<char>(next) + std::string(1, 64) +
           bytes_of(*IpAddress::parse(from)) + bytes_of(*IpAddress::parse(to)) + payload;
}
/// A TCP segment without options or data.
inline std::string tcp_segment(const IpAddress& from, uint16_t from_port, const IpAddress& to, uint16_t to_port, uint8_t flags,
                               uint32_t sequence, uint32_t acknowledgment = 0) {
    std::string t = be16_text(from_port) + be16_text(to_port) + be32_text(sequence) + be32_text(acknowledgment) + std::string(1, 0x50) +
                    static_cast<char>(flags) + be16_text(65535) + be32_text(0);
    put_checksum(t, 16, pseudo_header_sum(from, to, 6, static_cast<uint32_t>(t.size())));
    return t;
}
inline std::string tcp_syn(const char* from, uint16_t from_port, const char* to, uint16_t to_port) {
    return tcp_segment(*IpAddress::parse(from), from_port, *IpAddress::parse(to), to_port, 2, 1000);
}
inline std::string icmp_error(uint8_t type, uint8_t code, const std::string& quoted) {
    std::string m{static_cast<char>(type), static_cast<char>(code)};
    m += be16_text(0) + be32_text(0) + quoted;
    put_checksum(m, 2, 0);
    return m;
}
inline std::string arp_request(const net::MacAddress& from, const char* sender, const char* target) {
    return be16_text(1) + be16_text(0x0800) + std::string("\x06\x04", 2) + be16_text(1) + bytes_of(from) + bytes_of(*IpAddress::parse(sender)) +
           std::string(6, '\0') + bytes_of(*IpAddress::parse(target));
}

}  // namespace sluice::worker::test
