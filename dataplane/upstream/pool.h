// One core's upstream state, by stable ids: for each endpoint its connections (idle ones last in, first out, so that few stay
// hot) and the requests that wait for one; for each cluster its balancer position and its circuit breakers' counts.
// In: connections and requests as intrusive nodes. Out: which to use. Links and counts only: owns neither. Single core.
#pragma once

#include <cstdint>

#include "upstream/balancer.h"
#include "upstream/cluster.h"
#include "upstream/zeroed_array.h"

namespace sluice::upstream {

struct EndpointState;

/// Base of an upstream connection: its place in the pool of its endpoint.
class PooledConnection {
 public:
    enum class Use : uint8_t { kNone, kConnecting, kIdle, kBusy };
    Use use() const { return use_; }
    uint32_t endpoint_id() const { return endpoint_id_; }
    uint32_t cluster_id() const { return cluster_id_; }
    /// True once its endpoint left the configuration: it ends with the request it carries.
    bool draining() const { return draining_; }

 protected:
    PooledConnection() = default;
    ~PooledConnection() = default;

 private:
    friend class Pools;
    PooledConnection *previous_ = nullptr, *next_ = nullptr;            // all of the endpoint
    PooledConnection *idle_previous_ = nullptr, *idle_next_ = nullptr;  // the idle ones, hottest first
    uint32_t endpoint_id_ = 0, cluster_id_ = 0;
    Use use_ = Use::kNone;
    bool draining_ = false;
};

/// Base of a request that waits for a connection to its endpoint.
class PendingRequest {
 public:
    bool pending() const { return pending_; }
    uint32_t pending_endpoint_id() const { return pending_endpoint_id_; }

 protected:
    PendingRequest() = default;
    ~PendingRequest() = default;

 private:
    friend class Pools;
    PendingRequest *pending_previous_ = nullptr, *pending_next_ = nullptr;
    uint32_t pending_endpoint_id_ = 0, pending_cluster_id_ = 0;
    bool pending_ = false;
};

struct EndpointState {
    uint32_t active_requests;   // of this core, waiting ones included
    uint32_t connections, connecting, pending;
    PooledConnection *all, *idle;
    PendingRequest *pending_first, *pending_last;
    // Endpoints with connections are linked, so that a new configuration looks at those alone.
    uint32_t in_use_previous, in_use_next;   // id + 1; 0 = none
    uint32_t cluster_id;
    const EndpointSet* set;                  // it was last seen in: pinned while there are connections, so its id is not reused
};

struct ClusterState {
    uint32_t connections, pending, requests;
    RoundRobin round_robin;
};

struct PoolLimits {
    uint32_t clusters = 131072, endpoints = 262144;
};

class Pools {
 public:
    /// `pins`: the core's; nullptr where no parts are published.
    explicit Pools(const PoolLimits& limits = {}, snapshot::CorePins* pins = nullptr)
        : endpoints_(limits.endpoints), clusters_(limits.clusters), pins_(pins) {}

    /// nullptr if the id is beyond the limits given at start.
    EndpointState* endpoint(uint32_t id) { return endpoints_.find(id); }
    ClusterState* cluster(uint32_t id) { return clusters_.find(id); }
    /// Index into the cluster's endpoints by its policy, or -1.
    int pick(const Cluster& cluster, Rng& rng);

    // Requests. A breaker that is open answers false: the caller replies 503 UO.
    [[nodiscard]] bool start_request(const Cluster& cluster, uint32_t endpoint_id);
    void finish_request(uint32_t cluster_id, uint32_t endpoint_id);
    [[nodiscard]] bool push_pending(const Cluster& cluster, uint32_t endpoint_id, PendingRequest& request);
    void remove_pending(PendingRequest& request);
    PendingRequest* first_pending(uint32_t endpoint_id);

    // Connections. A first one to an endpoint is always allowed: a breaker limits, it never starves (as Envoy's).
    bool may_connect(const Cluster& cluster, uint32_t endpoint_id);
    /// In use: kConnecting.
    void add(PooledConnection& connection, const Cluster& cluster, uint32_t endpoint_id);
    void remove(PooledConnection& connection);
    void set_idle(PooledConnection& connection);
    void set_busy(PooledConnection& connection);
    PooledConnection* first_idle(uint32_t endpoint_id);
    /// No new request for it: it ends with the one it carries, as if its endpoint had left.
    void retire(PooledConnection& connection) { connection.draining_ = true; }

