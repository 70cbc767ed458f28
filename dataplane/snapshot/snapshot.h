// The root of all tables. A tree of immutable, content-hashed parts, unchanged parts shared with the snapshot before. Built by
// ctrl/apply, published under one root pointer, retired when every core has been quiescent and no pin is left.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "base/limits.h"
#include "base/time.h"
#include "filter/registry.h"
#include "http/h1/codec.h"
#include "route/chain_match.h"
#include "route/route_table.h"
#include "snapshot/part.h"
#include "snapshot/tls_state.h"
#include "tls/context.h"
#include "upstream/cluster.h"

struct rte_rcu_qsbr;

namespace sluice::telemetry {
class AccessLogSet;
}

namespace sluice::snapshot {

/// envoy HttpConnectionManager, as far as the data plane needs it.
struct HttpConnectionManager {
    std::string stat_prefix;
    std::string route_config_name;
    filter::Chain filters;                         // last one is terminal
    http::h1::Limits limits;
    http::h1::PathOptions path;
    bool use_remote_address = true;
    uint32_t xff_num_trusted_hops = 0;
    bool generate_request_id = true, preserve_external_request_id = false;
    bool access_log = true;
    std::shared_ptr<const telemetry::AccessLogSet> access_logs;   // nullptr: the machine's own
    enum class ServerHeader : uint8_t { kOverwrite, kAppendIfAbsent, kPassThrough } server_header = ServerHeader::kOverwrite;
    std::string server_name = "sluice";
    enum class ForwardClientCert : uint8_t { kSanitize, kForwardOnly, kAppendForward, kSanitizeSet, kAlwaysForwardOnly } forward_client_cert = ForwardClientCert::kSanitize;
    struct ClientCertDetails { bool subject = false, cert = false, chain = false, dns = false, uri = false; } client_cert_details;
    Duration request_timeout = seconds(0);          // whole request received; 0 = none
    Duration request_headers_timeout = seconds(60); // head received
    Duration stream_idle_timeout = seconds(300);
    Duration idle_timeout = seconds(3600);          // downstream connection without a stream
    Duration drain_timeout = seconds(5);
    Duration delayed_close_timeout = seconds(1);
};

/// envoy FilterChain: what the connections that match it get. Its tables and certificates are looked up by `id` in the root, so that
/// an edit of a route or a rotated certificate never touches a listener.
struct FilterChain {
    uint32_t id = 0;               // stable for (listener, address, name): index of Snapshot::chains
    std::string name;              // empty for a listener's only one
    bool tls = false;              // its transport socket is TLS: ChainTables::tls has the context
    std::string match_text, tls_text;              // for people: "sni shop.example", "MUTUAL"
    Duration connect_timeout = seconds(15);        // transport_socket_connect_timeout: the TLS handshake; 0 = none
    HttpConnectionManager http;
};

/// A listener on one address. Its content hash leaves routes and secrets out.
struct Listener : Part {
    uint32_t id = 0;               // stable for (name, address)
    std::string name;              // 0.0.0.0_80
    std::string source, object;
    SocketAddress address;
    std::vector<FilterChain> chains;               // at least one; those of `chain_index`, then the default one if there is any
    route::ChainIndex chain_index;
    int default_chain = -1;        // index into chains of what matches nothing else; -1: such connections are closed
    bool inspect_tls = false;      // the first bytes tell TLS from plain text, and the server name
    Duration inspect_timeout = seconds(15);        // listener_filters_timeout; 0 = none
    bool continue_on_inspect_timeout = false;
    /// Of all chains: what a drain gives open connections.
    Duration drain_timeout() const { return chains.empty() ? seconds(5) : chains.front().http.drain_timeout; }
};

/// What a filter chain uses that changes without it, in force now.
struct ChainTables {
    const route::RouteTable* routes = nullptr;     // nullptr: not there yet (404 NR)
    std::shared_ptr<const tls::ServerContext> tls; // nullptr with FilterChain::tls: its secret is not there yet, connections are closed
};

/// What the builder of snapshots keeps with each for the next one (ctrl/apply); the data plane has no use for it.
struct SnapshotOrigin {
    virtual ~SnapshotOrigin() = default;
};

struct Snapshot {
    uint64_t revision = 0;
    std::string version;           // hash of the config it was built from, hex
    std::vector<std::shared_ptr<const Listener>> listeners;
    std::vector<std::shared_ptr<const route::RouteTable>> routes;
    std::vector<ChainTables> chains;   // by FilterChain::id
    std::shared_ptr<const TlsState> tls;   // nullptr: no secret and no context
    /// By Cluster::id; holes are nullptr.
    std::vector<std::shared_ptr<const upstream::Cluster>> clusters;
    bool backends_texts = false;       // some access log writes what only texts of backends' certificates tell
    /// By upstream::TransportSocket::context_id; nullptr: its secret is not there yet, and no connection is made.
    std::vector<std::shared_ptr<const tls::ClientContext>> client_contexts;
    const std::shared_ptr<const tls::ClientContext>& client_context(uint32_t id) const {
        static const std::shared_ptr<const tls::ClientContext> kNone;
        return id < client_contexts.size() ? client_contexts[id] : kNone;
    }
    /// By core: scratch large enough for every table in this snapshot.
    std::array<route::Scratch*, limits::kCoresMax> scratch{};
    std::shared_ptr<const SnapshotOrigin> origin;
};

/// One core's end: registered once, used only by that core.
class Reader {
 public:
    Reader() = default;
    /// The current root, valid until quiescent().
    const Snapshot* load() const { return root_->load(std::memory_order_acquire); }
    /// Turn's end: nothing of the root loaded before is used any more (except through pins).
    void quiescent();
    void online();    // before the first load after offline()
    void offline();   // before a sleep
    CorePins& pins() const { return *pins_; }
    uint32_t core() const { return core_; }

