// Two stacks on one wire through the C interface alone, as an outside program would use it.
// In: configurations. Out: sockets' answers; every packet that crossed is kept. Owns both stacks.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>

#include <array>
#include <string>
#include <vector>
// After netinet/in.h; netinet/tcp.h would define the same names.
#include <linux/tcp.h>

#include "tests/harness/tcp_harness.h"

namespace sluice::harness {

constexpr uint64_t kMs = 1000, kSecond = 1'000'000;

inline th_config config_of(const char* ipv4, uint64_t seed) {
    th_config c{};
    c.size = sizeof c;
    c.seed = seed;
    c.ipv4 = ipv4;
    c.max_sockets = 1000;
    return c;
}

inline sockaddr_in v4(const char* ip, uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}
inline sockaddr_in6 v6(const char* ip, uint16_t port) {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(port);
    inet_pton(AF_INET6, ip, &a.sin6_addr);
    return a;
}
template <typename Address>
const sockaddr* raw(const Address& a) {
    return reinterpret_cast<const sockaddr*>(&a);
}

class Pair : public testing::Test {
 protected:
    void SetUp() override { start(config_of("10.0.0.1/24", 1), config_of("10.0.0.2/24", 2)); }
    void TearDown() override {
        th_destroy(a_);
        th_destroy(b_);
    }
    void start(th_config a, th_config b) {
        TearDown();
        a_ = b_ = nullptr;
        const char* error = nullptr;
        a_ = th_create(&a, &error);
        ASSERT_TRUE(a_) << error;
        b_ = th_create(&b, &error);
        ASSERT_TRUE(b_) << error;
        now_ = a.now_us;
    }
    /// Everything that is ready crosses, both ways, until it is quiet.
    void shuttle() {
        for (bool busy = true; busy;) {
            busy = false;
            for (auto [from, to] : {std::pair{a_, b_}, {b_, a_}}) {
                std::array<char, 65536> packet;
                for (long n; (n = th_packet_out(from, packet.data(), packet.size())) > 0; busy = true) {
                    wire_.emplace_back(packet.data(), static_cast<size_t>(n));
                    if (cut_) continue;
                    ASSERT_EQ(th_packet_in(to, packet.data(), static_cast<size_t>(n)), 0);
                }
            }
        }
    }
    /// Time passes deadline by deadline.
    void pass(uint64_t us) {
        const uint64_t end = now_ + us;
        for (;;) {
            shuttle();
            const uint64_t next = std::min(th_next_deadline(a_), th_next_deadline(b_));
            if (next > end) break;
            now_ = std::max(now_, next);
            th_advance(a_, now_);
            th_advance(b_, now_);
        }
        now_ = end;
        th_advance(a_, now_);
        th_advance(b_, now_);
        shuttle();
    }
    int listen(uint16_t port = 80, int backlog = 16) {
        const int fd = th_socket(b_, AF_INET);
        const auto any = v4("0.0.0.0", port);
        EXPECT_EQ(th_bind(b_, fd, raw(any), sizeof any), 0);
        EXPECT_EQ(th_listen(b_, fd, backlog), 0);
        return fd;
    }
    int connect(uint16_t port = 80) {
        const int fd = th_socket(a_, AF_INET);
        const auto to = v4("10.0.0.2", port);
        EXPECT_EQ(th_connect(a_, fd, raw(to), sizeof to), -EINPROGRESS);
        return fd;
    }
    /// client_ on a_, server_ on b_, established.
    void establish() {
        if (listener_ < 0) listener_ = listen();
        client_ = connect();
        shuttle();
        server_ = th_accept(b_, listener_, nullptr, nullptr);
        ASSERT_GE(server_, 0);
    }
    static std::string read(th_stack* s, int fd) {
        std::string all;
        std::array<char, 4096> part;
        for (long n; (n = th_read(s, fd, part.data(), part.size())) > 0;) all.append(part.data(), static_cast<size_t>(n));
        return all;
    }
    static long write(th_stack* s, int fd, std::string_view text) { return th_write(s, fd, text.data(), text.size()); }
    template <typename T = int>
    static int set(th_stack* s, int fd, int level, int name, T value) {
        return th_setsockopt(s, fd, level, name, &value, sizeof value);
    }
    static int get(th_stack* s, int fd, int level, int name) {
        int value = -1;
        socklen_t length = sizeof value;
        const int error = th_getsockopt(s, fd, level, name, &value, &length);
        return error < 0 ? error : value;
    }
    static tcp_info info(th_stack* s, int fd) {
        tcp_info i{};
        socklen_t length = sizeof i;
        EXPECT_EQ(th_getsockopt(s, fd, IPPROTO_TCP, TCP_INFO, &i, &length), 0);
        return i;
    }
    static struct th_usage usage(const th_stack* s) {
        struct th_usage u;
        th_usage(s, &u);
        return u;
    }
    /// TCP flags of a kept IPv4 packet.
    static uint8_t flags(const std::string& packet) { return static_cast<uint8_t>(packet[static_cast<size_t>(packet[0] & 15) * 4 + 13]); }
    static size_t payload(const std::string& packet) {
        const size_t ip = static_cast<size_t>(packet[0] & 15) * 4;
        return packet.size() - ip - static_cast<size_t>(static_cast<uint8_t>(packet[ip + 12]) >> 4) * 4;
    }
    void expect_all_gone(const th_stack* s) {
        const struct th_usage u = usage(s);
        EXPECT_EQ(u.connections, 0u);
        EXPECT_EQ(u.half_open, 0u);
        EXPECT_EQ(u.time_wait, 0u);
        EXPECT_EQ(u.mbufs, 0u);
        EXPECT_EQ(u.bytes, 0u);
        EXPECT_EQ(th_next_deadline(s), UINT64_MAX) << "a timer is left";
    }

    th_stack* a_ = nullptr;
    th_stack* b_ = nullptr;
    uint64_t now_ = 0;
    bool cut_ = false;                // packets are lost
    std::vector<std::string> wire_;   // every packet, in order
    int listener_ = -1, client_ = -1, server_ = -1;
};

}  // namespace sluice::harness
