// One core's statistics: written by that core alone with relaxed stores (no locked instruction, no shared line), read by
// the telemetry and admin threads, which add the cores up. Indexed by the stable ids of snapshot::Publisher.
// Arrays are sized at start and never grow; an id beyond them counts in one overflow slot at the end. The owner of a
// CoreStats outlives every reader. Times are microseconds since 1970, as in AccessLogEntry.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "http/h1/codec.h"
#include "telemetry/access_log.h"
#include "telemetry/bucket_histogram.h"
#include "telemetry/histogram.h"
#include "telemetry/request_series.h"
#include "telemetry/stat_array.h"
#include "telemetry/tls_stats.h"

namespace sluice::telemetry {

/// Why an endpoint failed us last; words for operators by to_string ("refused", "connect timeout").
enum class FailureReason : uint8_t {
    kNone, kRefused, kConnectTimeout, kUnreachable, kReset, kClosedEarly, kRequestTimeout, kProtocolError, kNoPorts, kTls, kCount,
};
std::string_view to_string(FailureReason reason);

/// Why bytes were copied that could have stayed where the NIC put them (DESIGN.md, Memory and bytes).
enum class CopyReason : uint8_t { kHeader, kCopyBreak, kLinearized, kCompacted, kCount };
std::string_view to_string(CopyReason reason);

inline constexpr uint32_t kResponseFlags = 16;                  // bits of enum ResponseFlag
inline constexpr auto kProtocolErrors = static_cast<size_t>(http::h1::Error::kCount);

/// Responses by hundreds: [0] = 1xx ... [4] = 5xx.
struct StatusClasses {
    std::array<Counter, 5> classes;
    void add(uint16_t status) {
        const unsigned hundreds = status / 100u;
        if (hundreds >= 1 && hundreds <= 5) classes[hundreds - 1].add();
    }
};

/// Responses by status code, for the codes that HTTP's registry or Envoy knows; others count in their class alone.
inline constexpr std::array<uint16_t, 62> kKnownStatus = {
    100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307,
    308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422,
    423, 424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511};
struct StatusCodes {
    std::array<Counter, kKnownStatus.size()> counts;   // in the order of kKnownStatus
    void add(uint16_t status) {
        const uint8_t at = status < kIndex.size() ? kIndex[status] : kUnknown;
        if (at != kUnknown) counts[at].add();
    }

 private:
    static constexpr uint8_t kUnknown = 0xff;
    static constexpr std::array<uint8_t, 600> kIndex = [] {
        std::array<uint8_t, 600> index;
        index.fill(kUnknown);
        for (size_t i = 0; i < kKnownStatus.size(); i++) index[kKnownStatus[i]] = static_cast<uint8_t>(i);
        return index;
    }();
};

struct alignas(64) ListenerStats {
    Counter connections, connections_active;        // accepted so far; open now
    Counter requests, requests_active;              // heads read so far; in progress now
    Counter no_route, no_cluster;                   // answered 404 NR, 503 NC
    Counter bytes_received, bytes_sent;             // bodies
    StatusClasses responses;                        // as sent downstream
    std::array<Counter, kProtocolErrors> protocol_errors;   // by http::h1::Error
    Histogram request_duration_us;
    Counter wire_received, wire_sent;               // bytes of HTTP: heads, framing and bodies
    Counter resets, timeouts, idle_timeouts;        // requests whose client left; that ran out of time; that stood still
    Counter redirects, direct_responses;
    BucketHistogram connection_us;                  // how long connections lasted
    Counter no_filter_chain_match;                  // connections closed because no chain takes them
    Counter inspect_timeouts;                       // first bytes that did not come in time
    Counter arriving;                               // accepted and not yet with a filter chain or a finished handshake, now
    Counter tls_found, tls_not_found, bad_hellos;   // what first bytes were
    Counter no_secret;                              // connections closed because their chain's certificate is not there yet
    TlsStats tls;
};

struct alignas(64) ClusterStats {
    Counter requests, requests_active;              // sent to an endpoint; in progress
    Counter retries;
    Counter connections, connections_open, connections_idle, connect_failures, connect_timeouts;
    Counter request_timeouts, resets, protocol_errors, overflows, no_healthy;
    StatusClasses responses;                        // as the endpoint answered
    Counter bytes_received, bytes_sent;             // bodies, from and to the endpoint
    Counter wire_received, wire_sent;               // bytes of HTTP: heads, framing and bodies
    Counter pending_total, pending_active;          // requests that had to wait for a connection
    Counter cancelled, cut;                         // requests given up: while they waited for a connection; on one
    Counter idle_closed, served_closed;             // connections closed: idle too long; had their number of requests
    StatusCodes codes;
    BucketHistogram request_us;                     // from the whole request to the end of the answer
    BucketHistogram connect_us, connection_us;      // until a connection was made; how long it lasted
    Counter no_secret;                              // connections not made because the certificate for them is not there yet
    TlsStats tls;
};

struct alignas(64) EndpointStats {
    Counter requests, requests_active, failures, connect_failures, responses_5xx;
    Counter last_success_us;                        // unix
    Counter down_since_us;                          // first failure since the last success; 0 = not down on this core
    Counter last_failure;                           // unix us << 8 | FailureReason

