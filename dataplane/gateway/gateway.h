// The running gateway: opens cores and ports, starts a proxy on each core, and then is the control thread: mesh config in,
// snapshots out, until told to stop. Owns everything; what workers use is destroyed after they ended.
// This room alone knows both halves. gateway.cc: start and stop; control_loop.cc: the control thread; views.cc: what operators see.
#pragma once

#include <atomic>
#include <chrono>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "base/stage_clock.h"
#include "ctrl/admin/sources.h"
#include "ctrl/apply/apply.h"
#include "ctrl/control/calls.h"
#include "ctrl/control/drained_endpoints.h"
#include "ctrl/control/editing.h"
#include "ctrl/control/history.h"
#include "ctrl/control/mesh_loader.h"
#include "ctrl/control/process.h"
#include "ctrl/control/revisions.h"
#include "ctrl/control/watchdog.h"
#include "ctrl/host/gateway_host.h"
#include "ctrl/source/directory.h"
#include "gateway/hardening.h"
#include "gateway/captures.h"
#include "gateway/handshake_log.h"
#include "proxy/proxy.h"
#include "snapshot/snapshot.h"
#include "telemetry/access_log_writer.h"
#include "tls/ticket_keys.h"
#include "telemetry/core_stats.h"
#include "worker/crew.h"

namespace sluice::gateway {

class Gateway {
 public:
    explicit Gateway(host::GatewayHost host);
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    /// Serves until told to stop. Returns the exit code.
    int run();

 private:
    std::expected<void, std::vector<Diagnostic>> apply(const xds::ResourceSet& resources, uint64_t revision, const std::string& hash);
    std::expected<void, std::vector<Diagnostic>> publish(std::unique_ptr<snapshot::Snapshot> snapshot);
    std::expected<admin::EndpointDrain, admin::Refusal> drain_endpoint(const std::string& endpoint, bool drain, bool force);
    std::expected<admin::EndpointDrain, admin::Refusal> drain_now(const control::DrainedEndpoints::Key& key, bool drain, bool force);
    std::vector<Diagnostic> validate(source::FileSetPtr files) const;
    std::expected<control::Loaded, control::Refused> load_files(source::FileSetPtr files) const;
    void start_revisions();
    void adopt_compiled();
    apply::TlsInputs tls_inputs(bool strict) const;
    void tell_secrets(const snapshot::TlsState* before);
    void tend_tls();
    bool live_everywhere() const;
    void reset_counters_of_reused_ids();
    Result<void> open();
    Result<void> open_access_log();
    std::unique_ptr<worker::Application> make_proxy(worker::Worker& worker);
    admin::Sources sources();
    void add_config_sources(admin::Sources& sources);
    std::vector<admin::WorkerRuntime> runtime() const;
    std::vector<admin::PortState> ports() const;
    admin::CoreDrops drops() const;
    admin::TlsRuntime tls_runtime() const;
    admin::ListedConnections list_connections(const std::function<void(const worker::ConnectionRow&)>& take) const;
    std::optional<worker::ConnectionRow> show_connection(const admin::ConnectionName& name, bool& silent) const;
    std::optional<worker::CloseOutcome> close_connection(const admin::ConnectionName& name, bool reset) const;
    void tell_conflicts();
    void tell_handshakes();
    void collect_principals();
    void control_loop(control::Signals& signals, source::DirectoryWatcher& watcher);
    bool drained() const;
    control::Watchdog make_watchdog() const;
    bool cores_turn(control::Watchdog& watchdog) const;

    const host::GatewayHost host_;
    Hardening hardening_;                 // outlives the ports
    const std::vector<unsigned> cores_;
    const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
    snapshot::Publisher publisher_;
    telemetry::RequestSeries series_;
    std::vector<std::unique_ptr<telemetry::CoreStats>> stats_;
    std::vector<std::unique_ptr<telemetry::AccessLogRing>> rings_;
    std::unique_ptr<admin::RecentLog> recent_log_;
    std::unique_ptr<telemetry::AccessLogWriter> access_log_;
    apply::OwnAccessLog own_log_;
    std::atomic<bool> draining_{false};
    std::atomic<bool> stopping_{false};   // told to end: a drain is not taken back any more
    std::vector<std::atomic<const proxy::Proxy*>> proxies_{cores_.size()};
    std::unique_ptr<tls::HandshakeThreads> handshakes_;   // outlive the workers
    std::unique_ptr<worker::Crew> crew_;
    std::unique_ptr<Captures> captures_;
    admin::TablesHolder tables_;
    const std::shared_ptr<tls::TicketKeys> ticket_keys_;   // nullptr: sessions are not resumed
    std::chrono::steady_clock::time_point tickets_rotated_{}, secrets_looked_at_{}, refused_tried_at_{};
    std::string certificate_mark_, certificate_mark_told_;   // as last looked at; as last read
    bool refreshing_ = false;            // files of certificates alone changed: what is wrong with them refuses no revision
    control::History history_;
    control::MeshLoader loader_;
    control::Revisions revisions_;
    const uint64_t cost_of_enter_ = StageClock::cost_of_enter();
    control::Editor editor_;
    control::DrainedEndpoints drained_;
    control::Calls calls_;               // from the management endpoint to the control thread
    HandshakeLog handshake_log_;
    std::vector<std::string> conflicts_;   // of addresses, as last told
    std::atomic<uint64_t> waiting_{0};   // snapshots << 32 | parts not yet retired
};

/// Our addresses that other hosts have, by the core that looks after them: "192.0.2.10 is in use by 02:...".
std::vector<std::string> conflicts_of(const worker::Worker& worker, uint8_t port);

}  // namespace sluice::gateway
