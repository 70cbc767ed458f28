// Handshakes fed with anything. In: a first byte that chooses the end and how its bytes are cut, then the peer's bytes: a server that asks
// for certificates, or a client. What is checked: no memory error, no hang, an end that failed stays failed, no OpenSSL object is left.
#include <cstdint>
#include <ctime>
#include <cstdlib>

#include "tests/support/certificates.h"
#include "tls/handshake_session.h"

namespace {

using namespace sluice;
using namespace sluice::tls;

struct Contexts {
    std::shared_ptr<const ServerContext> server;
    std::shared_ptr<const ClientContext> client;
    Contexts() {
        const test::CertificateAuthority ca("root");
        const test::Issued issued = ca.issue({});
        ServerOptions s;
        s.certificates.push_back({issued.chain_pem, issued.private_key_pem, "", "server"});
        s.client_certificate = ServerOptions::ClientCertificate::kOptional;
        s.verification.trusted_ca_pem = ca.pem();
        s.verification.accept_untrusted = true;
        s.parameters.alpn = {"h2", "http/1.1"};
        s.ticket_keys = std::make_shared<TicketKeys>();
        s.ticket_keys->rotate(time(nullptr));
        s.identity_certificates = true;
        ClientOptions c;
        c.verification.trusted_ca_pem = ca.pem();
        c.verification.accept_untrusted = true;   // farther into the handshake
        c.verification.require_spiffe = true;
        server = *ServerContext::create(std::move(s), time(nullptr));
        client = *ClientContext::create(std::move(c), time(nullptr));
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Contexts contexts;
    if (size < 1) return 0;
    const auto live = std::make_shared<std::atomic<uint32_t>>(0);
    const size_t cut = 1 + (data[0] >> 1) * 8;
    {
        const auto session = (data[0] & 1) ? std::make_unique<HandshakeSession>(contexts.client, ClientPeer{"a.example", {}, "a.example", {"h2"}}, SocketAddress{}, live)
                                           : std::make_unique<HandshakeSession>(contexts.server, live);
        std::vector<uint8_t> out;
        session->run(out);
        bool failed = false;
        for (size_t at = 1; at < size; at += cut) {
            session->write({data + at, std::min(cut, size - at)});
            const auto state = session->run(out);
            if (failed && state != HandshakeSession::State::kFailed) std::abort();
            failed = state == HandshakeSession::State::kFailed;
            if (failed && session->reason().empty()) std::abort();
            if (state == HandshakeSession::State::kDone) break;
        }
        if (out.size() > 1 << 20) std::abort();
    }
    if (live->load() != 0) std::abort();
    return 0;
}
