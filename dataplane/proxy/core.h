// What all proxy objects of one core share: pools sized at start, timers, statistics, the present time and the root of the tables.
// In: the configuration of the core. Out: objects lent from pools. Owns all of the core's streams and connections; those that
// ended are given back only when nobody is on the stack inside them (reap()). Single core.
#pragma once

#include <cstdint>
#include <memory>

#include "base/arena.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/slice.h"
#include "base/stage_clock.h"
#include "base/timer_wheel.h"
#include "filter/text.h"
#include "proxy/handshake_failures.h"
#include "proxy/identities.h"
#include "proxy/transport.h"
#include "snapshot/snapshot.h"
#include "telemetry/access_log_ring.h"
#include "telemetry/core_stats.h"
#include "tls/handshake.h"
#include "tls/records.h"
#include "upstream/pool.h"

namespace sluice::proxy {

class Stream;
class Downstream;
class UpstreamConnection;
class Arrival;
class TlsTransport;
struct ListenerState;

/// What one direction of a stream may hold is shared by the sender's receive buffer and the receiver's send buffer.
inline tcp::Options default_tcp_options() {
    tcp::Options options;
    options.receive_buffer_bytes = limits::kStreamBufferBytes / 2;
    options.send_buffer_bytes = limits::kStreamBufferBytes / 2;
    return options;
}

struct CoreConfig {
    uint32_t core = 0;
    int cpu = -1;                      // that it runs on; -1: not known
    uint64_t seed = 0;                 // request ids, balancers; 0 = from the system (Proxy)
    int64_t unix_offset_us = 0;        // what to add to an Instant for microseconds since 1970; Proxy keeps it right
    tcp::Options tcp = default_tcp_options();   // of accepted and opened connections
    uint32_t connections_max = 16384;  // downstream
    uint32_t upstream_connections_max = 16384;
    uint32_t streams_max = 16384;
    uint32_t arena_chunks = 4 * 16384;
    uint32_t listeners_max = 2048;     // of two generations: those that drain beside those in force
    uint32_t arrivals_max = 8192;      // clients whose first bytes or handshake are awaited
    tls::HandshakeLimits handshakes;
    uint32_t expanded_keys_max = 4096; // directions of TLS connections with expanded keys, 1 KiB each
    uint64_t tls_key_records_max = tls::kKeyRecordsMax;   // sealed with one TLS 1.3 key
    tls::HandshakeThreads* handshake_threads = nullptr;   // outlive the core; nullptr: handshakes run inline
    upstream::PoolLimits upstream{.clusters = snapshot::kClusterIdsMax, .endpoints = snapshot::kEndpointIdsMax};
};

/// One node of the timer wheel with whom to call.
class TimerHandler {
 public:
    virtual void on_timer(Instant now) = 0;

 protected:
    ~TimerHandler() = default;
};

/// Fires at or before the deadline wanted last: a later deadline does not move it, so a request on a kept-alive connection
/// costs no work in the wheel. The handler looks at its deadlines and wants again.
class LazyTimer : public TimerNode {
 public:
    explicit LazyTimer(TimerHandler& handler) : handler_(&handler) {}
    void want(TimerWheel& wheel, Instant deadline) {
        if (armed() ? at() <= deadline + TimerWheel::kTick || deadline == Instant::never() : deadline == Instant::never()) return;
        wheel.arm(*this, deadline);
    }
    TimerHandler& handler() const { return *handler_; }

 private:
    TimerHandler* handler_;
};

/// Why things were refused or cut short on this core, beside the telemetry room's counters.
struct CoreCounters {
    uint64_t accepted = 0, accept_refused = 0, stream_refused = 0, arena_full = 0, mbufs_empty = 0;
    uint64_t requests = 0, local_replies = 0, resent = 0, downstream_resets = 0;
};

class Core {
 public:
    Core(const CoreConfig& config, Network& network, snapshot::Reader reader, rte_mempool* mbufs, SliceNodePool& nodes,
         telemetry::CoreStats& stats, telemetry::AccessLogRing* access_log, StageClock& stages);
    ~Core();
    Core(const Core&) = delete;

    uint64_t unix_us() const { return now.us + static_cast<uint64_t>(unix_offset_us); }
    /// IMF-fixdate of now; the text is renewed once a second.
    std::string_view http_date();

    // What has ended is given back by reap(), called when the stack is unwound.
    void bury(Stream& stream);
    void bury(Downstream& downstream);
    void bury(UpstreamConnection& connection);
    void bury(Arrival& arrival);
    void bury(TlsTransport& transport);
    /// Has `downstream` looked at again before the turn's end: bytes of its next request are here already.
    void schedule(Downstream& downstream);
    void schedule(Arrival& arrival);
    /// Has an end told that lay behind bytes.
    void schedule(TlsTransport& transport);
    /// Runs what was scheduled, once each, and gives back what was buried.
    void settle();
    bool unsettled() const { return ready_first_ != nullptr || ready_tls_ != nullptr || ready_arrivals_ != nullptr; }
    void advance_timers(Instant at);

    CoreConfig config;
    Network& network;
    snapshot::Reader reader;
    rte_mempool* mbufs;
    SliceNodePool& nodes;
    telemetry::CoreStats& stats;
    telemetry::AccessLogRing* access_log;   // may be nullptr
    StageClock& stages;
    int64_t unix_offset_us;

    Instant now;
    const snapshot::Snapshot* root = nullptr;   // of this turn
    bool draining = false;                      // the whole gateway takes no new work
    TimerWheel timers;
    Rng rng;
    CoreCounters counters;
    upstream::Pools upstreams;
    route::Scratch no_scratch;                  // where a snapshot brings none
    ArenaChunkPool arena_chunks;
    Pool<Stream>& streams;
    Pool<Downstream>& downstreams;
    Pool<UpstreamConnection>& upstream_connections;
    Pool<ListenerState>& listeners;
    Pool<Arrival>& arrivals;

    // TLS.
    std::unique_ptr<tls::HandshakeThreads> inline_handshakes;   // where no threads are given
    tls::Handshaker handshaker;
    tls::RecordEngine record_engine;
    Identities identities;
    Pool<TlsTransport>& tls_transports;
    mutable HandshakeFailures handshake_failures;   // its other end is another thread's

 private:
    void reap();
    Stream* dead_streams_ = nullptr;
    Downstream* dead_downstreams_ = nullptr;
    UpstreamConnection* dead_upstreams_ = nullptr;
    Arrival *dead_arrivals_ = nullptr, *ready_arrivals_ = nullptr;
    TlsTransport *dead_tls_ = nullptr, *ready_tls_ = nullptr;
    Downstream *ready_first_ = nullptr, *ready_last_ = nullptr;
    uint64_t date_second_ = UINT64_MAX;
    char date_[filter::kHttpDateSize];
};

/// Copies `text` into fresh mbufs at the end of `out`; false (and `out` as it was) if there are none left.
[[nodiscard]] bool append_text(std::string_view text, rte_mempool* mbufs, SliceQueue& out);

}  // namespace sluice::proxy
