// Reading requests: heads, bodies as far as the stream takes them, what is malformed, and time. Answers and ends are in
// downstream_response.cc.
#include "proxy/downstream.h"

#include <algorithm>

namespace sluice::proxy {
namespace {

Instant after(Instant from, Duration d) { return d.us > 0 ? from + d : Instant::never(); }

/// How long a kept-alive connection of a draining listener may still bring a request, which is answered with close.
constexpr Duration kDrainIdle = seconds(1);

}  // namespace

Downstream::Downstream(Core& core, Listeners& listeners, ListenerState& listener, const snapshot::FilterChain& chain, Transport& transport)
    : core_(core), listeners_(listeners), listener_(listener), transport_(&transport), timer_(*this),
      head_(http::h1::HeadReader::Kind::kRequest, chain.http.limits, chain.http.path),
      opened_(core.now), idle_since_(core.now) {
    info_.listener = listener.listener.get();
    info_.chain = &chain;
    info_.remote = transport.tuple().remote;
    info_.local = transport.tuple().local;
    if (const TlsInfo* tls = transport.tls()) {
        info_.tls = tls;
        info_.peer = tls->peer;
        info_.scheme = "https";
    }
    next = listener.connections;
    if (next) next->previous = this;
    listener.connections = this;
    listener.connection_count++;
    stats().connections.add();
    stats().connections_active.add();
    transport.set_handler(this);
    set_timer();
}

Downstream::~Downstream() {
    stats().connections_active.sub();
    stats().connection_us.record_us(static_cast<uint64_t>((core_.now - opened_).us));
    (previous ? previous->next : listener_.connections) = next;
    if (next) next->previous = previous;
    listener_.connection_count--;
    listeners_.released(listener_);
}

void Downstream::on_transport_events(uint16_t events, Instant now) {
    core_.now = now;
    if (events & tcp::kFailed) {
        if (stream_) stream_->on_transport_failed(transport_->failure_reason());
        close();
        return;
    }
    if ((events & tcp::kSent) && state_ == State::kLinger && stream_) return close();
    if ((events & tcp::kWritable) && stream_) stream_->on_downstream_writable();
    if (events & (tcp::kReadable | tcp::kPeerClosed | tcp::kWritable)) run(now);
    else set_timer();
}

void Downstream::run(Instant now) {
    core_.now = now;
    if (running_ || state_ == State::kClosed) return;
    running_ = true;
    uint32_t heads = 0;
    for (bool more = true; more;) {
        switch (state_) {
            case State::kHead:
                more = ++heads <= limits::kPipelinedMax ? read_head() : false;
                if (heads > limits::kPipelinedMax) core_.schedule(*this);
                break;
            case State::kStream:
                pump_body();
                more = state_ != State::kStream;
                break;
            case State::kLinger:
                discard_input();
                if (transport_->peer_closed() && !stream_) close();
                more = false;
                break;
            case State::kClosed: more = false; break;
        }
    }
    running_ = false;
    set_timer();
}

/// True if the state moved on.
bool Downstream::read_head() {
    SliceQueue& in = transport_->receive_queue();
    if (in.empty()) {
        if (transport_->peer_closed()) on_peer_closed();
        return false;
    }
    // A client that reads no answers gets no more of them made.
    if (!stream_ && transport_->send_room() == 0) return false;
    if (!stream_) {
        stream_ = core_.streams.take(core_, *this, info_);
        if (!stream_) {
            core_.counters.stream_refused++;
            abort("no stream left on this core");
            return false;
        }
        head_since_ = core_.now;
        head_.start();
    }
    const uint64_t before = in.bytes();
    const Stage stage = core_.stages.enter(Stage::kHttp);
    const auto status = head_.read_request(in, stream_->request());
    core_.stages.enter(stage);
    consumed(before - in.bytes());
    if (status == http::h1::Status::kDone) return accept_head();
    if (status == http::h1::Status::kError) {
        refuse(head_.error());
        return true;
    }
    if (transport_->peer_closed()) on_peer_closed();
    return false;
}

bool Downstream::accept_head() {
    http::Request& request = stream_->request();
    if (!request.authority.data()) request.authority = "";  // HTTP/1.0 without Host
    state_ = State::kStream;
    requests_++;
    body_.start(request.framing, request.content_length, info_.chain->http.limits);
    request_complete_ = body_.done();
    close_after_ = !request.keep_alive || request.method == http::Method::kConnect;
    continue_due_ = request.expect_continue && !request_complete_;
    if (info_.tls) request.scheme = info_.scheme;   // http:// asked for over TLS is served as what it came by
    if (request.scheme != info_.scheme) {
        // An https target on a plain connection: taken as said it would lift the trust of what arrived in clear (Envoy: 400).
        request_complete_ = false;
        refuse(400, "the target's scheme is not this connection's", telemetry::kDownstreamProtocolError);
        return true;
    }
    stream_->begin(request_complete_);
    return true;
}

void Downstream::refuse(http::h1::Error error) {
    stats().protocol_errors[static_cast<size_t>(error)].add();
    state_ = State::kStream;
    request_complete_ = false;
    refuse(http::h1::response_status(error), http::h1::to_string(error), telemetry::kDownstreamProtocolError);
}

/// What follows on this connection cannot be told apart any more, so it ends with the answer (RFC 9112 9.6, 11.2).
void Downstream::refuse(uint16_t status, std::string_view reason, uint32_t flags) {
    close_after_ = true;
    continue_due_ = false;
    stream_->refuse({.status = status, .body = http::reason_phrase(status), .details = "http1.codec_error", .reason = reason,
                     .flags = flags});
}

void Downstream::resume_request_body() {
    if (state_ == State::kStream) pump_body();
    if (state_ == State::kHead) core_.schedule(*this);
    else set_timer();
}

void Downstream::pump_body() {
    if (pumping_) return;
    pumping_ = true;
    while (stream_ && state_ == State::kStream && !request_complete_) {
        const uint64_t room = stream_->request_room();
        if (room == 0) break;
        SliceQueue& in = transport_->receive_queue();
        if (in.empty()) {
            if (continue_due_) send_continue();
            break;
        }
        continue_due_ = false;  // the client did not wait (RFC 9110 10.1.1)
        SliceQueue data(core_.nodes);
        uint64_t read = 0;
        const auto status = body_.read(in, data, room, &stream_->request_trailers(), &read);
        consumed(read);
        if (status == http::h1::Status::kError) {
            refuse(body_.error());
            break;
        }
        request_complete_ = status == http::h1::Status::kDone;
        if (!request_complete_ && data.empty()) {
            if (read == 0) break;
            continue;
        }
        stream_->on_request_data(data, request_complete_);
    }
    pumping_ = false;
    if (stream_ && state_ == State::kStream && !request_complete_ && transport_->peer_closed() && transport_->receive_queue().empty())
        on_peer_closed();
}

/// RFC 9110 10.1.1: told when somebody is there to take the body; a final answer before that spares the client sending it.
void Downstream::send_continue() {
    continue_due_ = false;
    if (stream_->answering()) return;
    SliceQueue out(core_.nodes);
    if (!http::h1::write_interim(100, core_.mbufs, out)) {
        core_.counters.mbufs_empty++;
        return;
    }
    write(std::move(out));
}

void Downstream::consumed(uint64_t bytes) {
    transport_->consumed(bytes);
    stats().wire_received.add(bytes);
}

void Downstream::write(SliceQueue&& out) {
    stats().wire_sent.add(out.bytes());
    if (!transport_->write(std::move(out))) out.clear();  // kFailed follows
}

/// No byte follows those received. A whole request is still answered (half close); part of one is not a request.
void Downstream::on_peer_closed() {
    if (state_ == State::kHead) return close();
    if (state_ != State::kStream || request_complete_ || !stream_) return;
    close_after_ = true;
    stream_->refuse({.status = 400, .body = http::reason_phrase(400), .details = "downstream_remote_disconnect",
                     .reason = "the client closed before its request was complete", .flags = telemetry::kDownstreamDisconnect});
}

Instant Downstream::deadline() const {
    if (state_ == State::kClosed) return Instant::never();
    const snapshot::HttpConnectionManager& http = info_.chain->http;
    switch (state_) {
        case State::kHead:
            if (stream_ && head_.bytes_read() > 0) return after(head_since_, http.request_headers_timeout);
            return std::min(after(idle_since_, http.idle_timeout), drain_idle_until_);
        case State::kStream: return stream_ ? stream_->deadline() : Instant::never();
        case State::kLinger: return linger_until_;
        case State::kClosed: break;
    }
    return Instant::never();
}

void Downstream::set_timer() {
    if (state_ != State::kClosed) timer_.want(core_.timers, deadline());
}

void Downstream::on_timer(Instant now) {
    core_.now = now;
    if (now < deadline()) return set_timer();
    switch (state_) {
        case State::kHead:
            if (stream_ && head_.bytes_read() > 0) {
                state_ = State::kStream;
                request_complete_ = false;
                close_after_ = true;
                stream_->refuse({.status = 408, .body = http::reason_phrase(408), .details = "request_header_timeout",
                                 .reason = "the request's head was not complete within request_headers_timeout"});
            } else {
                start_linger();
            }
            break;
        case State::kStream: stream_->on_deadline(now); break;
        case State::kLinger: linger_timeout(); break;
        case State::kClosed: return;
    }
    set_timer();
}

void Downstream::on_drain(Instant now) {
    if (state_ == State::kClosed) return;
    drain_idle_until_ = now + std::min(kDrainIdle, info_.chain->http.drain_timeout / 2);
    set_timer();
}

}  // namespace sluice::proxy
