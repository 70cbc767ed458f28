// The core's pools and the end of its objects' lives.
#include "proxy/core.h"

#include <algorithm>

#include "proxy/arrival.h"
#include "proxy/downstream.h"
#include "proxy/listeners.h"
#include "proxy/stream.h"
#include "proxy/tls_transport.h"
#include "proxy/upstream_connection.h"

namespace sluice::proxy {
namespace {

std::unique_ptr<tls::HandshakeThreads> inline_threads(const CoreConfig& config) {
    if (config.handshake_threads) return nullptr;
    return std::make_unique<tls::HandshakeThreads>(tls::HandshakeThreads::Options{.threads = 0, .cores = 1, .cpus = {}, .name = {}});
}

}  // namespace

Core::Core(const CoreConfig& c, Network& n, snapshot::Reader r, rte_mempool* m, SliceNodePool& slice_nodes,
           telemetry::CoreStats& core_stats, telemetry::AccessLogRing* log, StageClock& stage_clock)
    : config(c), network(n), reader(r), mbufs(m), nodes(slice_nodes), stats(core_stats), access_log(log), stages(stage_clock),
      unix_offset_us(c.unix_offset_us), rng(c.seed), upstreams(c.upstream, &reader.pins()), arena_chunks(c.arena_chunks),
      streams(*new Pool<Stream>(c.streams_max)), downstreams(*new Pool<Downstream>(c.connections_max)),
      upstream_connections(*new Pool<UpstreamConnection>(c.upstream_connections_max)),
      listeners(*new Pool<ListenerState>(c.listeners_max)), arrivals(*new Pool<Arrival>(c.arrivals_max)), inline_handshakes(inline_threads(c)),
      handshaker(c.handshake_threads ? *c.handshake_threads : *inline_handshakes, c.handshake_threads ? c.core : 0, c.handshakes),
      record_engine(m, slice_nodes, c.expanded_keys_max, c.tls_key_records_max), identities(c.connections_max + c.upstream_connections_max),
      tls_transports(*new Pool<TlsTransport>(c.connections_max + c.upstream_connections_max)) {}

Core::~Core() {
    delete &tls_transports;
    delete &arrivals;
    delete &listeners;
    delete &upstream_connections;
    delete &downstreams;
    delete &streams;
}

std::string_view Core::http_date() {
    const uint64_t second = unix_us() / 1'000'000;
    if (second != date_second_) {
        date_second_ = second;
        filter::write_http_date(second, date_);
    }
    return {date_, sizeof date_};
}

void Core::bury(Stream& stream) {
    stream.next_dead = dead_streams_;
    dead_streams_ = &stream;
}
void Core::bury(Downstream& downstream) {
    downstream.next_dead = dead_downstreams_;
    dead_downstreams_ = &downstream;
}
void Core::bury(UpstreamConnection& connection) {
    connection.next_dead = dead_upstreams_;
    dead_upstreams_ = &connection;
}

void Core::bury(Arrival& arrival) {
    arrival.next_dead = dead_arrivals_;
    dead_arrivals_ = &arrival;
}
void Core::bury(TlsTransport& transport) {
    transport.next_dead = dead_tls_;
    dead_tls_ = &transport;
}

void Core::schedule(Arrival& arrival) {
    if (arrival.scheduled) return;
    arrival.scheduled = true;
    arrival.next_ready = std::exchange(ready_arrivals_, &arrival);
}

void Core::schedule(TlsTransport& transport) {
    if (transport.scheduled) return;
    transport.scheduled = true;
    transport.next_ready = std::exchange(ready_tls_, &transport);
}

void Core::schedule(Downstream& downstream) {
    if (downstream.scheduled) return;
    downstream.scheduled = true;
    downstream.next_ready = nullptr;
    (ready_last_ ? ready_last_->next_ready : ready_first_) = &downstream;
    ready_last_ = &downstream;
}

void Core::settle() {
    for (Arrival* arrival = std::exchange(ready_arrivals_, nullptr); arrival;) {
        Arrival* const next = arrival->next_ready;
        arrival->scheduled = false;
        arrival->run(now);
        arrival = next;
    }
    for (TlsTransport* transport = std::exchange(ready_tls_, nullptr); transport;) {
        TlsTransport* const next = transport->next_ready;
        transport->scheduled = false;
        transport->run(now);
        transport = next;
    }
    // Those that want another turn go to a new list: one client's pipeline does not hold up the others.
    Downstream* downstream = std::exchange(ready_first_, nullptr);
    ready_last_ = nullptr;
    while (downstream) {
        Downstream* const next = downstream->next_ready;
        downstream->scheduled = false;
        downstream->run(now);
        downstream = next;
    }
    reap();
}

void Core::reap() {
    while (Stream* stream = dead_streams_) {
        dead_streams_ = stream->next_dead;
        streams.give(stream);
    }
    while (UpstreamConnection* connection = dead_upstreams_) {
        dead_upstreams_ = connection->next_dead;
        upstream_connections.give(connection);
    }
    Arrival* kept_arrivals = nullptr;
    while (Arrival* arrival = dead_arrivals_) {
        dead_arrivals_ = arrival->next_dead;
        if (arrival->scheduled) arrival->next_dead = std::exchange(kept_arrivals, arrival);
        else arrivals.give(arrival);
    }
    dead_arrivals_ = kept_arrivals;
    TlsTransport* kept_tls = nullptr;
    while (TlsTransport* transport = dead_tls_) {
        dead_tls_ = transport->next_dead;
        if (transport->scheduled) transport->next_dead = std::exchange(kept_tls, transport);
        else tls_transports.give(transport);
    }
    dead_tls_ = kept_tls;
    Downstream* kept = nullptr;
    while (Downstream* downstream = dead_downstreams_) {
        dead_downstreams_ = downstream->next_dead;
        if (downstream->scheduled) {  // still in the list of those to run
            downstream->next_dead = kept;
            kept = downstream;
            continue;
        }
        downstreams.give(downstream);
    }
    dead_downstreams_ = kept;
}

void Core::advance_timers(Instant at) {
    now = at;
    timers.advance(at, [&](TimerNode& node) { static_cast<LazyTimer&>(node).handler().on_timer(now); });
}

bool append_text(std::string_view text, rte_mempool* mbufs, SliceQueue& out) {
    SliceQueue fresh(out.nodes());
    while (!text.empty()) {
        rte_mbuf* segment = rte_pktmbuf_alloc(mbufs);
        if (!segment) return false;
        const auto n = static_cast<uint32_t>(std::min<size_t>(text.size(), rte_pktmbuf_tailroom(segment)));
        std::memcpy(rte_pktmbuf_mtod(segment, char*), text.data(), n);
        if (!fresh.push_back(Slice(segment, segment->data_off, n))) return false;
        text.remove_prefix(n);
    }
    out.append(std::move(fresh));
    return true;
}

}  // namespace sluice::proxy
