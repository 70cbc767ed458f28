// The proxy's bench with TLS: a certificate authority, contexts made of it, clients and servers that speak TLS (tls_end.h). Handshakes
// run inline, so a turn of the engine is all they take.
#pragma once

#include "tests/proxy/bench.h"
#include "tests/proxy/tls_end.h"
#include "tls/ticket_keys.h"

namespace sluice::proxy::test {

class TlsProxyTest : public ProxyTest {
 protected:
    static constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    using Client = tls::ServerOptions::ClientCertificate;

    static int64_t now_s() { return static_cast<int64_t>(time(nullptr)); }
    const sluice::test::CertificateAuthority& authority() {
        static const sluice::test::CertificateAuthority root("test root");
        return root;
    }
    sluice::test::Issued issue(const std::string& name, std::vector<std::string> names = {}, bool server = true, bool client = true) {
        sluice::test::CertificateSpec spec;
        spec.common_name = name;
        spec.names = std::move(names);
        spec.server_auth = server, spec.client_auth = client;
        return authority().issue(spec);
    }
    std::shared_ptr<const tls::ServerContext> server_context(const sluice::test::Issued& issued, Client client = Client::kNone, bool texts = false) {
        tls::ServerOptions options;
        options.certificates.push_back({issued.chain_pem, issued.private_key_pem, {}, "server"});
        options.parameters.alpn = {"http/1.1"};
        options.client_certificate = client;
        if (client != Client::kNone) options.verification.trusted_ca_pem = authority().pem();
        options.ticket_keys = tickets_;
        options.parameters.cipher_suites = suites_;
        options.identity_certificates = texts;
        auto made = tls::ServerContext::create(std::move(options), now_s());
        if (!made) ADD_FAILURE() << made.error().what;
        return made ? *made : nullptr;
    }
    std::shared_ptr<const tls::ClientContext> client_context(const sluice::test::Issued* issued = nullptr) {
        tls::ClientOptions options;
        if (issued) options.certificates.push_back({issued->chain_pem, issued->private_key_pem, {}, "client"});
        options.verification.trusted_ca_pem = authority().pem();
        options.parameters.cipher_suites = suites_;
        auto made = tls::ClientContext::create(std::move(options), now_s());
        if (!made) ADD_FAILURE() << made.error().what;
        return made ? *made : nullptr;
    }

    snapshot::Listener& the_listener() { return config_.listeners.begin()->second; }
    /// The listener's only chain speaks TLS.
    snapshot::FilterChain& only_tls(std::shared_ptr<const tls::ServerContext> context) {
        auto& chain = the_listener().chains.front();
        chain.tls = true;
        chain.name = "tls";
        config_.contexts["tls"] = std::move(context);
        return chain;
    }
    /// One chain for each match, all with the bench's filters; a default one if `fallback`.
    void chains(const std::vector<std::pair<std::string, route::ChainMatch>>& wanted) {
        auto& listener = the_listener();
        const auto http = listener.chains.front().http;
        std::vector<route::ChainMatch> matches;
        listener.chains.clear();
        for (const auto& [name, match] : wanted) {
            auto& chain = listener.chains.emplace_back();
            chain.name = name;
            chain.http = http;
            chain.tls = config_.contexts.contains(name);
            matches.push_back(match);
        }
        auto index = route::ChainIndex::build(matches);
        ASSERT_TRUE(index.has_value()) << index.error();
        listener.chain_index = *index;
        listener.inspect_tls = listener.chain_index.needs_hello();
    }
    /// The cluster's connections speak TLS.
    upstream::TransportSocket& secure(const std::string& cluster, std::shared_ptr<const tls::ClientContext> context) {
        auto& c = config_.clusters[cluster];
        c.transport_sockets.resize(1);
        auto& socket = c.transport_sockets.front();
        socket.tls = true;
        socket.context_id = static_cast<uint32_t>(config_.client_contexts.size());
        config_.client_contexts.push_back(std::move(context));   // nullptr: its secret is missing
        socket.settings_hash = upstream::hash_settings(socket.peer, "");
        return socket;
    }

    std::function<void()> turns() {
        return [this] { turn(); };
    }
    TlsEnd secure_client(TlsEnd::Options options = {}, uint16_t port = 80) { return TlsEnd(client(port), options, turns()); }
    TlsEnd secure_server(size_t i, const sluice::test::Issued& issued, TlsEnd::Options options = {}) {
        options.server = true;
        options.certificate = &issued;
        upstream(i).accept_connection();
        return TlsEnd(upstream(i), options, turns());
    }
    std::vector<HandshakeFailure> failures() {
        std::vector<HandshakeFailure> all;
        for (HandshakeFailure failure; core().handshake_failures.pop(failure);) all.push_back(failure);
        return all;
    }
    const telemetry::ListenerStats& listener_stats() { return stats_.listener(0); }
    const telemetry::ClusterStats& cluster_stats() { return stats_.cluster(0); }

    std::shared_ptr<tls::TicketKeys> tickets_;
    std::vector<std::string> suites_;   // of contexts made from now on; empty: those by default
};

}  // namespace sluice::proxy::test
