// The way out: an upstream's answer or a local reply through the filters in reverse to the client, and the request's record.
#include <algorithm>
#include <charconv>

#include "filter/router.h"
#include "filter/text.h"
#include "proxy/connection_text.h"
#include "proxy/edge_headers.h"
#include "proxy/stream.h"
#include "telemetry/access_log_set.h"

namespace sluice::proxy {
namespace {

/// The grpc-status of an answer without a message, or of the trailers of one with messages; kNoGrpcStatus if there is none.
uint8_t grpc_status_of(const http::HeaderList& headers) {
    const http::Header* header = headers.find("grpc-status");
    if (!header) return telemetry::kNoGrpcStatus;
    uint8_t status = 0;
    const char* end = header->value.data() + header->value.size();
    const auto [parsed, error] = std::from_chars(header->value.data(), end, status);
    return error == std::errc() && parsed == end && status <= 16 ? status : telemetry::kNoGrpcStatus;
}

}  // namespace

void Stream::on_upstream_headers(bool end_stream) {
    if (ended_ || local_reply_) return;
    last_activity_ = upstream_headers_at_ = core_.now;
    details_ = "via_upstream";
    http::strip_hop_by_hop(response_.headers);
    // Envoy's x-envoy-upstream-service-time: from the whole request to the answer's head, in milliseconds.
    const Instant from = request_complete_ ? request_complete_at_ : core_.now;
    char text[20];
    const size_t size = filter::write_number(static_cast<uint64_t>((core_.now - from).us / 1000), text);
    const std::string_view value = arena_.copy({text, size});
    if (!value.data() || !response_.headers.set(http::HeaderId::kXEnvoyUpstreamServiceTime, value))
        return out_of_memory("no memory for the answer's headers");
    respond(end_stream);
}

void Stream::on_upstream_data(SliceQueue& data, bool end_stream) {
    if (ended_ || local_reply_) return data.clear();
    last_activity_ = core_.now;
    if (response_stopped_ != kNone) {
        held_response_.append(std::move(data));
        held_response_end_ |= end_stream;
        return;
    }
    run_response_data(filter_count_ - 2, data, end_stream);
}

void Stream::on_upstream_failed(const filter::LocalReply& reply) {
    if (ended_) return;
    if (!response_started_ && !upstream_.answered()) return send_local_reply(reply);
    // Headers were passed on, or filters have seen them: nothing else can be said but that it broke.
    reset(reply.flags, "upstream_reset_after_response_started{connection_termination}", reply.reason);
}

uint64_t Stream::response_room() {
    if (ended_) return limits::kStreamBufferBytes;
    if (response_stopped_ != kNone) return 0;
    return codec_.response_room();
}

void Stream::send_local_reply(const filter::LocalReply& reply) {
    if (ended_) return;
    if (response_started_ || local_reply_) {
        if (response_started_ && !response_end_) reset(reply.flags, reply.details, reply.reason);
        return;
    }
    local_reply_ = true;
    core_.counters.local_replies++;
    flags_ |= reply.flags;
    details_ = reply.details;
    reason_ = reply.reason;
    upstream_.cancel();
    route_deadline_ = Instant::never();
    request_stopped_ = response_stopped_ = kNone;
    held_request_.clear();
    response_.headers.truncate(0);
    response_trailers_.truncate(0);
    response_.status = reply.status;
    const bool no_content = reply.status == 204 || reply.status == 304;
    response_.framing = no_content ? http::Framing::kNone : http::Framing::kLength;
    response_.content_length = reply.body.size();
    bool built = true;
    if (!reply.body.empty()) built = response_.headers.add(http::HeaderId::kContentType, "text/plain");
    if (built && !reply.location.empty()) built = response_.headers.add(http::HeaderId::kLocation, reply.location);
    if (!built) return reset(telemetry::kOverloadManager, "overload", "no memory for a local reply");
    const bool body = !reply.body.empty() && !no_content && request_.method != http::Method::kHead;
    respond(!body);
    if (!body || ended_) return;
    SliceQueue data(core_.nodes);
    if (!append_text(reply.body, core_.mbufs, data)) {
        core_.counters.mbufs_empty++;
        return reset(telemetry::kOverloadManager, "overload", "no packet buffer for a local reply");
    }
    if (response_stopped_ != kNone) {
        held_response_.append(std::move(data));
        held_response_end_ = true;
        return;
    }
    run_response_data(filter_count_ - 2, data, true);
}

void Stream::respond(bool end_stream) {
    response_end_ = end_stream;
    if (!filter::apply_response_header_ops(response_.headers, upstream_.weighted_cluster(), *this))
        return reset(telemetry::kOverloadManager, "overload", "no memory for the answer's headers");
    run_response_headers(filter_count_ - 2);
}

void Stream::run_response_headers(int from) {
    for (int i = from; i >= 0; i--) {
        const auto status = filters_[i]->on_response_headers(response_, response_end_, *this);
        if (ended_) return;
        if (status == filter::Status::kStop) {
            response_stopped_ = i;
            return;
        }
    }
    deliver_headers();
}

void Stream::run_response_data(int from, SliceQueue& data, bool end_stream) {
    for (int i = from; i >= 0; i--) {
        const auto status = filters_[i]->on_response_data(data, end_stream && response_trailers_.size() == 0, *this);
        if (ended_) return data.clear();
        if (status == filter::Status::kContinue) continue;
        response_stopped_ = i;
        held_response_.append(std::move(data));
        held_response_end_ |= end_stream;
        return;
    }
    if (end_stream && response_trailers_.size() > 0) {
        for (int i = from; i >= 0; i--) {
            // Trailers are not held: what comes after the body has nothing left to wait for.
            filters_[i]->on_response_trailers(response_trailers_, *this);
            if (ended_) return data.clear();
        }
    }
    deliver_data(data, end_stream);
}

void Stream::continue_response() {
    if (ended_ || response_stopped_ == kNone) return;
    const int next = response_stopped_ - 1;
    response_stopped_ = kNone;
    if (!response_headers_delivered_) {
        run_response_headers(next);
        if (ended_ || response_stopped_ != kNone) return;
    }
    SliceQueue data(core_.nodes);
    data.append(std::move(held_response_));
    const bool end = std::exchange(held_response_end_, false);
    if (!data.empty() || end) run_response_data(next, data, end);
    if (!ended_ && response_stopped_ == kNone) upstream_.on_downstream_writable();
}

void Stream::deliver_headers() {
    response_headers_delivered_ = true;
    if (!prepare_response_headers(hcm(), response_, local_reply_, core_.http_date()))
        return reset(telemetry::kOverloadManager, "overload", "no memory for the answer's headers");
    http::Framing framing = response_.framing;
    uint64_t length = response_.content_length;
    const bool bodiless = request_.method == http::Method::kHead || response_.status == 304;
    if (bodiless && !local_reply_) {
        // RFC 9110 8.6: the length the body would have had, if it was told.
        framing = response_.headers.find(http::HeaderId::kContentLength) ? http::Framing::kLength : http::Framing::kNone;
    } else if (framing == http::Framing::kChunked || framing == http::Framing::kUntilClose) {
        framing = request_.version == http::Version::kHttp10 ? http::Framing::kUntilClose : http::Framing::kChunked;
    }
    response_started_ = true;
    if (!codec_.write_headers(response_, framing, length, response_end_)) {
        core_.counters.mbufs_empty++;
        return reset(telemetry::kOverloadManager, "overload", "no packet buffer for the answer's head");
    }
    if (response_end_) finish();
}

void Stream::deliver_data(SliceQueue& data, bool end_stream) {
    bytes_sent_ += data.bytes();
    const bool trailers = end_stream && response_trailers_.size() > 0;
    bool written = codec_.write_data(data, end_stream && !trailers);
    if (written && trailers) written = codec_.write_trailers(response_trailers_);
    if (!written) {
        core_.counters.mbufs_empty++;
        return reset(telemetry::kOverloadManager, "overload", "no packet buffer for the answer's body");
    }
    if (!end_stream) return;
    response_end_ = true;
    finish();
}

/// What only few requests come to.
void Stream::count_ends(telemetry::ListenerStats& stats) {
    constexpr uint32_t kEnds = telemetry::kDownstreamDisconnect | telemetry::kDurationTimeout | telemetry::kStreamIdleTimeout;
    if (flags_ & kEnds) {
        if (flags_ & telemetry::kDownstreamDisconnect) stats.resets.add();
        if (flags_ & telemetry::kDurationTimeout) stats.timeouts.add();
        if (flags_ & telemetry::kStreamIdleTimeout) stats.idle_timeouts.add();
    }
    if (!local_reply_) return;
    if (!found_.route) {
        if (response_.status == 301) stats.redirects.add();   // to https
        return;
    }
    if (found_.route->action == route::Route::Action::kRedirect) stats.redirects.add();
    if (found_.route->action == route::Route::Action::kDirectResponse) stats.direct_responses.add();
}

/// How Istio's standard metrics tell this request from others.
telemetry::RequestKey Stream::request_key() const {
    telemetry::RequestKey key;
    key.destination = std::min(upstream_.destination_id(), telemetry::kNoDestination);
    key.status = response_started_ ? std::min(response_.status, uint16_t{999}) : uint16_t{0};
    key.flags = static_cast<uint16_t>(flags_);
    key.principals = upstream_.principals();
    if (request_.method != http::Method::kPost) return key;
    const http::Header* type = request_.headers.find(http::HeaderId::kContentType);
    key.grpc = type && type->value.starts_with("application/grpc") && !type->value.starts_with("application/grpc-web");
    if (!key.grpc || !response_started_) return key;
    key.grpc_status = grpc_status_of(response_trailers_);
    if (key.grpc_status == telemetry::kNoGrpcStatus) key.grpc_status = grpc_status_of(response_.headers);
    return key;
}

void Stream::record() {
    if (!begun_ || recorded_) return;
    recorded_ = true;
    const StageScope scope(core_.stages, Stage::kLog);
    const uint64_t duration_us = static_cast<uint64_t>((core_.now - start_).us);
    auto& stats = core_.stats.listener(info_.listener->id);
    stats.requests_active.sub();
    stats.bytes_received.add(bytes_received_);
    stats.bytes_sent.add(bytes_sent_);
    stats.request_duration_us.record(duration_us);
    if (flags_ & telemetry::kNoRoute) stats.no_route.add();
    if (flags_ & telemetry::kNoCluster) stats.no_cluster.add();
    if (response_started_) stats.responses.add(response_.status);
    count_ends(stats);
    core_.stats.add_flags(flags_);
    core_.stats.add_request(request_key(), duration_us, bytes_received_, bytes_sent_);
    if (!core_.access_log) return;
    // Without an access log, failures are told all the same: sluicectl log tail finds them.
    const bool for_the_file = hcm().access_log;
    const bool is_failure = flags_ != 0 || (response_started_ && response_.status >= 500);
    if (!for_the_file && !is_failure && !core_.access_log->all_wanted()) return;

    const auto field = [&](http::HeaderId id) {
        const http::Header* header = request_.headers.find(id);
        return header ? header->value : std::string_view();
    };
    telemetry::AccessLogEntry entry;
    entry.start_unix_us = start_unix_us_;
    entry.duration_us = duration_us;
    entry.upstream_response_us = UINT64_MAX;
    if (upstream_.answered() && request_complete_)
        entry.upstream_response_us = static_cast<uint64_t>(std::max<int64_t>(0, (upstream_headers_at_ - request_complete_at_).us));
    else if (upstream_.answered()) entry.upstream_response_us = 0;
    if (request_complete_) entry.request_us = static_cast<uint64_t>((request_complete_at_ - start_).us);
    if (upstream_.answered()) entry.first_byte_us = static_cast<uint64_t>((upstream_headers_at_ - start_).us);
    entry.method = request_.method_text;
    entry.path = request_.path;
    entry.original_path = request_path_;
    entry.authority = request_authority_;
    entry.user_agent = field(http::HeaderId::kUserAgent);
    entry.forwarded_for = field(http::HeaderId::kXForwardedFor);
    entry.request_id = field(http::HeaderId::kXRequestId);
    if (found_.route) entry.route_name = found_.route->name;
    entry.cluster = upstream_.cluster_name();
    entry.reason = reason_;
    entry.details = details_;
    entry.version = request_.version;
    entry.https = request_.scheme == "https";
    entry.status = response_started_ ? response_.status : uint16_t{0};
    entry.flags = flags_ | (for_the_file ? 0 : telemetry::kNotForTheFile);
    entry.bytes_received = bytes_received_;
    entry.bytes_sent = bytes_sent_;
    entry.downstream_remote = info_.remote;
    entry.downstream_local = info_.local;
    entry.upstream_remote = upstream_.endpoint_address();
    entry.upstream_local = upstream_.local_address();
    entry.client = client_;
    entry.attempts = upstream_.attempts();
    entry.core = static_cast<uint16_t>(core_.config.core);
    entry.listener = info_.listener->name;
    if (const auto* logs = hcm().access_logs.get()) return record(entry, *logs);
    core_.access_log->push(entry);
}

/// What the listener's logs want of a connection to a backend is kept now: it may be gone when the request is recorded.
void Stream::on_upstream_attached(const TlsInfo* tls) {
    const auto* logs = hcm().access_logs.get();
    if (!logs || !logs->captures().of_upstreams) [[likely]] return;
    constexpr size_t kTextMax = telemetry::AccessLogRing::kFieldBytesMax;   // a record keeps no more
    const auto& wanted = logs->captures().headers;
    upstream_texts_ = tls ? arena_.make_array<std::string_view>(wanted.size()) : nullptr;
    for (size_t i = 0; upstream_texts_ && i < wanted.size(); i++)
        upstream_texts_[i] = wanted[i].upstream ? arena_.copy(tls_text(wanted[i].field, *tls, arena_).substr(0, kTextMax)) : std::string_view();
}

std::string_view Stream::upstream_text(size_t capture) const {
    const auto& wanted = hcm().access_logs->captures().headers[capture];
    if (wanted.field == telemetry::ConnectionField::kFailure) return upstream_.transport_failure();
    return upstream_texts_ ? upstream_texts_[capture] : std::string_view();
}

/// With the headers that the listener's logs want; most want none.
void Stream::record(telemetry::AccessLogEntry& entry, const telemetry::AccessLogSet& logs) {
    using From = telemetry::AccessLogCaptures::From;
    entry.log_set = logs.id();
    const auto& wanted = logs.captures().headers;
    if (wanted.empty()) {
        core_.access_log->push(entry);
        return;
    }
    std::array<std::string_view, telemetry::kCapturedHeadersMax> captured;
    for (size_t i = 0; i < wanted.size(); i++) {
        if (wanted[i].from == From::kConnection) {
            captured[i] = wanted[i].upstream ? upstream_text(i) : connection_text(wanted[i].field, info_, downstream_failure_, arena_);
            continue;
        }
        const auto& from = wanted[i].from == From::kRequest    ? request_.headers
                           : wanted[i].from == From::kResponse ? response_.headers
                                                               : response_trailers_;
        const http::Header* header = wanted[i].id == http::HeaderId::kOther ? from.find(wanted[i].name) : from.find(wanted[i].id);
        if (header) captured[i] = header->value;
    }
    entry.captured = std::span(captured).first(wanted.size());
    core_.access_log->push(entry);
}

}  // namespace sluice::proxy
