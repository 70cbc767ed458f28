// A wire between two simulated hosts: loses, doubles, reorders, damages and delays segments, from one generator.
// In: segments with the time they leave. Out: the same, or not, with the time they arrive. Owns them in between.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "base/ip_address.h"
#include "base/rng.h"
#include "base/time.h"
#include "tests/support/pcap.h"

namespace sluice::sim {

struct LinkConfig {
    double loss = 0, duplicate = 0, corrupt = 0, reorder = 0;
    Duration delay = milliseconds(1);
    Duration jitter{};          // further delay of a reordered packet, at most
    uint64_t bytes_per_s = 0;   // 0: no limit
    Duration queue = milliseconds(200);  // what the bottleneck holds; the rest is dropped
};

struct Packet {
    IpAddress source, destination;
    std::vector<uint8_t> bytes;  // TCP header and payload
    bool damaged = false;
};

class Link {
 public:
    Link(const LinkConfig& config, Rng rng, test::Pcap* pcap) : config_(config), rng_(rng), pcap_(pcap) {}

    void send(Packet packet, Instant now) {
        if (pcap_) pcap_->add(now.us, packet.source, packet.destination, packet.bytes);
        sent_++;
        if (rng_.chance(config_.loss)) return;
        Instant at = now + config_.delay;
        if (config_.bytes_per_s != 0) {
            free_at_ = std::max(free_at_, now);
            if (free_at_ - now > config_.queue) return;
            const auto us = static_cast<int64_t>((packet.bytes.size() + 40) * 1'000'000 / config_.bytes_per_s);
            free_at_ = free_at_ + Duration{us};
            at = free_at_ + config_.delay;
        }
        if (rng_.chance(config_.reorder)) at = at + Duration{static_cast<int64_t>(rng_.below(config_.jitter.us + 1))};
        if (rng_.chance(config_.duplicate)) queue_.emplace(at + Duration{static_cast<int64_t>(rng_.below(5000))}, packet);
        if (rng_.chance(config_.corrupt)) {
            packet.bytes[rng_.below(packet.bytes.size())] ^= static_cast<uint8_t>(1u << rng_.below(8));
            packet.damaged = true;
        }
        queue_.emplace(at, std::move(packet));
    }
    Instant next() const { return queue_.empty() ? Instant::never() : queue_.begin()->first; }
    bool receive(Packet& out, Instant now) {
        if (queue_.empty() || queue_.begin()->first > now) return false;
        out = std::move(queue_.begin()->second);
        queue_.erase(queue_.begin());
        return true;
    }
    uint64_t sent() const { return sent_; }
    void set(const LinkConfig& config) { config_ = config; }

 private:
    LinkConfig config_;
    Rng rng_;
    test::Pcap* pcap_;
    Instant free_at_{};
    uint64_t sent_ = 0;
    std::multimap<Instant, Packet> queue_;  // equal times keep their order
};

}  // namespace sluice::sim
