// A core's proxy on a fake network, with a small configuration that a test changes as it likes. In: clusters, routes,
// listener settings. Out: clients, upstream connections, access log entries. Everything must be back in its pool at the end.
#pragma once

#include <gtest/gtest.h>
#include <rte_mempool.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "filter/router.h"
#include "proxy/arrival.h"
#include "proxy/downstream.h"
#include "proxy/engine.h"
#include "proxy/tls_transport.h"
#include "proxy/upstream_connection.h"
#include "tests/proxy/fake_network.h"

namespace sluice::proxy::test {

using route::HeaderOps;
using route::Route;
using route::RouteMatch;

inline RouteMatch prefix(std::string text) { return {RouteMatch::Path::kPrefix, std::move(text), false, {}, {}}; }
inline SocketAddress address(std::string_view ip, uint16_t port) { return {*IpAddress::parse(ip), port}; }

inline ::testing::AssertionResult contains(const std::string& text, std::string_view part) {
    if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess() << "\"" << part << "\" in:\n" << text;
    return ::testing::AssertionFailure() << "no \"" << part << "\" in:\n" << text;
}
#define EXPECT_HAS(text, part) EXPECT_TRUE(::sluice::proxy::test::contains((text), (part)))
#define EXPECT_NOT(text, part) EXPECT_FALSE(::sluice::proxy::test::contains((text), (part)))

/// What the log kept of one request, in owned strings.
struct Logged {
    uint16_t status = 0;
    uint32_t flags = 0, attempts = 0;
    std::string method, path, original_path, reason, details, cluster, request_id, route_name, upstream;
    uint64_t bytes_sent = 0, bytes_received = 0, duration_us = 0, upstream_response_us = 0;
    uint32_t log_set = 0;
    uint64_t request_us = 0, first_byte_us = 0;
    std::string client;
    std::vector<std::string> captured;
};

class ProxyTest : public ::testing::Test {
 protected:
    static constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n";

    struct Config {
        std::map<std::string, upstream::Cluster> clusters;
        std::map<std::string, std::vector<upstream::Endpoint>> endpoints;
        std::vector<route::VirtualHostInput> hosts;
        HeaderOps request_headers, response_headers;
        std::map<std::string, snapshot::Listener> listeners;
        std::map<std::string, std::shared_ptr<const tls::ServerContext>> contexts;   // by filter chain's name
        bool backends_texts = false;
        std::vector<std::shared_ptr<const tls::ClientContext>> client_contexts;      // by upstream::TransportSocket::context_id
    };

    void SetUp() override {
        mbufs_before_ = rte_mempool_avail_count(sluice::test::test_mempool());
        cluster("web", {address("10.0.0.10", 8080)});
        route(prefix("/"), "web");
        listener("0.0.0.0_80", 80);
    }
    void TearDown() override {
        engine_.reset();
        network_->clients.clear();
        network_->upstreams.clear();
        EXPECT_EQ(nodes_.in_use(), 0u) << "slice nodes leaked";
        EXPECT_EQ(rte_mempool_avail_count(sluice::test::test_mempool()), mbufs_before_) << "mbufs leaked";
    }
    /// Called at a test's end, while the engine lives: all clients and servers are gone.
    void expect_all_back() {
        for (auto& client : network_->clients) {
            if (!client->released) client->reset();
        }
        engine_->core().upstreams.for_each([](upstream::PooledConnection& c) { static_cast<UpstreamConnection&>(c).close(); });
        engine_->settle();
        Core& core = engine_->core();
        EXPECT_EQ(core.streams.in_use(), 0u);
        EXPECT_EQ(core.downstreams.in_use(), 0u);
        EXPECT_EQ(core.arrivals.in_use(), 0u);
        EXPECT_EQ(core.tls_transports.in_use(), 0u);
        EXPECT_EQ(core.identities.distinct(), 0u);
        EXPECT_EQ(core.handshaker.live(), 0u);
        EXPECT_EQ(core.upstream_connections.in_use(), 0u);
        EXPECT_EQ(core.arena_chunks.in_use(), 0u);
        EXPECT_EQ(core.upstreams.connections(), 0u);
        for (uint32_t id = 0; id < 8; id++) {
            EXPECT_EQ(core.upstreams.cluster(id)->requests, 0u);
            EXPECT_EQ(core.upstreams.cluster(id)->pending, 0u);
            EXPECT_EQ(core.upstreams.endpoint(id)->active_requests, 0u);
        }
    }

