// What a NIC does to a frame on its way out: completes the TCP checksum, and cuts a long frame into packets.
// In: a frame as net::Stack queues it for a port with offloads. Out: IP packets for the wire, and a count of frames that no such
// port could have sent. Owns the packets until they are taken.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <deque>
#include <vector>

namespace sluice::harness {

struct PortOffloads {
    bool checksum = false, chains = false, cuts = false;
    bool any() const { return checksum || chains || cuts; }
};

class Port {
 public:
    explicit Port(const PortOffloads& offloads, uint32_t mtu) : offloads_(offloads), mtu_(mtu) {}
    /// Takes the frame over.
    void transmit(rte_mbuf* frame);
    std::deque<std::vector<uint8_t>>& packets() { return packets_; }
    bool passive() const { return !offloads_.any(); }
    uint64_t bad_frames() const { return bad_frames_; }

 private:
    void cut(const std::vector<uint8_t>& frame, uint32_t ip_bytes, uint32_t tcp_bytes, uint32_t part_max, bool many);

    const PortOffloads offloads_;
    const uint32_t mtu_;
    std::deque<std::vector<uint8_t>> packets_;
    uint64_t bad_frames_ = 0;
};

}  // namespace sluice::harness
