// A connection to an endpoint, client side of HTTP/1.1: one exchange at a time, kept for the next in its endpoint's pool.
// In: a request attached to it, transport events. Out: answers to the request. Owned by the core's pool; it owns its transport.
// Body bytes are read only as far as the client's side has room. RFC 9112 6, 8, 9.
#pragma once

#include <cstdint>

#include "http/h1/codec.h"
#include "proxy/core.h"
#include "proxy/transport.h"
#include "proxy/upstream_request.h"
#include "upstream/pool.h"

namespace sluice::proxy {

class UpstreamConnection final : public upstream::PooledConnection, public TransportHandler, public TimerHandler {
 public:
    explicit UpstreamConnection(Core& core);
    /// Starts connecting. False: it could not even be tried (*failure); the caller gives it back by close().
    bool open(const upstream::Cluster& cluster, const upstream::Endpoint& endpoint, UpstreamFailure* failure);
    /// It is carried as the endpoint's connections are to be carried now: a change of certificates alone does not matter.
    bool fits(const upstream::Cluster& cluster, const upstream::Endpoint& endpoint) const {
        const upstream::TransportSocket* socket = upstream::socket_of(cluster, endpoint);
        return over_tls_ == (socket != nullptr) && (!socket || socket->settings_hash == settings_hash_);
    }

    /// Carries `request` now: it must be idle or just connected.
    void attach(UpstreamRequest& request);
    /// The request lets go in mid-exchange: nothing on this connection can be trusted any more.
    void detach_and_close();
    uint64_t send_room() { return transport_ ? transport_->send_room() : 0; }
    [[nodiscard]] bool write(SliceQueue& data);
    /// Reads on; called when the client's side has room again.
    void resume() { pump(); }
    void close();
    bool closed() const { return !transport_; }
    bool reused() const { return served_ > 1; }
    const FourTuple& tuple() const { return tuple_; }

    void on_transport_events(uint16_t events, Instant now) override;
    void on_timer(Instant now) override;
    void describe(worker::ConnectionRow& row) const override;
    worker::CloseOutcome close_for_operator(bool reset, Instant now) override;
    const Transport* transport() const { return transport_; }

    UpstreamConnection* next_dead = nullptr;   // Core's

 private:
    bool open_tls(const upstream::Cluster& cluster, const upstream::Endpoint& endpoint, const upstream::TransportSocket& socket,
                  UpstreamFailure* failure);
    void on_connect_failed();
    void on_connected();
    void pump();
    /// One step of reading; false when there is nothing to be done now.
    bool read_head();
    bool read_body();
    bool read_interim();
    void on_end_of_stream();
    void complete();
    void become_free();
    void fail(UpstreamFailure failure, std::string_view detail);
    bool reusable() const;

    Core& core_;
    Transport* transport_ = nullptr;
    UpstreamRequest* request_ = nullptr;
    LazyTimer timer_;
    http::h1::HeadReader head_;
    http::h1::BodyReader body_;
    FourTuple tuple_;
    uint64_t settings_hash_ = 0;   // upstream::TransportSocket's
    Instant opened_, deadline_ = Instant::never();
    Duration idle_timeout_;
    uint32_t served_ = 0, served_max_ = 0, interim_ = 0;
    bool over_tls_ = false;
    bool connected_ = false, head_done_ = false, any_byte_ = false, keep_alive_ = true;
};

}  // namespace sluice::proxy
