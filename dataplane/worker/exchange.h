// What cores hand one another: segments that arrived at another core's queue, and news about neighbours and ICMP errors.
// One pair of SPSC rings for each ordered pair of cores; a full ring drops and counts, it never blocks.
// Owns the rings; a datagram's mbuf belongs to whoever pops it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/spsc_ring.h"
#include "net/datagram.h"
#include "net/stack.h"

namespace sluice::worker {

struct CoreNews {
    enum class Kind : uint8_t { kNeighbor, kIcmpError } kind{};
    union {
        net::NeighborUpdate neighbor;
        net::IcmpError icmp_error;
    };
    CoreNews() : neighbor{} {}
};

class Exchange {
 public:
    static constexpr uint32_t kDatagrams = 1024, kNews = 256;

    explicit Exchange(uint32_t cores) : cores_(cores) {
        for (uint32_t i = 0; i < cores * cores; i++) {
            const bool self = i / cores == i % cores;
            pairs_.push_back(self ? nullptr : std::make_unique<Pair>());
        }
    }
    ~Exchange() {
        net::DatagramIn d;
        for (auto& p : pairs_)
            while (p && p->datagrams.pop(d)) rte_pktmbuf_free(d.mbuf);
    }
    Exchange(const Exchange&) = delete;

    SpscRing<net::DatagramIn>& datagrams(uint32_t from, uint32_t to) { return pairs_[from * cores_ + to]->datagrams; }
    SpscRing<CoreNews>& news(uint32_t from, uint32_t to) { return pairs_[from * cores_ + to]->news; }
    uint32_t cores() const { return cores_; }

 private:
    struct Pair {
        SpscRing<net::DatagramIn> datagrams{kDatagrams};
        SpscRing<CoreNews> news{kNews};
    };
    uint32_t cores_;
    std::vector<std::unique_ptr<Pair>> pairs_;
};

}  // namespace sluice::worker
