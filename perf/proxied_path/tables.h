// What the cores of one gateway share: who owns which connection, the snapshot with its publisher, the names of request series, and what
// is each core's but made by the control thread: its counters and its access log's ring (dataplane/gateway/gateway.cc does the same).
// In: the number of cores. Out: everything on port 80 routed to one backend, as perf/peers/load_mesh.yaml has it. Owns it all.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/ip_address.h"
#include "snapshot/snapshot.h"
#include "telemetry/access_log_ring.h"
#include "telemetry/core_stats.h"
#include "worker/exchange.h"
#include "worker/owner.h"

namespace sluice::perf {

inline constexpr uint32_t kGatewayIp = 0x0a630001, kBackendIp = 0x0a630003, kClientIp = 0x0a630010;
inline constexpr uint32_t kClientIps = 64;   // a million connections to one address need more ports than one client has
inline constexpr uint16_t kBackendPort = 9080;

struct SharedTables {
    explicit SharedTables(uint32_t cores);
    SharedTables(const SharedTables&) = delete;

    const uint32_t cores;
    const worker::OwnerTable owners;   // both ends of a connection find the same core: the key is symmetric
    worker::Exchange gateway_exchange, peers_exchange;
    snapshot::Publisher publisher;
    telemetry::RequestSeries series;
    std::vector<std::unique_ptr<telemetry::CoreStats>> stats;
    std::vector<std::unique_ptr<telemetry::AccessLogRing>> logs;
    std::atomic<bool> drain{false};
};

}  // namespace sluice::perf
