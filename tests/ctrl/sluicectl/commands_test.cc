// Each command's words and exit code, for a gateway that serves, is degraded, drains, or is not there.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/ctrl/sluicectl/tool.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using test::Tool;

Diagnostic typo() {
    Diagnostic d;
    d.file = "mesh/reviews.yaml";
    d.line = 14;
    d.column = 9;
    d.code = "SLC0104";
    d.object = "VirtualService shop/reviews";
    d.field = "spec.http[0].route[1].wieght";
    d.message = "unknown field";
    d.source_line = "        wieght: 50";
    d.cure = "did you mean `weight`?";
    d.caret_width = 6;
    return d;
}

TEST_F(Tool, StatusOfADegradedGateway) {
    gateway.state.refused = control::Refused{.revision = 8, .content_hash = "x", .diagnostics = {typo()}, .files = 6, .since = std::chrono::system_clock::now()};
    start();
    EXPECT_EQ(run({"status"}), 1) << err;
    EXPECT_THAT(out, MatchesRegex(
        "edge-1  serving revision 7 \\(9f2c61ab, 2m ago\\)  up 3d2h\n"
        "config  REVISION 8 REJECTED mesh/reviews.yaml:14 `wieght` unknown field; 7 stays in force\n"
        "port    outside 25G 2 queues  drops 7\n"
        "port    inside 1 queue  drops 0\n"
        "listen  outside:80 HTTP  Gateway shop/edge  2 routes\n"
        "backend 1/2 up; reviews.shop 10.0.1.2:9080 down 1[0-9]s \\(refused\\)\n"));
}

TEST_F(Tool, StatusIsZeroWhenAllIsWell) {
    const auto now = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
    gateway.core_a.endpoint(2).success(now);
    start();
    EXPECT_EQ(run({"status"}), 0) << out << err;
    EXPECT_THAT(out, HasSubstr("backend 2/2 up\n"));
    gateway.draining = true;
    EXPECT_EQ(run({"status"}), 1);
    EXPECT_THAT(out, HasSubstr("edge-1  draining"));
}

TEST_F(Tool, ConfigShowHasTheCaret) {
    gateway.state.refused = control::Refused{.revision = 8, .content_hash = "x", .diagnostics = {typo()}, .files = 6, .since = std::chrono::system_clock::now()};
    start();
    EXPECT_EQ(run({"config", "show"}), 1);
    EXPECT_THAT(out, HasSubstr("revision 7  9f2c61ab  2m ago  live on all cores after 11.0 ms\n"));
    EXPECT_THAT(out, HasSubstr("revision 8  REJECTED 0s ago\nmesh/reviews.yaml:14:9: error SLC0104"));
    EXPECT_THAT(out, HasSubstr("^~~~~~ did you mean `weight`?\n"));
    gateway.state.refused.reset();
    EXPECT_EQ(run({"config", "show"}), 0);
    gateway.state = {};
    EXPECT_EQ(run({"config", "show"}), 1);
    EXPECT_EQ(out, "nothing is in force yet\n");
}

TEST_F(Tool, Routes) {
    start();
    EXPECT_EQ(run({"pc", "routes", "--host", "shop.example"}), 0) << err;
    EXPECT_EQ(out,
              "#  MATCH            TO                                  HITS  SOURCE\n"
              "1  prefix /reviews  reviews v1 90% v2 10%             38,412  mesh/reviews.yaml:9\n"
              "2  exact /old       redirect 301 https://new.example       0\n"
              "-  (none)           404 NR                                 3  built in\n");
    EXPECT_EQ(run({"proxy-config", "routes", "-o", "wide"}), 0);
    EXPECT_THAT(out, HasSubstr("VirtualService shop/reviews"));
    EXPECT_EQ(run({"pc", "routes", "--port", "81"}), 1);
    EXPECT_EQ(out, "no route\n");
    EXPECT_EQ(run({"pc", "routes", "--port", "x"}), 2);
}