    /// There is a new configuration: every endpoint with connections is to be looked at. While one walk is still on its way, it
    /// goes on by the newest and is followed by another.
    void start_reconcile() {
        if (walk_.endpoint != 0) walk_.again = true;
        else go_to(in_use_first_);
    }
    bool reconciling() const { return walk_.endpoint != 0; }
    /// One stretch of the walk: `find(cluster_id)` gives the cluster now in force or nullptr. Connections to endpoints that are
    /// gone are marked draining, idle ones handed to close(PooledConnection&), which must remove() them. `budget` bounds what one
    /// turn spends: a look costs 1, a close kCloseCost. False while something is left.
    template <typename Find, typename Close>
    bool reconcile(uint32_t budget, Find&& find, Close&& close) {
        while (walk_.endpoint != 0) {
            const uint32_t cost = walk_.step == Walk::Step::kLook ? 1 : walk_.connection ? cost_of(*walk_.connection) : 0;
            if (cost > budget) return false;
            budget -= cost;
            if (walk_.step == Walk::Step::kLook) look(find(endpoints_.find(walk_.endpoint - 1)->cluster_id));
            else if (walk_.connection) visit(close);
            else next_step();
        }
        return true;
    }
    static constexpr uint32_t kCloseCost = 8;
    /// Calls take(PooledConnection&) for every connection; it may remove() the one it is given.
    template <typename Take>
    void for_each(Take&& take) {
        for (uint32_t id = in_use_first_; id != 0;) {
            EndpointState& state = *endpoints_.find(id - 1);
            const uint32_t next = state.in_use_next;
            for (PooledConnection* c = state.all; c;) {
                PooledConnection* const after = c->next_;
                take(*c);
                c = after;
            }
            id = next;
        }
    }
    uint32_t connections() const { return connections_; }

 private:
    /// Where a walk over what is open stands. Connections come and go between two stretches of it: it moves with what is removed.
    struct Walk {
        enum class Step : uint8_t { kLook, kDrain, kCloseIdle, kRetireBusy } step = Step::kLook;
        bool again = false;
        uint32_t endpoint = 0;                  // id + 1; 0 = it stands still
        uint32_t connections_max = 0;           // of the endpoint's cluster
        uint32_t excess = 0, kept = 0;          // of kRetireBusy
        PooledConnection* connection = nullptr; // the next one of the endpoint
    };
    void go_to(uint32_t endpoint);
    void look(const Cluster* in_force);
    void next_step();
    uint32_t cost_of(const PooledConnection& c) const { return c.use_ == PooledConnection::Use::kIdle ? kCloseCost : 1; }
    /// One connection by the step at hand. A breaker's limit that was lowered holds for what is open too: idle connections beyond
    /// it close now, busy ones after their request. Each endpoint keeps one.
    template <typename Close>
    void visit(Close&& close) {
        PooledConnection& c = *walk_.connection;
        const EndpointState& state = *endpoints_.find(walk_.endpoint - 1);
        const uint32_t open = clusters_.find(state.cluster_id)->connections;
        walk_.connection = c.next_;
        if (walk_.step == Walk::Step::kDrain) {
            c.draining_ = true;
            if (c.use_ == PooledConnection::Use::kIdle) close(c);
        } else if (walk_.step == Walk::Step::kCloseIdle) {
            if (open <= walk_.connections_max || state.connections <= 1) walk_.connection = nullptr;
            else if (c.use_ == PooledConnection::Use::kIdle) close(c);
        } else if (walk_.excess == 0 || walk_.kept <= 1) {
            walk_.connection = nullptr;
        } else if (!c.draining_ && c.use_ != PooledConnection::Use::kConnecting) {
            c.draining_ = true;
            walk_.excess--, walk_.kept--;
        }
    }
    void keep_set(EndpointState& state, const EndpointSet* set);
    void link_in_use(uint32_t id, EndpointState& state);
    void unlink_in_use(EndpointState& state);
    void unlink_idle(PooledConnection& connection);

    ZeroedArray<EndpointState> endpoints_;
    ZeroedArray<ClusterState> clusters_;
    snapshot::CorePins* pins_;
    Walk walk_;
    uint32_t in_use_first_ = 0;  // id + 1
    uint32_t connections_ = 0;
};

}  // namespace sluice::upstream
