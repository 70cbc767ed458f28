// The real sockets: who may connect, what stands in the way at start, junk and slow clients, and that a page cannot rebind to it.
#include "ctrl/admin/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/ctrl/admin/fake_gateway.h"

namespace sluice::admin {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Sockets : public testing::Test {
 protected:
    fs::path folder;
    std::string path;
    test::FakeGateway gateway;
    Handler handler{gateway.sources()};
    std::unique_ptr<Server> server;

    void SetUp() override {
        char name[] = "/tmp/sluice-admin-XXXXXX";
        folder = mkdtemp(name);
        path = folder / "run" / "admin.sock";
    }
    void TearDown() override {
        server.reset();
        fs::remove_all(folder);
    }
    std::string start(std::optional<SocketAddress> http = {}) {
        auto started = Server::start({path, http}, handler);
        if (!started) return started.error();
        server = std::move(*started);
        return "";
    }
    static httplib::Client client(const std::string& socket) {
        httplib::Client c(socket);
        c.set_address_family(AF_UNIX);
        c.set_connection_timeout(5);
        return c;
    }
    static uint16_t free_port() {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
        getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
        close(fd);
        return ntohs(address.sin_port);
    }
    int connect_raw() {
        const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        return fd;
    }
};

TEST_F(Sockets, ServesItsOwnerAlone) {
    ASSERT_EQ(start(), "");
    struct stat status;
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    auto c = client(path);
    const auto ready = c.Get("/ready");
    ASSERT_TRUE(ready);
    EXPECT_EQ(ready->status, 200);
    EXPECT_EQ(ready->body, "LIVE\n");
    EXPECT_EQ(ready->get_header_value("X-Content-Type-Options"), "nosniff");
    EXPECT_THAT(ready->get_header_value("Content-Security-Policy"), HasSubstr("default-src 'none'"));
    EXPECT_EQ(ready->get_header_value("Cache-Control"), "no-store");
    const auto drain = c.Post("/drain");
    ASSERT_TRUE(drain);
    EXPECT_EQ(drain->status, 200);
    EXPECT_TRUE(gateway.draining);
    const auto put = c.Put("/drain");
    ASSERT_TRUE(put);
    EXPECT_EQ(put->status, 405);
    EXPECT_EQ(put->get_header_value("Allow"), "POST");
    const auto filtered = c.Get("/v1/stats?filter=sluice_config_revision");
    ASSERT_TRUE(filtered);
    EXPECT_THAT(filtered->body, HasSubstr("\"sluice_config_revision\":7"));
}

TEST_F(Sockets, TheFileGoesWithTheServer) {
    ASSERT_EQ(start(), "");
    EXPECT_TRUE(fs::exists(path));
    server.reset();
    EXPECT_FALSE(fs::exists(path));
}

TEST_F(Sockets, TakesOverADeadSocketButNeverALivingOne) {
    ASSERT_EQ(start(), "");
    EXPECT_THAT(Server::start({path, {}}, handler).error(), HasSubstr("another gateway serves it"));
    EXPECT_TRUE(client(path).Get("/ready"));
    server.reset();
    fs::create_directories(fs::path(path).parent_path());
    {   // what a killed gateway leaves
        const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        close(fd);
    }
    EXPECT_EQ(start(), "");
    EXPECT_TRUE(client(path).Get("/ready"));
}

TEST_F(Sockets, NeverRemovesWhatIsNoSocket) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << "precious";
    EXPECT_THAT(start(), HasSubstr("is no socket"));
    EXPECT_TRUE(fs::exists(path));
}

TEST_F(Sockets, SaysWhatIsInTheWay) {
    path = "/nonexistent/a/b.sock";
    EXPECT_THAT(start(), HasSubstr("the directory must exist"));
    path = "/tmp/" + std::string(120, 'x');
    EXPECT_THAT(start(), HasSubstr("longer than 107 bytes"));
}

TEST_F(Sockets, LoopbackHttpReadsOnlyAndOnlyForLocalNames) {
    const uint16_t port = free_port();
    ASSERT_EQ(start(SocketAddress{*IpAddress::parse("127.0.0.1"), port}), "");
    httplib::Client c("127.0.0.1", port);
    ASSERT_TRUE(c.Get("/ready"));
    EXPECT_EQ(c.Get("/ready")->status, 200);
    EXPECT_EQ(c.Post("/drain")->status, 403);
    EXPECT_FALSE(gateway.draining);
    EXPECT_EQ(c.Get("/config_dump", httplib::Headers{{"Host", "evil.example"}})->status, 403);
    EXPECT_EQ(c.Get("/ready", httplib::Headers{{"Host", "localhost:1"}})->status, 200);
}

