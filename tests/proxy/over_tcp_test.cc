// The proxy over real TCP: a client's stack, the gateway's and a server's, joined by wires with loss and reordering.
// Every byte of many requests and answers is checked; at the end all three stacks and all pools are empty.
#include <cstdio>
#include <deque>

#include "proxy/proxy.h"
#include "tests/proxy/bench.h"
#include "tests/support/tcp_host.h"

namespace sluice::proxy::test {
namespace {

constexpr uint32_t kClientIp = 0xc0000205, kGatewayIp = 0xc0000202, kServerIp = 0x0a00000a;

/// The byte at `at` of the body that belongs to `key`.
char body_byte(uint64_t key, uint64_t at) { return static_cast<char>('A' + (key * 31 + at * 7 + at / 251) % 58); }

std::string read_all(tcp::Connection& connection, uint64_t max = UINT64_MAX) {
    std::string text;
    SliceQueue& in = connection.receive_queue();
    while (!in.empty() && text.size() < max) {
        const auto n = std::min<uint64_t>(in.front().size(), max - text.size());
        text.append(reinterpret_cast<const char*>(in.front().data()), n);
        in.consume(n);
    }
    connection.consumed(text.size());
    return text;
}

/// Bytes that wait for room in a connection.
struct Outgoing {
    std::string text;
    size_t at = 0;
    void add(std::string more) { text += more; }
    void push(tcp::Connection& connection, SliceNodePool& nodes) {
        while (at < text.size()) {
            const uint64_t room = std::min<uint64_t>(connection.send_room(), text.size() - at);
            if (room == 0) return;
            SliceQueue queue(nodes);
            if (!append_text(std::string_view(text).substr(at, room), sluice::test::test_mempool(), queue)) return;
            if (!connection.write(std::move(queue))) return;
            at += room;
        }
        text.clear();
        at = 0;
    }
};

struct Exchange {
    uint64_t key, up, down;
    bool chunked_up, chunked_down;
};

/// Reads one HTTP/1.1 message after another from a byte stream: enough for what this test sends and gets.
struct Messages {
    std::string text;
    struct Message {
        std::string head, body;
    };
    bool next(Message& out) {
        const size_t end = text.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const std::string head = text.substr(0, end + 2);
        size_t at = end + 4;
        std::string body;
        if (head.find("transfer-encoding: chunked") != std::string::npos) {
            for (;;) {
                const size_t line = text.find("\r\n", at);
                if (line == std::string::npos) return false;
                const auto size = std::stoul(text.substr(at, line - at), nullptr, 16);
                if (text.size() < line + 2 + size + 2) return false;
                body += text.substr(line + 2, size);
                at = line + 2 + size + 2;
                if (size == 0) break;
            }
        } else if (const size_t field = head.find("content-length: "); field != std::string::npos) {
            const auto size = std::stoul(head.substr(field + 16));
            if (text.size() < at + size) return false;
            body = text.substr(at, size);
            at += size;
        }
        out = {head, body};
        text.erase(0, at);
        return true;
    }
};

std::string body_text(uint64_t key, uint64_t size) {
    std::string text(size, 0);
    for (uint64_t i = 0; i < size; i++) text[i] = body_byte(key, i);
    return text;
}
std::string framed(const std::string& body, bool chunked, Rng& rng) {
    if (!chunked) return "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    std::string text = "transfer-encoding: chunked\r\n\r\n";
    for (size_t at = 0; at < body.size();) {
        const size_t n = std::min<size_t>(body.size() - at, 1 + rng.below(8000));
        char size[20];
        std::snprintf(size, sizeof size, "%zx\r\n", n);
        text += size + body.substr(at, n) + "\r\n";
        at += n;
    }
    return text + "0\r\n\r\n";
}

class OverTcpTest : public ProxyTest {
 protected:
    struct Machine {
        std::unique_ptr<sluice::test::Host> host;
        std::unique_ptr<sluice::test::Wire> wire;
    };
    void build(const sluice::test::WireConfig& link, uint64_t seed) {
        Rng rng(seed);
        rng_ = Rng(seed + 1);
        for (const uint32_t ip : {kClientIp, kGatewayIp, kServerIp}) {
            sluice::test::HostConfig config;
            config.address = IpAddress::v4(ip);
            config.tcp.seed = rng.next();
            config.multi_segment = true;
            machines_.push_back({std::make_unique<sluice::test::Host>(config), std::make_unique<sluice::test::Wire>(link, rng.split())});
        }
        cluster("web", {{IpAddress::v4(kServerIp), 8080}});
        first_route().timeout = seconds(0);
        core_config_.seed = 7;
        proxy_ = std::make_unique<Proxy>(core_config_, gateway().stack(), publisher_.reader(0), sluice::test::test_mempool(),
                                         gateway().nodes(), stats_, &ring_, stages_, drain_);
        publish_only();
        server().stack().listen({IpAddress::v4(kServerIp), 8080}, nullptr, {});
    }
    sluice::test::Host& client_host() { return *machines_[0].host; }
    sluice::test::Host& gateway() { return *machines_[1].host; }
    sluice::test::Host& server() { return *machines_[2].host; }

