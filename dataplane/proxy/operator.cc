// What operators see and do with a connection: the rows of sluicectl connections, and closing one.
// In: the core's own objects, on its thread. Out: copies; a connection that ends by itself or at once.
#include "proxy/downstream.h"
#include "proxy/upstream_connection.h"

namespace sluice::proxy {

namespace {
using worker::CloseOutcome;
constexpr std::string_view kByOperator = "closed by an operator";

void pair_with(const Transport* other, worker::ConnectionRow& row) {
    if (!other) return;
    row.pair = other->id();
    row.pair_remote = other->tuple().remote;
}
}  // namespace

void Downstream::describe(worker::ConnectionRow& row) const {
    row.role = worker::ConnectionRow::Role::kDownstream;
    row.protocol = "HTTP/1.1";
    row.owner.set(info_.listener->name);
    row.requests = requests_;
    row.phase = state_ == State::kLinger ? "closing" : "idle";
    if (state_ == State::kHead && stream_) row.phase = "reading head";
    if (state_ != State::kStream || !stream_) return;
    stream_->describe(row);
    if (const UpstreamConnection* upstream = stream_->upstream().connection()) pair_with(upstream->transport(), row);
}

CloseOutcome Downstream::close_for_operator(bool reset, Instant now) {
    core_.now = now;
    if (state_ == State::kClosed) return CloseOutcome::kClosing;
    if (reset) {
        abort(kByOperator);
        return CloseOutcome::kReset;
    }
    if (state_ == State::kLinger) return CloseOutcome::kClosing;
    unwanted_ = true;
    if (state_ == State::kHead && !stream_) {
        start_linger();
        return CloseOutcome::kClosed;
    }
    if (state_ == State::kStream) close_after_ = true;
    return CloseOutcome::kAfterRequest;
}

void UpstreamConnection::describe(worker::ConnectionRow& row) const {
    row.role = worker::ConnectionRow::Role::kUpstream;
    row.protocol = "HTTP/1.1";
    row.requests = served_;
    if (core_.root && cluster_id() < core_.root->clusters.size() && core_.root->clusters[cluster_id()])
        row.owner.set(core_.root->clusters[cluster_id()]->name);
    row.phase = !connected_ ? "connecting" : draining() ? "draining" : "idle";
    if (!request_) return;
    request_->stream().describe(row);
    pair_with(request_->stream().client(), row);
}

CloseOutcome UpstreamConnection::close_for_operator(bool reset, Instant now) {
    core_.now = now;
    if (!transport_) return CloseOutcome::kClosing;
    if (reset) {
        const uint32_t endpoint = endpoint_id();
        if (request_) {
            fail(UpstreamFailure::kReset, kByOperator);
        } else {
            transport_->abort();
            const bool connecting = !connected_;
            close();
            if (connecting) fail_pending(core_, endpoint, UpstreamFailure::kConnectReset);
        }
        return CloseOutcome::kReset;
    }
    if (use() == Use::kIdle) {
        close();
        return CloseOutcome::kClosed;
    }
    core_.upstreams.retire(*this);
    return CloseOutcome::kAfterRequest;
}

}  // namespace sluice::proxy
