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
    if (state.connections == 0) link_in_use(endpoint_id, state);
    state.cluster_id = cluster.id;
    state.set_hash = cluster.endpoints ? cluster.endpoints->content_hash : 0;
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
    (connection.previous_ ? connection.previous_->next_ : state.all) = connection.next_;
    if (connection.next_) connection.next_->previous_ = connection.previous_;
    connection.previous_ = connection.next_ = nullptr;
    state.connections--;
    clusters_.find(connection.cluster_id_)->connections--;
    connections_--;
    if (state.connections == 0) unlink_in_use(state);
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

bool Pools::still_there(const Cluster* cluster, uint32_t endpoint_id, EndpointState& state) {
    if (!cluster || !cluster->endpoints) return false;
    const EndpointSet& set = *cluster->endpoints;
    if (set.content_hash != 0 && set.content_hash == state.set_hash) return true;
    for (const Endpoint& endpoint : set.endpoints) {
        if (endpoint.id != endpoint_id) continue;
        state.set_hash = set.content_hash;
        return true;
    }
    return false;
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