    void step() {
        for (auto& machine : machines_) {
            sluice::test::WireSegment packet;
            while (machine.wire->receive(packet, now_)) {
                for (auto& to : machines_) {
                    if (to.host->config().address == packet.destination) to.host->deliver(packet, now_);
                }
            }
        }
        for (auto& machine : machines_) machine.host->stack().handle_timeout(now_);
        proxy_->quiescent();
        proxy_->turn(now_);
        tcp::ConnectionEvent event;
        while (gateway().stack().poll_event(event)) proxy_->handle_event(event, now_);
        proxy_->handle_timeout(now_);
        while (server().stack().poll_event(event)) serve(event);
        while (client_host().stack().poll_event(event)) receive(event);
        for (auto& machine : machines_) machine.host->transmit(*machine.wire, now_);
        Instant next = proxy_->poll_timeout();
        for (auto& machine : machines_)
            next = std::min({next, machine.wire->next(), machine.host->stack().poll_timeout()});
        now_ = next == Instant::never() ? now_ + milliseconds(1) : std::max(next, now_ + microseconds(1));
    }

    // The server: answers "/key/down/chunked" with that body, and checks the request's.
    struct Peer {
        Messages in;
        Outgoing out;
    };
    void serve(const tcp::ConnectionEvent& event) {
        auto* peer = static_cast<Peer*>(event.connection->user());
        if (!peer) {
            peers_.push_back(std::make_unique<Peer>());
            peer = peers_.back().get();
            event.connection->set_user(peer);
        }
        if (event.events & tcp::kFailed) return event.connection->release();
        peer->in.text += read_all(*event.connection);
        Messages::Message request;
        while (peer->in.next(request)) {
            unsigned long key = 0, up = 0, down = 0;
            int chunked = 0;
            ASSERT_EQ(std::sscanf(request.head.c_str(), "%*s /%lu/%lu/%lu/%d", &key, &up, &down, &chunked), 4) << request.head;
            EXPECT_EQ(request.body, body_text(key, up)) << "request " << key;
            peer->out.add("HTTP/1.1 200 OK\r\nx-key: " + std::to_string(key) + "\r\n" + framed(body_text(key + 1, down), chunked, rng_));
            served_++;
        }
        peer->out.push(*event.connection, server().nodes());
        if ((event.events & tcp::kPeerClosed)) {
            event.connection->shutdown_write();
            event.connection->release();
        }
    }

