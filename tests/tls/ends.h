// Two ends of a TLS connection in memory: ours (a Handshaker, inline or with threads), and OpenSSL's own SSL object or a second one of
// ours. In: contexts. Out: what each end learned. Bytes pass in pieces of any size. A record layer by EVP, written apart from
// dataplane/tls, proves that the keys handed over are right.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/certificates.h"
#include "tests/support/eal.h"
#include "tls/handshake.h"
#include "tls/ticket_keys.h"

namespace sluice::tls::test {

using sluice::test::CertificateAuthority;
using sluice::test::CertificateSpec;
using sluice::test::Issued;
using sluice::test::KeyKind;

inline constexpr Instant kNow{1'000'000};

/// Handshake threads and a core's Handshaker.
struct Core {
    explicit Core(const HandshakeLimits& limits = {}, uint32_t thread_count = 0);
    HandshakeThreads threads;
    SliceNodePool nodes;
    std::unique_ptr<Handshaker> handshaker;
    /// Until no job is out.
    void poll_all();
};

/// One of our ends.
class OurEnd final : public HandshakeOwner {
 public:
    explicit OurEnd(Core& core) : core_(core) {}
    ~OurEnd();
    void serve(const std::shared_ptr<const ServerContext>& context) { handshake = core_.handshaker->start_server(context, *this); }
    void connect(const std::shared_ptr<const ClientContext>& context, const ClientPeer& peer = {}, const SocketAddress& remote = {}) {
        handshake = core_.handshaker->start_client(context, peer, remote, *this);
    }
    /// In pieces of `cut` bytes, each in its own mbuf; one feed each.
    bool give(std::string_view bytes, size_t cut = SIZE_MAX);
    std::string take() { return std::exchange(output, {}); }

    void on_handshake_bytes(std::span<const uint8_t> bytes, Instant now) override;
    void on_handshake_done(HandshakeResult&& result, bool take_tickets, Instant now) override;
    void on_handshake_failed(Failure failure, Alert alert, std::string_view reason, Instant now) override;

    Handshake* handshake = nullptr;
    std::string output;
    std::string held;                    // not taken by feed()
    std::optional<HandshakeResult> result;
    bool take_tickets = false;
    std::optional<Failure> failure;
    Alert alert = Alert::kCloseNotify;
    std::string reason;
    std::function<void()> in_callback;   // called within on_handshake_bytes

 private:
    Core& core_;
};

/// OpenSSL's end.
class TheirEnd {
 public:
    TheirEnd(bool server, const std::function<void(SSL_CTX*)>& set_up, SSL_SESSION* session = nullptr, const std::function<void(SSL*)>& set_up_ssl = {});
    ~TheirEnd();
    TheirEnd(const TheirEnd&) = delete;
    void run();
    void give(std::string_view bytes);
    std::string take();
    /// Sends or reads application data; "" where nothing (more) could be read.
    void write(std::string_view text);
    std::string read();
    SSL* ssl() { return ssl_; }
    bool done = false;
    bool failed = false;
    unsigned long error = 0;
    int alert_received = -1;
    std::vector<SSL_SESSION*> sessions;   // a client's, as tickets come

 private:
    SSL_CTX* ctx_ = nullptr;
    SSL* ssl_ = nullptr;
};

/// Runs both until neither has anything to say.
void pump(Core& core, OurEnd& ours, TheirEnd& theirs, size_t cut = SIZE_MAX);
void pump(Core& core, OurEnd& client, OurEnd& server, size_t cut = SIZE_MAX);

/// Seals and opens records with handed-over keys, by EVP.
class EvpRecords {
 public:
    explicit EvpRecords(const TrafficKeys& keys) : keys_(keys) {}
    std::string seal(std::string_view text, uint8_t type = 23);
    /// One record at the front of `bytes`; its inner type in *type. nullopt: it does not open.
    std::optional<std::string> open(std::string& bytes, uint8_t* type = nullptr);

 private:
    std::string nonce(const DirectionKeys& keys, std::string_view explicit_nonce) const;
    std::string aead(bool sealing, const DirectionKeys& keys, const std::string& nonce, const std::string& aad, const std::string& in, bool* ok) const;
    TrafficKeys keys_;
};

const CertificateAuthority& authority();
const CertificateAuthority& stranger();
CertificateSource source(const Issued& issued, std::string name = "leaf");
/// An EC and an RSA certificate for shop.example.
ServerOptions server_options();
ClientOptions client_options();
std::shared_ptr<const ServerContext> make(ServerOptions options);
std::shared_ptr<const ClientContext> make(ClientOptions options);
void use_certificate(SSL_CTX* ctx, const Issued& issued);
void trust(SSL_CTX* ctx, const CertificateAuthority& ca);

}  // namespace sluice::tls::test