TEST_F(Sockets, RefusesOtherThanLoopback) {
    EXPECT_THAT(start(SocketAddress{IpAddress::v4(0), 15000}), HasSubstr("not a loopback address"));
    EXPECT_THAT(start(SocketAddress{IpAddress{}, 15000}), HasSubstr("not a loopback address"));
    EXPECT_THAT(start(SocketAddress{*IpAddress::parse("192.0.2.1"), 15000}), HasSubstr("not a loopback address"));
}

TEST_F(Sockets, JunkAndHalfRequestsHarmNobody) {
    ASSERT_EQ(start(), "");
    const std::string junk[] = {std::string(100'000, 'A'), "GET /ready HTTP/1.1\r\nHost", "\r\n\r\n\r\n", "GET  /ready\r\n\r\n",
                                "GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n", std::string("\0\xff\x01\n\n", 5),
                                "POST /log/level HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                                "POST /log/level HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"};
    for (const auto& bytes : junk) {
        const int fd = connect_raw();
        (void)!send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        char buffer[4096];
        while (recv(fd, buffer, sizeof buffer, 0) > 0) {
        }
        close(fd);
    }
    const int idle[] = {connect_raw(), connect_raw()};   // connected, silent: fewer than the server's threads
    const auto ready = client(path).Get("/ready");
    ASSERT_TRUE(ready);
    EXPECT_EQ(ready->status, 200);
    for (const int fd : idle) close(fd);
}

TEST_F(Sockets, StreamsGoOnUntilTheirReaderLeaves) {
    RecentLog log;
    Sources sources = gateway.sources();
    sources.recent_log = &log;
    const Handler streaming(std::move(sources));
    auto started = Server::start({path, {}}, streaming);
    ASSERT_TRUE(started) << started.error();
    server = std::move(*started);
    telemetry::AccessLogEntry entry;
    entry.path = "/first";
    log.add(entry);
    std::string seen;
    httplib::Client reader = client(path);
    reader.set_read_timeout(5);
    const auto result = reader.Get("/v1/log/tail", [&](const char* data, size_t size) {
        seen.append(data, size);
        if (seen.find("/first") != seen.npos && seen.find("/later") == seen.npos) {
            entry.path = "/later";
            log.add(entry);
        }
        return seen.find("/later") == seen.npos;   // enough
    });
    EXPECT_FALSE(result);
    EXPECT_THAT(seen, HasSubstr("/later"));
    // Its place is free again once the server has noticed; the others answer meanwhile.
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(client(path).Get("/ready")->status, 200);
        ASSERT_EQ(client(path).Get("/v1/log/tail?follow=0")->status, 200);
    }
    server.reset();   // before what it serves
}

TEST_F(Sockets, AStreamEndsWithTheServer) {
    RecentLog log;
    Sources sources = gateway.sources();
    sources.recent_log = &log;
    const Handler streaming(std::move(sources));
    auto started = Server::start({path, {}}, streaming);
    ASSERT_TRUE(started) << started.error();
    server = std::move(*started);
    std::thread stopper;
    std::string seen;
    const auto result = client(path).Get("/v1/log/tail", [&](const char* data, size_t size) {
        seen.append(data, size);   // the sign of life of a log without requests
        if (!stopper.joinable()) stopper = std::thread([&] { server.reset(); });
        return true;
    });
    ASSERT_TRUE(stopper.joinable());
    stopper.join();
    EXPECT_TRUE(result) << "ended in order";
    EXPECT_EQ(seen.find_first_not_of('\n'), seen.npos);
}

TEST_F(Sockets, LoopbackHttpHasNoStreams) {
    const uint16_t port = free_port();
    ASSERT_EQ(start(SocketAddress{*IpAddress::parse("127.0.0.1"), port}), "");
    httplib::Client c("127.0.0.1", port);
    for (const char* stream : {"/v1/log/tail", "/v1/capture"}) EXPECT_EQ(c.Get(stream)->status, 403) << stream;
    EXPECT_EQ(c.Post("/v1/connections/close?id=0.1.1")->status, 403);
}

}  // namespace
}  // namespace sluice::admin
