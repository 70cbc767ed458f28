// One handshake, on the thread that runs it: an OpenSSL connection over memory BIOs. In: bytes of the peer. Out: bytes for it, and in the
// end a HandshakeResult or what went wrong. Owns the connection and its context's reference; no I/O, no clock but certificates'.
// Internal to the TLS room. RFC 8446, RFC 5246.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tls/context_impl.h"
#include "tls/handover.h"
#include "tls/handshake.h"

namespace sluice::tls {

/// Counts an OpenSSL connection while it exists, wherever it goes. The gauge outlives whoever made it.
class LiveConnection {
 public:
    using Gauge = std::shared_ptr<std::atomic<uint32_t>>;
    explicit LiveConnection(Gauge gauge) : gauge_(std::move(gauge)) { gauge_->fetch_add(1, std::memory_order_relaxed); }
    LiveConnection(LiveConnection&&) noexcept = default;
    LiveConnection& operator=(LiveConnection&&) = delete;
    ~LiveConnection() {
        if (gauge_) gauge_->fetch_sub(1, std::memory_order_relaxed);
    }

 private:
    Gauge gauge_;
};

class HandshakeSession final : private SslHooks {
 public:
    HandshakeSession(std::shared_ptr<const ServerContext> context, LiveConnection::Gauge gauge);
    HandshakeSession(std::shared_ptr<const ClientContext> context, const ClientPeer& peer, const SocketAddress& remote, LiveConnection::Gauge gauge);
    ~HandshakeSession();
    HandshakeSession(const HandshakeSession&) = delete;

    enum class State : uint8_t { kRunning, kDone, kFailed };
    /// Takes bytes, to be looked at by the next run().
    void write(std::span<const uint8_t> bytes);
    /// Goes as far as the bytes reach; appends what the peer must get to `out`. A finished client takes tickets.
    State run(std::vector<uint8_t>& out);
    State state() const { return state_; }

    /// Once, when done. Afterwards wants_tickets() says whether this object has a use left.
    HandshakeResult take_result();
    bool wants_tickets() const { return wants_tickets_; }
    /// Since it was asked last.
    uint32_t tickets_taken() { return std::exchange(tickets_taken_, 0u); }

    Failure failure() const { return failure_; }
    Alert alert() const { return alert_; }
    const std::string& reason() const { return reason_; }

 private:
    void on_key_log(const char* line) override;
    void on_alert(bool sent, int value) override;
    int on_verify(X509_STORE_CTX* store) override;
    bool on_resume(SSL_SESSION* session, int64_t good_until_s) override;
    int64_t good_until_s() const override { return good_until_s_; }
    void on_session(SessionPtr session) override;

    const ContextCore& core() const;
    void attach(SSL_CTX* ctx);
    bool offer_session();
    void step(std::vector<uint8_t>& out);
    void take_output(std::vector<uint8_t>& out);
    void take_tickets();
    void succeed();
    void fail(int ssl_error);
    void fail_with(Failure failure, std::string reason);
    bool is_plain_http();

    std::shared_ptr<const ServerContext> server_;
    std::shared_ptr<const ClientContext> client_;
    ClientPeer peer_;                          // a client's
    std::string session_key_;                  // a client's, of kept sessions
    SslPtr ssl_;
    LiveConnection live_;
    BIO* in_ = nullptr;                        // owned by ssl_
    BIO* out_ = nullptr;                       // owned by ssl_
    std::string first_bytes_;                  // a server's, until it is clear that they are no HTTP
    bool first_known_ = false;
    State state_ = State::kRunning;
    bool wants_tickets_ = false;
    const SSL_SESSION* offered_ = nullptr;     // only to be compared
    uint32_t tickets_taken_ = 0;
    KeyLogSecrets secrets_;
    OutputWatch watch_;
    Verdict verdict_;
    int64_t good_until_s_ = INT64_MAX;         // of the peer's chain, also where it was verified before a resumption
    TrafficKeys keys_;
    int alert_sent_ = -1, alert_received_ = -1;
    Failure failure_ = Failure::kNone;
    Alert alert_ = Alert::kCloseNotify;
    std::string reason_;
};

/// What OpenSSL's error queue says a handshake died of; empties it.
struct Diagnosis {
    Failure failure;
    std::string reason;
};
Diagnosis diagnose();

/// The records of `ssl`, whose suite is not ours (openssl_records.cc). `keep`: its context and so on, freed after it.
std::unique_ptr<OpensslRecords> make_openssl_records(SslPtr ssl, LiveConnection live, std::shared_ptr<const void> keep);

}  // namespace sluice::tls
