// The library as a guest in somebody's process: wrong use, repetition from a seed, memory back to zero, many stacks and sockets.
#include <sched.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

#include "tests/harness/pair.h"

extern "C" int plain_c_makes_a_stack(void);

namespace sluice::harness {
namespace {

using Library = Pair;

TEST_F(Library, PlainCCanUseIt) { EXPECT_EQ(plain_c_makes_a_stack(), 3); }

std::string refused(th_config c) {
    const char* error = nullptr;
    th_stack* const stack = th_create(&c, &error);
    th_destroy(stack);
    return stack ? "" : error;
}

TEST_F(Library, WrongConfigurationsAreNamed) {
    auto with = [](auto change) {
        th_config c = config_of("10.0.0.1/24", 1);
        change(c);
        return refused(c);
    };
    EXPECT_EQ(with([](th_config&) {}), "");
    EXPECT_TRUE(with([](th_config& c) { c.size = 0; }).starts_with("size"));
    EXPECT_TRUE(with([](th_config& c) { c.ipv4 = nullptr; }).starts_with("ipv4"));
    EXPECT_TRUE(with([](th_config& c) { c.ipv4 = "10.0.0/24"; }).starts_with("ipv4"));
    EXPECT_TRUE(with([](th_config& c) { c.ipv4 = "10.0.0.1/33"; }).starts_with("ipv4"));
    EXPECT_TRUE(with([](th_config& c) { c.ipv4 = "::1/64"; }).starts_with("ipv4"));
    EXPECT_TRUE(with([](th_config& c) { c.ipv4 = "224.0.0.1/4"; }).starts_with("ipv4"));
    EXPECT_TRUE(with([](th_config& c) { c.ipv6 = "10.0.0.1/24"; }).starts_with("ipv6"));
    EXPECT_TRUE(with([](th_config& c) { c.gateway_ipv4 = "10.1.0.1"; }).starts_with("gateway_ipv4"));
    EXPECT_TRUE(with([](th_config& c) { c.gateway_ipv6 = "fe80::1"; }).starts_with("gateway_ipv6"));
    EXPECT_TRUE(with([](th_config& c) { c.mtu = 575; }).starts_with("mtu"));
    EXPECT_TRUE(with([](th_config& c) { c.mtu = 70000; }).starts_with("mtu"));
    EXPECT_TRUE(with([](th_config& c) { c.congestion = "bbr"; }).starts_with("congestion"));
    EXPECT_TRUE(with([](th_config& c) { c.no_sack = 2; }).starts_with("no_sack"));
    EXPECT_TRUE(with([](th_config& c) { c.delayed_ack_us = 600'000; }).starts_with("delayed_ack_us"));
    EXPECT_TRUE(with([](th_config& c) { c.min_rto_us = 200'000'000; }).starts_with("min_rto_us"));
    EXPECT_TRUE(with([](th_config& c) { c.max_sockets = UINT32_MAX; }).starts_with("max_sockets"));
    EXPECT_EQ(th_create(nullptr, nullptr), nullptr);

    struct Newer {  // from a later header
        th_config c;
        uint64_t more = 0;
    } newer{config_of("10.0.0.1/24", 1)};
    newer.c.size = sizeof newer;
    th_stack* stack = th_create(&newer.c, nullptr);
    EXPECT_TRUE(stack) << "what is not set does not matter";
    th_destroy(stack);
    newer.more = 1;
    EXPECT_EQ(th_create(&newer.c, nullptr), nullptr);
}

TEST_F(Library, WrongCallsAreErrorsNotCrashes) {
    char buffer[64];
    const auto address = v4("10.0.0.2", 80);
    socklen_t length = sizeof buffer;
    for (const int fd : {-1, 0, 2, 3, 1000, INT32_MAX, INT32_MIN}) {
        EXPECT_EQ(th_bind(a_, fd, raw(address), sizeof address), -EBADF);
        EXPECT_EQ(th_listen(a_, fd, 1), -EBADF);
        EXPECT_EQ(th_accept(a_, fd, nullptr, nullptr), -EBADF);
        EXPECT_EQ(th_connect(a_, fd, raw(address), sizeof address), -EBADF);
        EXPECT_EQ(th_read(a_, fd, buffer, 1), -EBADF);
        EXPECT_EQ(th_write(a_, fd, buffer, 1), -EBADF);
        EXPECT_EQ(th_shutdown(a_, fd, SHUT_WR), -EBADF);
        EXPECT_EQ(th_close(a_, fd), -EBADF);
        EXPECT_EQ(th_poll(a_, fd), -EBADF);
        EXPECT_EQ(th_getsockname(a_, fd, nullptr, nullptr), -EBADF);
        EXPECT_EQ(th_getsockopt(a_, fd, SOL_SOCKET, SO_ERROR, buffer, &length), -EBADF);
        EXPECT_EQ(th_setsockopt(a_, fd, SOL_SOCKET, SO_KEEPALIVE, buffer, 4), -EBADF);
    }
    EXPECT_EQ(th_socket(a_, AF_UNIX), -EAFNOSUPPORT);
    const int fd = th_socket(a_, AF_INET);
    EXPECT_EQ(th_bind(a_, fd, nullptr, 16), -EFAULT);
    EXPECT_EQ(th_read(a_, fd, nullptr, 1), -EFAULT);
    EXPECT_EQ(th_read(a_, fd, buffer, 1), -ENOTCONN);
    EXPECT_EQ(th_write(a_, fd, buffer, 1), -EPIPE);
    EXPECT_EQ(th_accept(a_, fd, nullptr, nullptr), -EINVAL);
    EXPECT_EQ(th_shutdown(a_, fd, SHUT_WR), -ENOTCONN);
    EXPECT_EQ(th_shutdown(a_, fd, 17), -EINVAL);
    EXPECT_EQ(th_getsockname(a_, fd, nullptr, &length), -EFAULT);
    EXPECT_EQ(th_getsockopt(a_, fd, SOL_SOCKET, SO_ERROR, nullptr, nullptr), -EFAULT);
    EXPECT_EQ(th_setsockopt(a_, fd, SOL_SOCKET, SO_KEEPALIVE, nullptr, 4), -EFAULT);
    EXPECT_EQ(th_poll(a_, fd), POLLOUT | POLLHUP);
    EXPECT_EQ(th_packet_in(a_, nullptr, 5), -EFAULT);
    EXPECT_EQ(th_packet_in(a_, buffer, 0), -EINVAL);
    EXPECT_EQ(th_packet_in(a_, buffer, 70000), -EMSGSIZE);
    EXPECT_EQ(th_packet_out(a_, nullptr, 5), -EFAULT);
    EXPECT_EQ(th_packet_out(a_, buffer, 64), 0);
    EXPECT_EQ(th_socket(nullptr, AF_INET), -EINVAL);
    EXPECT_EQ(th_packet_out(nullptr, buffer, 64), -EINVAL);
    EXPECT_EQ(th_next_deadline(nullptr), UINT64_MAX);
    th_advance(nullptr, 1);
    th_usage(nullptr, nullptr);
    th_destroy(nullptr);
    th_advance(a_, 1000);
    th_advance(a_, 10);  // not back
    th_advance(a_, UINT64_MAX);
    EXPECT_EQ(th_next_deadline(a_), UINT64_MAX);
}

TEST_F(Library, AShortBufferKeepsThePacket) {
    connect();
    char buffer[100];
    EXPECT_EQ(th_packet_out(a_, buffer, 10), -EMSGSIZE);
    EXPECT_EQ(th_packet_out(a_, nullptr, 0), -EMSGSIZE);
    EXPECT_EQ(th_packet_out(a_, buffer, 60), 60);
    EXPECT_EQ(th_packet_out(a_, buffer, 60), 0);
}

/// A short life with loss, seen as all its packets.
std::vector<std::string> life(uint64_t seed) {
    struct Life : Pair {
        void TestBody() override {}
        void run(uint64_t s) {
            start(config_of("10.0.0.1/24", s), config_of("10.0.0.2/24", s + 1));
            establish();
            write(a_, client_, std::string(50'000, 'x'));
            pass(100 * kMs);
            cut_ = true;
            write(a_, client_, std::string(50'000, 'y'));
            pass(kSecond);
            cut_ = false;
            pass(10 * kSecond);
            read(b_, server_);
            th_close(a_, client_);
            th_close(b_, server_);
            pass(100 * kSecond);
            TearDown();
            a_ = b_ = nullptr;
        }
        std::vector<std::string> packets() { return wire_; }
    } one;
    one.run(seed);
    return one.packets();
}

TEST_F(Library, OneSeedAndTheSameCallsGiveTheSameBytes) {
    const auto first = life(7), again = life(7), other = life(8);
    ASSERT_GT(first.size(), 50u);
    EXPECT_EQ(first, again);
    EXPECT_NE(first, other);
}

TEST_F(Library, EverythingComesBackToZero) {
    expect_all_gone(a_);
    listener_ = listen(80, 200);
    std::vector<int> clients, servers;
    for (int i = 0; i < 200; i++) clients.push_back(connect());
    shuttle();
    for (int fd; (fd = th_accept(b_, listener_, nullptr, nullptr)) >= 0;) servers.push_back(fd);
    ASSERT_EQ(servers.size(), 200u);
    for (const int fd : clients) write(a_, fd, std::string(3000, 'x'));
    pass(kSecond);
    EXPECT_EQ(usage(b_).connections, 200u);
    EXPECT_GT(usage(b_).mbufs, 200u);
    EXPECT_GT(usage(b_).bytes, 200u * 3000);
    for (size_t i = 0; i < servers.size(); i++) {
        if (i % 2 == 0) read(b_, servers[i]);
        th_close(i % 3 == 0 ? a_ : b_, i % 3 == 0 ? clients[i] : servers[i]);
        th_close(i % 3 == 0 ? b_ : a_, i % 3 == 0 ? servers[i] : clients[i]);
    }
    th_close(b_, listener_);
    pass(200 * kSecond);
    expect_all_gone(a_);
    expect_all_gone(b_);
}

TEST_F(Library, DestroyingABusyStackIsClean) {
    establish();
    write(a_, client_, std::string(100'000, 'x'));
    write(b_, server_, std::string(100'000, 'x'));
    shuttle();
    connect();
    write(a_, client_, std::string(100'000, 'x'));  // TearDown does the rest
}

TEST_F(Library, HalfOpenConnectionsStayWithinTheBacklog) {
    th_config b = config_of("10.0.0.2/24", 2);
    b.syn_backlog = 8;
    start(config_of("10.0.0.1/24", 1), b);
    listener_ = listen(80, 100);
    std::vector<int> clients;
    for (int i = 0; i < 50; i++) clients.push_back(connect());
    std::array<char, 2048> packet;
    std::vector<std::string> answers;
    for (long n; (n = th_packet_out(a_, packet.data(), packet.size())) > 0;) th_packet_in(b_, packet.data(), static_cast<size_t>(n));
    EXPECT_EQ(usage(b_).half_open, 8u);
    EXPECT_EQ(usage(b_).connections, 0u);
    shuttle();  // the other 42 come in by cookies
    int accepted = 0;
    while (th_accept(b_, listener_, nullptr, nullptr) >= 0) accepted++;
    EXPECT_EQ(accepted, 50);
    EXPECT_EQ(usage(b_).half_open, 0u);
}

TEST_F(Library, GarbageIsDropped) {
    std::mt19937 random(3);
    listener_ = listen();
    establish();
    cut_ = true;
    write(a_, client_, std::string(20'000, 'x'));
    shuttle();
    const std::vector<std::string> good = wire_;
    ASSERT_GT(good.size(), 10u);
    for (int i = 0; i < 20'000; i++) {
        std::string p = good[random() % good.size()];
        for (unsigned n = random() % 8; n > 0; n--) p[random() % p.size()] = static_cast<char>(random());
        if (random() % 4 == 0) p.resize(1 + random() % p.size());
        EXPECT_EQ(th_packet_in(b_, p.data(), p.size()), 0);
        EXPECT_EQ(th_packet_in(a_, p.data(), p.size()), 0);
        char sink[2048];
        while (th_packet_out(a_, sink, sizeof sink) > 0 || th_packet_out(b_, sink, sizeof sink) > 0) {
        }
    }
    cut_ = false;
    pass(60 * kSecond);
    EXPECT_EQ(read(b_, server_), std::string(20'000, 'x')) << "and the real bytes came through whole";
}

TEST_F(Library, JumboPacketsGoThroughWhole) {
    th_config a = config_of("10.0.0.1/24", 1), b = config_of("10.0.0.2/24", 2);
    a.mtu = b.mtu = 65279;
    start(a, b);
    establish();
    write(a_, client_, std::string(200'000, 'j'));
    pass(kSecond);
    EXPECT_EQ(read(b_, server_), std::string(200'000, 'j'));
    size_t largest = 0;
    for (const auto& packet : wire_) largest = std::max(largest, packet.size());
    EXPECT_EQ(largest, 65279u);
}

TEST_F(Library, ManyStacksLiveTogetherAndAffinityIsKept) {
    cpu_set_t before, after;
    sched_getaffinity(0, sizeof before, &before);
    std::vector<th_stack*> stacks;
    for (int i = 0; i < 100; i++) {
        th_config c = config_of("10.0.0.1/24", static_cast<uint64_t>(i));
        c.max_sockets = 0;
        stacks.push_back(th_create(&c, nullptr));
        ASSERT_TRUE(stacks.back()) << i;
    }
    for (th_stack* s : stacks) th_destroy(s);
    sched_getaffinity(0, sizeof after, &after);
    EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST_F(Library, TheTableOfSocketsIsBounded) {
    th_config a = config_of("10.0.0.1/24", 1);
    a.max_sockets = 3;
    start(a, config_of("10.0.0.2/24", 2));
    for (int i = 0; i < 3; i++) EXPECT_EQ(th_socket(a_, AF_INET), 3 + i);
    EXPECT_EQ(th_socket(a_, AF_INET), -EMFILE);
    th_close(a_, 4);
    EXPECT_EQ(th_socket(a_, AF_INET), 4);
}

}  // namespace
}  // namespace sluice::harness
