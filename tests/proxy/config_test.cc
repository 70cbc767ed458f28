// Configuration that changes under traffic: listeners by difference, drains with a deadline, clusters and endpoints that go,
// and nothing of an old snapshot kept longer than needed.
#include "tests/proxy/bench.h"

namespace sluice::proxy::test {
namespace {

using ConfigTest = ProxyTest;

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

TEST_F(ConfigTest, RouteEditTouchesNoConnection) {
    cluster("next", {address("10.0.0.20", 8080)});
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    first_route().clusters[0].cluster_name = "next";
    publish();
    EXPECT_EQ(engine_->revision(), 2u);
    upstream(0).send(kOk);
    EXPECT_TRUE(c.take().ends_with("ok")) << "what was under way ends where it began";
    c.send(kGet);
    ASSERT_EQ(upstreams(), 2u);
    EXPECT_EQ(upstream(1).tuple().remote, address("10.0.0.20", 8080));
    upstream(1).accept_connection();
    upstream(1).send(kOk);
    EXPECT_NOT(c.take(), "connection: close");
    EXPECT_EQ(network_->listening(), 1u);
    expect_all_back();
}

TEST_F(ConfigTest, ClusterInUseIsDeleted) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    config_.clusters.clear();
    config_.hosts.clear();
    cluster("other", {address("10.0.0.30", 80)});
    route(prefix("/"), "other");
    publish();
    publish();
    EXPECT_FALSE(upstream(0).released);
    upstream(0).send(kOk);
    EXPECT_TRUE(c.take().ends_with("ok")) << "no request fails because its cluster was deleted";
    EXPECT_TRUE(upstream(0).released) << "but the connection is not kept";
    const auto waiting = publisher_.reclaim();
    EXPECT_EQ(waiting.parts, 0u);
    expect_all_back();
}

TEST_F(ConfigTest, OldTablesAreFreedWhenTheirLastRequestEnds) {
    first_route().timeout = seconds(0);
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    for (int i = 0; i < 5; i++) {
        first_route().name = "edit " + std::to_string(i);
        publish();
    }
    turn();
    EXPECT_GT(publisher_.reclaim().parts, 0u) << "the running request pins its table and its cluster";
    upstream(0).send(kOk);
    turn();
    turn();
    const auto waiting = publisher_.reclaim();
    EXPECT_EQ(waiting.parts, 0u);
    EXPECT_EQ(waiting.snapshots, 0u);
    expect_all_back();
}

TEST_F(ConfigTest, IdleConnectionsOfARemovedEndpointClose) {
    cluster("web", {address("10.0.0.10", 8080), address("10.0.0.11", 8080)});
    publish();
    auto &a = client(), &b = client();
    a.send(kGet);
    b.send(kGet);
    ASSERT_EQ(upstreams(), 2u);
    for (size_t i = 0; i < 2; i++) {
        upstream(i).accept_connection();
        upstream(i).send(kOk);
    }
    const size_t gone = upstream(0).tuple().remote.ip == *IpAddress::parse("10.0.0.10") ? 0 : 1;
    cluster("web", {address("10.0.0.11", 8080)});
    publish();
    EXPECT_TRUE(upstream(gone).released);
    EXPECT_FALSE(upstream(1 - gone).released);
    for (int i = 0; i < 4; i++) {
        a.send(kGet);
        upstream(1 - gone).send(kOk);
    }
    EXPECT_EQ(upstreams(), 2u);
    expect_all_back();
}

TEST_F(ConfigTest, ListenersOpenAndCloseByDifference) {
    listener("0.0.0.0_81", 81);
    publish();
    EXPECT_EQ(network_->listening(), 2u);
    auto &a = client(80), &b = client(81);
    config_.listeners.erase("0.0.0.0_81");
    listener("0.0.0.0_82", 82);
    publish();
    EXPECT_EQ(network_->listening(), 2u);
    EXPECT_NE(network_->connect_client(82, address("192.0.2.9", 9)), nullptr);
    EXPECT_EQ(network_->connect_client(81, address("192.0.2.9", 10)), nullptr);
    EXPECT_EQ(engine_->listeners().draining_count(), 1u);
    // The one that stays is not touched; the one that went answers once more, with close.
    a.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send(kOk);
    EXPECT_NOT(a.take(), "connection: close");
    b.send(kGet);
    upstream(0).send(kOk);
    EXPECT_HAS(b.take(), "connection: close\r\n");
    EXPECT_TRUE(b.shut);
    b.close();
    EXPECT_TRUE(b.released);
    EXPECT_EQ(engine_->listeners().draining_count(), 0u);
    expect_all_back();
}

TEST_F(ConfigTest, DrainedListenerClosesIdleClientsGentlyAndCutsTheRestAtItsDeadline) {
    http().drain_timeout = seconds(5);
    listener("0.0.0.0_81", 81);
    first_route().timeout = seconds(0);
    publish();
    auto &idle = client(80), &busy = client(80), &reading = client(80);
    busy.send(kGet);
    upstream(0).accept_connection();
    reading.send("GET / HTTP/1.1\r\nhos");
    config_.listeners.erase("0.0.0.0_80");
    publish();
    EXPECT_FALSE(idle.shut);
    advance(milliseconds(1100));
    EXPECT_TRUE(idle.shut) << "idle for a second: FIN";
    EXPECT_FALSE(idle.aborted);
    idle.close();
    EXPECT_TRUE(idle.released);
    EXPECT_FALSE(busy.shut);
    EXPECT_FALSE(reading.shut);
    advance(seconds(4));
    EXPECT_TRUE(busy.aborted);
    EXPECT_TRUE(reading.aborted);
    EXPECT_TRUE(upstream(0).aborted);
    EXPECT_EQ(engine_->listeners().draining_count(), 0u);
    EXPECT_EQ(log().flags, telemetry::kLocalReset);
    expect_all_back();
}

TEST_F(ConfigTest, ChangedListenerServesNewConnectionsAnew) {
    publish();
    auto& old = client();
    http().server_name = "other";
    config_.listeners["0.0.0.0_80"].content_hash = 2;
    publish();
    EXPECT_EQ(network_->listening(), 1u);
    auto& fresh = client();
    for (auto* c : {&old, &fresh}) {
        c->send(kGet);
        network_->upstreams.back()->accept_connection();
        network_->upstreams.back()->send(kOk);
    }
    const std::string from_old = old.take(), from_fresh = fresh.take();
    EXPECT_HAS(from_old, "server: sluice\r\n");
    EXPECT_HAS(from_old, "connection: close\r\n");
    EXPECT_HAS(from_fresh, "server: other\r\n");
    EXPECT_NOT(from_fresh, "connection: close");
    expect_all_back();
}

TEST_F(ConfigTest, GatewayDrainsOnItsFlag) {
    publish();
    auto &idle = client(), &busy = client();
    busy.send(kGet);
    upstream(0).accept_connection();
    drain_ = true;
    turn();
    EXPECT_EQ(network_->listening(), 0u);
    EXPECT_FALSE(engine_->idle());
    upstream(0).send(kOk);
    EXPECT_HAS(busy.take(), "connection: close\r\n");
    EXPECT_TRUE(upstream(0).released) << "no connection is kept for requests that will not come";
    busy.close();
    advance(seconds(2));
    EXPECT_TRUE(idle.shut);
    idle.close();
    EXPECT_TRUE(engine_->idle());
    publish();
    EXPECT_EQ(network_->listening(), 0u) << "new configuration opens nothing while the gateway stops";
    expect_all_back();
}

TEST_F(ConfigTest, ADrainThatIsTakenBackListensAgain) {
    publish();
    auto& old = client();
    drain_ = true;
    turn();
    EXPECT_EQ(network_->listening(), 0u);
    drain_ = false;
    turn();
    EXPECT_EQ(network_->listening(), 1u);
    auto& fresh = client();
    fresh.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send(kOk);
    const std::string answered = fresh.take();
    EXPECT_HAS(answered, "HTTP/1.1 200");
    EXPECT_EQ(answered.find("connection: close"), std::string::npos) << "it is an ordinary connection";
    fresh.close();
    advance(seconds(2));
    EXPECT_TRUE(old.shut) << "what drained before goes on draining";
    old.close();
    EXPECT_TRUE(engine_->idle());
}

TEST_F(ConfigTest, NoConfigurationNoListener) {
    publish();
    config_.listeners.clear();
    publish();
    EXPECT_EQ(network_->listening(), 0u);
    EXPECT_EQ(core().listeners.in_use(), 0u);
    expect_all_back();
}

TEST_F(ConfigTest, HundredEditsUnderTraffic) {
    cluster("a", {address("10.0.1.1", 80)});
    cluster("b", {address("10.0.2.1", 80)});
    publish();
    std::vector<FakeTransport*> clients;
    for (int i = 0; i < 8; i++) clients.push_back(&client());
    int answered = 0;
    for (int edit = 0; edit < 100; edit++) {
        for (auto* c : clients) c->send(kGet);
        // The cluster in use is deleted while its requests are under way.
        const std::string next = "edit" + std::to_string(edit);
        config_.clusters.erase(first_route().clusters[0].cluster_name);
        config_.endpoints.erase(first_route().clusters[0].cluster_name);
        cluster(next, {address("10.0.3.1", static_cast<uint16_t>(1000 + edit))});
        first_route().clusters[0].cluster_name = next;
        publish();
        for (auto& u : network_->upstreams) {
            if (u->released) continue;
            u->accept_connection();
            if (!u->take().empty()) u->send(kOk);
        }
        for (auto* c : clients) {
            const std::string got = c->take();
            ASSERT_TRUE(got.starts_with("HTTP/1.1 200 OK")) << "edit " << edit << ": " << got;
            answered++;
        }
    }
    EXPECT_EQ(answered, 800);
    turn();
    turn();
    const auto waiting = publisher_.reclaim();
    EXPECT_EQ(waiting.parts, 0u);
    EXPECT_EQ(waiting.snapshots, 0u);
    expect_all_back();
}

}  // namespace
}  // namespace sluice::proxy::test