TEST_F(Tool, TheOtherTables) {
    start();
    EXPECT_EQ(run({"pc", "listeners"}), 0);
    EXPECT_THAT(out, HasSubstr("outside:80"));
    EXPECT_THAT(out, HasSubstr("38,415"));
    EXPECT_EQ(run({"pc", "clusters", "--host", "reviews.shop", "--port", "9080"}), 0);
    EXPECT_THAT(out, HasSubstr("reviews.shop.svc.cluster.local"));
    EXPECT_EQ(run({"pc", "clusters", "--host", "nobody"}), 1);
    EXPECT_EQ(run({"pc", "endpoints"}), 0);
    EXPECT_THAT(out, HasSubstr("10.0.1.2:9080  down"));
    EXPECT_THAT(out, HasSubstr("(refused)"));
    for (const char* table : {"listeners", "routes", "clusters", "endpoints"}) {
        EXPECT_EQ(run({"pc", table, "-o", "json"}), 0);
        EXPECT_TRUE(json::parse(out).is_array()) << table;
        EXPECT_EQ(run({"-o", "wide", "pc", table}), 0) << table;
    }
}

TEST_F(Tool, RuntimeIsTheGrowthBetweenTwoLooks) {
    start();
    on_sleep = [this] {
        auto& w = gateway.workers[0];
        w.cycles_total += 1'000'000;
        w.cycles_busy += 420'000;
        w.requests += 100;
        w.stages[0].second += 150'000;
        w.stages[1].second += 270'000;
    };
    EXPECT_EQ(run({"runtime"}), 0) << err;
    std::istringstream lines(out);
    std::string head, row;
    std::getline(lines, head);
    std::getline(lines, row);
    EXPECT_THAT(head, MatchesRegex("CORE  BUSY +REQ/S  CYCLES/REQ  DRIVER RX +TCP"));
    EXPECT_THAT(row, MatchesRegex(" +2 +42% +[0-9,.]+ +4,200 +1,500 +2,700"));
    on_sleep = [] {};
    EXPECT_EQ(run({"runtime", "-o", "json"}), 0);
    EXPECT_TRUE(json::parse(out)[0]["cycles_per_request"].is_null());   // no request: no cost of one
}

