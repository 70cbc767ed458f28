// Where a context dies: on the thread that frees what was put aside, never on one that dropped the last reference.
#include "tls/retired_context.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/tls/ends.h"
#include "tls/context_impl.h"

namespace sluice::tls::test {
namespace {

/// OpenSSL calls back when it frees an SSL_CTX: the threads that it was on.
std::vector<std::thread::id> deaths;
void on_free(void*, void* mark, CRYPTO_EX_DATA*, int, long, void*) {
    if (mark) deaths.push_back(std::this_thread::get_id());
}
template <typename Context>
Context watched(Context context, SSL_CTX* ctx) {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, on_free);
    SSL_CTX_set_ex_data(ctx, index, ctx);
    return context;
}
std::shared_ptr<const ServerContext> watched_server(ServerOptions options) {
    auto context = make(std::move(options));
    return watched(context, ServerContextImpl::of(*context).core.ssl_ctx.get());
}
std::shared_ptr<const ClientContext> watched_client(std::vector<std::string> suites = {}) {
    ClientOptions options = client_options();
    options.parameters.cipher_suites = std::move(suites);
    auto context = make(std::move(options));
    return watched(context, ClientContextImpl::of(*context).core.ssl_ctx.get());
}

class RetiredContexts : public testing::Test {
 protected:
    RetiredContexts() {
        free_retired_contexts();
        deaths.clear();
    }
};

TEST_F(RetiredContexts, DieOnTheThreadThatFreesThem) {
    auto server = watched_server(server_options());
    auto client = watched_client();
    std::thread worker([&] { server = nullptr, client = nullptr; });   // the last references
    worker.join();
    EXPECT_TRUE(deaths.empty()) << "freed where it was dropped";
    EXPECT_EQ(free_retired_contexts(), 2u);
    ASSERT_EQ(deaths.size(), 2u);
    for (const auto id : deaths) EXPECT_EQ(id, std::this_thread::get_id());
    EXPECT_EQ(free_retired_contexts(), 0u);
}

TEST_F(RetiredContexts, MakingOneFreesThoseBefore) {
    watched_server(server_options()).reset();
    EXPECT_TRUE(deaths.empty());
    const auto next = make(server_options());
    EXPECT_EQ(deaths.size(), 1u);
}

/// A rotation: the tables let go first, then handshakes and connections of a worker. With handshake threads and without, with suites whose
/// records stay with OpenSSL too, and with a handshake that is given up before a thread has seen it.
TEST_F(RetiredContexts, AreNotFreedByWorkersNorHandshakeThreads) {
    for (const uint32_t threads : {0u, 1u})
        for (const bool fallback : {false, true}) {
            deaths.clear();
            ServerOptions options = server_options();
            const std::vector<std::string> suites = fallback ? std::vector<std::string>{"ECDHE-ECDSA-AES256-SHA384"} : std::vector<std::string>();
            options.parameters.cipher_suites = suites;
            if (fallback) options.parameters.max_version = Version::kTls12;
            auto server_context = watched_server(std::move(options));
            auto client_context = watched_client(suites);
            Core core({}, threads);
            std::thread worker([&] {
                OurEnd server(core), client(core), given_up(core);
                server.serve(server_context);
                client.connect(client_context);
                pump(core, client, server);
                EXPECT_TRUE(server.result && client.result);
                EXPECT_EQ(server.result->fallback != nullptr, fallback);
                given_up.serve(server_context);
                server_context = nullptr, client_context = nullptr;   // rotated away
            });
            worker.join();
            EXPECT_TRUE(deaths.empty()) << "threads " << threads << ", fallback " << fallback;
            EXPECT_EQ(free_retired_contexts(), 2u) << "threads " << threads << ", fallback " << fallback;
            EXPECT_EQ(deaths.size(), 2u);
        }
}

}  // namespace
}  // namespace sluice::tls::test
