// A capture file of bare IP packets (pcap, LINKTYPE_RAW) that Wireshark opens; written when a simulation fails.
// In: TCP segments with their addresses and the virtual time. Out: a file. Owns the packets until written.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/ip_address.h"

namespace sluice::test {

class Pcap {
 public:
    /// Keeps at most the last `packets_max` packets.
    explicit Pcap(size_t packets_max = 20000) : packets_max_(packets_max) {}

    void add(uint64_t now_us, const IpAddress& from, const IpAddress& to, std::span<const uint8_t> segment) {
        Packet packet{now_us, {}};
        const auto length = static_cast<uint16_t>(20 + segment.size());
        const uint32_t a = from.is_v4() ? from.v4_value() : 0x0a000000u | from.bytes[15];
        const uint32_t b = to.is_v4() ? to.v4_value() : 0x0a000000u | to.bytes[15];
        packet.bytes = {0x45, 0, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length), 0, 0, 0x40, 0, 64, 6, 0, 0};
        for (const uint32_t address : {a, b}) {
            for (int shift = 24; shift >= 0; shift -= 8) packet.bytes.push_back(static_cast<uint8_t>(address >> shift));
        }
        packet.bytes.insert(packet.bytes.end(), segment.begin(), segment.end());
        if (packets_.size() < packets_max_) packets_.push_back(std::move(packet));
        else packets_[next_++ % packets_max_] = std::move(packet);
    }
    void write(const std::string& path) const {
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        std::FILE* file = std::fopen(path.c_str(), "wb");
        if (!file) return;
        const uint32_t head[6] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, 101};
        std::fwrite(head, 4, 6, file);
        for (size_t i = 0; i < packets_.size(); i++) {
            const Packet& p = packets_[(next_ + i) % packets_.size()];
            const auto size = static_cast<uint32_t>(p.bytes.size());
            const uint32_t record[4] = {static_cast<uint32_t>(p.at_us / 1'000'000), static_cast<uint32_t>(p.at_us % 1'000'000),
                                        size, size};
            std::fwrite(record, 4, 4, file);
            std::fwrite(p.bytes.data(), 1, size, file);
        }
        std::fclose(file);
        std::fprintf(stderr, "packets kept in %s\n", path.c_str());
    }

 private:
    struct Packet {
        uint64_t at_us;
        std::vector<uint8_t> bytes;
    };
    size_t packets_max_;
    size_t next_ = 0;
    std::vector<Packet> packets_;
};

}  // namespace sluice::test
