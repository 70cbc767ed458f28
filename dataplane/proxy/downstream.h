// A client's connection, server side of HTTP/1.1: reads one request at a time, hands it to a Stream, writes its answer, keeps
// the connection or ends it so that the answer survives. In: transport events. Out: bytes, and calls on the stream.
// Owned by the core's pool; owns its transport; pins nothing (its ListenerState does). RFC 9112, above all 9.3 and 9.6.
#pragma once

#include <cstdint>

#include "http/h1/codec.h"
#include "proxy/core.h"
#include "proxy/listeners.h"
#include "proxy/stream.h"
#include "proxy/transport.h"

namespace sluice::proxy {

class Listeners;

class Downstream final : public TransportHandler, public DownstreamCodec, public TimerHandler {
 public:
    /// `chain`: one of the listener's, pinned with it.
    Downstream(Core& core, Listeners& listeners, ListenerState& listener, const snapshot::FilterChain& chain, Transport& transport);
    ~Downstream();

    void on_transport_events(uint16_t events, Instant now) override;
    void on_timer(Instant now) override;
    /// Goes on with what is in the receive queue already.
    void run(Instant now);
    /// The listener drains from now on: the next answer says close; an idle connection ends after a moment.
    void on_drain(Instant now);
    void describe(worker::ConnectionRow& row) const override;
    worker::CloseOutcome close_for_operator(bool reset, Instant now) override;
    /// Cuts the connection.
    void abort(std::string_view reason);

    // DownstreamCodec
    bool write_headers(const http::Response& response, http::Framing framing, uint64_t content_length, bool end_stream) override;
    bool write_data(SliceQueue& data, bool end_stream) override;
    bool write_trailers(const http::HeaderList& trailers) override;
    uint64_t response_room() override;
    void resume_request_body() override;
    void end_stream() override;
    bool delivery_in_doubt() override;
    const Transport* transport() const override { return transport_; }
    void reset_stream() override;

    Downstream *next_dead = nullptr, *next_ready = nullptr;   // Core's
    bool scheduled = false;
    Downstream *previous = nullptr, *next = nullptr;          // ListenerState's

 private:
    enum class State : uint8_t { kHead, kStream, kLinger, kClosed };
    bool read_head();
    bool accept_head();
    void refuse(http::h1::Error error);
    void refuse(uint16_t status, std::string_view reason, uint32_t flags);
    void pump_body();
    void send_continue();
    void on_peer_closed();
    void drop_body_here();
    void discard_input();
    void start_linger();
    void await_delivery();
    void linger_timeout();
    void close();
    void set_timer();
    Instant deadline() const;
    bool draining() const { return listener_.draining || core_.draining || unwanted_; }

    telemetry::ListenerStats& stats() { return core_.stats.listener(info_.listener->id); }
    /// `bytes` of the receive queue have been read.
    void consumed(uint64_t bytes);
    void write(SliceQueue&& out);

    Core& core_;
    Listeners& listeners_;
    ListenerState& listener_;
    Transport* transport_;
    Stream* stream_ = nullptr;
    LazyTimer timer_;
    http::h1::HeadReader head_;
    http::h1::BodyReader body_;
    DownstreamInfo info_;
    State state_ = State::kHead;
    http::Framing response_framing_ = http::Framing::kNone;
    bool close_after_ = false, request_complete_ = true, continue_due_ = false, running_ = false, pumping_ = false;
    bool unwanted_ = false;   // an operator wants it closed: it ends with its request
    uint32_t requests_ = 0;
    uint64_t linger_unacknowledged_ = 0;
    Instant opened_, idle_since_, head_since_, linger_until_ = Instant::never(), drain_idle_until_ = Instant::never();
};

}  // namespace sluice::proxy