    upstream::Cluster& cluster(const std::string& name, std::vector<SocketAddress> addresses) {
        auto& endpoints = config_.endpoints[name];
        endpoints.clear();
        for (const auto& a : addresses) endpoints.push_back({.id = 0, .address = a, .weight = 1, .priority = 0, .locality = {}});
        auto& c = config_.clusters[name];
        c.name = name;
        return c;
    }
    /// Adds a route before those there: a later one is for more general matches.
    Route& route(RouteMatch match, const std::string& cluster_name) {
        Route r;
        r.name = "route " + match.path_text;
        r.matched_prefix_bytes = static_cast<uint32_t>(match.path_text.size());
        if (!cluster_name.empty()) {
            r.clusters.emplace_back();
            r.clusters.back().cluster_name = cluster_name;
            r.total_weight = 1;
        }
        if (config_.hosts.empty()) {
            config_.hosts.emplace_back();
            config_.hosts.back().virtual_host.name = "any";
            config_.hosts.back().virtual_host.domains = {"*"};
        }
        auto& host = config_.hosts.back();
        host.matches.insert(host.matches.begin(), std::move(match));
        host.virtual_host.routes.insert(host.virtual_host.routes.begin(), std::move(r));
        return host.virtual_host.routes.front();
    }
    Route& first_route() { return config_.hosts.back().virtual_host.routes.front(); }
    snapshot::HttpConnectionManager& listener(const std::string& name, uint16_t port) {
        auto& l = config_.listeners[name];
        l.name = name;
        l.address = {IpAddress::v4(0), port};
        if (l.chains.empty()) l.chains.emplace_back();
        auto& http = l.chains.front().http;
        if (http.filters.empty()) http.filters.push_back({.factory = &filter::router_factory(), .name = "router", .config = {}});
        return http;
    }
    snapshot::HttpConnectionManager& http() { return config_.listeners.begin()->second.chains.front().http; }

    /// Builds a snapshot of config_ (unchanged listeners are shared) and lets the core see it.
    void publish() {
        publish_only();
        if (!engine_) start();
        turn();
        turn();
        publisher_.reclaim();
    }
    void publish_only() {
        auto root = std::make_unique<snapshot::Snapshot>();
        root->backends_texts = config_.backends_texts;
        root->revision = ++revision_;
        std::map<std::string, uint32_t> ids;
        for (auto& [name, c] : config_.clusters) ids[name] = add_cluster(*root, name, c);
        root->client_contexts = config_.client_contexts;
        auto hosts = config_.hosts;
        for (auto& host : hosts) {
            for (auto& r : host.virtual_host.routes) {
                for (auto& weighted : r.clusters)
                    weighted.cluster_id = ids.contains(weighted.cluster_name) ? ids[weighted.cluster_name] : UINT32_MAX;
            }
        }
        auto table = route::RouteTable::build("routes", std::move(hosts), config_.request_headers, config_.response_headers);
        ASSERT_TRUE(table.has_value()) << table.error();
        root->routes.push_back(*table);
        for (auto& [name, l] : config_.listeners) add_listener(*root, l, table->get());
        prepare_scratch(*root, **table);
        ASSERT_TRUE(publisher_.publish(std::move(root)));
    }
    void turn() {
        engine_->quiescent();
        engine_->turn(now_);
        engine_->settle();
    }
    void advance(Duration d) {
        const Instant end = now_ + d;
        while (engine_->poll_timeout() <= end) {
            now_ = std::max(now_, engine_->poll_timeout());
            engine_->handle_timeout(now_);
            if (engine_->poll_timeout() <= now_) now_ = now_ + microseconds(1);
        }
        now_ = end;
        engine_->handle_timeout(now_);
        turn();
    }

    FakeTransport& client(uint16_t port = 80, std::string_view from = "192.0.2.5") {
        FakeTransport* c = network_->connect_client(port, address(from, next_client_port_++));
        if (!c) {
            ADD_FAILURE() << "no listener took the connection";
            std::abort();
        }
        return *c;
    }
    FakeTransport& upstream(size_t i) {
        if (i >= network_->upstreams.size()) {
            ADD_FAILURE() << "upstream connection " << i << " was not opened";
            std::abort();
        }
        return *network_->upstreams[i];
    }
    size_t upstreams() const { return network_->upstreams.size(); }
    Core& core() { return engine_->core(); }

