// What ServerContext and ClientContext are inside: an SSL_CTX with our callbacks, the verifier, and for clients the sessions that may be
// resumed. Immutable but for those sessions. Made by make_context(), freed by free_retired_contexts(). Internal to the TLS room.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tls/context.h"
#include "tls/openssl_ptr.h"
#include "tls/retired_context.h"
#include "tls/session_store.h"
#include "tls/ticket_keys.h"
#include "tls/verify.h"

namespace sluice::tls {

/// A file descriptor with one owner; -1: none.
class KeyLogFile {
 public:
    KeyLogFile() = default;
    KeyLogFile(const KeyLogFile&) = delete;
    KeyLogFile& operator=(KeyLogFile&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~KeyLogFile();
    /// Appends, mode 0600. False with errno.
    bool open(const std::string& path);
    /// One line; any thread.
    void write(const char* line) const;

 private:
    int fd_ = -1;
};

/// What both roles have.
struct ContextCore {
    ContextPtr ssl_ctx;
    std::unique_ptr<const Verifier> verifier;      // nullptr: the peer shows no certificate
    std::vector<CertificateInfo> infos;
    std::vector<uint8_t> alpn_wire;                // length-prefixed, most wanted first
    KeyLogFile key_log;
};

class ServerContextImpl final : public ServerContext, public RetiredContext {
 public:
    const std::vector<CertificateInfo>& certificates() const override { return core.infos; }
    static const ServerContextImpl& of(const ServerContext& context) { return static_cast<const ServerContextImpl&>(context); }

    ContextCore core;
    ServerOptions::ClientCertificate client_certificate = ServerOptions::ClientCertificate::kNone;
    std::shared_ptr<TicketKeys> ticket_keys;
    bool identity_certificates = false;
    /// Tickets are good where this is equal: the verification of clients, and whose server this is.
    std::array<uint8_t, 32> ticket_binding{};
    struct Staple {
        X509Ptr leaf;
        std::string response;
    };
    std::vector<Staple> staples;
};

class ClientContextImpl final : public ClientContext, public RetiredContext {
 public:
    explicit ClientContextImpl(uint32_t sessions_max) : sessions(sessions_max) {}
    const std::vector<CertificateInfo>& certificates() const override { return core.infos; }
    static const ClientContextImpl& of(const ClientContext& context) { return static_cast<const ClientContextImpl&>(context); }

    ContextCore core;
    mutable SessionStore sessions;
};

/// Shared by both: an SSL_CTX with versions, suites, groups, ALPN and the key log, and the certificates loaded into it.
std::expected<void, ContextError> set_up(ContextCore& core, const Parameters& parameters, Role role);
std::expected<void, ContextError> load_certificate(ContextCore& core, CertificateSource& source, int64_t now_s);
/// ["h2", "http/1.1"] as on the wire; an error names a protocol that is empty or longer than 255 bytes.
std::expected<std::vector<uint8_t>, ContextError> alpn_to_wire(const std::vector<std::string>& protocols);
/// Tickets of a server: sealed by `ticket_keys`, bound to `ticket_binding` (tickets.cc).
void set_up_tickets(ServerContextImpl& context);

/// Hooks of the handshake that an SSL belongs to, for callbacks that OpenSSL makes on an SSL_CTX. Set as the SSL's app data.
class SslHooks {
 public:
    virtual void on_key_log(const char* line) = 0;
    virtual void on_alert(bool sent, int value) = 0;    // OpenSSL's: level << 8 | description
    virtual int on_verify(X509_STORE_CTX* store) = 0;
    virtual bool on_resume(SSL_SESSION* session, int64_t good_until_s) = 0;   // a server's: false is a full handshake
    virtual int64_t good_until_s() const = 0;           // of the verified chain: what a ticket must not outlive
    virtual void on_session(SessionPtr session) = 0;    // a client's: a ticket came, or a 1.2 handshake ended

 protected:
    ~SslHooks() = default;
};
inline SslHooks* hooks_of(const SSL* ssl) { return static_cast<SslHooks*>(SSL_get_app_data(ssl)); }

}  // namespace sluice::tls
