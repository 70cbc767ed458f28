// A wire from one simulated host to another: loses, doubles, reorders, damages, delays, marks and swallows packets, from one
// generator. In: IP packets with the time they leave. Out: the same, or not, with the time they arrive, and what a router would
// say of those too large. Owns them in between. ECN by RFC 3168 5, "fragmentation needed" by RFC 1191.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "tests/sim/packet.h"
#include "tests/support/pcap.h"

namespace sluice::sim {

struct LinkConfig {
    double loss = 0, duplicate = 0, corrupt = 0, reorder = 0;
    Duration delay = milliseconds(1);
    Duration jitter{};          // further delay of a reordered packet, at most
    uint64_t bytes_per_s = 0;   // 0: no limit
    Duration queue = milliseconds(200);      // what the bottleneck holds; the rest is dropped
    Duration mark_above = Duration{-1};      // a longer queue marks what is ECT; negative: it does not know ECN
    uint16_t mtu = UINT16_MAX;  // larger packets are dropped ...
    bool icmp = true;           // ... and their sender is told, or not: a black hole
};

/// Where a host's packets go.
class PacketSink {
 public:
    virtual ~PacketSink() = default;
    virtual void send(Packet packet, Instant now) = 0;
};

class Link final : public PacketSink {
 public:
    Link(const LinkConfig& config, Rng rng, test::Pcap* pcap) : config_(config), rng_(rng), pcap_(pcap) {}

    void send(Packet packet, Instant now) override {
        if (pcap_) pcap_->add(now.us, packet.bytes);
        sent_++;
        if (packet.bytes.size() > config_.mtu) {
            if (config_.icmp) returned_.emplace(now + config_.delay, too_big(packet, config_.mtu));
            return;
        }
        if (rng_.chance(config_.loss)) return;
        Instant at = now + config_.delay;
        if (config_.bytes_per_s != 0) {
            free_at_ = std::max(free_at_, now);
            const Duration waiting = free_at_ - now;
            if (waiting > config_.queue) return;
            if (config_.mark_above.us >= 0 && waiting > config_.mark_above && packet.ecn() != 0) packet.mark();
            const auto us = static_cast<int64_t>(packet.bytes.size() * 1'000'000 / config_.bytes_per_s);
            free_at_ = free_at_ + Duration{us};
            at = free_at_ + config_.delay;
        }
        if (rng_.chance(config_.reorder)) at = at + Duration{static_cast<int64_t>(rng_.below(config_.jitter.us + 1))};
        if (rng_.chance(config_.duplicate)) queue_.emplace(at + Duration{static_cast<int64_t>(rng_.below(5000))}, packet);
        if (rng_.chance(config_.corrupt)) {
            packet.transport()[rng_.below(packet.transport_bytes())] ^= static_cast<uint8_t>(1u << rng_.below(8));
            packet.damaged = true;
        }
        queue_.emplace(at, std::move(packet));
    }
    Instant next() const {
        const Instant forward = queue_.empty() ? Instant::never() : queue_.begin()->first;
        return returned_.empty() ? forward : std::min(forward, returned_.begin()->first);
    }
    bool receive(Packet& out, Instant now) { return take(queue_, out, now); }
    /// What was too large comes back to its sender's side.
    bool receive_returned(Packet& out, Instant now) { return take(returned_, out, now); }
    uint64_t sent() const { return sent_; }
    const LinkConfig& config() const { return config_; }
    void set(const LinkConfig& config) { config_ = config; }

 private:
    using Queue = std::multimap<Instant, Packet>;  // equal times keep their order
    static bool take(Queue& queue, Packet& out, Instant now) {
        if (queue.empty() || queue.begin()->first > now) return false;
        out = std::move(queue.begin()->second);
        queue.erase(queue.begin());
        return true;
    }

    LinkConfig config_;
    Rng rng_;
    test::Pcap* pcap_;
    Instant free_at_{};
    uint64_t sent_ = 0;
    Queue queue_, returned_;
};

}  // namespace sluice::sim
