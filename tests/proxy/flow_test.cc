// Back pressure end to end, and what running out of memory does: bounds that hold whatever the peers do.
#include "base/rng.h"
#include "tests/proxy/bench.h"

namespace sluice::proxy::test {
namespace {

using FlowTest = ProxyTest;

std::string pattern(uint64_t from, uint64_t n) {
    std::string text(n, 0);
    for (uint64_t i = 0; i < n; i++) text[i] = static_cast<char>('a' + (from + i) % 23);
    return text;
}

TEST_F(FlowTest, UnreadAnswerHoldsNoMoreThanItsLimit) {
    publish();
    auto& c = client();
    c.send(kGet);
    auto& u = upstream(0);
    u.accept_connection();
    constexpr uint64_t kBody = 4 << 20, kPiece = 1400;
    u.send("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
    uint64_t sent = 0, most = 0;
    // The upstream sends as long as its window (the receive buffer not yet consumed) is open.
    while (sent < kBody && u.unconsumed() + kPiece <= core_config_.tcp.receive_buffer_bytes) {
        const uint64_t n = std::min(kPiece, kBody - sent);
        u.send(pattern(sent, n));
        sent += n;
        most = std::max(most, c.unread() + u.received_queue_bytes());
    }
    EXPECT_LT(sent, kBody) << "nobody reads, so it must have stopped";
    EXPECT_LE(most, limits::kStreamBufferBytes + 2048) << "a head and a piece may be above";
    // Others go on meanwhile.
    auto& other = client();
    other.send(kGet);
    upstream(1).accept_connection();
    upstream(1).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    EXPECT_TRUE(other.take().ends_with("ok"));
    // The reader wakes up; every byte arrives once and in order.
    std::string got = c.take();
    got = got.substr(got.find("\r\n\r\n") + 4);
    Rng rng(3);
    while (got.size() < kBody) {
        while (sent < kBody && u.unconsumed() + kPiece <= core_config_.tcp.receive_buffer_bytes) {
            const uint64_t n = std::min(kPiece, kBody - sent);
            u.send(pattern(sent, n));
            sent += n;
        }
        got += c.take(1 + rng.below(40'000));
        ASSERT_LE(c.unread() + u.received_queue_bytes(), limits::kStreamBufferBytes + 2048);
    }
    EXPECT_EQ(got, pattern(0, kBody));
    EXPECT_EQ(logs().back().bytes_sent, kBody);
    expect_all_back();
}

TEST_F(FlowTest, SlowServerClosesTheClientsWindow) {
    publish();
    auto& c = client();
    constexpr uint64_t kBody = 2 << 20, kPiece = 1400;
    c.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
    auto& u = upstream(0);
    uint64_t sent = 0;
    const auto push = [&] {
        while (sent < kBody && c.unconsumed() + kPiece <= core_config_.tcp.receive_buffer_bytes) {
            const uint64_t n = std::min(kPiece, kBody - sent);
            c.send(pattern(sent, n));
            sent += n;
        }
    };
    push();
    EXPECT_LE(sent, core_config_.tcp.receive_buffer_bytes) << "not connected yet: all that was taken lies in the receive queue";
    u.accept_connection();
    push();
    EXPECT_LE(u.unread() + c.received_queue_bytes(), limits::kStreamBufferBytes + 2048);
    EXPECT_LT(sent, kBody);
    std::string got = u.take();
    got = got.substr(got.find("\r\n\r\n") + 4);
    while (got.size() < kBody) {
        push();
        const std::string piece = u.take(100'000);
        ASSERT_FALSE(piece.empty() && sent == kBody) << "stuck at " << got.size();
        got += piece;
    }
    EXPECT_EQ(got, pattern(0, kBody));
    u.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    EXPECT_HAS(c.take(), "200 OK");
    EXPECT_EQ(log().bytes_received, kBody);
    expect_all_back();
}

TEST_F(FlowTest, ChunkedBothWaysAtRandomSpeeds) {
    const uint64_t seed = 20261122;
    SCOPED_TRACE("repeat: proxy_test --gtest_filter=FlowTest.ChunkedBothWaysAtRandomSpeeds, seed " + std::to_string(seed));
    Rng rng(seed);
    publish();
    for (int round = 0; round < 20; round++) {
        auto& c = client();
        c.send_capacity = 1 + rng.below(20'000);
        c.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        auto& u = *network_->upstreams.back();
        u.accept_connection();
        u.send_capacity = 1 + rng.below(20'000);
        const uint64_t up = rng.below(100'000), down = rng.below(100'000);
        uint64_t sent_up = 0, sent_down = 0;
        bool up_done = false, down_done = false;
        std::string at_server, at_client;
        const auto chunk = [&](uint64_t from, uint64_t n) {
            char size[20];
            std::snprintf(size, sizeof size, "%lx\r\n", static_cast<unsigned long>(n));
            return size + pattern(from, n) + "\r\n";
        };
        u.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        for (int step = 0; step < 100'000 && !(up_done && down_done && c.unread() == 0 && u.unread() == 0 &&
                                              c.unconsumed() == 0 && u.unconsumed() == 0); step++) {
            switch (rng.below(4)) {
                case 0:
                    if (up_done) break;
                    if (sent_up == up) {
                        c.send("0\r\n\r\n");
                        up_done = true;
                    } else {
                        const uint64_t n = 1 + rng.below(std::min<uint64_t>(up - sent_up, 5000));
                        c.send(chunk(sent_up, n), 1 + rng.below(1500));
                        sent_up += n;
                    }
                    break;
                case 1:
                    // The answer's end waits for the request's: an early end is another test.
                    if (down_done || (sent_down == down && !(up_done && c.unconsumed() == 0))) break;
                    if (sent_down == down) {
                        u.send("0\r\n\r\n");
                        down_done = true;
                    } else {
                        const uint64_t n = 1 + rng.below(std::min<uint64_t>(down - sent_down, 5000));
                        u.send(chunk(sent_down, n), 1 + rng.below(1500));
                        sent_down += n;
                    }
                    break;
                case 2: at_client += c.take(1 + rng.below(5000)); break;
                case 3: at_server += u.take(1 + rng.below(5000)); break;
            }
        }
        at_client += c.take();
        at_server += u.take();
        const auto unchunk = [](const std::string& message) {
            std::string plain;
            for (size_t at = message.find("\r\n\r\n") + 4; at < message.size();) {
                size_t used = 0;
                const auto size = std::stoul(message.substr(at, 20), &used, 16);
                at += used + 2;
                if (size == 0) return plain;
                plain += message.substr(at, size);
                at += size + 2;
            }
            return plain + " (no end)";
        };
        ASSERT_EQ(unchunk(at_server), pattern(0, up)) << "round " << round;
        ASSERT_EQ(unchunk(at_client), pattern(0, down)) << "round " << round;
        c.close();
    }
    expect_all_back();
}

TEST_F(FlowTest, PipelineOfAClientThatReadsNothingStops) {
    route(prefix("/direct"), "").action = Route::Action::kDirectResponse;
    first_route().direct = {200, std::string(1000, 'x')};
    publish();
    auto& c = client();
    c.send_capacity = 16 * 1024;
    std::string all;
    for (int i = 0; i < 500; i++) all += "GET /direct HTTP/1.1\r\nhost: a\r\n\r\n";
    c.send(all);
    for (int i = 0; i < 20; i++) turn();
    EXPECT_LE(c.unread(), 16 * 1024 + 2048u);
    EXPECT_GT(c.unconsumed(), 0u);
    size_t got = 0;
    for (int i = 0; i < 2000 && got < 500; i++) {
        const std::string text = c.take(4096);
        for (size_t at = text.find("HTTP/1.1 200"); at != std::string::npos; at = text.find("HTTP/1.1 200", at + 1)) got++;
        turn();
    }
    EXPECT_GE(got, 490u) << "heads cut by take() are not counted";
    EXPECT_EQ(c.unconsumed(), 0u);
    expect_all_back();
}

/// THREATS.md 40: every pool that runs dry sheds load and recovers.
TEST_F(FlowTest, MbufsRunOut) {
    publish();
    std::vector<rte_mbuf*> taken;
    auto& c = client();
    c.send(kGet);
    while (rte_mbuf* m = rte_pktmbuf_alloc(sluice::test::test_mempool())) taken.push_back(m);
    upstream(0).accept_connection();
    EXPECT_TRUE(c.released) << "neither the request nor an error can be written";
    EXPECT_EQ(log().flags, telemetry::kOverloadManager);
    EXPECT_GT(core().counters.mbufs_empty, 0u);
    for (rte_mbuf* m : taken) rte_pktmbuf_free(m);
    auto& d = client();
    d.send(kGet);
    upstream(1).accept_connection();
    upstream(1).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    EXPECT_HAS(d.take(), "200 OK");
    expect_all_back();
}

TEST_F(FlowTest, NodesRunOutAtEveryStep) {
    publish();
    for (uint32_t keep = 0; keep < 12; keep++) {
        auto& c = client();
        c.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        auto& u = *network_->upstreams.back();
        u.accept_connection();
        u.take();
        std::vector<SliceNode*> hoard;
        std::string ignored;
        if (!u.released) {
            // The peers' own bytes need nodes as well: put them there before the shortage.
            while (nodes_.available() > keep + 4) hoard.push_back(nodes_.take());
            c.send("5\r\nhello\r\n");
            if (!u.released && nodes_.available() > 0) u.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nworld");
        }
        for (SliceNode* node : hoard) nodes_.give(node);
        if (!c.released) c.reset();
        if (!u.released) u.reset();
    }
    auto& c = client();
    c.send(kGet);
    auto& u = *network_->upstreams.back();
    if (!u.released) u.accept_connection();
    expect_all_back();
}

TEST_F(FlowTest, ArenaChunksRunOut) {
    publish();
    std::vector<ArenaChunk*> hoard;
    std::vector<LargeArenaChunk*> large;
    for (uint32_t keep = 0; keep < 6; keep++) {
        while (core().arena_chunks.available() > keep) hoard.push_back(core().arena_chunks.take());
        auto& c = client();
        std::string request = "GET / HTTP/1.1\r\nhost: a\r\n";
        for (int i = 0; i < 60; i++) request += "x-field-" + std::to_string(i) + ": " + std::string(100, 'v') + "\r\n";
        c.send(request + "\r\n", 1460);
        if (upstreams() > 0 && !network_->upstreams.back()->released) {
            auto& u = *network_->upstreams.back();
            u.accept_connection();
            u.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
        const std::string got = c.take();
        if (!c.released) {
            EXPECT_HAS(got, "HTTP/1.1 ");
        }
        for (ArenaChunk* chunk : hoard) core().arena_chunks.give(chunk);
        hoard.clear();
        if (!c.released) c.reset();
    }
    auto& c = client();
    c.send(kGet);
    auto& u = *network_->upstreams.back();
    u.accept_connection();
    u.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    EXPECT_HAS(c.take(), "200 OK");
    expect_all_back();
}

/// Everything that can happen in any order: nothing leaks, nothing crashes, counts return to zero.
TEST_F(FlowTest, RandomEventsLeaveNothingBehind) {
    for (uint64_t seed = 1; seed <= 30; seed++) {
        SCOPED_TRACE("repeat: proxy_test --gtest_filter=FlowTest.RandomEventsLeaveNothingBehind, seed " + std::to_string(seed));
        Rng rng(seed);
        if (!engine_) {
            http().stream_idle_timeout = seconds(20);
            cluster("web", {address("10.0.0.10", 8080), address("10.0.0.11", 8080)}).connect_timeout = seconds(2);
            publish();
        }
        static constexpr std::string_view kRequests[] = {
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n0123456789",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n", "hello", "GET / HTTP/1.1\r\n\r\n", "junk\r\n",
        };
        static constexpr std::string_view kAnswers[] = {
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nuntil close", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhalf", "bad\r\n\r\n", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        };
        for (int step = 0; step < 400; step++) {
            auto pick = [&](auto& list) -> FakeTransport* {
                if (list.empty()) return nullptr;
                const size_t back = rng.below(std::min<size_t>(list.size(), 6));
                FakeTransport* t = list[list.size() - 1 - back].get();
                return t->released ? nullptr : t;
            };
            FakeTransport* c = pick(network_->clients);
            FakeTransport* u = pick(network_->upstreams);
            switch (rng.below(12)) {
                case 0: client(); break;
                case 1:
                case 2:
                case 3:
                    if (c && !c->peer_closed()) {
                        const auto text = kRequests[rng.below(std::size(kRequests))];
                        c->send(text.substr(0, rng.chance(0.2) ? rng.below(text.size()) : text.size()), 1 + rng.below(50));
                    }
                    break;
                case 4: if (u) u->accept_connection(); break;
                case 5:
                case 6:
                    if (u && !u->peer_closed()) u->send(kAnswers[rng.below(std::size(kAnswers))], 1 + rng.below(50));
                    break;
                case 7: if (c && rng.chance(0.3)) c->close(); break;
                case 8: if (u && rng.chance(0.3)) u->close(); break;
                case 9:
                    if (c && rng.chance(0.3)) c->reset();
                    else if (u && rng.chance(0.3)) u->fail(rng.chance(0.5) ? tcp::Error::kReset : tcp::Error::kRefused);
                    break;
                case 10:
                    if (c) c->take(rng.below(300));
                    if (u) u->take();
                    break;
                case 11: advance(milliseconds(static_cast<int64_t>(rng.below(3000)))); break;
            }
            if (rng.chance(0.01)) publish();
        }
        expect_all_back();
        network_->clients.clear();
        network_->upstreams.clear();
        logs();
        ASSERT_EQ(nodes_.in_use(), 0u);
    }
}

}  // namespace
}  // namespace sluice::proxy::test
