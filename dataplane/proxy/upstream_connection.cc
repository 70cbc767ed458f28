// Reading answers and keeping connections: the pump reads heads and bodies while there is input and room for output.
#include "proxy/upstream_connection.h"

#include "proxy/tls_transport.h"

namespace sluice::proxy {
namespace {

/// Heads that may precede the answer on one exchange (THREATS.md 22: a flood of 1xx).
constexpr uint32_t kInterimMax = 16;

UpstreamFailure connect_failure(tcp::Error error) {
    switch (error) {
        case tcp::Error::kRefused: return UpstreamFailure::kConnectRefused;
        case tcp::Error::kTimedOut: return UpstreamFailure::kConnectTimeout;
        case tcp::Error::kNoPorts: return UpstreamFailure::kNoPorts;
        case tcp::Error::kNoMemory: return UpstreamFailure::kNoResources;
        case tcp::Error::kReset: return UpstreamFailure::kConnectReset;
        default: return UpstreamFailure::kConnectUnreachable;
    }
}

UpstreamFailure open_failure(tcp::Error error) {
    switch (error) {
        case tcp::Error::kNoPorts: return UpstreamFailure::kNoPorts;
        case tcp::Error::kNoMemory: return UpstreamFailure::kNoResources;
        default: return UpstreamFailure::kConnectUnreachable;
    }
}

}  // namespace

UpstreamConnection::UpstreamConnection(Core& core)
    : core_(core), timer_(*this), head_(http::h1::HeadReader::Kind::kResponse, http::h1::Limits{}) {}

bool UpstreamConnection::open(const upstream::Cluster& cluster, const upstream::Endpoint& endpoint, UpstreamFailure* failure) {
    core_.upstreams.add(*this, cluster, endpoint.id);
    auto& stats = core_.stats.cluster(cluster.id);
    stats.connections.add();
    stats.connections_open.add();
    opened_ = core_.now;
    idle_timeout_ = cluster.idle_timeout;
    served_max_ = cluster.max_requests_per_connection;
    if (const upstream::TransportSocket* socket = upstream::socket_of(cluster, endpoint)) [[unlikely]] {
        if (!open_tls(cluster, endpoint, *socket, failure)) return false;
    } else {
        tcp::Error error = tcp::Error::kNone;
        transport_ = core_.network.connect(endpoint.address, *this, core_.now, &error);
        *failure = open_failure(error);
        if (!transport_) return false;
    }
    tuple_ = transport_->tuple();
    deadline_ = core_.now + cluster.connect_timeout;
    timer_.want(core_.timers, deadline_);
    return true;
}

bool UpstreamConnection::open_tls(const upstream::Cluster& cluster, const upstream::Endpoint& endpoint,
                                  const upstream::TransportSocket& socket, UpstreamFailure* failure) {
    over_tls_ = true;
    settings_hash_ = socket.settings_hash;
    const auto& context = core_.root->client_context(socket.context_id);
    if (!context) {
        core_.stats.cluster(cluster.id).no_secret.add();
        *failure = UpstreamFailure::kNoSecret;
        return false;
    }
    TlsTransport* tls = core_.tls_transports.take(core_);
    tcp::Error error = tcp::Error::kNoMemory;
    if (tls && tls->connect({cluster, endpoint, context}, *this, &error)) {
        transport_ = tls;
        return true;
    }
    if (tls) tls->release();
    *failure = open_failure(error);
    return false;
}

void UpstreamConnection::close() {
    core_.timers.cancel(timer_);
    if (use() != Use::kNone) {
        auto& stats = core_.stats.cluster(cluster_id());
        stats.connections_open.sub();
        if (use() == Use::kIdle) stats.connections_idle.sub();
        if (connected_) stats.connection_us.record_us(static_cast<uint64_t>((core_.now - opened_).us));
        core_.upstreams.remove(*this);
        core_.bury(*this);
    }
    if (!transport_) return;
    Transport* transport = transport_;
    transport_ = nullptr;
    transport->set_handler(nullptr);
    transport->release();
}

void UpstreamConnection::attach(UpstreamRequest& request) {
    if (use() == Use::kIdle) core_.stats.cluster(cluster_id()).connections_idle.sub();
    core_.upstreams.set_busy(*this);
    deadline_ = Instant::never();
    request_ = &request;
    served_++;
    interim_ = 0;
    head_done_ = any_byte_ = false;
    head_.start();
    request.on_attached(*this);
}

void UpstreamConnection::detach_and_close() {
    request_ = nullptr;
    const uint32_t endpoint = endpoint_id();
    if (transport_) transport_->abort();
    close();
    connect_for_pending(core_, endpoint);
}

bool UpstreamConnection::write(SliceQueue& data) {
    if (data.empty()) return true;
    core_.stats.cluster(cluster_id()).wire_sent.add(data.bytes());
    return transport_ && transport_->write(std::move(data));
}

void UpstreamConnection::on_transport_events(uint16_t events, Instant now) {
    core_.now = now;
    if (events & tcp::kFailed) {
        if (!connected_) return on_connect_failed();
        pump();  // an answer that was complete before the reset still counts
        if (request_) fail(UpstreamFailure::kReset, transport_->failure_reason());
        else close();
        return;
    }
    if (events & tcp::kConnected) on_connected();
    if (!transport_) return;
    if ((events & tcp::kWritable) && request_) request_->on_writable();
    if (!(events & (tcp::kReadable | tcp::kPeerClosed))) return;
    if (request_) pump();
    else if (connected_) close();  // RFC 9112 9.3: bytes or an end that answer nothing; the connection is of no use
}

void UpstreamConnection::on_connect_failed() {
    const uint32_t endpoint = endpoint_id();
    const std::string_view reason = transport_->failure_reason();
    const UpstreamFailure failure = reason.empty() ? connect_failure(transport_->error()) : UpstreamFailure::kHandshake;
    if (failure == UpstreamFailure::kHandshake) {
        HandshakeFailure told;
        told.remote = tuple_.remote;
        told.role = tls::Role::kClient;
        told.failure = static_cast<TlsTransport*>(transport_)->failure();
        told.alert = static_cast<TlsTransport*>(transport_)->alert();
        if (cluster_id() < core_.root->clusters.size() && core_.root->clusters[cluster_id()])
            HandshakeFailure::set(told.owner, core_.root->clusters[cluster_id()]->name);
        HandshakeFailure::set(told.reason, reason);
        core_.handshake_failures.push(told);
    }
    close();
    fail_pending(core_, endpoint, failure, reason);
}

void UpstreamConnection::on_connected() {
    if (connected_) return;
    connected_ = true;
    tuple_ = transport_->tuple();
    core_.stats.cluster(cluster_id()).connect_us.record_us(static_cast<uint64_t>((core_.now - opened_).us));
    deadline_ = Instant::never();
    become_free();
}

void UpstreamConnection::on_timer(Instant now) {
    core_.now = now;
    if (now < deadline_) return timer_.want(core_.timers, deadline_);
    const uint32_t endpoint = endpoint_id();
    if (connected_) {  // idle for long enough
        core_.stats.cluster(cluster_id()).idle_closed.add();
        return close();
    }
    transport_->abort();
    close();
    fail_pending(core_, endpoint, UpstreamFailure::kConnectTimeout);
}

void UpstreamConnection::pump() {
    while (request_ && transport_ && (head_done_ ? read_body() : read_head())) {
    }
    if (request_ && transport_ && transport_->peer_closed() && transport_->receive_queue().empty()) on_end_of_stream();
}

bool UpstreamConnection::read_head() {
    SliceQueue& in = transport_->receive_queue();
    if (in.empty()) return false;
    any_byte_ = true;
    const uint64_t before = in.bytes();
    http::Response& response = request_->response();
    const Stage stage = core_.stages.enter(Stage::kHttp);
    const auto status = head_.read_response(in, response, request_->method());
    core_.stages.enter(stage);
    transport_->consumed(before - in.bytes());
    core_.stats.cluster(cluster_id()).wire_received.add(before - in.bytes());
    if (status == http::h1::Status::kNeedMore) return false;
    if (status == http::h1::Status::kError) {
        fail(UpstreamFailure::kProtocolError, http::h1::to_string(head_.error()));
        return false;
    }
    if (response.status < 200) return read_interim();
    head_done_ = true;
    keep_alive_ = response.keep_alive;
    body_.start(response.framing, response.content_length, http::h1::Limits{});
    UpstreamRequest& request = *request_;
    const bool end = body_.done();
    if (end) complete();
    request.on_headers(end);
    return true;
}

/// RFC 9110 15.2: interim answers are for this hop's Expect, which we did not send on; 101 answers an Upgrade never sent.
bool UpstreamConnection::read_interim() {
    http::Response& response = request_->response();
    if (response.status == 101 || ++interim_ > kInterimMax) {
        fail(UpstreamFailure::kProtocolError, response.status == 101 ? "101 without an upgrade" : "too many interim answers");
        return false;
    }
    response.headers.truncate(0);
    head_.start();
    return true;
}

bool UpstreamConnection::read_body() {
    SliceQueue& in = transport_->receive_queue();
    const uint64_t room = request_->response_room();
    if (in.empty() || room == 0) return false;
    SliceQueue data(core_.nodes);
    uint64_t consumed = 0;
    const auto status = body_.read(in, data, room, &request_->response_trailers(), &consumed);
    transport_->consumed(consumed);
    core_.stats.cluster(cluster_id()).wire_received.add(consumed);
    if (status == http::h1::Status::kError) {
        fail(UpstreamFailure::kProtocolError, http::h1::to_string(body_.error()));
        return false;
    }
    const bool end = status == http::h1::Status::kDone;
    if (!end && data.empty()) return consumed > 0;
    UpstreamRequest& request = *request_;
    if (end) complete();
    request.on_data(data, end);
    return true;
}

void UpstreamConnection::on_end_of_stream() {
    if (!head_done_) return fail(UpstreamFailure::kClosed, any_byte_ ? "in the head of its answer" : "before any answer");
    if (body_.end_of_stream() != http::h1::Status::kDone) return fail(UpstreamFailure::kClosed, "in the body of its answer");
    UpstreamRequest& request = *request_;
    complete();
    SliceQueue nothing(core_.nodes);
    request.on_data(nothing, true);
}

bool UpstreamConnection::reusable() const {
    return keep_alive_ && request_->sent() && !draining() && (served_max_ == 0 || served_ < served_max_) &&
           transport_->receive_queue().empty() && !transport_->peer_closed() && transport_->error() == tcp::Error::kNone && !core_.draining;
}

/// The whole answer has been read: the request no longer needs this connection. Its last bytes are delivered after.
void UpstreamConnection::complete() {
    const bool keep = reusable();
    UpstreamRequest* request = request_;
    const uint32_t endpoint = endpoint_id();
    const bool cut = !request->sent();
    request_ = nullptr;
    request->on_complete();
    if (keep) return become_free();
    if (served_max_ != 0 && served_ >= served_max_) core_.stats.cluster(cluster_id()).served_closed.add();
    // RFC 9112 9.6: a request cut short must not be taken for a complete one, so no orderly end for it.
    if (cut) transport_->abort();
    close();
    connect_for_pending(core_, endpoint);
}

void UpstreamConnection::become_free() {
    if (core_.upstreams.first_pending(endpoint_id())) return serve_pending(core_, *this);
    if (draining() || core_.draining) return close();
    core_.upstreams.set_idle(*this);
    core_.stats.cluster(cluster_id()).connections_idle.add();
    if (idle_timeout_.us > 0) {
        deadline_ = core_.now + idle_timeout_;
        timer_.want(core_.timers, deadline_);
    }
}

void UpstreamConnection::fail(UpstreamFailure failure, std::string_view detail) {
    UpstreamRequest* request = request_;
    const uint32_t endpoint = endpoint_id();
    const bool silent = !any_byte_, was_reused = reused();
    request_ = nullptr;
    transport_->abort();
    close();
    request->on_failure(failure, silent, was_reused, detail);
    connect_for_pending(core_, endpoint);
}

}  // namespace sluice::proxy
