// Writing answers, and ending a connection so that they arrive (RFC 9112 9.6).
#include <algorithm>

#include "proxy/downstream.h"

namespace sluice::proxy {

bool Downstream::write_headers(const http::Response& response, http::Framing framing, uint64_t content_length, bool end_stream) {
    if (end_stream && !request_complete_) drop_body_here();
    close_after_ |= framing == http::Framing::kUntilClose || draining() || (end_stream && !request_complete_);
    continue_due_ = false;
    response_framing_ = framing;
    SliceQueue out(core_.nodes);
    if (!http::h1::write_response(response, framing, content_length, close_after_, stream_->request().version, core_.mbufs, out))
        return false;
    write(std::move(out));
    return true;
}

bool Downstream::write_data(SliceQueue& data, bool end_stream) {
    SliceQueue out(core_.nodes);
    if (response_framing_ == http::Framing::kChunked) {
        if (!http::h1::write_chunk(data, core_.mbufs, out)) return false;
        if (end_stream && !http::h1::write_last_chunk(nullptr, core_.mbufs, out)) return false;
    } else {
        out.append(std::move(data));
    }
    if (!out.empty()) write(std::move(out));
    return true;
}

/// Trailers need chunks: for a 1.0 client, and behind a known length, they are dropped (RFC 9110 6.5.1).
bool Downstream::write_trailers(const http::HeaderList& trailers) {
    if (response_framing_ != http::Framing::kChunked) return true;
    SliceQueue out(core_.nodes);
    if (!http::h1::write_last_chunk(&trailers, core_.mbufs, out)) return false;
    write(std::move(out));
    return true;
}

uint64_t Downstream::response_room() { return transport_ ? transport_->send_room() : 0; }

/// A body that nobody wants but that is here in full: dropped, so that the connection can go on.
void Downstream::drop_body_here() {
    if (body_.error() != http::h1::Error::kNone || head_.error() != http::h1::Error::kNone || continue_due_) return;
    if (stream_->request().framing == http::Framing::kNone) return;
    SliceQueue dropped(core_.nodes);
    uint64_t read = 0;
    const auto status = body_.read(transport_->receive_queue(), dropped, UINT64_MAX, nullptr, &read);
    consumed(read);
    request_complete_ = status == http::h1::Status::kDone;
}

bool Downstream::delivery_in_doubt() { return transport_->peer_closed() && transport_->receive_queue().empty(); }

void Downstream::end_stream() {
    if (delivery_in_doubt()) return await_delivery();
    Stream* stream = std::exchange(stream_, nullptr);
    core_.bury(*stream);
    if (close_after_ || !request_complete_) return start_linger();
    state_ = State::kHead;
    idle_since_ = core_.now;
    if (!running_ && (!transport_->receive_queue().empty() || transport_->peer_closed())) core_.schedule(*this);
    else if (drain_idle_until_ != Instant::never()) set_timer();
}

/// The client sent FIN with its request under way. If it only closed its half, the answer is acknowledged; if it left, a reset
/// comes back. Until then the stream is kept, for its record alone.
void Downstream::await_delivery() {
    state_ = State::kLinger;
    const Duration delay = info_.chain->http.delayed_close_timeout;
    if (transport_->unacknowledged() == 0 || delay.us <= 0) return close();
    transport_->set_want_sent(true);
    linger_unacknowledged_ = transport_->unacknowledged();
    linger_until_ = core_.now + delay;
    set_timer();
}

void Downstream::reset_stream() {
    // An answer that ends with the connection must not look whole; the other framings show the cut themselves.
    if (response_framing_ == http::Framing::kUntilClose) transport_->abort();
    close();
}

void Downstream::start_linger() {
    state_ = State::kLinger;
    discard_input();
    const Duration delay = info_.chain->http.delayed_close_timeout;
    if (transport_->peer_closed() || delay.us <= 0) return close();
    transport_->shutdown_write();
    linger_unacknowledged_ = transport_->unacknowledged();
    linger_until_ = core_.now + delay;
    set_timer();
}

/// Time is up, unless the answer is still on its way and the client takes it.
void Downstream::linger_timeout() {
    const uint64_t left = transport_->unacknowledged();
    if (left == 0 || left >= linger_unacknowledged_) return close();
    linger_unacknowledged_ = left;
    linger_until_ = core_.now + info_.chain->http.delayed_close_timeout;
}

void Downstream::discard_input() {
    SliceQueue& in = transport_->receive_queue();
    const uint64_t n = in.bytes();
    if (n == 0) return;
    in.clear();
    consumed(n);
}

void Downstream::abort(std::string_view reason) {
    if (state_ == State::kClosed) return;
    if (stream_) stream_->on_downstream_gone(telemetry::kLocalReset, "local_reset", reason);
    if (state_ != State::kClosed) transport_->abort();
    close();
}

void Downstream::close() {
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    core_.timers.cancel(timer_);
    if (stream_) {
        if (stream_->ended()) stream_->on_delivered();
        core_.bury(*std::exchange(stream_, nullptr));
    }
    Transport* transport = std::exchange(transport_, nullptr);
    transport->set_handler(nullptr);
    transport->release();
    core_.bury(*this);
}

}  // namespace sluice::proxy
