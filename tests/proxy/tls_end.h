// The other end of a TLS connection over a fake transport: OpenSSL as a browser or as a server, in memory. In: what a test wants to
// send, certificates. Out: what the proxy said, in plain text, and what is known of the connection. Owns its SSL objects, not the
// transport. Bytes move only in pump(), and only so far as both sides have something to say.
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "tests/proxy/fake_network.h"
#include "tests/support/certificates.h"
#include "tests/tls/record_harness.h"

namespace sluice::proxy::test {

class TlsEnd {
 public:
    struct Options {
        bool server = false;
        const sluice::test::Issued* certificate = nullptr;   // ours
        std::string trusted_pem{};                           // whom we trust; empty: nobody is asked
        bool wants_client_certificate = false;               // server: and refuses those who have none
        std::string server_name{}, alpn{};
        int version = TLS1_3_VERSION;                        // the only one
        std::string suites{};                                // of that version
        size_t tickets = 2;                                  // server: after a handshake of 1.3
    };
    /// `turn`: lets the proxy work.
    TlsEnd(FakeTransport& transport, const Options& options, std::function<void()> turn);

    /// Until nobody has anything to say any more. True: the handshake is done.
    bool pump();
    /// Everything readable by now.
    std::string read();
    /// False: the connection takes no more.
    bool write(std::string_view text);
    void close_notify();
    bool done() const { return SSL_is_init_finished(ssl_.get()) == 1; }
    bool got_close_notify() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
    bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
    /// The subject's common name of the proxy's certificate; empty: it showed none.
    std::string peer_name() const;
    /// OpenSSL's words for what went wrong: "... alert certificate required".
    const std::string& error() const { return error_; }
    SSL* ssl() const { return ssl_.get(); }
    FakeTransport& transport() { return transport_; }
    void use_session(SSL_SESSION* session) { SSL_set_session(ssl_.get(), session); }
    /// Makes records that OpenSSL would not, in its place: 1.3 with AES-GCM, after the handshake, before any write().
    tls::test::ReferenceRecords forger() const;
    void send_raw(const tls::test::Bytes& bytes) {
        transport_.send({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
        turn_();
    }

    size_t cut = SIZE_MAX;   // bytes go in pieces of this size
    bool hold = false;       // bytes wait for reset_behind() or send_held()
    bool deaf = false;       // it reads nothing
    /// What was held goes, and a reset right behind it.
    void reset_behind();
    /// What was held goes in one event.
    void send_held();

 private:
    template <typename T, void (*kFree)(T*)>
    struct Free {
        void operator()(T* object) const { kFree(object); }
    };
    bool move_bytes();
    void note_error(int result);
    static void keep_secret(const SSL* ssl, const char* line);

    FakeTransport& transport_;
    std::function<void()> turn_;
    std::unique_ptr<SSL_CTX, Free<SSL_CTX, SSL_CTX_free>> context_;
    std::unique_ptr<SSL, Free<SSL, SSL_free>> ssl_;
    std::string plain_, error_, held_, key_log_;
};

}  // namespace sluice::proxy::test