 private:
    friend class Publisher;
    const std::atomic<const Snapshot*>* root_ = nullptr;
    rte_rcu_qsbr* qsbr_ = nullptr;
    CorePins* pins_ = nullptr;
    uint32_t core_ = 0;
};

/// How many of each there may be: what per-core arrays are sized by.
inline constexpr uint32_t kClusterIdsMax = 1 << 17, kEndpointIdsMax = 1 << 18, kListenerIdsMax = 1 << 10, kRouteIdsMax = 1 << 20,
                          kDestinationIdsMax = 0xffff,   // one less than telemetry's key has room for
                          kChainIdsMax = 1 << 14, kClientContextIdsMax = 1 << 17;

/// The control thread's end. All methods but reader() are for that one thread.
class Publisher {
 public:
    explicit Publisher(uint32_t cores);
    ~Publisher();
    /// Registers the core and takes it online, so that what it loads is safe from the first turn on. Once per core, by any thread
    /// before that core's first turn; a core that does not turn yet holds memory back until it does (or is offline).
    Reader reader(uint32_t core);
    /// Gives new parts a slot, swaps the root, queues the old one for retirement. Never blocks. False, and nothing changes, if
    /// slots or memory ran out (pinned old parts may hold them): build and publish again later.
    [[nodiscard]] bool publish(std::unique_ptr<Snapshot> snapshot);
    /// Frees what no core can reach any more; call now and then. Returns how many snapshots and parts still wait.
    struct Waiting {
        uint32_t snapshots = 0, parts = 0;
    };
    Waiting reclaim();
    /// True once every core has passed a quiescent state since the last publish: the revision is live everywhere.
    bool live_everywhere();
    const Snapshot* current() const;
    /// Stable ids of clusters, endpoints, listeners, route statistics, destinations, filter chains, client contexts: same key, same id. A key that was not asked for since the
    /// publish before last is released, once no live part carries its id. UINT32_MAX: none is left (k...IdsMax).
    enum class IdKind : uint8_t { kCluster, kEndpoint, kListener, kRoute, kDestination, kChain, kClientContext, kCount };
    uint32_t id_of(IdKind kind, std::string_view key);
    /// The id of a key that has one, without asking for it; else UINT32_MAX.
    uint32_t find_id(IdKind kind, std::string_view key) const;
    /// One more than the largest id given so far.
    uint32_t ids_end(IdKind kind) const;
    /// `handler` is called when an id goes to another key than before: no core uses it then; counters kept by it start anew.
    void on_id_reuse(IdKind kind, std::function<void(uint32_t id)> handler);

    struct Impl;

 private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::snapshot
