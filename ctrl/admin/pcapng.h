// Captures as pcapng (draft-ietf-opsawg-pcapng): section header, an interface for each port, frames with their direction, and
// the interfaces' statistics at the end. In: names, frames, counts. Out: bytes appended. Frames that a device was to complete
// are completed here, so that checksums read right; where the copy is too short for that, a comment says so. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::admin {

struct PcapngFrame {
    uint32_t port = 0;
    bool sent = false;
    uint64_t unix_us = 0;
    uint32_t length = 0;      // on the wire; `bytes` may be shorter
    std::string bytes;
    std::string comment;      // empty: none
};

struct PcapngStatistics {
    uint32_t port = 0;
    uint64_t unix_us = 0;
    uint64_t received = 0, accepted = 0, dropped = 0;   // seen by the filter; let through; lost to full rings
};

void pcapng_begin(const std::vector<std::string>& ports, uint32_t snap_bytes, std::string& out);
void pcapng_frame(const PcapngFrame& frame, std::string& out);
void pcapng_statistics(const PcapngStatistics& statistics, std::string& out);

/// Writes the IPv4 and TCP or UDP checksums that the mbuf flags leave to the device, or says in the comment why not.
void finish_offloads(uint64_t ol_flags, uint16_t l2_bytes, uint16_t l3_bytes, uint16_t segment_bytes, PcapngFrame& frame);

}  // namespace sluice::admin
