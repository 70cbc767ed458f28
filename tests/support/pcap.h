// A capture file of bare IP packets (pcap, LINKTYPE_RAW) that Wireshark opens; written when a simulation fails.
// In: IP packets and the virtual time. Out: a file. Owns the packets until written.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace sluice::test {

class Pcap {
 public:
    /// Keeps at most the last `packets_max` packets.
    explicit Pcap(size_t packets_max = 20000) : packets_max_(packets_max) {}

    void add(uint64_t now_us, std::span<const uint8_t> ip_packet) {
        Packet packet{now_us, {ip_packet.begin(), ip_packet.end()}};
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
