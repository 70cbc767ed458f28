// A transport over a transport: TLS, either role. Handshakes are tls::Handshaker's, records tls::Records'; here bytes, windows, ends
// and errors are carried between them and the proxy's handlers. In: raw bytes and events. Out: plain bytes in a receive queue of its
// own, kConnected once the handshake is done, ends as the peer meant them: without close_notify an end is an error.
// From a pool of its core; owns the transport below, the records and a share of the peer's identity. RFC 8446 6.1; RFC 5246 7.2.1.
//
// Plain bytes that wait are still charged to the raw connection's receive buffer: their raw bytes count as consumed when they are.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "proxy/identities.h"
#include "proxy/tls_info.h"
#include "proxy/transport.h"
#include "snapshot/part.h"
#include "telemetry/tls_stats.h"
#include "tls/context_ref.h"
#include "tls/handshake.h"
#include "tls/openssl_records.h"
#include "tls/records.h"
#include "upstream/cluster.h"

namespace sluice::proxy {

class Core;

class TlsTransport final : public Transport, public TransportHandler, public tls::HandshakeOwner {
 public:
    explicit TlsTransport(Core& core);

    /// Server: takes `raw` over; kConnected or kFailed follows. False: there is no room for one more handshake, `raw` stays the caller's.
    bool accept(Transport& raw, tls::ServerContextRef context, uint32_t listener_id);
    /// Client: opens a connection below and shakes hands as the endpoint's socket says. False and *error: it could not be tried.
    struct Backend {
        const upstream::Cluster& cluster;
        const upstream::Endpoint& endpoint;
        const tls::ClientContextRef& context;   // in force now
    };
    bool connect(const Backend& to, TransportHandler& handler, tcp::Error* error);

    // Transport
    void consumed(uint64_t n) override;
    void set_read_enabled(bool enabled) override { raw_->set_read_enabled(enabled); }
    uint64_t send_room() override;
    bool write(SliceQueue&& data) override;
    uint64_t unacknowledged() const override { return raw_->unacknowledged(); }
    void set_want_sent(bool want) override { raw_->set_want_sent(want); }
    void shutdown_write() override;
    void abort() override;
    void release() override;
    tcp::Error error() const override { return error_ != tcp::Error::kNone ? error_ : raw_->error(); }
    tcp::ConnectionId id() const override { return raw_ ? raw_->id() : tcp::ConnectionId{}; }
    const TlsInfo* tls() const override { return state_ == State::kOpen ? &info_ : nullptr; }
    std::string_view failure_reason() const override { return failure_reason_; }

    /// Why the handshake failed; kNone: it did not.
    tls::Failure failure() const { return failure_; }
    tls::Alert alert() const { return alert_; }
    /// The connection below was reset: nothing that is sent arrives any more.
    bool gone() const { return gone_; }
    /// What waited for another look: an end that is due, records for which there was no list node. By the core.
    void run(Instant now);

    // TransportHandler, of the transport below
    void on_transport_events(uint16_t events, Instant now) override;
    void describe(worker::ConnectionRow& row) const override;
    worker::CloseOutcome close_for_operator(bool reset, Instant now) override;

    // tls::HandshakeOwner
    void on_handshake_bytes(std::span<const uint8_t> bytes, Instant now) override;
    void on_handshake_done(tls::HandshakeResult&& result, bool take_tickets, Instant now) override;
    void on_handshake_failed(tls::Failure failure, tls::Alert alert, std::string_view reason, Instant now) override;

    TlsTransport *next_dead = nullptr, *next_ready = nullptr;   // Core's
    bool scheduled = false;

 private:
    enum class State : uint8_t { kConnecting, kHandshake, kOpen, kFailed, kReleased };
    enum class End : uint8_t { kNone, kClosed /* close_notify came */, kBroken /* told once the bytes before it are read */ };
    void begin_client();
    void on_raw_failed();
    void feed();
    uint16_t read();
    tls::Records::Status open_records();
    void give_back_overhead(uint64_t raw_taken, uint64_t plain_gained);
    void return_leftover(std::span<const uint8_t> leftover);
    void send_control();
    void discard_raw();
    void broken(tcp::Error error, std::string_view reason);
    void fail(tcp::Error error);
    void fail_later(tcp::Error error, std::string_view reason);
    void tell(uint16_t events);
    telemetry::TlsStats& stats();

    Core& core_;
    Transport* raw_ = nullptr;
    tls::Handshake* handshake_ = nullptr;              // in progress, or a finished client's that may still get tickets
    SliceQueue plain_;
    std::optional<tls::Records> records_;
    std::unique_ptr<tls::OpensslRecords> fallback_;
    Identities::Entry* identity_ = nullptr;
    tls::ServerContextRef server_context_;             // whose certificate info_.local is
    tls::ClientContextRef client_context_;
    snapshot::Pin<upstream::Cluster> cluster_;         // until the handshake begins: the socket's peer lies in it
    TlsInfo info_;
    std::string_view failure_reason_;                  // valid while kFailed is told
    Instant began_;                                    // the handshake
    uint32_t owner_id_ = 0;                            // the listener's, or the cluster's
    uint32_t consumed_before_ = 0;                     // bytes given back by the handshake: the raw connection has them as consumed
    uint8_t transport_socket_ = 0;
    tls::Role role_ = tls::Role::kServer;
    State state_ = State::kHandshake;
    End end_ = End::kNone;
    tls::Failure failure_ = tls::Failure::kNone;
    tls::Alert alert_ = tls::Alert::kCloseNotify;
    tcp::Error error_ = tcp::Error::kNone;
    bool shut_ = false, end_fed_ = false, gone_ = false;   // gone_: reset below while bytes of the handshake wait
    bool alert_sent_ = false;                          // a fatal one of the record layer
};

}  // namespace sluice::proxy