    std::vector<Logged> logs() {
        std::vector<Logged> all;
        ring_.drain([&](const telemetry::AccessLogEntry& e) {
            all.push_back({.status = e.status, .flags = e.flags, .attempts = e.attempts, .method = std::string(e.method),
                           .path = std::string(e.path), .original_path = std::string(e.original_path),
                           .reason = std::string(e.reason), .details = std::string(e.details), .cluster = std::string(e.cluster),
                           .request_id = std::string(e.request_id), .route_name = std::string(e.route_name),
                           .upstream = e.upstream_remote.to_string(), .bytes_sent = e.bytes_sent,
                           .bytes_received = e.bytes_received, .duration_us = e.duration_us,
                           .upstream_response_us = e.upstream_response_us, .log_set = e.log_set, .request_us = e.request_us,
                           .first_byte_us = e.first_byte_us, .client = e.client.to_string(),
                           .captured = {e.captured.begin(), e.captured.end()}});
        });
        return all;
    }
    Logged log() {
        auto all = logs();
        EXPECT_EQ(all.size(), 1u);
        return all.empty() ? Logged{} : all.front();
    }

    CoreConfig core_config_;
    Config config_;
    Instant now_{1'000'000};
    std::atomic<bool> drain_{false};
    SliceNodePool nodes_{65536};
    telemetry::CoreStats stats_;
    telemetry::AccessLogRing ring_;
    StageClock stages_;
    snapshot::Publisher publisher_{1};
    std::unique_ptr<FakeNetwork> network_ = std::make_unique<FakeNetwork>(nodes_, &now_);
    std::unique_ptr<Engine> engine_;

 private:
    void start() {
        core_config_.seed = 7;
        core_config_.unix_offset_us = 1'763'850'000'000'000;  // 2025-11-22T22:20:00Z with now_ = 0
        core_config_.streams_max = core_config_.connections_max = core_config_.upstream_connections_max = 1024;
        core_config_.arena_chunks = 4096;
        engine_ = std::make_unique<Engine>(core_config_, *network_, publisher_.reader(0), sluice::test::test_mempool(), nodes_,
                                           stats_, &ring_, stages_, &drain_);
        network_->after_event = [this] { engine_->settle(); };
    }
    uint32_t add_cluster(snapshot::Snapshot& root, const std::string& name, const upstream::Cluster& from) {
        auto set = std::make_shared<upstream::EndpointSet>();
        for (auto endpoint : config_.endpoints[name]) {
            endpoint.id = publisher_.id_of(snapshot::Publisher::IdKind::kEndpoint, name + endpoint.address.to_string());
            set->endpoints.push_back(endpoint);
        }
        upstream::index_endpoints(*set);
        auto made = std::make_shared<upstream::Cluster>(from);
        made->slot = UINT32_MAX;
        made->id = publisher_.id_of(snapshot::Publisher::IdKind::kCluster, name);
        made->endpoints = set;
        if (root.clusters.size() <= made->id) root.clusters.resize(made->id + 1);
        root.clusters[made->id] = made;
        return made->id;
    }
    void add_listener(snapshot::Snapshot& root, const snapshot::Listener& from, const route::RouteTable* table) {
        const uint32_t id = publisher_.id_of(snapshot::Publisher::IdKind::kListener, from.name);
        std::shared_ptr<const snapshot::Listener> made = made_[from.name];
        if (!made || made->content_hash != from.content_hash) {
            auto fresh = std::make_shared<snapshot::Listener>(from);
            fresh->slot = UINT32_MAX;
            fresh->id = id;
            for (auto& chain : fresh->chains) chain.id = publisher_.id_of(snapshot::Publisher::IdKind::kChain, from.name + '\n' + chain.name);
            made = made_[from.name] = fresh;
        }
        root.listeners.push_back(made);
        for (const auto& chain : made->chains) {
            if (root.chains.size() <= chain.id) root.chains.resize(chain.id + 1);
            root.chains[chain.id].routes = table;
            if (const auto context = config_.contexts.find(chain.name); context != config_.contexts.end()) root.chains[chain.id].tls = context->second;
        }
    }
    void prepare_scratch(snapshot::Snapshot& root, const route::RouteTable& table) {
        scratches_.push_back(std::make_unique<route::Scratch>());
        ASSERT_TRUE(table.prepare_scratch(*scratches_.back()));
        root.scratch[0] = scratches_.back().get();
    }

    uint64_t revision_ = 0;
    uint16_t next_client_port_ = 50000;
    unsigned mbufs_before_ = 0;
    std::map<std::string, std::shared_ptr<const snapshot::Listener>> made_;
    std::vector<std::unique_ptr<route::Scratch>> scratches_;
};

}  // namespace sluice::proxy::test
