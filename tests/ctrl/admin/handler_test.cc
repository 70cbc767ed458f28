// Paths, methods and who may write; /ready over a gateway's life.
#include "ctrl/admin/handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/ctrl/admin/fake_gateway.h"

namespace sluice::admin {
namespace {

using nlohmann::json;
using testing::HasSubstr;

Answer ask(const Handler& handler, std::string method, std::string path, std::multimap<std::string, std::string> parameters = {}, bool writable = false) {
    return handler.handle({std::move(method), std::move(path), std::move(parameters), writable});
}

TEST(Ready, FollowsTheGatewaysLife) {
    test::FakeGateway gateway;
    gateway.state = {};
    const Handler handler(gateway.sources());
    EXPECT_EQ(ask(handler, "GET", "/ready").status, 503);
    gateway.state.in_force.revision = 1;
    EXPECT_EQ(ask(handler, "GET", "/ready").body, "INITIALIZING\n");
    gateway.state.in_force.live_everywhere = true;
    EXPECT_EQ(ask(handler, "GET", "/ready").status, 200);
    EXPECT_EQ(ask(handler, "GET", "/ready").body, "LIVE\n");
    gateway.state.in_force.revision = 2;   // on its way: revision 1 still serves
    gateway.state.in_force.live_everywhere = false;
    EXPECT_EQ(ask(handler, "GET", "/ready").status, 200);
    gateway.draining = true;
    EXPECT_EQ(ask(handler, "GET", "/ready").status, 503);
    EXPECT_EQ(ask(handler, "GET", "/ready").body, "DRAINING\n");
}

TEST(Handler, UnknownPathsAndWrongMethods) {
    test::FakeGateway gateway;
    const Handler handler(gateway.sources());
    EXPECT_EQ(ask(handler, "GET", "/nope").status, 404);
    EXPECT_EQ(ask(handler, "GET", "/ready/").status, 404);
    EXPECT_EQ(ask(handler, "GET", "/ready/../drain", {}, true).status, 404);
    const Answer post = ask(handler, "POST", "/ready", {}, true);
    EXPECT_EQ(post.status, 405);
    EXPECT_EQ(post.allow, "GET, HEAD");
    EXPECT_EQ(ask(handler, "GET", "/drain", {}, true).status, 405);
    EXPECT_EQ(ask(handler, "GET", "/drain", {}, true).allow, "POST");
    EXPECT_EQ(ask(handler, "DELETE", "/ready", {}, true).status, 405);
    EXPECT_EQ(ask(handler, "HEAD", "/ready").status, 200);
}

TEST(Handler, WritesNeedAWritableEndpoint) {
    test::FakeGateway gateway;
    const Handler handler(gateway.sources());
    for (const char* path : {"/drain", "/undrain", "/log/reopen", "/log/level"}) EXPECT_EQ(ask(handler, "POST", path).status, 403) << path;
    EXPECT_FALSE(gateway.draining);
    EXPECT_EQ(ask(handler, "POST", "/drain", {}, true).status, 200);
    EXPECT_TRUE(gateway.draining);
    EXPECT_EQ(ask(handler, "POST", "/undrain", {}, true).body, "{\"draining\": false}\n");
}

TEST(Handler, LogLevel) {
    test::FakeGateway gateway;
    const Handler handler(gateway.sources());
    EXPECT_EQ(json::parse(ask(handler, "POST", "/log/level", {{"level", "debug"}}, true).body)["level"], "debug");
    const Answer wrong = ask(handler, "POST", "/log/level", {{"level", "<script>"}}, true);
    EXPECT_EQ(wrong.status, 400);
    EXPECT_EQ(wrong.body.find('<'), std::string::npos);   // nothing of a request comes back
    EXPECT_EQ(gateway.level, "debug");
}

TEST(Handler, ReopeningTheLog) {
    test::FakeGateway gateway;
    Sources sources = gateway.sources();
    EXPECT_EQ(ask(Handler(sources), "POST", "/log/reopen", {}, true).status, 409);
    telemetry::AccessLogRing ring;
    const std::string path = testing::TempDir() + "sluice-admin-test.log";
    auto writer = telemetry::AccessLogWriter::open({.path = path}, {&ring});
    ASSERT_TRUE(writer);
    (*writer)->start();
    sources.access_log = writer->get();
    const Answer answer = ask(Handler(sources), "POST", "/log/reopen", {}, true);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(json::parse(answer.body)["reopened"], path);
    std::filesystem::remove(path);
}

TEST(Handler, AGatewayThatHasNothingYetAnswersAll) {
    Sources empty;
    const Handler handler(empty);
    for (const char* path : {"/", "/stats/prometheus", "/config_dump", "/clusters", "/v1/status", "/v1/config", "/v1/listeners", "/v1/routes",
                             "/v1/clusters", "/v1/endpoints", "/v1/runtime", "/v1/stats"})
        EXPECT_EQ(ask(handler, "GET", path).status, 200) << path;
    EXPECT_EQ(ask(handler, "GET", "/ready").status, 503);
    EXPECT_EQ(ask(handler, "POST", "/drain", {}, true).status, 501);
    EXPECT_EQ(ask(handler, "POST", "/log/level", {}, true).status, 501);
}

TEST(Handler, NoAnswerIsAPage) {
    test::FakeGateway gateway;
    const Handler handler(gateway.sources());
    for (const char* path : {"/", "/ready", "/stats/prometheus", "/config_dump", "/clusters", "/v1/status", "/nope", "/<b>"})
        EXPECT_THAT(ask(handler, "GET", path).type, testing::AnyOf("application/json", HasSubstr("text/plain"))) << path;
}

}  // namespace
}  // namespace sluice::admin
