// Both halves of the room together: two Handshakers shake hands, two Records move bytes with the keys that come of it, tickets go back to
// the client's handshake, and the next connection is resumed. Bytes in random pieces; the seed is printed, SLUICE_SEED repeats it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "tests/tls/ends.h"
#include "tls/records.h"

namespace sluice::tls::test {
namespace {

struct Case {
    Version version;
    const char* suite;
};

/// One end after its handshake.
class Stream {
 public:
    Stream(Core& core, RecordEngine& engine, OurEnd& end) : core_(core), end_(end), records_(engine, end.result->keys), in_(core.nodes), plain_(core.nodes) {
        give({end.result->leftover.begin(), end.result->leftover.end()});
    }
    void give(const std::string& bytes) {
        if (!bytes.empty()) ASSERT_TRUE(in_.push_back(sluice::test::heap_slice(bytes)));
        for (;;) {
            const Records::Status status = records_.open(in_, plain_, UINT64_MAX);
            if (status == Records::Status::kPostHandshake) {
                if (end_.take_tickets) core_.handshaker->take_ticket(*end_.handshake, records_.post_handshake_record());
                tickets++;
                continue;
            }
            EXPECT_TRUE(status == Records::Status::kOk || status == Records::Status::kClosed) << static_cast<int>(status);
            closed = closed || status == Records::Status::kClosed;
            break;
        }
        received.resize(received.size() + plain_.bytes());
        plain_.peek(0, std::span(reinterpret_cast<uint8_t*>(received.data()) + received.size() - plain_.bytes(), plain_.bytes()));
        plain_.clear();
    }
    std::string seal(std::string_view text) {
        SliceQueue plain(core_.nodes), out(core_.nodes);
        if (!text.empty()) {
            EXPECT_TRUE(plain.push_back(sluice::test::heap_slice(text)));
            EXPECT_TRUE(records_.seal(plain, out, kNow));
        }
        records_.take_control(out);
        std::string bytes(out.bytes(), '\0');
        out.peek(0, std::span(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()));
        return bytes;
    }
    std::string close() {
        records_.close_notify();
        return seal("");
    }
    std::string received;
    int tickets = 0;
    bool closed = false;

 private:
    Core& core_;
    OurEnd& end_;
    Records records_;
    SliceQueue in_, plain_;
};

void pass(const std::string& bytes, Stream& to, std::mt19937& random) {
    for (size_t at = 0; at < bytes.size();) {
        const size_t n = std::min<size_t>(bytes.size() - at, 1 + random() % 5000);
        to.give(bytes.substr(at, n));
        at += n;
    }
}

/// A connection; true: it was resumed.
bool converse(Core& core, RecordEngine& engine, const std::shared_ptr<const ServerContext>& server_context, const std::shared_ptr<const ClientContext>& client_context,
              std::mt19937& random) {
    OurEnd server(core), client(core);
    server.serve(server_context);
    client.connect(client_context);
    pump(core, client, server, 1 + random() % 700);
    EXPECT_TRUE(server.result && client.result) << server.reason << client.reason;
    if (!server.result || !client.result) return false;
    const bool resumed = client.result->resumed;
    {
        Stream a(core, engine, client), b(core, engine, server);
        std::string to_server, to_client;
        for (int i = 0; i < 20; i++) {
            const std::string up(random() % 30'000, static_cast<char>('a' + i)), down(random() % 30'000, static_cast<char>('A' + i));
            to_server += up, to_client += down;
            pass(a.seal(up), b, random);
            pass(b.seal(down), a, random);
        }
        EXPECT_TRUE(b.received == to_server);
        EXPECT_TRUE(a.received == to_client);
        pass(a.close(), b, random);
        pass(b.close(), a, random);
        EXPECT_TRUE(a.closed && b.closed);
        EXPECT_EQ(a.tickets, !client.take_tickets ? 0 : resumed ? 1 : 2);
    }
    if (client.take_tickets) core.handshaker->finish(*std::exchange(client.handshake, nullptr));
    core.poll_all();
    return resumed;
}

class EndToEnd : public testing::TestWithParam<std::tuple<Case, bool, uint32_t>> {};

TEST_P(EndToEnd, FullThenResumed) {
    const auto& [c, mutual, threads] = GetParam();
    const char* given = std::getenv("SLUICE_SEED");
    const unsigned seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 7;
    std::printf("SLUICE_SEED=%u repeats it\n", seed);
    std::mt19937 random(seed);
    Core core({}, threads);
    RecordEngine engine(sluice::test::test_mempool(), core.nodes, 8);
    ServerOptions s = server_options();
    s.parameters.min_version = s.parameters.max_version = c.version;
    s.parameters.cipher_suites = {c.suite};
    s.ticket_keys = std::make_shared<TicketKeys>();
    s.ticket_keys->rotate(time(nullptr));
    ClientOptions o = client_options();
    if (mutual) {
        CertificateSpec spec;
        spec.names = {"URI:spiffe://cluster.local/ns/a/sa/b"};
        s.client_certificate = ServerOptions::ClientCertificate::kRequired;
        s.verification.trusted_ca_pem = authority().pem();
        s.verification.require_spiffe = true;
        o.certificates = {source(authority().issue(spec), "client")};
    }
    const auto server_context = make(std::move(s));
    const auto client_context = make(std::move(o));
    EXPECT_FALSE(converse(core, engine, server_context, client_context, random));
    for (int i = 0; i < 3; i++) EXPECT_TRUE(converse(core, engine, server_context, client_context, random));
    EXPECT_EQ(core.handshaker->live(), 0u) << "no OpenSSL object is left";
    EXPECT_EQ(core.nodes.in_use(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Suites, EndToEnd,
                         testing::Combine(testing::Values(Case{Version::kTls13, "TLS_AES_128_GCM_SHA256"}, Case{Version::kTls13, "TLS_AES_256_GCM_SHA384"},
                                                          Case{Version::kTls13, "TLS_CHACHA20_POLY1305_SHA256"}, Case{Version::kTls12, "ECDHE-ECDSA-AES128-GCM-SHA256"},
                                                          Case{Version::kTls12, "ECDHE-RSA-AES256-GCM-SHA384"}, Case{Version::kTls12, "ECDHE-ECDSA-CHACHA20-POLY1305"}),
                                          testing::Bool(), testing::Values(0u, 1u)));

}  // namespace
}  // namespace sluice::tls::test
