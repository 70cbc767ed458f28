// Handshakes one after another on a few connections at a time: full ones, or resumed by one ticket. A closed loop.
// In: whom, how many at a time, for how long. Out: how many ended well in the window, and how long they took.
// A handshake is over when the server has ended the connection, for which the client asks as soon as it can: then the server has verified
// the client's Finished. RFC 8446 6.1.
#pragma once

#include <string>

#include "perf/tls_client/connection.h"
#include "perf/load_generator/latency.h"

namespace sluice::perf {

struct HandshakePlan {
    SocketAddress target;
    uint32_t concurrency = 8;
    uint64_t warmup_ns = 0, measure_ns = 0;
    bool resume = false;
};

struct HandshakeOutcome {
    uint64_t done = 0, resumed = 0, failed = 0;   // in the window
    Latency latency;                              // from connect() to the server's end
    std::string failure;                          // the first one, in words
};

/// Empty error text: it ran.
std::string run_handshakes(ClientContext& context, const HandshakePlan& plan, HandshakeOutcome& out);

}  // namespace sluice::perf
