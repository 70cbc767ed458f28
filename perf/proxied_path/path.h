// A whole proxied request in one thread: the real worker, TCP and proxy of one core, between a generator and a backend on a worker of their own.
// In: tables shared with the other cores, sizes. Out: requests proxied when run() is called, and what they cost.
// Owns both ends, the proxy and its peers. The thread that makes it runs it, and has a DPDK lcore id of its own.
#pragma once

#include <cstdint>
#include <string>

#include "perf/proxied_path/end.h"
#include "proxy/proxy.h"

namespace sluice::perf {

class Peers;

struct PathSetup {
    uint32_t connections = 64;     // each sends its next request when it has its answer
    uint32_t idle_connections = 0; // each has had one answer and is kept alive
    uint32_t body_bytes = 1024;
};

class ProxiedPath {
 public:
    /// `name` is short, and of no other path. Ready: connected, idle ones included.
    ProxiedPath(const std::string& name, SharedTables& tables, uint32_t core, const PathSetup& setup);
    ~ProxiedPath();
    ProxiedPath(const ProxiedPath&) = delete;

    /// Until so many more requests have been proxied.
    void run(uint64_t requests);
    uint64_t cycles(Stage stage) const { return gateway_.worker->stages().total(stage); }
    uint64_t requests() const { return proxy_->requests(); }
    uint32_t clients() const { return proxy_->connections(); }
    /// Received and sent by the gateway.
    uint64_t frames() const { return gateway_.worker->port(0).counters().rx_frames.get() + gateway_.worker->port(0).counters().tx_frames.get(); }
    /// Segments that came to a core that does not own them.
    uint64_t strays() const { return gateway_.worker->counters().handed_over.get(); }

 private:
    void turn();
    void gateway_turn();
    void open_idle(uint32_t connections);

    SharedTables& tables_;
    const uint32_t core_;
    End near_, gateway_;
    proxy::Proxy* proxy_ = nullptr;
    Peers* peers_ = nullptr;
    uint64_t turns_ = 0;
};

}  // namespace sluice::perf
