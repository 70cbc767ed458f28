// Requests over connections that are open already, each when it is due: an open loop, Poisson. What others on the same machine do to
// established traffic is seen in its latency. In: whom, rate, connections. Out: latencies from when a request was due.
#pragma once

#include <string>

#include "perf/load_generator/latency.h"
#include "perf/tls_client/connection.h"

namespace sluice::perf {

struct RequestPlan {
    SocketAddress target;
    std::string request;
    uint32_t connections = 16;
    double rate_per_s = 1000;
    uint64_t warmup_ns = 0, measure_ns = 0, seed = 1;
};

struct RequestOutcome {
    uint64_t completed = 0, not_2xx = 0, failed = 0, unanswered = 0;
    Latency latency;
    std::string failure;
};

std::string run_requests(ClientContext& context, const RequestPlan& plan, RequestOutcome& out);

}  // namespace sluice::perf
