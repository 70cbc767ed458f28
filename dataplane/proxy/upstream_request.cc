// Choosing an endpoint, waiting for a connection, sending, and what is said to the client when it fails (Envoy's bodies).
#include "proxy/upstream_request.h"

#include <algorithm>

#include "filter/text.h"
#include "http/h1/codec.h"
#include "proxy/stream.h"
#include "proxy/tls_info.h"
#include "proxy/upstream_connection.h"

namespace sluice::proxy {
namespace {

using telemetry::FailureReason;

struct FailureAnswer {
    uint16_t status;
    uint32_t flag;
    std::string_view body, details, words;
    FailureReason reason;
};

constexpr std::string_view kNoSecretReason = "TLS error: Secret is not supplied by SDS";   // Envoy's words
constexpr size_t kTransportFailureMax = 512;

#define SLUICE_RESET_BODY "upstream connect error or disconnect/reset before headers. reset reason: "
#define SLUICE_RESET_DETAILS "upstream_reset_before_response_started"

constexpr filter::LocalReply overload(std::string_view reason) {
    return {.status = 503, .body = SLUICE_RESET_BODY "overflow", .details = SLUICE_RESET_DETAILS "{overflow}", .reason = reason,
            .flags = telemetry::kOverloadManager};
}
constexpr filter::LocalReply overflow(std::string_view reason) {
    filter::LocalReply reply = overload(reason);
    reply.flags = telemetry::kUpstreamOverflow;
    return reply;
}

FailureAnswer answer_for(UpstreamFailure failure) {
    using namespace telemetry;
    constexpr uint32_t kUf = kUpstreamConnectionFailure;
    switch (failure) {
        case UpstreamFailure::kConnectRefused:
            return {503, kUf, SLUICE_RESET_BODY "remote connection failure, transport failure reason: delayed connect error: Connection refused",
                    SLUICE_RESET_DETAILS "{remote_connection_failure|delayed_connect_error:_Connection_refused}",
                    "upstream connection refused by ", FailureReason::kRefused};
        case UpstreamFailure::kConnectTimeout:
            return {503, kUf, SLUICE_RESET_BODY "connection timeout", SLUICE_RESET_DETAILS "{connection_timeout}",
                    "upstream connect timeout to ", FailureReason::kConnectTimeout};
        case UpstreamFailure::kConnectUnreachable:
            return {503, kUf, SLUICE_RESET_BODY "remote connection failure, transport failure reason: delayed connect error: No route to host",
                    SLUICE_RESET_DETAILS "{remote_connection_failure|delayed_connect_error:_No_route_to_host}",
                    "no way to upstream ", FailureReason::kUnreachable};
        case UpstreamFailure::kNoPorts:
            return {503, kUf, SLUICE_RESET_BODY "local connection failure", SLUICE_RESET_DETAILS "{local_connection_failure}",
                    "no free source port towards upstream ", FailureReason::kNoPorts};
        case UpstreamFailure::kConnectReset:
            return {503, kUf, SLUICE_RESET_BODY "remote connection failure", SLUICE_RESET_DETAILS "{remote_connection_failure}",
                    "upstream connection reset while it was made by ",
                    FailureReason::kReset};
        case UpstreamFailure::kNoResources:
            return {503, kOverloadManager, SLUICE_RESET_BODY "overflow", SLUICE_RESET_DETAILS "{overflow}",
                    "this core has no room for one more connection to upstream ",
                    FailureReason::kNone};
        case UpstreamFailure::kClosed:
            return {503, kUpstreamTermination, SLUICE_RESET_BODY "connection termination", SLUICE_RESET_DETAILS "{connection_termination}",
                    "upstream connection closed by ",
                    FailureReason::kClosedEarly};
        case UpstreamFailure::kReset:
            return {503, kUpstreamTermination, SLUICE_RESET_BODY "connection termination", SLUICE_RESET_DETAILS "{connection_termination}",
                    "upstream connection reset by ",
                    FailureReason::kReset};
        case UpstreamFailure::kProtocolError:
            return {502, kUpstreamProtocolError, SLUICE_RESET_BODY "protocol error", SLUICE_RESET_DETAILS "{protocol_error}",
                    "upstream protocol error from ",
                    FailureReason::kProtocolError};
        case UpstreamFailure::kHandshake:
            return {503, kUf, SLUICE_RESET_BODY "remote connection failure", SLUICE_RESET_DETAILS "{remote_connection_failure}",
                    "no TLS with upstream ", FailureReason::kTls};
        case UpstreamFailure::kNoSecret:
            return {503, kUf, SLUICE_RESET_BODY "remote connection failure", SLUICE_RESET_DETAILS "{remote_connection_failure}",
                    "no TLS with upstream ", FailureReason::kTls};
    }
    return {503, kUf, SLUICE_RESET_BODY "connection termination", SLUICE_RESET_DETAILS "{connection_termination}", "upstream failed: ", FailureReason::kReset};
}

/// RFC 9110 9.2.2.
bool idempotent(http::Method method) {
    switch (method) {
        case http::Method::kGet:
        case http::Method::kHead:
        case http::Method::kPut:
        case http::Method::kDelete:
        case http::Method::kOptions:
        case http::Method::kTrace: return true;
        default: return false;
    }
}

}  // namespace

bool UpstreamRequest::select(const route::WeightedCluster& weighted) {
    weighted_ = &weighted;
    Core& core = stream_->core();
    const auto& clusters = core.root->clusters;
    if (weighted.cluster_id >= clusters.size() || !clusters[weighted.cluster_id]) return false;
    const upstream::Cluster* cluster = clusters[weighted.cluster_id].get();
    // The route's table may be older than the root: its id must still mean the same cluster.
    if (cluster->name != weighted.cluster_name) return false;
    cluster_ = snapshot::Pin<upstream::Cluster>(core.reader.pins(), cluster);
    return true;
}

void UpstreamRequest::send_headers(const http::Request& request, bool end_stream) {
    request_ = &request;
    headers_end_stream_ = request_sent_ = end_stream;
    Core& core = stream_->core();
    const StageScope scope(core.stages, Stage::kUpstream);
    auto& stats = core.stats.cluster(cluster_->id);
    const int index = core.upstreams.pick(*cluster_, core.rng);
    if (index < 0) {
        stats.no_healthy.add();
        return fail({.status = 503, .body = "no healthy upstream", .details = "no_healthy_upstream",
                     .reason = "the cluster has no endpoint", .flags = telemetry::kNoHealthyUpstream});
    }
    endpoint_ = &cluster_->endpoints->endpoints[static_cast<size_t>(index)];
    if (!core.upstreams.start_request(*cluster_, endpoint_->id)) {
        stats.overflows.add();
        return fail(overflow("circuit breaker: too many requests"));
    }
    counted_ = true;
    remote_ = endpoint_->address;
    stats.requests.add();
    stats.requests_active.add();
    core.stats.endpoint(endpoint_->id).requests.add();
    core.stats.endpoint(endpoint_->id).requests_active.add();
    start_attempt(false);
}

void UpstreamRequest::start_attempt(bool fresh) {
    Core& core = stream_->core();
    attempts_++;
    if (!fresh) {
        while (auto* idle = core.upstreams.first_idle(endpoint_->id)) {
            auto& connection = static_cast<UpstreamConnection&>(*idle);
            if (connection.fits(*cluster_, *endpoint_)) [[likely]] return connection.attach(*this);
            connection.close();   // made with settings that are no longer in force
        }
    }
    if (!core.upstreams.push_pending(*cluster_, endpoint_->id, *this)) {
        core.stats.cluster(cluster_->id).overflows.add();
        return fail(overflow("circuit breaker: too many requests wait"));
    }
    auto& stats = core.stats.cluster(cluster_->id);
    stats.pending_total.add();
    stats.pending_active.add();
    state_ = State::kWaiting;
    connect_for_pending(core, endpoint_->id);
}

bool UpstreamRequest::on_attached(UpstreamConnection& connection) {
    connection_ = &connection;
    state_ = State::kSent;
    local_ = connection.tuple().local;
    Core& core = stream_->core();
    const TlsInfo* tls = connection.transport()->tls();
    if (tls) [[unlikely]] principals_.share(core.stats.principal_uses(), tls->principals);
    stream_->on_upstream_attached(tls);
    SliceQueue out(core.nodes);
    if (!http::h1::write_request(*request_, request_->framing, request_->content_length, false, core.mbufs, out)) {
        core.counters.mbufs_empty++;
        UpstreamConnection* held = std::exchange(connection_, nullptr);
        held->detach_and_close();
        fail(overload("no packet buffer for the request's head"));
        return false;
    }
    if (!connection.write(out)) return true;  // its end is about to be told
    if (!headers_end_stream_) stream_->on_upstream_writable();
    return true;
}

void UpstreamRequest::send_data(SliceQueue& data, bool end_stream) {
    if (end_stream) request_sent_ = true;
    if (!connection_) return data.clear();
    Core& core = stream_->core();
    const uint64_t bytes = data.bytes();
    if (bytes) body_sent_ = true;
    core.stats.cluster(cluster_->id).bytes_sent.add(bytes);
    SliceQueue out(core.nodes);
    bool written = true;
    if (request_->framing == http::Framing::kChunked) {
        written = http::h1::write_chunk(data, core.mbufs, out);
        if (end_stream && written) written = http::h1::write_last_chunk(nullptr, core.mbufs, out);
    } else {
        out.append(std::move(data));
    }
    if (written) {
        if (!connection_->write(out)) out.clear();  // its end is about to be told
        return;
    }
    core.counters.mbufs_empty++;
    std::exchange(connection_, nullptr)->detach_and_close();
    fail(overload("no packet buffer for the request's body"));
}

void UpstreamRequest::send_trailers(const http::HeaderList& trailers) {
    request_sent_ = true;
    if (!connection_ || request_->framing != http::Framing::kChunked) return;
    Core& core = stream_->core();
    SliceQueue out(core.nodes);
    if (http::h1::write_last_chunk(&trailers, core.mbufs, out)) {
        if (!connection_->write(out)) out.clear();
        return;
    }
    core.counters.mbufs_empty++;
    std::exchange(connection_, nullptr)->detach_and_close();
    fail(overload("no packet buffer for the request's trailers"));
}

uint64_t UpstreamRequest::room() { return connection_ ? connection_->send_room() : 0; }

void UpstreamRequest::on_downstream_writable() {
    if (connection_) connection_->resume();
}

void UpstreamRequest::on_writable() {
    if (!request_sent_) stream_->on_upstream_writable();
}

void UpstreamRequest::on_headers(bool end_stream) {
    answered_ = true;
    Core& core = stream_->core();
    const uint16_t status = stream_->response().status;
    auto& stats = core.stats.cluster(cluster_->id);
    stats.responses.add(status);
    stats.codes.add(status);
    auto& endpoint = core.stats.endpoint(endpoint_->id);
    endpoint.success(core.unix_us());
    if (status >= 500) endpoint.responses_5xx.add();
    stream_->on_upstream_headers(end_stream);
}

void UpstreamRequest::on_data(SliceQueue& data, bool end_stream) {
    stream_->core().stats.cluster(cluster_->id).bytes_received.add(data.bytes());
    stream_->on_upstream_data(data, end_stream);
}

uint64_t UpstreamRequest::response_room() { return stream_->response_room(); }
http::Response& UpstreamRequest::response() { return stream_->response(); }
http::HeaderList& UpstreamRequest::response_trailers() { return stream_->response_trailers(); }
http::Method UpstreamRequest::method() const { return request_->method; }

void UpstreamRequest::on_complete() {
    connection_ = nullptr;
    state_ = State::kComplete;
    Core& core = stream_->core();
    // An answer may be complete before its request is: no time to tell then.
    const int64_t us = stream_->request_complete() ? (core.now - stream_->request_complete_at()).us : 0;
    core.stats.cluster(cluster_->id).request_us.record_us(static_cast<uint64_t>(std::max<int64_t>(us, 0)));
    release_counts();
}

void UpstreamRequest::release_counts() {
    if (!counted_) return;
    counted_ = false;
    Core& core = stream_->core();
    core.upstreams.finish_request(cluster_->id, endpoint_->id);
    core.stats.cluster(cluster_->id).requests_active.sub();
    core.stats.endpoint(endpoint_->id).requests_active.sub();
}

void UpstreamRequest::cancel() {
    if (active()) {
        auto& stats = stream_->core().stats.cluster(cluster_->id);
        (state_ == State::kWaiting ? stats.cancelled : stats.cut).add();
    }
    if (pending()) stop_waiting();
    if (connection_) std::exchange(connection_, nullptr)->detach_and_close();
    release_counts();
    if (state_ != State::kComplete) state_ = State::kFailed;
}

void UpstreamRequest::stop_waiting() {
    Core& core = stream_->core();
    core.upstreams.remove_pending(*this);
    core.stats.cluster(cluster_->id).pending_active.sub();
}

void UpstreamRequest::fail(const filter::LocalReply& reply) {
    state_ = State::kFailed;
    release_counts();
    stream_->on_upstream_failed(reply);
}

bool UpstreamRequest::repeatable() const { return !resent_ && !body_sent_ && idempotent(request_->method); }

void UpstreamRequest::on_failure(UpstreamFailure failure, bool silent, bool reused, std::string_view detail) {
    connection_ = nullptr;
    Core& core = stream_->core();
    // RFC 9112 9.3.1: an idle connection may be closed at any time; a request that met such an end is sent once more.
    if (silent && reused && failure != UpstreamFailure::kProtocolError && repeatable()) {
        resent_ = true;
        core.counters.resent++;
        core.stats.cluster(cluster_->id).retries.add();
        return start_attempt(true);
    }
    const FailureAnswer answer = answer_for(failure);
    auto& stats = core.stats.cluster(cluster_->id);
    (failure == UpstreamFailure::kProtocolError ? stats.protocol_errors : stats.resets).add();
    count_failure(answer.reason, false);
    if (failure == UpstreamFailure::kReset) keep_transport_failure(detail);
    fail(transport_failed({.status = answer.status, .body = answer.body, .details = answer.details, .reason = in_words(failure, failure == UpstreamFailure::kReset ? transport_failure_ : detail),
                           .flags = answer.flag}));
}

void UpstreamRequest::on_connect_failure(UpstreamFailure failure, std::string_view reason) {
    const FailureAnswer answer = answer_for(failure);
    auto& stats = stream_->core().stats.cluster(cluster_->id);
    if (failure == UpstreamFailure::kNoResources) {
        stats.overflows.add();
    } else {
        (failure == UpstreamFailure::kConnectTimeout ? stats.connect_timeouts : stats.connect_failures).add();
        count_failure(answer.reason, true);
    }
    keep_transport_failure(failure == UpstreamFailure::kNoSecret ? kNoSecretReason : reason);
    fail(transport_failed({.status = answer.status, .body = answer.body, .details = answer.details,
                           .reason = in_words(failure, transport_failure_), .flags = answer.flag}));
}

/// It may quote the peer's certificate: what cannot be printed is not passed on.
void UpstreamRequest::keep_transport_failure(std::string_view reason) {
    if (reason.empty()) return;
    reason = reason.substr(0, kTransportFailureMax);
    auto* text = static_cast<char*>(stream_->arena().allocate(reason.size(), 1));
    if (!text) return;
    std::transform(reason.begin(), reason.end(), text, [](char c) { return c >= 0x20 && c < 0x7f ? c : '?'; });
    transport_failure_ = {text, reason.size()};
}

/// Envoy's body and details name the transport's failure, the latter without spaces.
filter::LocalReply UpstreamRequest::transport_failed(const filter::LocalReply& plain) {
    if (transport_failure_.empty()) return plain;
    filter::LocalReply reply = plain;
    Arena& arena = stream_->arena();
    const std::string_view body[] = {plain.body, ", transport failure reason: ", transport_failure_};
    const std::string_view details[] = {plain.details.substr(0, plain.details.size() - 1), "|", transport_failure_, "}"};
    const std::string_view full = arena.concat(body);
    auto* const text = const_cast<char*>(arena.concat(details).data());
    if (!full.data() || !text) return plain;
    const size_t size = plain.details.size() + 1 + transport_failure_.size();
    std::replace(text, text + size, ' ', '_');
    reply.body = full;
    reply.details = {text, size};
    return reply;
}

void UpstreamRequest::on_timeout() {
    if (!cluster_ || !endpoint_) return;
    stream_->core().stats.cluster(cluster_->id).request_timeouts.add();
    count_failure(FailureReason::kRequestTimeout, false);
}

void UpstreamRequest::count_failure(FailureReason reason, bool connect) {
    Core& core = stream_->core();
    auto& stats = core.stats.endpoint(endpoint_->id);
    if (connect) stats.connect_failures.add();
    stats.failure(reason, core.unix_us());
}

std::string_view UpstreamRequest::in_words(UpstreamFailure failure, std::string_view detail) {
    char text[filter::kSocketTextMax];
    const std::string_view address(text, filter::write_socket_address(remote_, text));
    const std::string_view pieces[] = {answer_for(failure).words, address, detail.empty() ? "" : ", ", detail};
    const std::string_view words = stream_->arena().concat(pieces);
    return words.data() ? words : answer_for(failure).words;
}

void serve_pending(Core& core, UpstreamConnection& connection) {
    auto* request = static_cast<UpstreamRequest*>(core.upstreams.first_pending(connection.endpoint_id()));
    if (!connection.fits(request->cluster(), request->endpoint())) {   // the configuration changed while it was made
        const uint32_t endpoint = connection.endpoint_id();
        connection.close();
        return connect_for_pending(core, endpoint);
    }
    request->stop_waiting();
    connection.attach(*request);
}

void fail_pending(Core& core, uint32_t endpoint_id, UpstreamFailure failure, std::string_view reason) {
    while (auto* waiting = core.upstreams.first_pending(endpoint_id)) {
        auto& request = *static_cast<UpstreamRequest*>(waiting);
        request.stop_waiting();
        request.on_connect_failure(failure, reason);
    }
}

void connect_for_pending(Core& core, uint32_t endpoint_id) {
    const upstream::EndpointState& state = *core.upstreams.endpoint(endpoint_id);
    while (state.pending > state.connecting) {
        auto& first = static_cast<UpstreamRequest&>(*state.pending_first);
        if (!core.upstreams.may_connect(first.cluster(), endpoint_id)) return;  // one that is busy will serve it
        UpstreamConnection* connection = core.upstream_connections.take(core);
        if (!connection) {
            if (state.connections == 0) fail_pending(core, endpoint_id, UpstreamFailure::kNoResources);
            return;
        }
        UpstreamFailure failure{};
        if (connection->open(first.cluster(), first.endpoint(), &failure)) continue;
        connection->close();
        fail_pending(core, endpoint_id, failure);
    }
}

}  // namespace sluice::proxy