    // Clients: each sends its exchanges, sometimes the next before the answer.
    struct Client {
        std::vector<Exchange> exchanges;
        size_t sent = 0, answered = 0;
        Messages in;
        Outgoing out;
        tcp::Connection* connection = nullptr;
    };
    void receive(const tcp::ConnectionEvent& event) {
        auto& c = *static_cast<Client*>(event.connection->user());
        ASSERT_FALSE(event.events & tcp::kFailed) << "client's connection failed after " << c.answered << " answers";
        c.in.text += read_all(*event.connection);
        Messages::Message answer;
        while (c.in.next(answer)) {
            const Exchange& e = c.exchanges[c.answered++];
            EXPECT_TRUE(answer.head.starts_with("HTTP/1.1 200 OK\r\n")) << answer.head;
            EXPECT_TRUE(contains(answer.head, "x-key: " + std::to_string(e.key) + "\r\n")) << "out of order";
            EXPECT_EQ(answer.body.size(), e.down);
            EXPECT_TRUE(answer.body == body_text(e.key + 1, e.down)) << "answer " << e.key;
        }
        while (c.sent < c.exchanges.size() && (c.sent == c.answered || rng_.chance(0.3))) {
            const Exchange& e = c.exchanges[c.sent++];
            char head[120];
            std::snprintf(head, sizeof head, "POST /%lu/%lu/%lu/%d HTTP/1.1\r\nhost: a\r\n", static_cast<unsigned long>(e.key),
                          static_cast<unsigned long>(e.up), static_cast<unsigned long>(e.down), e.chunked_down);
            c.out.add(head + framed(body_text(e.key, e.up), e.chunked_up, rng_));
        }
        c.out.push(*event.connection, client_host().nodes());
        if (c.answered == c.exchanges.size() && c.connection) {
            c.connection = nullptr;
            event.connection->release();
        }
    }
    void run(uint32_t clients, uint32_t exchanges, uint64_t body_max) {
        uint64_t key = 1000;
        for (uint32_t i = 0; i < clients; i++) {
            auto& c = *clients_.emplace_back(std::make_unique<Client>());
            for (uint32_t n = 0; n < exchanges; n++, key += 2)
                c.exchanges.push_back({key, rng_.below(body_max), rng_.below(body_max), rng_.chance(0.5), rng_.chance(0.5)});
            tcp::Error error = tcp::Error::kNone;
            c.connection = client_host().stack().connect({IpAddress::v4(kGatewayIp), 80}, IpAddress::v4(0), {}, &c, now_, &error);
            ASSERT_NE(c.connection, nullptr);
        }
        const auto finished = [&] {
            return std::all_of(clients_.begin(), clients_.end(), [](const auto& c) { return c->answered == c->exchanges.size(); });
        };
        for (uint64_t steps = 0; !finished() && !HasFatalFailure() && !HasNonfatalFailure(); steps++) {
            ASSERT_LT(steps, 3'000'000u) << "stuck: " << served_ << " served";
            step();
        }
        EXPECT_EQ(served_, uint64_t{clients} * exchanges);
        const Instant end = now_ + seconds(8);
        while (now_ < end) step();
        EXPECT_EQ(proxy_->connections(), 0u);
        EXPECT_EQ(proxy_->engine().core().streams.in_use(), 0u);
        EXPECT_EQ(proxy_->engine().core().arena_chunks.in_use(), 0u);
        EXPECT_EQ(logs().size(), served_);
    }
    void TearDown() override {
        proxy_.reset();
        machines_.clear();
        ProxyTest::TearDown();
    }

    Rng rng_{1};
    std::vector<Machine> machines_;
    std::unique_ptr<Proxy> proxy_;
    std::deque<std::unique_ptr<Peer>> peers_;
    std::deque<std::unique_ptr<Client>> clients_;
    uint64_t served_ = 0;
};

TEST_F(OverTcpTest, ManyRequestsOverCleanWires) {
    build({}, 1);
    run(8, 25, 20'000);
    EXPECT_LE(stats_.cluster(0).connections.get(), 8u) << "connections are reused";
}

TEST_F(OverTcpTest, LargeBodies) {
    build({}, 2);
    run(2, 3, 1'500'000);
}

TEST_F(OverTcpTest, LossAndReordering) {
    const uint64_t seed = 20261122;
    SCOPED_TRACE("repeat: proxy_test --gtest_filter=OverTcpTest.LossAndReordering, seed " + std::to_string(seed));
    sluice::test::WireConfig link;
    link.loss = 0.02;
    link.duplicate = 0.01;
    link.reorder = 0.05;
    link.jitter = milliseconds(5);
    build(link, seed);
    run(6, 10, 30'000);
}

}  // namespace
}  // namespace sluice::proxy::test