    void success(uint64_t unix_us) {
        last_success_us.set(unix_us);
        if (down_since_us.get() != 0) down_since_us.set(0);
    }
    void failure(FailureReason reason, uint64_t unix_us) {
        failures.add();
        last_failure.set(unix_us << 8 | static_cast<uint64_t>(reason));
        if (down_since_us.get() == 0) down_since_us.set(unix_us);
    }
    uint64_t last_failure_us() const { return last_failure.get() >> 8; }
    FailureReason last_failure_reason() const { return static_cast<FailureReason>(last_failure.get() & 0xff); }
};

/// How many ids of each kind are counted one by one. Pages are touched on first use only.
struct StatLimits {
    uint32_t listeners = 1024, clusters = 16384, endpoints = 65536, routes = 131072;
};

class alignas(64) CoreStats {   // one core's lie beside another's on the heap
 public:
    /// `series` is shared with the other cores of the gateway; without one the core keeps its own.
    explicit CoreStats(const StatLimits& limits = {}, RequestSeries* series = nullptr)
        : own_series_(series ? nullptr : std::make_unique<RequestSeries>()), series_(series ? series : own_series_.get()), listeners_(limits.listeners), clusters_(limits.clusters), endpoints_(limits.endpoints), routes_(limits.routes) {}
    CoreStats(const CoreStats&) = delete;
    CoreStats& operator=(const CoreStats&) = delete;

    // The owner's end, also what readers use (const).
    ListenerStats& listener(uint32_t id) { return listeners_[id]; }
    ClusterStats& cluster(uint32_t id) { return clusters_[id]; }
    EndpointStats& endpoint(uint32_t id) { return endpoints_[id]; }
    Counter& route_hits(uint32_t stat_id) { return routes_[stat_id]; }
    const ListenerStats& listener(uint32_t id) const { return listeners_[id]; }
    const ClusterStats& cluster(uint32_t id) const { return clusters_[id]; }
    const EndpointStats& endpoint(uint32_t id) const { return endpoints_[id]; }
    const Counter& route_hits(uint32_t stat_id) const { return routes_[stat_id]; }

    /// A finished request, as Istio's standard metrics tell requests apart.
    void add_request(const RequestKey& key, uint64_t duration_us, uint64_t request_bytes, uint64_t response_bytes) {
        requests_.record(series_->place_of(key), duration_us, request_bytes, response_bytes);
    }
    const RequestSeries& series() const { return *series_; }
    /// Of a connection made over TLS: takes a use of the pair's number, to be given back by principal_uses().
    PrincipalsId take_principals(const Principals::Names& names) {
        const PrincipalsId id = series_->principals().take(names, principal_uses_);
        if (id == kOtherPrincipals) other_principals.add();
        return id;
    }
    PrincipalUses& principal_uses() { return principal_uses_; }
    const PrincipalUses& principal_uses() const { return principal_uses_; }
    const RequestCell& request_cell(uint32_t place) const { return requests_[place]; }

    /// Counts each bit of a finished request's flags.
    void add_flags(uint32_t request_flags) {
        for (; request_flags; request_flags &= request_flags - 1) {
            const auto bit = static_cast<uint32_t>(std::countr_zero(request_flags));
            if (bit < kResponseFlags) flags[bit].add();
        }
    }
    void add_copied(CopyReason reason, uint64_t bytes) { bytes_copied[static_cast<size_t>(reason)].add(bytes); }

    std::array<Counter, kResponseFlags> flags;
    std::array<Counter, static_cast<size_t>(CopyReason::kCount)> bytes_copied;
    Counter bytes_attached;                         // body bytes sent without a copy
    Counter other_principals;                       // connections to backends whose principals there was no room to tell apart

    // For the control thread, when an id has been retired (no core uses it any more) and before it is given again.
    void reset_listener(uint32_t id) { listeners_.clear(id); }
    void reset_cluster(uint32_t id) { clusters_.clear(id); }
    void reset_endpoint(uint32_t id) { endpoints_.clear(id); }
    void reset_route(uint32_t stat_id) { routes_.clear(stat_id); }
    void reset_request_cell(uint32_t place) { requests_.clear(place); }

 private:
    std::unique_ptr<RequestSeries> own_series_;
    RequestSeries* series_;
    RequestCells requests_;
    PrincipalUses principal_uses_;
    StatArray<ListenerStats> listeners_;
    StatArray<ClusterStats> clusters_;
    StatArray<EndpointStats> endpoints_;
    StatArray<Counter> routes_;
};

/// Adds one number up over the cores: sum(cores, [&](const CoreStats& c) -> const Counter& { return c.cluster(id).requests; }).
template <typename Pick>
uint64_t sum(std::span<const CoreStats* const> cores, Pick&& pick) {
    uint64_t total = 0;
    for (const CoreStats* core : cores) total += pick(*core).get();
    return total;
}

/// An endpoint over all cores. Down: some core saw a failure after the last success of any core.
struct EndpointSummary {
    uint64_t requests = 0, active = 0, failures = 0, connect_failures = 0, responses_5xx = 0;
    uint64_t last_success_us = 0, last_failure_us = 0, down_since_us = 0;   // down_since 0 = up
    FailureReason last_failure_reason = FailureReason::kNone;
};
EndpointSummary summarize_endpoint(std::span<const CoreStats* const> cores, uint32_t id);

}  // namespace sluice::telemetry
