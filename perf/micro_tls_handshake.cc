// TLS handshakes on one core, each end's own time (the other end's is left out), ECDSA P-256 and X25519. Run on a quiet machine:
//   build/perf/micro_tls_handshake --benchmark_min_time=0.5
// `items_per_second` are handshakes a second of a core that does nothing else. Bounds beside it: openssl speed ecdsap256 ecdhx25519
// (a server's full handshake signs once, derives twice; a mutual one verifies two signatures more).
#include <benchmark/benchmark.h>

#include <chrono>
#include <ctime>

#include "tests/support/certificates.h"
#include "tls/handshake_session.h"

namespace {

using namespace sluice;
using namespace sluice::tls;
using Clock = std::chrono::steady_clock;

struct Setting {
    std::shared_ptr<const ServerContext> server;
    std::shared_ptr<const ClientContext> client;
};
Setting make(bool mutual, bool tickets, Version version) {
    static const test::CertificateAuthority ca("root");
    test::CertificateSpec spec;
    spec.names = {"URI:spiffe://cluster.local/ns/shop/sa/web"};
    const test::Issued issued = ca.issue(spec);
    ServerOptions s;
    s.certificates.push_back({issued.chain_pem, issued.private_key_pem, "", "server"});
    s.parameters.min_version = s.parameters.max_version = version;
    if (tickets) {
        s.ticket_keys = std::make_shared<TicketKeys>();
        s.ticket_keys->rotate(time(nullptr));
    }
    ClientOptions c;
    c.verification.trusted_ca_pem = ca.pem();
    c.sessions_max = tickets ? 4 : 0;
    if (mutual) {
        s.client_certificate = ServerOptions::ClientCertificate::kRequired;
        s.verification.trusted_ca_pem = ca.pem();
        s.verification.require_spiffe = true;
        c.certificates.push_back({issued.chain_pem, issued.private_key_pem, "", "client"});
    }
    return {*ServerContext::create(std::move(s), time(nullptr)), *ClientContext::create(std::move(c), time(nullptr))};
}

/// One handshake of both; adds what each took, in seconds. False: it failed.
bool shake(const Setting& setting, const LiveConnection::Gauge& live, double& server_s, double& client_s, bool& resumed) {
    std::vector<uint8_t> to_server, to_client;
    std::unique_ptr<HandshakeSession> server, client;
    HandshakeResult server_result, client_result;
    const auto timed = [](double& sum, auto&& work) {
        const auto begin = Clock::now();
        work();
        sum += std::chrono::duration<double>(Clock::now() - begin).count();
    };
    timed(client_s, [&] {
        client = std::make_unique<HandshakeSession>(setting.client, ClientPeer{}, SocketAddress{}, live);
        client->run(to_server);
    });
    timed(server_s, [&] { server = std::make_unique<HandshakeSession>(setting.server, live); });
    bool client_done = false, server_done = false;
    for (int i = 0; i < 4 && !(client_done && server_done); i++) {
        timed(server_s, [&] {
            server->write(to_server);
            to_server.clear();
            if (!server_done && server->run(to_client) == HandshakeSession::State::kDone) server_result = server->take_result(), server_done = true;
        });
        timed(client_s, [&] {
            client->write(to_client);
            to_client.clear();
            if (!client_done && client->run(to_server) == HandshakeSession::State::kDone) client_result = client->take_result(), client_done = true;
            else if (client_done) client->run(to_server);   // tickets
        });
    }
    resumed = server_done && server_result.resumed;
    timed(server_s, [&] { server.reset(); });
    timed(client_s, [&] { client.reset(); });
    return client_done && server_done;
}

void run(benchmark::State& state, bool mutual, bool resume, Version version, bool time_server) {
    const Setting setting = make(mutual, resume, version);
    const auto live = std::make_shared<std::atomic<uint32_t>>(0);
    double server_s = 0, client_s = 0;
    bool resumed = false;
    for (int i = 0; i < 20; i++) shake(setting, live, server_s, client_s, resumed);
    for (auto _ : state) {
        server_s = client_s = 0;
        if (!shake(setting, live, server_s, client_s, resumed) || resumed != resume) {
            state.SkipWithError(resumed != resume ? "not resumed as wanted" : "a handshake failed");
            break;
        }
        state.SetIterationTime(time_server ? server_s : client_s);
    }
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK_CAPTURE(run, server_full_13, false, false, Version::kTls13, true)->UseManualTime();
BENCHMARK_CAPTURE(run, server_mutual_13, true, false, Version::kTls13, true)->UseManualTime();
BENCHMARK_CAPTURE(run, server_resumed_13, false, true, Version::kTls13, true)->UseManualTime();
BENCHMARK_CAPTURE(run, server_mutual_resumed_13, true, true, Version::kTls13, true)->UseManualTime();
BENCHMARK_CAPTURE(run, server_full_12, false, false, Version::kTls12, true)->UseManualTime();
BENCHMARK_CAPTURE(run, server_resumed_12, false, true, Version::kTls12, true)->UseManualTime();
BENCHMARK_CAPTURE(run, client_full_13, false, false, Version::kTls13, false)->UseManualTime();
BENCHMARK_CAPTURE(run, client_mutual_13, true, false, Version::kTls13, false)->UseManualTime();
BENCHMARK_CAPTURE(run, client_resumed_13, false, true, Version::kTls13, false)->UseManualTime();

}  // namespace

BENCHMARK_MAIN();
