// Connections that end at random points, on either side and in any state: handshakes, requests, answers, closes. Nothing of them stays.
// In: a seed (SLUICE_SEED), how many (SLUICE_SOAK). Out: gauges at zero. A failure prints the command that repeats it.
#include <openssl/err.h>

#include <cstdlib>

#include "base/rng.h"
#include "tests/proxy/tls_bench.h"

namespace sluice::proxy::test {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

class TlsSoak : public TlsProxyTest {
 protected:
    /// One end moves a little: as much as a random scheduler would let it.
    void step(TlsEnd& end) {
        FakeTransport& t = end.transport();
        if (t.released) return;
        const std::string in = t.take(1 + rng_.below(5000));
        BIO_write(SSL_get_rbio(end.ssl()), in.data(), static_cast<int>(in.size()));
        char text[4096];
        if (SSL_do_handshake(end.ssl()) == 1) SSL_read(end.ssl(), text, sizeof text);
        ERR_clear_error();
        const int n = BIO_read(SSL_get_wbio(end.ssl()), text, static_cast<int>(1 + rng_.below(sizeof text)));
        if (n > 0 && !t.released) t.send({text, static_cast<size_t>(n)}, 1 + rng_.below(1500));
    }
    void say(TlsEnd& end, std::string_view text) {
        if (end.done() && !end.transport().released) SSL_write(end.ssl(), text.data(), static_cast<int>(text.size()));
        ERR_clear_error();
    }
    /// How connections end.
    void leave(TlsEnd& end) {
        FakeTransport& t = end.transport();
        if (t.released) return;
        switch (rng_.below(6)) {
            case 0: return t.reset();
            case 1: return t.close();
            case 2: return t.send(std::string(1 + rng_.below(100), static_cast<char>(rng_.next())));
            case 3: return t.send_and_reset(std::string(rng_.below(50), '\x17'));
            case 4: SSL_shutdown(end.ssl()); return ERR_clear_error();
            default:
                if (end.done()) SSL_key_update(end.ssl(), SSL_KEY_UPDATE_REQUESTED);
                return ERR_clear_error();
        }
    }
    void one_connection() {
        auto c = secure_client({.certificate = rng_.chance(0.5) ? &web_ : nullptr, .version = rng_.chance(0.6) ? TLS1_3_VERSION : TLS1_2_VERSION});
        std::vector<std::unique_ptr<TlsEnd>> servers;
        const size_t before = upstreams();
        const uint64_t steps = 2 + rng_.below(60);
        for (uint64_t i = 0; i < steps; i++) {
            step(c);
            if (rng_.chance(0.5)) turn();
            if (rng_.chance(0.2)) say(c, rng_.chance(0.5) ? kGet : std::string_view("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000\r\n\r\nsome"));
            while (before + servers.size() < upstreams()) {
                FakeTransport& t = upstream(before + servers.size());
                if (!t.released) rng_.chance(0.9) ? t.accept_connection() : t.refuse();
                servers.push_back(std::make_unique<TlsEnd>(t, TlsEnd::Options{.server = true, .certificate = &web_, .version = TLS1_3_VERSION}, turns()));
            }
            for (auto& server : servers) {
                step(*server);
                if (rng_.chance(0.2)) say(*server, rng_.chance(0.5) ? kOk : std::string_view("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nsome"));
                if (rng_.chance(0.02)) leave(*server);
            }
            if (rng_.chance(0.02)) leave(c);
            if (rng_.chance(0.02)) advance(milliseconds(static_cast<int64_t>(rng_.below(20'000))));
        }
        if (!c.transport().released) c.transport().reset();
        for (auto& server : servers)
            if (!server->transport().released && rng_.chance(0.7)) server->transport().reset();
    }

    /// Everybody leaves; sessions of handshakes that were given up go in the next turns.
    void everybody_leaves() {
        for (auto& client : network_->clients)
            if (!client->released) client->reset();
        core().upstreams.for_each([](upstream::PooledConnection& c) { static_cast<UpstreamConnection&>(c).close(); });
        for (int i = 0; i < 10; i++) turn();
        EXPECT_FALSE(core().handshaker.busy());
        expect_all_back();
    }

    const sluice::test::Issued web_ = issue("web", {"DNS:web.example"});
    Rng rng_{1};
};

TEST_F(TlsSoak, EndsAtRandomPoints) {
    const uint64_t seed = from_environment("SLUICE_SEED", 20261127), connections = from_environment("SLUICE_SOAK", 1000);
    SCOPED_TRACE("repeat: SLUICE_SEED=" + std::to_string(seed) + " SLUICE_SOAK=" + std::to_string(connections) + " build/tests/proxy/proxy_test --gtest_filter=TlsSoak.*");
    rng_ = Rng(seed);
    tickets_ = std::make_shared<tls::TicketKeys>();
    tickets_->rotate(now_s());
    only_tls(server_context(web_, Client::kOptional));
    secure("web", client_context(&web_));
    core_config_.expanded_keys_max = 4;
    core_config_.tls_key_records_max = 3;
    publish();
    for (uint64_t i = 0; i < connections && !HasFailure(); i++) {
        one_connection();
        if (i % 50 == 0) only_tls(server_context(web_, Client::kOptional)), publish();   // rotated
        if (i % 100 == 99) everybody_leaves();
    }
    everybody_leaves();
    EXPECT_GT(listener_stats().tls.handshakes.get(), connections / 10);
    EXPECT_GT(listener_stats().tls.connection_errors.get(), connections / 100);
    EXPECT_GT(cluster_stats().tls.handshakes.get(), connections / 50);
}

}  // namespace
}  // namespace sluice::proxy::test
