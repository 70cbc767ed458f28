// Everything the management endpoint shows or does, as one struct that dataplane/gateway/views.cc fills before the server starts.
// In: functions that are safe to call from any thread (they return copies or atomics). Out: nothing is kept beyond a request.
// What the pointers name outlives the server. A function left empty means "this gateway has none": its section says so.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip_address.h"
#include "ctrl/control/privileges.h"
#include "ctrl/admin/recent_log.h"
#include "ctrl/admin/stream.h"
#include "ctrl/control/editing.h"
#include "ctrl/control/history.h"
#include "ctrl/control/revisions.h"
#include "net/stack.h"
#include "snapshot/snapshot.h"
#include "tcp/stack.h"
#include "telemetry/access_log_writer.h"
#include "telemetry/core_stats.h"
#include "tls/records.h"
#include "worker/connection_row.h"

namespace sluice::admin {

/// The tables in force, shared with the Snapshot: names and ids behind the counters.
struct Tables {
    uint64_t revision = 0;
    std::vector<std::shared_ptr<const snapshot::Listener>> listeners;
    std::vector<std::shared_ptr<const route::RouteTable>> routes;
    std::vector<std::shared_ptr<const upstream::Cluster>> clusters;   // by Cluster::id; holes are null
    std::shared_ptr<const snapshot::TlsState> tls;                    // null: no secret
    std::vector<bool> chains;                                         // by FilterChain::id: has its certificates
};

/// Hands Tables from the control thread, after each publish(), to whoever answers requests.
class TablesHolder {
 public:
    /// Control thread: copies pointers to the parts, not the parts.
    void set(const snapshot::Snapshot& snapshot) {
        auto next = std::make_shared<Tables>();
        next->revision = snapshot.revision;
        next->listeners = snapshot.listeners;
        next->routes = snapshot.routes;
        next->clusters = snapshot.clusters;
        next->tls = snapshot.tls;
        for (const auto& chain : snapshot.chains) next->chains.push_back(chain.tls != nullptr);
        std::lock_guard lock(mutex_);
        tables_ = std::move(next);
    }
    /// Never null.
    std::shared_ptr<const Tables> get() const {
        std::lock_guard lock(mutex_);
        return tables_;
    }

 private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Tables> tables_ = std::make_shared<Tables>();
};

/// One worker core; all numbers but `connections` only grow, so that a reader makes rates of two samples.
struct WorkerRuntime {
    uint32_t core = 0;                       // CPU number
    uint64_t cycles_per_s = 0;               // of the time stamp counter
    uint64_t cycles_total = 0, cycles_busy = 0;   // since start; busy leaves empty turns out
    uint64_t cycles_measuring = 0;           // of the busy ones: what telling the stages apart costs
    uint64_t turns = 0, turns_empty = 0, sleeps = 0;
    uint64_t requests = 0;
    uint64_t connections = 0;                // TCP, open now
    std::vector<std::pair<std::string, uint64_t>> stages;   // cycles by stage in the order of the path: {"rx", n}, {"tcp", n}, ...
    uint64_t mbufs_free = 0, mbufs_total = 0;
    uint64_t handed_over = 0, taken_over = 0, handover_dropped = 0;   // segments of connections that another core owns
    uint64_t rss_mismatch = 0;               // hashes of a port that are not ours
};

struct PortState {
    std::string name, device;                // outside, af_xdp:outside0
    std::vector<std::string> addresses;      // 192.0.2.10/24
    std::vector<std::string> conflicts;      // of these, why one is not used: "192.0.2.10 is in use by 02:00:00:00:00:07"
    bool listen = false, link_up = true;
    uint32_t queues = 1;
    uint64_t speed_mbps = 0;                 // 0 = unknown
    uint64_t rx_frames = 0, rx_bytes = 0, tx_frames = 0, tx_bytes = 0;
    uint64_t rx_dropped = 0, tx_dropped = 0, rx_errors = 0;
    uint64_t rx_missed = 0, rx_no_mbuf = 0;  // the parts of rx_dropped
    std::string exception;                   // TAP device of the kernel's packets; empty = none
    uint64_t to_kernel = 0, from_kernel = 0, exception_dropped = 0;
};

/// Why a write was not done, in the words of an answer.
struct Refusal {
    int status = 400;             // HTTP
    std::string message, cure;
};

/// What became of an endpoint.
struct EndpointDrain {
    std::string endpoint;         // as the gateway writes it
    bool draining = false;
    std::vector<std::string> clusters;   // that have it
};

/// What the cores count about frames and connections that did not go on, beside net::Counters and tcp::Counters; summed over cores.
struct CoreDrops {
    uint64_t frames_received = 0;            // out of the ports' queues
    uint64_t pressure = 0;                   // segments with payload refused while frame buffers were low
    uint64_t news = 0;                       // what one core wanted to tell another
    uint64_t linearize_no_mbuf = 0;
    // Frames for the kernel alone (exception ports): its own, and what the stack did not want; and how many a full ring lost.
    uint64_t kernel_own = 0, kernel_vlan = 0, kernel_address = 0, kernel_protocol = 0, kernel_no_connection = 0, kernel_lost = 0;
    // The proxy's pools.
    uint64_t accept_refused = 0, stream_refused = 0, arena_full = 0, mbufs_empty = 0;
};

/// TLS of all cores: what is not counted by listener or cluster.
struct TlsRuntime {
    uint64_t openssl_objects = 0;            // alive now
    tls::RecordCounters records;
};

/// A connection's name over all cores.
struct ConnectionName {
    uint32_t core = 0;
    tcp::ConnectionId id;
    /// "0.17.5": core, slot, which of the slot's connections.
    std::string to_string() const;
    static std::optional<ConnectionName> parse(std::string_view text);
};

/// What a listing leaves out.
struct ListedConnections {
    uint64_t time_wait = 0;
    std::vector<uint32_t> silent;            // cores that did not answer
};

struct CaptureWanted {
    std::vector<std::string> ports;          // names; none: all
    std::string filter;                      // libpcap's syntax; empty: everything
    std::vector<FourTuple> connections;      // and of these alone, if any
    uint32_t snap_bytes = 262144;
    uint64_t frames_max = 0;                 // 0: no end
    uint64_t seconds_max = 0;
    std::string token;                       // by which it can be stopped
};

/// Requests of the management endpoint, [by the unix socket][class of the answer's status - 1]. Any thread.
struct AdminRequests {
    std::atomic<uint64_t> by_class[2][5] = {};
};

struct Sources {
    std::string node_id, node_namespace, version;
    std::map<std::string, std::string> node_labels;             // who we are, in metrics
    std::chrono::system_clock::time_point started = std::chrono::system_clock::now();

