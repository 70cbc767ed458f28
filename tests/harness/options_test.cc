// Socket options seen at work on the wire: MSS, Nagle, cork, windows, keep-alive, user timeout, quick ACKs, congestion, TCP_INFO.
#include <cstring>

#include "tests/harness/pair.h"

namespace sluice::harness {
namespace {

using OptionsTest = Pair;
constexpr uint8_t kSyn = 2, kAck = 16;

uint16_t mss_of(const std::string& syn) {  // MSS is the first option
    return static_cast<uint16_t>(static_cast<uint8_t>(syn[42]) << 8 | static_cast<uint8_t>(syn[43]));
}

TEST_F(OptionsTest, ReadBackWhatWasSet) {
    const int fd = th_socket(a_, AF_INET);
    struct Case { int level, name, initial, value, back; };
    for (const Case& c : {Case{SOL_SOCKET, SO_KEEPALIVE, 0, 1, 1}, {SOL_SOCKET, SO_REUSEADDR, 0, 1, 1},
                          {SOL_SOCKET, SO_RCVBUF, 524288, 100000, 200000}, {SOL_SOCKET, SO_SNDBUF, 524288, 30000, 60000},
                          {IPPROTO_TCP, TCP_NODELAY, 0, 1, 1}, {IPPROTO_TCP, TCP_CORK, 0, 1, 1}, {IPPROTO_TCP, TCP_MAXSEG, 536, 1000, 1000},
                          {IPPROTO_TCP, TCP_KEEPIDLE, 7200, 10, 10}, {IPPROTO_TCP, TCP_KEEPINTVL, 75, 3, 3},
                          {IPPROTO_TCP, TCP_KEEPCNT, 9, 4, 4}, {IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 1234, 1234},
                          {IPPROTO_TCP, TCP_WINDOW_CLAMP, 100000, 5000, 5000}}) {
        EXPECT_EQ(get(a_, fd, c.level, c.name), c.initial) << c.name;
        EXPECT_EQ(set(a_, fd, c.level, c.name, c.value), 0) << c.name;
        EXPECT_EQ(get(a_, fd, c.level, c.name), c.back) << c.name;
    }
    linger set_linger{1, 5}, got{};
    socklen_t length = sizeof got;
    EXPECT_EQ(set(a_, fd, SOL_SOCKET, SO_LINGER, set_linger), 0);
    EXPECT_EQ(th_getsockopt(a_, fd, SOL_SOCKET, SO_LINGER, &got, &length), 0);
    EXPECT_EQ(std::memcmp(&got, &set_linger, sizeof got), 0);
}

TEST_F(OptionsTest, WrongOnesAreRefused) {
    const int fd = th_socket(a_, AF_INET);
    for (const int value : {1, 87, 32768, -1}) EXPECT_EQ(set(a_, fd, IPPROTO_TCP, TCP_MAXSEG, value), -EINVAL) << value;
    for (const int value : {0, 32768}) EXPECT_EQ(set(a_, fd, IPPROTO_TCP, TCP_KEEPIDLE, value), -EINVAL) << value;
    for (const int value : {0, 128}) EXPECT_EQ(set(a_, fd, IPPROTO_TCP, TCP_KEEPCNT, value), -EINVAL) << value;
    EXPECT_EQ(set(a_, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1), -EINVAL);
    EXPECT_EQ(th_setsockopt(a_, fd, IPPROTO_TCP, TCP_CONGESTION, "vegas", 5), -ENOENT);
    EXPECT_EQ(set(a_, fd, IPPROTO_TCP, 9999, 1), -ENOPROTOOPT);
    EXPECT_EQ(set(a_, fd, IPPROTO_IP, IP_TTL, 1), -ENOPROTOOPT);
    EXPECT_EQ(set(a_, fd, IPPROTO_TCP, TCP_NODELAY, 'x'), -EINVAL) << "shorter than an int";
    EXPECT_EQ(set(a_, fd, IPPROTO_TCP, TCP_INFO, tcp_info{}), -ENOPROTOOPT) << "read only";
    EXPECT_EQ(get(a_, fd, SOL_SOCKET, 9999), -ENOPROTOOPT);
}

TEST_F(OptionsTest, MaxsegBoundsBothWays) {
    listener_ = listen();
    client_ = th_socket(a_, AF_INET);
    ASSERT_EQ(set(a_, client_, IPPROTO_TCP, TCP_MAXSEG, 700), 0);
    const auto to = v4("10.0.0.2", 80);
    th_connect(a_, client_, raw(to), sizeof to);
    shuttle();
    server_ = th_accept(b_, listener_, nullptr, nullptr);
    ASSERT_EQ(flags(wire_[0]), kSyn);
    EXPECT_EQ(mss_of(wire_[0]), 700) << "offered";
    EXPECT_EQ(mss_of(wire_[1]), 1460);
    wire_.clear();
    write(a_, client_, std::string(5000, 'a'));
    write(b_, server_, std::string(5000, 'b'));
    pass(kSecond);
    size_t largest = 0;
    for (const auto& packet : wire_) largest = std::max(largest, payload(packet));
    EXPECT_EQ(largest, 688u) << "700 less the timestamps";
    EXPECT_EQ(get(a_, client_, IPPROTO_TCP, TCP_MAXSEG), 688);
    EXPECT_EQ(read(b_, server_).size(), 5000u);
    EXPECT_EQ(read(a_, client_).size(), 5000u);
}

TEST_F(OptionsTest, ListenerHandsItsOptionsOn) {
    listener_ = listen();
    set(b_, listener_, IPPROTO_TCP, TCP_MAXSEG, 600);  // after listen(): for connections from now on
    set(b_, listener_, IPPROTO_TCP, TCP_NODELAY, 1);
    client_ = connect();
    shuttle();
    EXPECT_EQ(mss_of(wire_[1]), 600);
    server_ = th_accept(b_, listener_, nullptr, nullptr);
    EXPECT_EQ(get(b_, server_, IPPROTO_TCP, TCP_NODELAY), 1);
}

TEST_F(OptionsTest, NagleHoldsTheSecondSmallWriteBack) {
    establish();
    wire_.clear();
    cut_ = true;
    write(a_, client_, "one");
    write(a_, client_, "two");
    shuttle();
    ASSERT_EQ(wire_.size(), 1u);
    EXPECT_EQ(payload(wire_[0]), 3u);
    set(a_, client_, IPPROTO_TCP, TCP_NODELAY, 1);
    shuttle();
    ASSERT_EQ(wire_.size(), 2u) << "turning Nagle off pushes what it held";
    EXPECT_EQ(payload(wire_[1]), 3u);
    write(a_, client_, "three");
    shuttle();
    EXPECT_EQ(wire_.size(), 3u);
}

TEST_F(OptionsTest, CorkSendsFullSegmentsOnly) {
    establish();
    set(a_, client_, IPPROTO_TCP, TCP_CORK, 1);
    wire_.clear();
    write(a_, client_, "head");
    shuttle();
    EXPECT_TRUE(wire_.empty());
    write(a_, client_, std::string(1448, 'x'));
    shuttle();
    ASSERT_GE(wire_.size(), 1u);
    EXPECT_EQ(payload(wire_[0]), 1448u);
    set(a_, client_, IPPROTO_TCP, TCP_CORK, 0);
    pass(kSecond);
    EXPECT_EQ(read(b_, server_).size(), 1452u);
    // A forgotten cork gives way to the persist timer.
    set(a_, client_, IPPROTO_TCP, TCP_CORK, 1);
    write(a_, client_, "forgotten");
    shuttle();
    EXPECT_EQ(read(b_, server_), "");
    pass(kSecond);
    EXPECT_EQ(read(b_, server_), "forgotten");
    // Neither does it keep a close from sending all.
    write(a_, client_, "last");
    th_close(a_, client_);
    shuttle();
    EXPECT_EQ(read(b_, server_), "last");
}

TEST_F(OptionsTest, ReceiveBufferAndClampBoundTheFlight) {
    for (const bool clamp : {false, true}) {
        start(config_of("10.0.0.1/24", 1), config_of("10.0.0.2/24", 2));
        listener_ = listen();
        if (clamp) set(b_, listener_, IPPROTO_TCP, TCP_WINDOW_CLAMP, 5000);
        else set(b_, listener_, SOL_SOCKET, SO_RCVBUF, 5000);
        establish();
        EXPECT_EQ(write(a_, client_, std::string(50000, 'x')), 50000);
        pass(kSecond);
        EXPECT_EQ(read(b_, server_).size(), 5000u) << "no more than the window could come";
        size_t all = 5000;
        for (int i = 0; i < 40; i++) {
            pass(kSecond);
            all += read(b_, server_).size();
        }
        EXPECT_EQ(all, 50000u);
    }
}

TEST_F(OptionsTest, SendBufferBoundsWhatIsTaken) {
    listener_ = listen();
    client_ = th_socket(a_, AF_INET);
    set(a_, client_, SOL_SOCKET, SO_SNDBUF, 10000);
    const auto to = v4("10.0.0.2", 80);
    th_connect(a_, client_, raw(to), sizeof to);
    shuttle();
    cut_ = true;
    EXPECT_EQ(write(a_, client_, std::string(50000, 'x')), 10000) << "a partial write";
    EXPECT_EQ(write(a_, client_, "y"), -EAGAIN);
    EXPECT_EQ(th_poll(a_, client_) & POLLOUT, 0);
    set(a_, client_, SOL_SOCKET, SO_SNDBUF, 20000);
    EXPECT_EQ(th_poll(a_, client_) & POLLOUT, POLLOUT);
}

TEST_F(OptionsTest, OneByteWritesShareBuffers) {
    establish();
    cut_ = true;
    for (int i = 0; i < 20000; i++) ASSERT_EQ(write(a_, client_, "z"), 1);
    EXPECT_LT(usage(a_).mbufs, 40u) << "20,000 bytes are some ten mbufs and what is on the wire";
}

TEST_F(OptionsTest, KeepAliveFindsASilentPeer) {
    establish();
    set(a_, client_, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(a_, client_, IPPROTO_TCP, TCP_KEEPIDLE, 10);
    set(a_, client_, IPPROTO_TCP, TCP_KEEPINTVL, 2);
    set(a_, client_, IPPROTO_TCP, TCP_KEEPCNT, 3);
    wire_.clear();
    pass(35 * kSecond);
    EXPECT_EQ(wire_.size(), 6u) << "three probes, each answered";
    EXPECT_EQ(info(a_, client_).tcpi_state, 1);
    cut_ = true;
    wire_.clear();
    pass(20 * kSecond);
    EXPECT_EQ(wire_.size(), 3u) << "three probes, then the end";
    char byte;
    EXPECT_EQ(th_read(a_, client_, &byte, 1), -ETIMEDOUT);
}

TEST_F(OptionsTest, UserTimeoutEndsAStalledConnection) {
    establish();
    set(a_, client_, IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
    cut_ = true;
    write(a_, client_, "nobody there");
    pass(2500 * kMs);
    EXPECT_EQ(get(a_, client_, SOL_SOCKET, SO_ERROR), 0);
    pass(10 * kSecond);
    EXPECT_EQ(get(a_, client_, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

TEST_F(OptionsTest, QuickAckIsNow) {
    establish();
    set(b_, server_, IPPROTO_TCP, TCP_QUICKACK, 0);
    wire_.clear();
    write(a_, client_, "slow");
    shuttle();
    EXPECT_EQ(wire_.size(), 1u) << "the ACK is delayed";
    set(b_, server_, IPPROTO_TCP, TCP_QUICKACK, 1);
    shuttle();
    EXPECT_EQ(wire_.size(), 2u) << "and comes when asked for";
    write(a_, client_, "quick");
    shuttle();
    ASSERT_EQ(wire_.size(), 4u);
    EXPECT_EQ(flags(wire_[3]), kAck);
}

TEST_F(OptionsTest, CongestionByName) {
    th_config a = config_of("10.0.0.1/24", 1);
    a.congestion = "reno";
    start(a, config_of("10.0.0.2/24", 2));
    const int fd = th_socket(a_, AF_INET);
    char name[16];
    socklen_t length = sizeof name;
    EXPECT_EQ(th_getsockopt(a_, fd, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
    EXPECT_STREQ(name, "reno");
    EXPECT_EQ(th_setsockopt(a_, fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5), 0);
    EXPECT_EQ(th_getsockopt(a_, fd, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
    EXPECT_STREQ(name, "cubic");
}

/// Both halve differently: what one loss makes of the threshold tells which one is at work.
TEST_F(OptionsTest, CongestionControlIsTheConnectionsOwn) {
    std::array<uint32_t, 2> threshold;
    for (const bool reno : {false, true}) {
        start(config_of("10.0.0.1/24", 1), config_of("10.0.0.2/24", 2));
        listener_ = -1;
        establish();
        if (reno) th_setsockopt(a_, client_, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
        write(a_, client_, std::string(100'000, 'x'));
        pass(kSecond);
        cut_ = true;
        write(a_, client_, std::string(100'000, 'y'));
        pass(400 * kMs);
        cut_ = false;
        threshold[reno] = info(a_, client_).tcpi_snd_ssthresh;
    }
    EXPECT_LT(threshold[1], threshold[0]) << "0.5 against 0.7 of the flight";
}

TEST_F(OptionsTest, InfoTellsWhatHappened) {
    establish();
    write(a_, client_, std::string(10 * 1448, 'x'));
    pass(kSecond);
    tcp_info i = info(a_, client_);
    EXPECT_EQ(i.tcpi_state, 1);
    EXPECT_EQ(i.tcpi_options & 7, TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    EXPECT_EQ(i.tcpi_snd_mss, 1448u);
    EXPECT_EQ(i.tcpi_bytes_acked, 14480u);
    EXPECT_EQ(i.tcpi_unacked, 0u);
    EXPECT_EQ(i.tcpi_total_retrans, 0u);
    EXPECT_EQ(i.tcpi_rto, 200'000u);
    EXPECT_EQ(i.tcpi_snd_ssthresh, 0x7fffffffu);
    EXPECT_EQ(info(b_, server_).tcpi_bytes_received, 14480u);
    EXPECT_EQ(info(b_, server_).tcpi_rcv_mss, 1448u);
    cut_ = true;
    write(a_, client_, std::string(3 * 1448, 'y'));
    shuttle();
    EXPECT_EQ(info(a_, client_).tcpi_unacked, 3u);
    pass(kSecond);
    i = info(a_, client_);
    EXPECT_GE(i.tcpi_total_retrans, 2u);
    EXPECT_EQ(i.tcpi_lost, 3u);
    EXPECT_EQ(i.tcpi_snd_cwnd, 1u);
    EXPECT_GT(i.tcpi_rto, 200'000u) << "backed off";
    EXPECT_EQ(i.tcpi_bytes_acked, 14480u);
    EXPECT_EQ(info(b_, listener_).tcpi_state, 10);
}

TEST_F(OptionsTest, EcnWhereBothEndsHaveIt) {
    for (int mask = 0; mask < 4; mask++) {
        th_config a = config_of("10.0.0.1/24", 1), b = config_of("10.0.0.2/24", 2);
        a.ecn = mask & 1, b.ecn = mask >> 1 & 1;
        start(a, b);
        listener_ = -1;
        establish();
        EXPECT_EQ(info(a_, client_).tcpi_options & TCPI_OPT_ECN, mask == 3 ? TCPI_OPT_ECN : 0);
        EXPECT_EQ(info(b_, server_).tcpi_options & TCPI_OPT_ECN, mask == 3 ? TCPI_OPT_ECN : 0);
        wire_.clear();
        write(a_, client_, "text");
        shuttle();
        EXPECT_EQ(wire_.at(0)[1] & 3, mask == 3 ? 2 : 0) << "ECT(0) on new text";
    }
}

TEST_F(OptionsTest, TheDiffservFieldIsTheApplicationsAndMayChange) {  // RFC 9293 MUST-48, SHLD-21, SHLD-22
    th_config a = config_of("10.0.0.1/24", 1), b = config_of("10.0.0.2/24", 2);
    a.ecn = b.ecn = 1;
    start(a, b);
    listener_ = -1;
    establish();
    EXPECT_EQ(get(a_, client_, IPPROTO_IP, IP_TOS), 0);
    EXPECT_EQ(set(a_, client_, IPPROTO_IP, IP_TOS, 46 << 2 | 3), 0);
    EXPECT_EQ(get(a_, client_, IPPROTO_IP, IP_TOS), 46 << 2);
    EXPECT_EQ(set(a_, client_, IPPROTO_IP, IP_TOS, 256), -EINVAL);
    EXPECT_EQ(set(a_, client_, IPPROTO_IPV6, IPV6_TCLASS, 0), -ENOPROTOOPT);
    wire_.clear();
    write(a_, client_, "text");
    shuttle();
    EXPECT_EQ(static_cast<uint8_t>(wire_.at(0)[1]), 46 << 2 | 2) << "and ECT(0) beside it";
    EXPECT_EQ(wire_.at(0)[8], 64) << "TTL";
    pass(kSecond);
    set(a_, client_, IPPROTO_IP, IP_TOS, 0);
    wire_.clear();
    write(a_, client_, "text");
    shuttle();
    EXPECT_EQ(wire_.at(0)[1], 2);

    th_config a6 = config_of(nullptr, 1), b6 = config_of(nullptr, 2);
    a6.ipv6 = "2001:db8::1/64", b6.ipv6 = "2001:db8::2/64";
    start(a6, b6);
    const int listener = th_socket(b_, AF_INET6);
    const auto here = v6("2001:db8::2", 80);
    th_bind(b_, listener, raw(here), sizeof here);
    th_listen(b_, listener, 1);
    const int client = th_socket(a_, AF_INET6);
    EXPECT_EQ(set(a_, client, IPPROTO_IPV6, IPV6_TCLASS, 10 << 2), 0);
    wire_.clear();
    ASSERT_EQ(th_connect(a_, client, raw(here), sizeof here), -EINPROGRESS);
    shuttle();
    const auto* header = reinterpret_cast<const uint8_t*>(wire_.at(0).data());
    EXPECT_EQ((header[0] & 15) << 4 | header[1] >> 4, 10 << 2);
}

TEST_F(OptionsTest, PeersWithoutOptionsAreMet) {
    for (int mask = 0; mask < 8; mask++) {
        th_config b = config_of("10.0.0.2/24", 2);
        b.no_sack = mask & 1, b.no_timestamps = mask >> 1 & 1, b.no_window_scale = mask >> 2 & 1;
        start(config_of("10.0.0.1/24", 1), b);
        listener_ = -1;
        establish();
        const uint8_t expected = static_cast<uint8_t>((b.no_sack ? 0 : TCPI_OPT_SACK) | (b.no_timestamps ? 0 : TCPI_OPT_TIMESTAMPS) |
                                                      (b.no_window_scale ? 0 : TCPI_OPT_WSCALE));
        EXPECT_EQ(info(a_, client_).tcpi_options & 7, expected);
        EXPECT_EQ(info(b_, server_).tcpi_options & 7, expected);
        write(a_, client_, std::string(200'000, 'x'));
        pass(kSecond);
        EXPECT_EQ(read(b_, server_).size(), 200'000u);
    }
}

}  // namespace
}  // namespace sluice::harness
