// Links and counts of upstream connections, waiting requests and circuit breakers.
#include "upstream/pool.h"

#include <cassert>

namespace sluice::upstream {

int Pools::pick(const Cluster& cluster, Rng& rng) {
    ClusterState* state = clusters_.find(cluster.id);
    if (!state) return -1;
    return upstream::pick(cluster, state->round_robin, rng, [&](int index) -> uint32_t {
        const EndpointState* endpoint = endpoints_.find(cluster.endpoints->endpoints[static_cast<size_t>(index)].id);
        return endpoint ? endpoint->active_requests : UINT32_MAX;
    });
}

bool Pools::start_request(const Cluster& cluster, uint32_t endpoint_id) {
    ClusterState* state = clusters_.find(cluster.id);
    EndpointState* endpoint = endpoints_.find(endpoint_id);
    if (!state || !endpoint || state->requests >= cluster.max_requests) return false;
    state->requests++;
    endpoint->active_requests++;
    return true;
}

void Pools::finish_request(uint32_t cluster_id, uint32_t endpoint_id) {
    clusters_.find(cluster_id)->requests--;
    endpoints_.find(endpoint_id)->active_requests--;
}

bool Pools::push_pending(const Cluster& cluster, uint32_t endpoint_id, PendingRequest& request) {
    ClusterState& counts = *clusters_.find(cluster.id);
    if (counts.pending >= cluster.max_pending_requests) return false;
    counts.pending++;
    EndpointState& state = *endpoints_.find(endpoint_id);
    state.pending++;
    request.pending_ = true;
    request.pending_endpoint_id_ = endpoint_id;
    request.pending_cluster_id_ = cluster.id;
    request.pending_next_ = nullptr;
    request.pending_previous_ = state.pending_last;
    (state.pending_last ? state.pending_last->pending_next_ : state.pending_first) = &request;
    state.pending_last = &request;
    return true;
}

void Pools::remove_pending(PendingRequest& request) {
    if (!request.pending_) return;
    EndpointState& state = *endpoints_.find(request.pending_endpoint_id_);
    PendingRequest *previous = request.pending_previous_, *next = request.pending_next_;
    (previous ? previous->pending_next_ : state.pending_first) = next;
    (next ? next->pending_previous_ : state.pending_last) = previous;
    state.pending--;
    request.pending_ = false;
    request.pending_previous_ = request.pending_next_ = nullptr;
    clusters_.find(request.pending_cluster_id_)->pending--;
}

PendingRequest* Pools::first_pending(uint32_t endpoint_id) {
    EndpointState* state = endpoints_.find(endpoint_id);
    return state ? state->pending_first : nullptr;
}

bool Pools::may_connect(const Cluster& cluster, uint32_t endpoint_id) {
    const EndpointState* endpoint = endpoints_.find(endpoint_id);
    const ClusterState* counts = clusters_.find(cluster.id);
    if (!endpoint || !counts) return false;
    return endpoint->connections == 0 || counts->connections < cluster.max_connections;
}

void Pools::add(PooledConnection& connection, const Cluster& cluster, uint32_t endpoint_id) {
    assert(connection.use_ == PooledConnection::Use::kNone);
    EndpointState& state = *endpoints_.find(endpoint_id);
    if (state.connections == 0) {
        link_in_use(endpoint_id, state);
        keep_set(state, cluster.endpoints.get());
    }
    state.cluster_id = cluster.id;
    connection.endpoint_id_ = endpoint_id;
    connection.cluster_id_ = cluster.id;
    connection.use_ = PooledConnection::Use::kConnecting;
    connection.draining_ = false;
    connection.previous_ = nullptr;
    connection.next_ = state.all;
    if (state.all) state.all->previous_ = &connection;
    state.all = &connection;
    state.connections++;
    state.connecting++;
    clusters_.find(cluster.id)->connections++;
    connections_++;
}

void Pools::remove(PooledConnection& connection) {
    if (connection.use_ == PooledConnection::Use::kNone) return;
    EndpointState& state = *endpoints_.find(connection.endpoint_id_);
    if (connection.use_ == PooledConnection::Use::kIdle) unlink_idle(connection);
    if (connection.use_ == PooledConnection::Use::kConnecting) state.connecting--;
    connection.use_ = PooledConnection::Use::kNone;
    if (walk_.connection == &connection) walk_.connection = connection.next_;
    (connection.previous_ ? connection.previous_->next_ : state.all) = connection.next_;
    if (connection.next_) connection.next_->previous_ = connection.previous_;
    connection.previous_ = connection.next_ = nullptr;
    state.connections--;
    clusters_.find(connection.cluster_id_)->connections--;
    connections_--;
    if (state.connections != 0) return;
    const uint32_t next = state.in_use_next;
    unlink_in_use(state);
    keep_set(state, nullptr);
    if (walk_.endpoint == connection.endpoint_id_ + 1) go_to(next);
}

void Pools::set_idle(PooledConnection& connection) {
    EndpointState& state = *endpoints_.find(connection.endpoint_id_);
    if (connection.use_ == PooledConnection::Use::kConnecting) state.connecting--;
    connection.use_ = PooledConnection::Use::kIdle;
    connection.idle_previous_ = nullptr;
    connection.idle_next_ = state.idle;
    if (state.idle) state.idle->idle_previous_ = &connection;
    state.idle = &connection;
}

void Pools::set_busy(PooledConnection& connection) {
    if (connection.use_ == PooledConnection::Use::kIdle) unlink_idle(connection);
    if (connection.use_ == PooledConnection::Use::kConnecting) endpoints_.find(connection.endpoint_id_)->connecting--;
    connection.use_ = PooledConnection::Use::kBusy;
}

PooledConnection* Pools::first_idle(uint32_t endpoint_id) {
    EndpointState* state = endpoints_.find(endpoint_id);
    return state ? state->idle : nullptr;
}

void Pools::unlink_idle(PooledConnection& connection) {
    EndpointState& state = *endpoints_.find(connection.endpoint_id_);
    (connection.idle_previous_ ? connection.idle_previous_->idle_next_ : state.idle) = connection.idle_next_;
    if (connection.idle_next_) connection.idle_next_->idle_previous_ = connection.idle_previous_;
    connection.idle_previous_ = connection.idle_next_ = nullptr;
}

void Pools::go_to(uint32_t endpoint) {
    walk_.endpoint = endpoint;
    walk_.step = Walk::Step::kLook;
    walk_.connection = nullptr;
    if (endpoint != 0 || !walk_.again) return;
    walk_.again = false;   // a configuration came in while it walked
    walk_.endpoint = in_use_first_;
}

/// Decides what the endpoint at hand needs by the cluster that is in force now.
void Pools::look(const Cluster* in_force) {
    EndpointState& state = *endpoints_.find(walk_.endpoint - 1);
    const EndpointSet* set = in_force ? in_force->endpoints.get() : nullptr;
    const bool there = set && (set == state.set || set->has(walk_.endpoint - 1));
    if (there) {
        if (set != state.set) keep_set(state, set);
        walk_.connections_max = in_force->max_connections;
        if (clusters_.find(state.cluster_id)->connections <= walk_.connections_max) return go_to(state.in_use_next);
    }
    walk_.step = there ? Walk::Step::kCloseIdle : Walk::Step::kDrain;
    walk_.connection = state.all;
}

void Pools::next_step() {
    const EndpointState& state = *endpoints_.find(walk_.endpoint - 1);
    if (walk_.step != Walk::Step::kCloseIdle) return go_to(state.in_use_next);
    const uint32_t open = clusters_.find(state.cluster_id)->connections;
    walk_.step = Walk::Step::kRetireBusy;
    walk_.excess = open > walk_.connections_max ? open - walk_.connections_max : 0;
    walk_.kept = state.connections;
    walk_.connection = walk_.excess != 0 ? state.all : nullptr;
}

void Pools::keep_set(EndpointState& state, const EndpointSet* set) {
    const auto is_part = [&](const EndpointSet* s) { return pins_ && s && s->slot != UINT32_MAX; };
    if (is_part(set)) pins_->pin(set);
    if (is_part(state.set)) pins_->unpin(state.set);
    state.set = set;
}

void Pools::link_in_use(uint32_t id, EndpointState& state) {
    state.in_use_previous = 0;
    state.in_use_next = in_use_first_;
    if (in_use_first_ != 0) endpoints_.find(in_use_first_ - 1)->in_use_previous = id + 1;
    in_use_first_ = id + 1;
}

void Pools::unlink_in_use(EndpointState& state) {
    if (state.in_use_previous != 0) endpoints_.find(state.in_use_previous - 1)->in_use_next = state.in_use_next;
    else in_use_first_ = state.in_use_next;
    if (state.in_use_next != 0) endpoints_.find(state.in_use_next - 1)->in_use_previous = state.in_use_previous;
    state.in_use_previous = state.in_use_next = 0;
}

}  // namespace sluice::upstream
