// One gateway of a simulated TLS world: the proxy over our TCP on a machine of its own, with one listener and one cluster, each in plain
// text or in TLS. In: contexts to publish, segments through its host, turns. Out: forwarded requests.
// Owns its machine, tables and proxy; what these lend is counted (leftovers()). Single thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "proxy/proxy.h"
#include "tests/support/tcp_host.h"

namespace sluice::sim {

class Gate {
 public:
    struct Config {
        SocketAddress listen, next;          // `next`: where its cluster's only endpoint is
        bool serves_tls = false, calls_tls = false;
        uint32_t requests_per_connection = 0;
        Duration idle{};                     // of connections without a request, on either side
        uint16_t mtu = 1500;
        proxy::CoreConfig core;
        uint64_t seed = 1;
    };
    explicit Gate(const Config& config);
    ~Gate();

    /// In force from the next turn on.
    void publish(std::shared_ptr<const tls::ServerContext> server, std::shared_ptr<const tls::ClientContext> client);
    void run(Instant now);
    Instant next() const;
    test::Host& host() { return *host_; }
    proxy::Proxy& proxy() const { return *proxy_; }
    const telemetry::CoreStats& stats() const { return *stats_; }
    /// What is still lent; empty: nothing.
    std::string leftovers();

 private:
    Config config_;
    std::unique_ptr<test::Host> host_;
    std::unique_ptr<telemetry::CoreStats> stats_;
    StageClock stages_;
    snapshot::Publisher publisher_{1};
    std::vector<std::unique_ptr<route::Scratch>> scratches_;
    std::shared_ptr<snapshot::Listener> listener_;
    std::atomic<bool> drain_{false};
    uint64_t revision_ = 0;
    std::unique_ptr<proxy::Proxy> proxy_;
};

}  // namespace sluice::sim