TEST_F(Tool, Stats) {
    start();
    EXPECT_EQ(run({"stats", "sluice_tcp_retransmits"}), 0);
    EXPECT_EQ(out, "sluice_tcp_retransmits_total 3\n");
    EXPECT_EQ(run({"stats", "nosuchthing"}), 1);
    EXPECT_THAT(err, HasSubstr("no counter's name contains `nosuchthing`"));
    on_sleep = [this] { gateway.core_a.cluster(1).requests.add(1'500); };
    EXPECT_EQ(run({"stats", "--delta", "5s"}), 0);
    EXPECT_THAT(out, HasSubstr("envoy_cluster_upstream_rq_total"));
    EXPECT_THAT(out, HasSubstr("1,500"));
    EXPECT_THAT(out, Not(HasSubstr("retransmits")));
    EXPECT_EQ(run({"stats", "--delta", "5"}), 2);
    EXPECT_THAT(err, HasSubstr("not a duration"));
}

TEST_F(Tool, WaitReady) {
    gateway.state.in_force.live_everywhere = false;
    start();
    int sleeps = 0;
    on_sleep = [&] { if (++sleeps == 3) gateway.state.in_force.live_everywhere = true; };
    EXPECT_EQ(run({"wait", "ready"}), 0);
    EXPECT_EQ(out, "ready\n");
}

TEST_F(Tool, WaitGivesUp) {
    gateway.state.in_force.live_everywhere = false;
    start();
    EXPECT_EQ(run({"wait", "ready", "--timeout", "2s"}), 1);
    EXPECT_EQ(err, "sluicectl: not ready after 2s: sluicectl status says why\n");
    EXPECT_GE(now.us, 2'000'000u);
}

TEST_F(Tool, WaitsForAGatewayThatIsStillStarting) {
    int sleeps = 0;
    on_sleep = [&] { if (++sleeps == 2) start(); };
    EXPECT_EQ(run({"wait", "ready"}), 0) << err;
}

TEST_F(Tool, WaitForOneThatNeverComes) {
    EXPECT_EQ(run({"wait", "ready", "--timeout", "100ms"}), 2);
    EXPECT_THAT(err, HasSubstr("no gateway at"));
}

TEST_F(Tool, WaitRevision) {
    start();
    EXPECT_EQ(run({"wait", "revision", "7"}), 0);
    EXPECT_EQ(run({"wait", "revision", "8", "--timeout", "1s"}), 1);
    EXPECT_EQ(err, "sluicectl: revision 8 is not live after 1s: sluicectl status says why\n");
    gateway.state.refused = control::Refused{.revision = 8, .content_hash = "x", .diagnostics = {typo()}, .files = 1, .since = {}};
    now = {1000};
    EXPECT_EQ(run({"wait", "revision", "8"}), 1);
    EXPECT_THAT(err, HasSubstr("revision 8 was rejected"));
    EXPECT_EQ(now.us, 1000u);   // known at once
    EXPECT_EQ(run({"wait", "revision"}), 2);
    EXPECT_EQ(run({"wait", "revision", "-1"}), 2);
}

TEST_F(Tool, DrainWaitsForWhatIsUnderWay) {
    gateway.core_a.listener(4).connections_active.add(2);
    start();
    EXPECT_EQ(run({"drain"}), 0) << "without --wait it only says what is left";
    EXPECT_THAT(out, HasSubstr("; 2 connections under way\n"));
    EXPECT_EQ(run({"drain", "--wait", "1s"}), 1);
    EXPECT_GE(now.us, 1'000'000u);
    on_sleep = [&] { gateway.core_a.listener(4).connections_active.set(0); };
    EXPECT_EQ(run({"drain", "--wait", "10s"}), 0);
    EXPECT_THAT(out, HasSubstr("; no connection under way\n"));
    EXPECT_LT(now.us, 3'000'000u);
    EXPECT_EQ(run({"-o", "json", "drain"}), 0);
    EXPECT_EQ(json::parse(out), json({{"draining", true}, {"under_way", 0}}));
}

TEST_F(Tool, DrainOfAnEndpoint) {
    start();
    EXPECT_EQ(run({"drain", "--endpoint", "10.0.1.2:9080"}), 0) << err;
    EXPECT_TRUE(gateway.drained_endpoint);
    EXPECT_FALSE(gateway.draining) << "the gateway itself goes on";
    EXPECT_THAT(out, HasSubstr("10.0.1.2:9080 of 1 cluster is picked no more"));
    EXPECT_EQ(run({"undrain", "--endpoint", "10.0.1.2:9080"}), 0);
    EXPECT_FALSE(gateway.drained_endpoint);
    EXPECT_EQ(run({"drain", "--endpoint", "10.9.9.9:1"}), 1);
    EXPECT_EQ(err, "sluicectl: no endpoint 10.9.9.9:1 is in force: sluicectl pc endpoints lists them\n");
    gateway.last_endpoint = true;
    EXPECT_EQ(run({"drain", "--endpoint", "10.0.1.2:9080"}), 1);
    EXPECT_THAT(err, HasSubstr("no endpoint left: --force"));
    EXPECT_EQ(run({"drain", "--endpoint", "10.0.1.2:9080", "--force"}), 0);
    EXPECT_EQ(run({"drain", "--force"}), 2) << "it belongs to --endpoint";
}

TEST_F(Tool, DrainAndLog) {
    start();
    EXPECT_EQ(run({"drain"}), 0);
    EXPECT_TRUE(gateway.draining);
    EXPECT_THAT(out, HasSubstr("draining"));
    EXPECT_EQ(run({"log", "reopen"}), 1);
    EXPECT_EQ(err, "sluicectl: there is no access log: set accessLog.path\n");
    EXPECT_EQ(run({"log", "level", "debug"}), 0);
    EXPECT_EQ(out, "debug\n");
    EXPECT_EQ(run({"log", "level"}), 0);
    EXPECT_EQ(out, "debug\n");
    EXPECT_EQ(run({"log", "level", "loud"}), 1);
    EXPECT_THAT(err, HasSubstr("debug, info, warning or error"));
}

TEST_F(Tool, AGatewayThatIsDownIsOneLineWithACure) {
    EXPECT_EQ(run({"status"}), 2);
    EXPECT_EQ(err, "sluicectl: no gateway at " + socket() + ": start sluiced, or name its socket with --target\n");
    EXPECT_EQ(out, "");
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket().c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    close(fd);
    EXPECT_EQ(run({"status"}), 2);
    EXPECT_THAT(err, HasSubstr("has gone: start sluiced again"));
    std::filesystem::remove(socket());
    std::ofstream(socket()) << "x";
    EXPECT_EQ(run({"status"}), 2);
}

TEST_F(Tool, WrongUseIsTwo) {
    for (const auto& arguments : std::vector<std::vector<std::string>>{{}, {"nosuch"}, {"pc"}, {"status", "-o", "xml"}, {"status", "--nosuch"}, {"completion", "tcsh"}}) {
        EXPECT_EQ(run_as_is(arguments), 2);
        EXPECT_THAT(err, HasSubstr("sluicectl --help"));
    }
}

TEST_F(Tool, EveryCommandsHelpHasAnExample) {
    const std::vector<std::vector<std::string>> commands{
        {}, {"status"}, {"config"}, {"config", "show"}, {"pc"}, {"pc", "listeners"}, {"pc", "routes"}, {"pc", "clusters"}, {"pc", "endpoints"}, {"pc", "secrets"}, {"runtime"},
        {"stats"}, {"wait"}, {"wait", "ready"}, {"wait", "revision"}, {"drain"}, {"log"}, {"log", "reopen"}, {"log", "level"}, {"completion"}};
    for (auto command : commands) {
        command.push_back("--help");
        EXPECT_EQ(run_as_is(command), 0);
        EXPECT_THAT(out, HasSubstr("Example")) << testing::PrintToString(command);
        EXPECT_THAT(out, HasSubstr("  sluicectl ")) << testing::PrintToString(command);
    }
}

TEST_F(Tool, YamlOfStatus) {
    start();
    run({"status", "-o", "yaml"});
    EXPECT_THAT(out, HasSubstr("node: edge-1\n"));
    EXPECT_THAT(out, HasSubstr("\nconfig:\n  in_force:\n    revision: 7\n"));
    EXPECT_THAT(out, HasSubstr("\nports:\n- name: outside\n"));
}

// ---- analyze: without any gateway ----

TEST_F(Tool, AnalyzeNeedsNoGateway) {
    const std::string path = folder / "mesh.yaml";
    std::ofstream(path) << "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n"
                           "  hosts: [shop.example]\n  gateways: [edge]\n  http:\n  - wieght: 1\n    directResponse: {status: 200}\n";
    EXPECT_EQ(run({"analyze", path}), 1);
    EXPECT_EQ(out, path + ":8:5: error SLC0104: VirtualService shop/a\n  spec.http[0].wieght: unknown field\n"
                          "  8 |   - wieght: 1\n    |     ^~~~~~ correct the name, or its indentation: docs/istio.md lists the fields of each message\n1 error in 1 file\n");
    EXPECT_EQ(run({"analyze", path, "-o", "json"}), 1);
    EXPECT_EQ(json::parse(out)["findings"][0]["field"], "spec.http[0].wieght");
}

TEST_F(Tool, AnalyzeThresholds) {
    const std::string path = folder / "mesh.yaml";
    std::ofstream(path) << "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: shop}\nspec: {host: nobody}\n";
    EXPECT_EQ(run({"analyze", path}), 1);
    EXPECT_EQ(run({"analyze", path, "--failure-threshold", "error"}), 0);
    std::ofstream(path) << "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}\n";
    EXPECT_EQ(run({"analyze", path}), 0);
    EXPECT_THAT(out, HasSubstr("info SLC0122"));
    EXPECT_EQ(run({"analyze", path, "--failure-threshold", "info"}), 1);
}

TEST_F(Tool, AnalyzeExplains) {
    EXPECT_EQ(run({"analyze", "--explain", "slc0104"}), 0);
    EXPECT_THAT(out, HasSubstr("SLC0104 (error): unknown field"));
    EXPECT_THAT(out, HasSubstr("wieght"));
    EXPECT_EQ(run({"analyze", "--explain", "SLC0104", "-o", "json"}), 0);
    EXPECT_EQ(json::parse(out)["explained"]["severity"], "error");
    EXPECT_EQ(run({"analyze", "--explain", "SLC9999"}), 2);
    EXPECT_THAT(err, HasSubstr("docs/errors.md"));
}

TEST_F(Tool, AnalyzeWantsSomethingToRead) {
    EXPECT_EQ(run({"analyze"}), 2);
    EXPECT_THAT(err, HasSubstr("--config"));
    EXPECT_EQ(run({"analyze", folder / "nobody.yaml"}), 2);
    EXPECT_THAT(out, HasSubstr("SLC0120"));
}

}  // namespace
}  // namespace sluice::ctl