    std::function<control::State()> config;                     // Revisions::state
    std::function<std::shared_ptr<const Tables>()> tables;      // TablesHolder::get
    std::vector<const telemetry::CoreStats*> cores;
    telemetry::AccessLogWriter* access_log = nullptr;           // null = no access log
    std::function<std::vector<WorkerRuntime>()> workers;
    std::function<std::vector<PortState>()> ports;
    std::function<CoreDrops()> drops;
    std::function<TlsRuntime()> tls;                            // summed over cores; empty: none
    std::function<net::Counters()> net;                         // summed over cores
    std::function<tcp::Counters()> tcp;                         // summed over cores
    std::shared_ptr<AdminRequests> admin_requests = std::make_shared<AdminRequests>();   // never null
    std::function<std::pair<uint32_t, uint32_t>()> waiting;     // snapshots and parts not yet retired

    std::function<control::ProcessState()> process;             // user, capabilities, seccomp
    std::string key_log;                                        // file of TLS secrets; empty = off
    // Of the cores' own objects: each asks them between two turns.
    std::function<ListedConnections(const std::function<void(const worker::ConnectionRow&)>& take)> list_connections;
    std::function<std::optional<worker::ConnectionRow>(const ConnectionName&, bool& silent)> show_connection;
    std::function<std::optional<worker::CloseOutcome>(const ConnectionName&, bool reset)> close_connection;   // nullopt: silent core
    RecentLog* recent_log = nullptr;
    std::function<Result<std::shared_ptr<Stream>>(const CaptureWanted&)> capture;
    std::function<bool(const std::string& token)> stop_capture;  // false: there is none
    const control::History* history = nullptr;                  // null = none is kept
    std::function<source::Files()> directory;                   // the mesh directory as it is now
    std::function<std::expected<control::Loaded, control::Refused>(source::FileSetPtr)> load_files;   // what this node makes of files

    // Writes: from the unix socket only.
    std::function<bool()> draining;
    std::function<void(bool drain)> set_draining;               // true: drain and stay; false: undrain, if it can
    /// Takes an endpoint out of rotation (false: puts it back), or says why not. `force`: also a cluster's last one.
    std::function<std::expected<EndpointDrain, Refusal>(const std::string& endpoint, bool drain, bool force)> drain_endpoint;
    std::function<std::vector<std::string>()> drained_endpoints;
    std::function<std::optional<control::EditAnswer>(control::ApplyRequest)> apply;         // nothing: the control thread is busy
    std::function<std::optional<control::EditAnswer>(control::RollbackRequest)> rollback;
    std::function<std::string()> log_level;
    std::function<bool(std::string_view level)> set_log_level;  // false: no such level
};

}  // namespace sluice::admin
