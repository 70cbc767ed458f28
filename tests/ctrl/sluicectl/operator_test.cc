// The commands that reach into the cores, against the fake gateway's real socket; and the view of top, without a terminal.
#include <gmock/gmock.h>

#include "ctrl/admin/pcapng.h"
#include "ctrl/sluicectl/pcapng_count.h"
#include "ctrl/sluicectl/top_view.h"
#include "tests/ctrl/sluicectl/tool.h"

namespace sluice::ctl {
namespace {

using testing::HasSubstr;
using testing::Not;

class Operator : public test::Tool {
 protected:
    void start_with_cores() {
        sources = gateway.sources();
        sources.list_connections = [this](const auto& take) {
            if (!gone) take(row());
            return admin::ListedConnections{.time_wait = 2, .silent = silent};
        };
        sources.show_connection = [this](const admin::ConnectionName& name, bool&) { return gone || name.id != row().id ? std::nullopt : std::optional(row()); };
        sources.close_connection = [this](const admin::ConnectionName&, bool reset) {
            gone = reset;
            return std::optional(reset ? worker::CloseOutcome::kReset : worker::CloseOutcome::kAfterRequest);
        };
        sources.recent_log = &log;
        sources.drops = [this] { return drops; };
        sources.net = [this] { return net; };
        sources.capture = [](const admin::CaptureWanted& wanted) -> Result<std::shared_ptr<admin::Stream>> {
            if (wanted.filter == "bad") return unexpected(std::string("filter `bad`: syntax error"));
            return std::make_shared<Frames>(wanted.frames_max);
        };
        handler = std::make_unique<admin::Handler>(sources);
        auto started = admin::Server::start({.socket = socket(), .http = {}}, *handler);
        ASSERT_TRUE(started) << started.error();
        server = std::move(*started);
    }
    static worker::ConnectionRow row() {
        worker::ConnectionRow r;
        r.id = {17, 5};
        r.role = worker::ConnectionRow::Role::kDownstream;
        r.tuple = {{*IpAddress::parse("192.0.2.10"), 80}, {*IpAddress::parse("198.51.100.7"), 40000}};
        r.tcp.state = tcp::State::kEstablished;
        r.tcp.smoothed_rtt = microseconds(1500);
        r.bytes_received = 1234, r.bytes_sent = 5'600'000, r.age_us = 65'000'000;
        r.owner.set("0.0.0.0_80");
        r.phase = "waiting for upstream";
        r.in_request = true;
        r.method.set("GET"), r.host.set("shop.example"), r.path.set("/held\x1b[31m");
        r.pair = {18, 1};
        r.pair_remote = {*IpAddress::parse("10.0.0.21"), 9080};
        return r;
    }
    struct Frames final : admin::Stream {
        explicit Frames(uint64_t n) : left(n) {}
        bool next(std::string& piece) override {
            if (left == 0) {
                admin::pcapng_statistics({.port = 0, .unix_us = 1, .received = 9, .accepted = 9, .dropped = 3}, piece);
                return false;
            }
            admin::pcapng_frame({.port = 0, .sent = false, .unix_us = 1, .length = 5, .bytes = "frame", .comment = {}}, piece);
            left--;
            return true;
        }
        uint64_t left;
    };
    admin::Sources sources;
    admin::RecentLog log;
    admin::CoreDrops drops;
    net::Counters net{};
    std::vector<uint32_t> silent;
    bool gone = false;
};

TEST_F(Operator, ConnectionsListAndShow) {
    start_with_cores();
    EXPECT_EQ(run({"connections", "list"}), 0) << err;
    EXPECT_THAT(out, HasSubstr("0.17.5  downstream  established  198.51.100.7:40000  0.0.0.0_80"));
    EXPECT_THAT(out, HasSubstr("GET shop.example/held [31m")) << "control characters never reach the terminal";
    EXPECT_THAT(out, HasSubstr("-> 10.0.0.21:9080"));
    EXPECT_THAT(out, HasSubstr("1 connection of 1 open; 2 in TIME-WAIT\n"));
    EXPECT_EQ(run({"connections", "show", "0.17.5"}), 0) << err;
    EXPECT_THAT(out, HasSubstr("rtt         1.50ms smoothed"));
    EXPECT_EQ(run({"connections", "show", "0.17.7"}), 1);
    EXPECT_THAT(err, HasSubstr("has ended"));
    EXPECT_EQ(run({"connections", "list", "--peer", "rubbish"}), 1);
    EXPECT_THAT(err, HasSubstr("10.0.0.0/8"));
    EXPECT_EQ(run({"connections", "list", "--port", "70000"}), 2);
    silent = {3};
    EXPECT_EQ(run({"connections", "list"}), 1);
    EXPECT_THAT(err, HasSubstr("core 3 does not answer"));
}

TEST_F(Operator, CloseLooksWhetherItIsGone) {
    start_with_cores();
    EXPECT_EQ(run({"connections", "close", "0.17.5", "--wait", "1s"}), 1);
    EXPECT_THAT(out, HasSubstr("closes with the request that it carries; it is still open"));
    int sleeps = 0;
    on_sleep = [&] { gone = ++sleeps == 3; };
    EXPECT_EQ(run({"connections", "close", "0.17.5"}), 0);
    EXPECT_THAT(out, HasSubstr("it is gone"));
    gone = false;
    EXPECT_EQ(run({"connections", "close", "0.17.5", "--reset"}), 0);
    EXPECT_EQ(out, "0.17.5 reset; it is gone\n");
}

TEST_F(Operator, DropsWithMeaningCureAndBalance) {
    drops.frames_received = 100;
    net.arp_rx = 60, net.rx_source_loopback = 40;
    start_with_cores();
    EXPECT_EQ(run({"drops"}), 0) << err;
    EXPECT_THAT(out, HasSubstr("ip     source_loopback     40  frame in  From a loopback address.\n"));
    EXPECT_THAT(out, HasSubstr("Somebody forges addresses"));
    EXPECT_THAT(out, Not(HasSubstr("source_ours")));
    EXPECT_THAT(out, HasSubstr("frames received 100 = delivered 60 (icmp and neighbors 60) + dropped 40 + between cores 0; unexplained 0\n"));
    EXPECT_EQ(run({"drops", "--zeros"}), 0);
    EXPECT_THAT(out, HasSubstr("source_ours"));
    on_sleep = [&] { drops.frames_received += 10'010, net.rx_source_loopback += 10; };
    EXPECT_EQ(run({"-o", "json", "drops", "--delta", "1s"}), 1) << "ten thousand frames are not explained";
    const auto json = nlohmann::json::parse(out);
    EXPECT_EQ(json["frames"]["unexplained"], 10'000);
    EXPECT_EQ(json["reasons"].back()["count"].is_number(), true);
    for (const auto& r : json["reasons"]) {
        if (r["reason"] == "source_loopback") { EXPECT_EQ(r["count"], 10); }
    }
}

TEST_F(Operator, LogTailInWordsAndJson) {
    telemetry::AccessLogEntry e;
    e.start_unix_us = 1'795'389'673'123'456;
    e.method = "GET", e.authority = "shop.example", e.path = "/gone/7", e.status = 503, e.flags = telemetry::kUpstreamConnectionFailure;
    e.upstream_remote = {*IpAddress::parse("10.0.0.22"), 9081};
    e.duration_us = 1500, e.upstream_response_us = UINT64_MAX;
    e.reason = "upstream connection refused by 10.0.0.22:9081";
    log.add(e);
    start_with_cores();
    EXPECT_EQ(run({"log", "tail", "--no-follow"}), 0) << err;
    EXPECT_THAT(out, HasSubstr(" 503 UF GET shop.example/gone/7 -> 10.0.0.22:9081 1.5ms  upstream connection refused by 10.0.0.22:9081\n"));
    EXPECT_EQ(run({"-o", "json", "log", "tail", "--no-follow", "--flags", "UF", "--status", "503", "--host", "shop.example", "--path", "/gone"}), 0);
    EXPECT_EQ(nlohmann::json::parse(out)["upstream"], "10.0.0.22:9081");
    EXPECT_EQ(run({"log", "tail", "--no-follow", "--flags", "NR"}), 0);
    EXPECT_EQ(out, "");
    EXPECT_EQ(run({"log", "tail", "--flags", "NOPE"}), 1);
    EXPECT_THAT(err, HasSubstr("no such response flag"));
}

TEST_F(Operator, CaptureCountsWhatPasses) {
    start_with_cores();
    const std::string file = folder / "out.pcapng";
    EXPECT_EQ(run({"-o", "json", "capture", "--count", "7", "-w", file}), 1) << "three were lost";
    const auto summary = nlohmann::json::parse(out);
    EXPECT_EQ(summary["frames"], 7);
    EXPECT_EQ(summary["lost"], 3);
    EXPECT_EQ(summary["bytes"], std::filesystem::file_size(file));
    EXPECT_EQ(run({"capture", "--count", "2"}), 1);
    EXPECT_EQ(out.substr(0, 4), std::string("\6\0\0\0", 4)) << "to stdout as it is";
    EXPECT_THAT(err, HasSubstr("2 frames"));
    EXPECT_EQ(run({"capture", "--filter", "bad"}), 1);
    EXPECT_THAT(err, HasSubstr("syntax error"));
    EXPECT_EQ(run({"capture", "-w", "/nowhere/x"}), 2);
}

TEST(PcapngCount, PiecesCutAnywhere) {
    std::string all;
    admin::pcapng_begin({"a", "b"}, 96, all);
    for (int i = 0; i < 3; i++) admin::pcapng_frame({.port = 0, .sent = true, .unix_us = 1, .length = 3, .bytes = "abc", .comment = "x"}, all);
    for (uint32_t port : {0u, 1u}) admin::pcapng_statistics({.port = port, .unix_us = 1, .received = 3, .accepted = 3, .dropped = 4}, all);
    admin::pcapng_statistics({.port = 1, .unix_us = 2, .received = 3, .accepted = 3, .dropped = 5}, all);
    for (size_t step = 1; step < 40; step++) {
        PcapngCount count;
        for (size_t at = 0; at < all.size(); at += step) count.add(std::string_view(all).substr(at, step));
        EXPECT_EQ(count.frames, 3u);
        EXPECT_EQ(count.dropped(), 9u) << "the last of each interface counts";
        EXPECT_EQ(count.bytes_written, all.size());
    }
}

Json sample(uint64_t unix_us, uint64_t requests, uint64_t slow, uint64_t busy) {
    return {{"unix_us", unix_us}, {"node", "edge-1"}, {"revision", 7},
            {"workers", {{{"core", 2}, {"cycles_total", unix_us * 1000}, {"cycles_busy", busy}, {"requests", requests}, {"connections", 64}, {"mbufs_free", 10}, {"mbufs_total", 20}}}},
            {"listeners", {{{"name", "outside:80"}, {"connections", 64}, {"requests", requests}, {"errors", slow}, {"duration_us", {{1000, requests - slow}, {200000, slow}}}}}},
            {"clusters", {{{"name", "reviews.shop v1"}, {"requests", requests}, {"errors", slow}}, {{"name", "quiet"}, {"requests", 5}, {"errors", 0}}}},
            {"routes", {{{"name", "shop prefix /"}, {"to", "reviews v1"}, {"requests", requests}}}},
            {"flags", {{"UF", slow}, {"NR", 0}}}, {"drops", {{"ip.checksum", 3}}}};
}

TEST(TopView, RatesAndLatenciesAreOfTheInterval) {
    const Json view = top_view(sample(1'000'000, 1000, 900, 0), sample(3'000'000, 2000, 905, 1'000'000'000));
    EXPECT_EQ(view["seconds"], 2.0);
    EXPECT_EQ(view["requests_per_s"], 500.0);
    EXPECT_EQ(view["p50_ms"], 1.0) << "what was slow before does not count";
    EXPECT_EQ(view["p99_ms"], 1.0);
    EXPECT_EQ(view["cores"][0]["busy"], 0.5);
    EXPECT_EQ(view["flags_per_s"], Json({{"UF", 2.5}}));
    EXPECT_EQ(view["drops_per_s"], Json::object());
    ASSERT_EQ(view["clusters"].size(), 1u) << "quiet ones are not among the busiest";
    EXPECT_EQ(view["clusters"][0]["name"], "reviews.shop v1");
    EXPECT_EQ(view["listeners"][0]["errors_per_s"], 2.5);
}

TEST(TopView, NoIntervalNoRequestsAndAGatewayThatStartedAgain) {
    const Json still = top_view(sample(1'000'000, 5, 0, 0), sample(1'000'000, 5, 0, 0));
    EXPECT_EQ(still["requests_per_s"], 0.0);
    EXPECT_TRUE(still["p50_ms"].is_null());
    const Json again = top_view(sample(9'000'000, 5000, 10, 0), sample(10'000'000, 5, 0, 0));
    EXPECT_EQ(again["requests_per_s"], 0.0);
    EXPECT_EQ(top_view(Json::object(), Json::object())["connections"], 0);
}

TEST(TopView, TheScreenIsCutToItsSize) {
    const Json view = top_view(sample(1'000'000, 1000, 0, 0), sample(2'000'000, 31'702, 5, 500'000'000));
    const auto lines = top_screen(view, 200, 100);
    EXPECT_THAT(lines[0], HasSubstr("edge-1  revision 7  30,702 requests/s"));
    EXPECT_THAT(lines[1], HasSubstr("UF 5.0"));
    EXPECT_THAT(lines, testing::Contains(HasSubstr("[##########          ]  50%")));
    EXPECT_THAT(lines, testing::Contains(HasSubstr("reviews.shop v1")));
    for (const auto& [columns, rows] : {std::pair<size_t, size_t>{20, 5}, {1, 1}, {0, 0}}) {
        const auto small = top_screen(view, columns, rows);
        EXPECT_LE(small.size(), rows);
        for (const auto& line : small) EXPECT_LE(line.size(), columns);
    }
    Json wide = view;
    wide["node"] = "käse";
    EXPECT_EQ(top_screen(wide, 2, 1)[0], "kä") << "never half a character";
    EXPECT_THAT(top_line(view), HasSubstr("30,702 req/s  busy 50%"));
}

TEST_F(Operator, TopPrintsOneLineAnInterval) {
    start_with_cores();
    EXPECT_EQ(run({"top", "--count", "3"}), 0) << err;
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 3);
    EXPECT_EQ(run({"-o", "json", "top", "--count", "2"}), 0);
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2);
    EXPECT_TRUE(nlohmann::json::parse(out.substr(0, out.find('\n'))).contains("listeners"));
}

TEST_F(Operator, RuntimeTellsWhatIsUnaccountedFor) {
    start_with_cores();
    on_sleep = [&] {
        auto& w = gateway.workers[0];
        w.cycles_total += 10'000, w.cycles_busy += 1'000, w.requests += 10, w.cycles_measuring += 20;
        w.stages = {{"driver_rx", 1300}, {"tcp", 3600}};
    };
    EXPECT_EQ(run({"runtime"}), 0) << err;
    EXPECT_THAT(out, HasSubstr("of the busy cycles: 10.0 % unaccounted, 2.0 % spent on measuring\n"));
    EXPECT_THAT(err, HasSubstr("more than 3 %"));
}

}  // namespace
}  // namespace sluice::ctl
