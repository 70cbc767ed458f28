// Sockets through the C interface: opening, refusals, half close, resets, names, ports, backlog; Linux's answers.
#include "tests/harness/pair.h"

namespace sluice::harness {
namespace {

using Sockets = Pair;

TEST_F(Sockets, ConnectAcceptAndBytesBothWays) {
    listener_ = listen();
    EXPECT_EQ(th_poll(b_, listener_), 0);
    client_ = connect();
    EXPECT_EQ(th_poll(a_, client_), 0) << "in SYN-SENT nothing is ready";
    const auto to = v4("10.0.0.2", 80);
    EXPECT_EQ(th_connect(a_, client_, raw(to), sizeof to), -EALREADY);
    EXPECT_EQ(write(a_, client_, "early"), -EAGAIN);
    char byte;
    EXPECT_EQ(th_read(a_, client_, &byte, 1), -EAGAIN);
    shuttle();
    EXPECT_EQ(th_poll(a_, client_), POLLOUT);
    EXPECT_EQ(th_connect(a_, client_, raw(to), sizeof to), 0) << "tells success once";
    EXPECT_EQ(th_connect(a_, client_, raw(to), sizeof to), -EISCONN);
    EXPECT_EQ(th_poll(b_, listener_), POLLIN);
    sockaddr_in peer{}, own{};
    socklen_t length = sizeof peer;
    server_ = th_accept(b_, listener_, reinterpret_cast<sockaddr*>(&peer), &length);
    ASSERT_GE(server_, 0);
    EXPECT_EQ(th_accept(b_, listener_, nullptr, nullptr), -EAGAIN);
    ASSERT_EQ(th_getsockname(a_, client_, reinterpret_cast<sockaddr*>(&own), &length), 0);
    EXPECT_EQ(peer.sin_port, own.sin_port);
    EXPECT_EQ(peer.sin_addr.s_addr, own.sin_addr.s_addr);
    EXPECT_EQ(write(a_, client_, "ping"), 4);
    EXPECT_EQ(write(b_, server_, "pong"), 4);
    shuttle();
    EXPECT_EQ(th_poll(b_, server_), POLLIN | POLLOUT);
    EXPECT_EQ(read(b_, server_), "ping");
    EXPECT_EQ(read(a_, client_), "pong");
    EXPECT_EQ(th_read(a_, client_, &byte, 1), -EAGAIN);
}

TEST_F(Sockets, RefusedIsToldOnceAndTheSocketServesAgain) {
    const int fd = connect(81);
    shuttle();
    EXPECT_EQ(th_poll(a_, fd), POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
    EXPECT_EQ(get(a_, fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    EXPECT_EQ(get(a_, fd, SOL_SOCKET, SO_ERROR), 0);
    const auto to = v4("10.0.0.2", 80);
    EXPECT_EQ(th_connect(a_, fd, raw(to), sizeof to), -ECONNABORTED) << "Linux: the failed attempt is put away";
    listener_ = listen();
    EXPECT_EQ(th_connect(a_, fd, raw(to), sizeof to), -EINPROGRESS);
    shuttle();
    EXPECT_EQ(th_poll(a_, fd), POLLOUT);
}

TEST_F(Sockets, HalfCloseLeavesTheOtherWayOpen) {
    establish();
    EXPECT_EQ(write(a_, client_, "question"), 8);
    EXPECT_EQ(th_shutdown(a_, client_, SHUT_WR), 0);
    EXPECT_EQ(write(a_, client_, "more"), -EPIPE);
    shuttle();
    EXPECT_EQ(th_poll(b_, server_), POLLIN | POLLOUT | POLLRDHUP);
    EXPECT_EQ(read(b_, server_), "question");
    char byte;
    EXPECT_EQ(th_read(b_, server_, &byte, 1), 0);
    EXPECT_EQ(th_read(b_, server_, &byte, 1), 0) << "end of stream stays";
    EXPECT_EQ(info(a_, client_).tcpi_state, 5) << "FIN-WAIT-2";
    EXPECT_EQ(info(b_, server_).tcpi_state, 8) << "CLOSE-WAIT";
    EXPECT_EQ(write(b_, server_, "answer"), 6);
    shuttle();
    EXPECT_EQ(read(a_, client_), "answer");
    EXPECT_EQ(th_close(b_, server_), 0);
    shuttle();
    EXPECT_EQ(th_read(a_, client_, &byte, 1), 0);
    EXPECT_EQ(th_poll(a_, client_), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
    EXPECT_EQ(usage(a_).time_wait, 1u);
    EXPECT_EQ(usage(b_).connections, 0u);
    EXPECT_EQ(th_shutdown(a_, client_, SHUT_WR), -ENOTCONN);
}

TEST_F(Sockets, CloseWithUnreadBytesResets) {
    establish();
    EXPECT_EQ(write(a_, client_, "lost"), 4);
    shuttle();
    wire_.clear();
    EXPECT_EQ(th_close(b_, server_), 0);
    shuttle();
    ASSERT_EQ(wire_.size(), 1u);
    EXPECT_TRUE(flags(wire_[0]) & 4) << "RST (RFC 2525 2.17)";
    char byte;
    EXPECT_EQ(th_read(a_, client_, &byte, 1), -ECONNRESET);
    EXPECT_EQ(th_read(a_, client_, &byte, 1), 0) << "told once";
    EXPECT_EQ(write(a_, client_, "x"), -EPIPE);
}

TEST_F(Sockets, LingerZeroResets) {
    establish();
    EXPECT_EQ(set(a_, client_, SOL_SOCKET, SO_LINGER, linger{1, 0}), 0);
    EXPECT_EQ(write(a_, client_, "behind me"), 9);
    wire_.clear();
    EXPECT_EQ(th_close(a_, client_), 0);
    shuttle();
    EXPECT_TRUE(flags(wire_.back()) & 4);
    std::array<char, 100> text;
    EXPECT_EQ(th_read(b_, server_, text.data(), text.size()), 9) << "what came before the reset can be read";
    EXPECT_EQ(get(b_, server_, SOL_SOCKET, SO_ERROR), ECONNRESET);
    EXPECT_EQ(usage(a_).time_wait, 0u);
}

TEST_F(Sockets, ShutBothWaysThenBytesAreReset) {
    establish();
    EXPECT_EQ(th_shutdown(a_, client_, SHUT_RDWR), 0);
    char byte;
    EXPECT_EQ(th_read(a_, client_, &byte, 1), 0);
    shuttle();
    EXPECT_EQ(write(b_, server_, "nobody reads this"), 17);
    shuttle();
    EXPECT_EQ(write(b_, server_, "x"), -EPIPE) << "a reset after the peer's FIN";
}

TEST_F(Sockets, BacklogBoundsTheQueue) {
    listener_ = listen(80, 1);
    std::vector<int> clients;
    for (int i = 0; i < 4; i++) clients.push_back(connect());
    shuttle();
    int accepted = 0, fd;
    while ((fd = th_accept(b_, listener_, nullptr, nullptr)) >= 0) accepted++;
    EXPECT_EQ(fd, -EAGAIN);
    EXPECT_EQ(accepted, 2) << "one more than the backlog, as on Linux";
    pass(10 * kSecond);  // SYNs and SYN-ACKs are repeated
    while (th_accept(b_, listener_, nullptr, nullptr) >= 0) accepted++;
    pass(10 * kSecond);
    while (th_accept(b_, listener_, nullptr, nullptr) >= 0) accepted++;
    EXPECT_EQ(accepted, 4) << "nobody is lost, only late";
    for (const int c : clients) EXPECT_EQ(info(a_, c).tcpi_state, 1);
}

TEST_F(Sockets, ClosedListenerResetsWhatNobodyAccepted) {
    listener_ = listen();
    client_ = connect();
    shuttle();
    EXPECT_EQ(th_close(b_, listener_), 0);
    shuttle();
    char byte;
    EXPECT_EQ(th_read(a_, client_, &byte, 1), -ECONNRESET);
    th_close(a_, client_);
    expect_all_gone(b_);
}

TEST_F(Sockets, PortsAndAddresses) {
    const int first = th_socket(b_, AF_INET), second = th_socket(b_, AF_INET);
    sockaddr_in any = v4("0.0.0.0", 0), own{};
    socklen_t length = sizeof own;
    EXPECT_EQ(th_bind(b_, first, raw(any), sizeof any), 0);
    ASSERT_EQ(th_getsockname(b_, first, reinterpret_cast<sockaddr*>(&own), &length), 0);
    EXPECT_NE(own.sin_port, 0) << "port 0 chooses one";
    EXPECT_EQ(th_bind(b_, first, raw(any), sizeof any), -EINVAL) << "bound already";
    EXPECT_EQ(th_bind(b_, second, raw(own), sizeof own), -EADDRINUSE);
    const auto foreign = v4("10.9.9.9", 80);
    EXPECT_EQ(th_bind(b_, second, raw(foreign), sizeof foreign), -EADDRNOTAVAIL);
    EXPECT_EQ(th_bind(b_, second, raw(own), sizeof(sa_family_t)), -EINVAL);
    const auto six = v6("::1", 80);
    EXPECT_EQ(th_bind(b_, second, raw(six), sizeof six), -EAFNOSUPPORT);
    EXPECT_EQ(th_connect(b_, second, raw(v6("::1", 80)), sizeof six), -EAFNOSUPPORT);
    EXPECT_EQ(th_connect(b_, second, raw(v4("255.255.255.255", 80)), sizeof own), -ENETUNREACH);
    EXPECT_EQ(th_listen(b_, first, 5), 0);
    EXPECT_EQ(th_connect(b_, first, raw(v4("10.0.0.1", 80)), sizeof own), -EISCONN);
    EXPECT_EQ(th_getpeername(b_, first, reinterpret_cast<sockaddr*>(&own), &length), -ENOTCONN);

    // The port that bind() fixed is the source of connect().
    listener_ = listen();
    const int client = th_socket(a_, AF_INET);
    const auto from = v4("10.0.0.1", 4321), to = v4("10.0.0.2", 80);
    EXPECT_EQ(th_bind(a_, client, raw(from), sizeof from), 0);
    EXPECT_EQ(th_connect(a_, client, raw(to), sizeof to), -EINPROGRESS);
    shuttle();
    sockaddr_in peer{};
    length = sizeof peer;
    ASSERT_GE(th_accept(b_, listener_, reinterpret_cast<sockaddr*>(&peer), &length), 0);
    EXPECT_EQ(ntohs(peer.sin_port), 4321);
}

TEST_F(Sockets, TwoSocketsMayShareAPortWithReuseUntilOneListens) {
    const auto local = v4("0.0.0.0", 8080);
    const int one = th_socket(b_, AF_INET), two = th_socket(b_, AF_INET), three = th_socket(b_, AF_INET);
    for (const int fd : {one, two, three}) set(b_, fd, SOL_SOCKET, SO_REUSEADDR, 1);
    EXPECT_EQ(th_bind(b_, one, raw(local), sizeof local), 0);
    EXPECT_EQ(th_bind(b_, two, raw(local), sizeof local), 0);
    EXPECT_EQ(th_listen(b_, one, 1), 0);
    EXPECT_EQ(th_listen(b_, two, 1), -EADDRINUSE);
    EXPECT_EQ(th_bind(b_, three, raw(local), sizeof local), -EADDRINUSE);
}

TEST_F(Sockets, Ipv6IsItsOwnFamily) {
    th_config a = config_of("10.0.0.1/24", 1), b = config_of("10.0.0.2/24", 2);
    a.ipv6 = "2001:db8::1/64", b.ipv6 = "2001:db8::2/64";
    start(a, b);
    const int listener = th_socket(b_, AF_INET6), client = th_socket(a_, AF_INET6);
    const auto any = v6("::", 80), to = v6("2001:db8::2", 80), mapped = v6("::ffff:10.0.0.2", 80);
    ASSERT_EQ(th_bind(b_, listener, raw(any), sizeof any), 0);
    ASSERT_EQ(th_listen(b_, listener, 1), 0);
    EXPECT_EQ(th_connect(a_, client, raw(mapped), sizeof mapped), -ENETUNREACH) << "IPv6 sockets are IPv6 only";
    EXPECT_EQ(th_bind(a_, client, raw(mapped), sizeof mapped), -EINVAL);
    EXPECT_EQ(th_connect(a_, client, raw(to), sizeof to), -EINPROGRESS);
    const int four = connect();
    shuttle();
    EXPECT_EQ(get(a_, four, SOL_SOCKET, SO_ERROR), ECONNREFUSED) << "the IPv6 listener takes no IPv4";
    const int server = th_accept(b_, listener, nullptr, nullptr);
    ASSERT_GE(server, 0);
    EXPECT_EQ(write(a_, client, "six"), 3);
    shuttle();
    EXPECT_EQ(read(b_, server), "six");
}

TEST_F(Sockets, ASilentPeerTimesOut) {
    cut_ = true;
    client_ = connect();
    pass(300 * kSecond);
    EXPECT_EQ(get(a_, client_, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
    EXPECT_EQ(wire_.size(), 7u) << "a SYN and six repeats";
    th_close(a_, client_);
    expect_all_gone(a_);
}

TEST_F(Sockets, ConnectToUnspecDisconnects) {
    establish();
    sockaddr unspec{};
    EXPECT_EQ(th_connect(a_, client_, &unspec, sizeof unspec), 0);
    shuttle();
    EXPECT_EQ(get(b_, server_, SOL_SOCKET, SO_ERROR), ECONNRESET);
    const auto to = v4("10.0.0.2", 80);
    EXPECT_EQ(th_connect(a_, client_, raw(to), sizeof to), -EINPROGRESS);
}

TEST_F(Sockets, DescriptorsAreTheLowestFree) {
    const int three = th_socket(a_, AF_INET), four = th_socket(a_, AF_INET), five = th_socket(a_, AF_INET);
    EXPECT_EQ(three, 3);
    EXPECT_EQ(five, 5);
    th_close(a_, four);
    th_close(a_, three);
    EXPECT_EQ(th_socket(a_, AF_INET), 3);
    EXPECT_EQ(th_socket(a_, AF_INET), 4);
    EXPECT_EQ(th_socket(a_, AF_INET), 6);
}

}  // namespace
}  // namespace sluice::harness
