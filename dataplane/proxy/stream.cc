// The way in: route, filters, request body; and how a stream ends. The way out is in stream_response.cc.
#include "proxy/stream.h"

#include <algorithm>

#include "filter/router.h"
#include "http/h1/codec.h"
#include "proxy/edge_headers.h"

namespace sluice::proxy {
namespace {

/// Everything one stream may keep: a head twice (as read, as sent), an answer's head, filter state.
constexpr uint32_t kStreamArenaBytes = 8 * limits::kArenaLargeChunkBytes;
/// Envoy's default of RouteAction.timeout.
constexpr Duration kDefaultRouteTimeout = seconds(15);

Instant after(Instant from, Duration d) { return d.us > 0 ? from + d : Instant::never(); }

}  // namespace

Stream::Stream(Core& core, DownstreamCodec& codec, const DownstreamInfo& info)
    : core_(core), codec_(codec), info_(info), arena_(core.arena_chunks, kStreamArenaBytes), request_(arena_), response_(arena_),
      request_trailers_(arena_), response_trailers_(arena_), upstream_(*this), client_(info.remote.ip), held_request_(core.nodes),
      held_response_(core.nodes), start_(core.now), last_activity_(core.now), start_unix_us_(core.unix_us()) {
    request_.scheme = info.scheme;
}

Stream::~Stream() { upstream_.cancel(); }

void Stream::begin(bool end_stream) {
    begun_ = true;
    core_.counters.requests++;
    auto& stats = core_.stats.listener(info_.listener->id);
    stats.requests.add();
    stats.requests_active.add();
    request_complete_ = end_stream;
    const bool upgrade = refuse_upgrade();
    if (!prepare_request_headers(hcm(), request_, info_.remote, info_.scheme, core_.rng, client_, info_.tls))
        return out_of_memory("no memory for the request's headers");
    request_path_ = request_.path;
    request_authority_ = request_.authority;
    if (upgrade) {
        // Envoy's answer where an upgrade is not among upgrade_configs; CONNECT counts as one.
        return send_local_reply({.status = 403, .details = "upgrade_failed",
                                 .reason = request_.method == http::Method::kConnect ? "CONNECT is not enabled here"
                                                                                     : "this upgrade is not enabled here"});
    }
    find_route();
    if (!build_filters()) {
        for (int i = 0; i < filter_count_; i++) filters_[i]->on_destroy();
        filter_count_ = 0;
        return out_of_memory("no memory for the filters");
    }
    if (filter_count_ == 0) {
        return send_local_reply({.status = 503, .details = "filter_chain_not_found", .reason = "the listener has no filters"});
    }
    if (end_stream) request_is_complete();
    run_request_headers(0);
}

/// RFC 9110 7.8: an upgrade may be ignored, and h2c is: HTTP/1.1 serves the request as well. Others want what we cannot give.
bool Stream::refuse_upgrade() {
    if (request_.method == http::Method::kConnect) return true;
    if (!request_.upgrade) return false;
    const http::Header* upgrade = request_.headers.find(http::HeaderId::kUpgrade);
    request_.upgrade = false;
    return upgrade && !http::iequals(upgrade->value, "h2c");
}

void Stream::find_route() {
    const StageScope scope(core_.stages, Stage::kRoute);
    const auto& chains = core_.root->chains;
    const uint32_t id = info_.chain->id;
    const route::RouteTable* table = id < chains.size() ? chains[id].routes : nullptr;
    if (!table) return;
    table_ = snapshot::Pin<route::RouteTable>(core_.reader.pins(), table);
    route::Scratch* scratch = core_.root->scratch[core_.config.core];
    found_ = table->find(request_, scratch ? *scratch : core_.no_scratch);
    // The virtual host's demand for TLS comes before its routes (Envoy's SSL redirect route); the router answers.
    if (found_.virtual_host && filter::wants_https(*found_.virtual_host, request_)) [[unlikely]] found_.route = nullptr;
    if (found_.route) core_.stats.route_hits(found_.route->stat_id).add();
}

bool Stream::build_filters() {
    const filter::Chain& chain = hcm().filters;
    if (chain.empty()) return true;
    filters_ = arena_.make_array<filter::StreamFilter*>(chain.size());
    if (!filters_) return false;
    for (const filter::ChainEntry& entry : chain) {
        filter::StreamFilter* filter = entry.factory->create(entry.config.get(), arena_);
        if (!filter) return false;
        filter->set_position(static_cast<uint8_t>(filter_count_));
        filters_[filter_count_++] = filter;
    }
    return true;
}

const filter::Config* Stream::route_config(const filter::StreamFilter& filter) const {
    if (!found_.route || filter.position() >= found_.route->per_filter.size()) return nullptr;
    return found_.route->per_filter[filter.position()].get();
}

Duration Stream::route_timeout() const {
    return found_.route && found_.route->timeout ? *found_.route->timeout : kDefaultRouteTimeout;
}

void Stream::run_request_headers(int from) {
    for (int i = from; i < filter_count_; i++) {
        const auto status = filters_[i]->on_request_headers(request_, request_complete_ && held_request_.empty(), *this);
        if (ended_ || local_reply_) return;
        if (status == filter::Status::kStop) {
            request_stopped_ = i;
            return;
        }
    }
    request_headers_done_ = true;
}

void Stream::on_request_data(SliceQueue& data, bool end_stream) {
    last_activity_ = core_.now;
    bytes_received_ += data.bytes();
    if (end_stream) {
        request_complete_ = true;
        request_is_complete();
    }
    if (ended_ || local_reply_) return data.clear();
    if (request_stopped_ != kNone) {
        held_request_.append(std::move(data));
        held_request_end_ |= end_stream;
        return;
    }
    run_request_data(0, data, end_stream);
}

void Stream::run_request_data(int from, SliceQueue& data, bool end_stream) {
    const bool trailers = end_stream && request_trailers_.size() > 0;
    for (int i = from; i < filter_count_; i++) {
        const auto status = filters_[i]->on_request_data(data, end_stream && !trailers, *this);
        if (ended_ || local_reply_) return data.clear();
        if (status == filter::Status::kContinue) continue;
        request_stopped_ = i;
        held_request_.append(std::move(data));
        held_request_end_ |= end_stream;
        return;
    }
    data.clear();
    if (trailers) run_request_trailers(from);
}

void Stream::run_request_trailers(int from) {
    for (int i = from; i < filter_count_; i++) {
        const auto status = filters_[i]->on_request_trailers(request_trailers_, *this);
        if (ended_ || local_reply_) return;
        if (status == filter::Status::kContinue) continue;
        request_stopped_ = i;
        held_request_end_ = true;
        return;
    }
}

void Stream::continue_request() {
    if (ended_ || local_reply_ || request_stopped_ == kNone) return;
    const int next = request_stopped_ + 1;
    request_stopped_ = kNone;
    if (!request_headers_done_) {
        run_request_headers(next);
        if (ended_ || local_reply_ || request_stopped_ != kNone) return;
        if (held_request_.empty() && !held_request_end_) return codec_.resume_request_body();
    }
    SliceQueue data(core_.nodes);
    data.append(std::move(held_request_));
    const bool end = std::exchange(held_request_end_, false);
    if (!data.empty() || end) run_request_data(next, data, end);
    if (!ended_ && request_stopped_ == kNone) codec_.resume_request_body();
}

uint64_t Stream::request_room() {
    if (ended_ || local_reply_) return limits::kStreamBufferBytes;   // read and dropped: the answer has been given
    if (request_stopped_ != kNone || !request_headers_done_) return 0;
    return upstream_.room();
}

/// The timeout of a route counts from the whole request on (Envoy, RouteAction.timeout).
void Stream::request_is_complete() {
    request_complete_at_ = core_.now;
    if (found_.route && found_.route->action == route::Route::Action::kForward)
        route_deadline_ = after(core_.now, route_timeout());
}

void Stream::on_upstream_writable() {
    last_activity_ = core_.now;
    if (!ended_ && !request_complete_) codec_.resume_request_body();
}

void Stream::on_downstream_writable() {
    if (!ended_) upstream_.on_downstream_writable();
}

void Stream::on_delivered() { record(); }

void Stream::on_transport_failed(std::string_view reason) {
    downstream_failure_ = reason;
    on_downstream_gone(telemetry::kDownstreamDisconnect, "downstream_remote_disconnect", reason.empty() ? "the client is gone" : reason);
    downstream_failure_ = {};   // the transport's
}

void Stream::on_downstream_gone(uint32_t flags, std::string_view details, std::string_view reason) {
    if (recorded_) return;
    flags_ |= flags;
    details_ = details;
    reason_ = reason;
    core_.counters.downstream_resets++;
    end();
}

Instant Stream::deadline() const {
    Instant at = route_deadline_;
    if (!request_complete_) at = std::min(at, after(start_, hcm().request_timeout));
    const Duration idle = found_.route && found_.route->idle_timeout ? *found_.route->idle_timeout : hcm().stream_idle_timeout;
    return std::min(at, after(last_activity_, idle));
}

void Stream::on_deadline(Instant now) {
    if (ended_ || now < deadline()) return;
    if (now >= route_deadline_) {
        route_deadline_ = Instant::never();
        upstream_.on_timeout();
        flags_ |= telemetry::kUpstreamTimeout;
        if (response_started_) return reset(telemetry::kUpstreamTimeout, "response_timeout", "the route's timeout ran out in the answer");
        return send_local_reply({.status = 504, .body = "upstream request timeout", .details = "response_timeout",
                                 .reason = "no answer within the route's timeout", .flags = telemetry::kUpstreamTimeout});
    }
    if (!request_complete_ && now >= after(start_, hcm().request_timeout)) {
        if (response_started_) return reset(telemetry::kDurationTimeout, "request_overall_timeout", "the request took too long");
        return send_local_reply({.status = 408, .body = "request timeout", .details = "request_overall_timeout",
                                 .reason = "the request was not complete within request_timeout",
                                 .flags = telemetry::kDurationTimeout});
    }
    if (response_started_) return reset(telemetry::kStreamIdleTimeout, "stream_idle_timeout", "no byte moved for the idle timeout");
    // Envoy's maybeRequestTimeoutCode: whose turn was it?
    return send_local_reply({.status = static_cast<uint16_t>(request_complete_ ? 504 : 408), .body = "stream timeout",
                             .details = "stream_idle_timeout", .reason = "no byte moved for the idle timeout",
                             .flags = telemetry::kStreamIdleTimeout});
}

void Stream::describe(worker::ConnectionRow& row) const {
    row.in_request = true;
    row.request_age_us = static_cast<uint64_t>(std::max<int64_t>(0, (core_.now - start_).us));
    row.status = response_started_ ? response_.status : uint16_t{0};
    row.method.set(request_.method_text);
    row.host.set(begun_ ? request_authority_ : request_.authority);
    row.path.set(begun_ ? request_path_ : request_.path);
    if (found_.route) row.route.set(found_.route->name);
    row.cluster.set(upstream_.cluster_name());
    row.phase = !request_complete_ ? "reading request" : response_started_ ? "sending response" : upstream_.active() ? "waiting for upstream" : "in filters";
}

void Stream::refuse(const filter::LocalReply& reply) {
    if (!begun_) {
        begun_ = true;
        auto& stats = core_.stats.listener(info_.listener->id);
        stats.requests.add();
        stats.requests_active.add();
        request_path_ = request_.path;
        request_authority_ = request_.authority;
    }
    send_local_reply(reply);
}

void Stream::out_of_memory(std::string_view what) {
    core_.counters.arena_full++;
    send_local_reply({.status = 503, .details = "overload", .reason = what, .flags = telemetry::kOverloadManager});
}

/// The answer began and cannot be completed.
void Stream::reset(uint32_t flags, std::string_view details, std::string_view reason) {
    if (ended_) return;
    flags_ |= flags;
    details_ = details;
    reason_ = reason;
    end();
    codec_.reset_stream();
}

/// The whole answer has been handed to the client's side.
void Stream::finish() {
    if (ended_) return;
    end_exchange();
    if (!codec_.delivery_in_doubt()) record();
    codec_.end_stream();
}

void Stream::end() {
    end_exchange();
    record();
}

void Stream::end_exchange() {
    if (ended_) return;
    ended_ = true;
    upstream_.cancel();
    held_request_.clear();
    held_response_.clear();
    for (int i = 0; i < filter_count_; i++) filters_[i]->on_destroy();
}

}  // namespace sluice::proxy
