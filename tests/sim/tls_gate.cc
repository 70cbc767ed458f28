// Tables of one route, and the turns of one core. See tls_gate.h.
#include "tests/sim/tls_gate.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "filter/router.h"
#include "proxy/arrival.h"
#include "proxy/downstream.h"
#include "proxy/tls_transport.h"
#include "proxy/upstream_connection.h"
#include "tests/support/eal.h"

namespace sluice::sim {

namespace {

using IdKind = snapshot::Publisher::IdKind;

test::HostConfig machine(const Gate::Config& config) {
    test::HostConfig made;
    made.address = config.listen.ip;
    made.tcp.seed = config.seed;
    made.tcp.connections_max = 8192;
    made.tcp.time_wait = seconds(1);
    made.mtu = config.mtu;
    made.multi_segment = true;
    return made;
}

std::shared_ptr<snapshot::Listener> listener_of(const Gate::Config& config) {
    auto listener = std::make_shared<snapshot::Listener>();
    listener->name = "in";
    listener->address = config.listen;
    auto& chain = listener->chains.emplace_back();
    chain.name = "chain";
    chain.tls = config.serves_tls;
    chain.connect_timeout = seconds(120);
    chain.http.filters.push_back({.factory = &filter::router_factory(), .name = "router", .config = {}});
    chain.http.idle_timeout = config.idle + config.idle;   // the caller, who has half of it, closes first
    chain.http.stream_idle_timeout = seconds(300);
    return listener;
}

std::shared_ptr<upstream::Cluster> cluster_of(const Gate::Config& config, uint32_t id, uint32_t endpoint) {
    auto set = std::make_shared<upstream::EndpointSet>();
    set->endpoints.push_back({.id = endpoint, .address = config.next, .weight = 1, .priority = 0, .locality = {}});
    upstream::index_endpoints(*set);
    auto cluster = std::make_shared<upstream::Cluster>();
    cluster->id = id;
    cluster->name = "out";
    cluster->endpoints = set;
    cluster->connect_timeout = seconds(120);
    cluster->idle_timeout = config.idle;
    cluster->max_requests_per_connection = config.requests_per_connection;
    return cluster;
}

std::shared_ptr<const route::RouteTable> routes_to(uint32_t cluster) {
    std::vector<route::VirtualHostInput> hosts(1);
    hosts[0].virtual_host.name = "any";
    hosts[0].virtual_host.domains = {"*"};
    hosts[0].matches.push_back({route::RouteMatch::Path::kPrefix, "/", false, {}, {}});
    route::Route route;
    route.timeout = seconds(0);
    route.matched_prefix_bytes = 1;
    route.clusters.emplace_back();
    route.clusters.back().cluster_name = "out";
    route.clusters.back().cluster_id = cluster;
    route.total_weight = 1;
    hosts[0].virtual_host.routes.push_back(std::move(route));
    auto table = route::RouteTable::build("routes", std::move(hosts), {}, {});
    return table ? *table : nullptr;
}

}  // namespace

Gate::Gate(const Config& config)
    : config_(config), host_(std::make_unique<test::Host>(machine(config))), stats_(std::make_unique<telemetry::CoreStats>()), listener_(listener_of(config)) {
    config_.core.seed = config.seed + 1;
    proxy_ = std::make_unique<proxy::Proxy>(config_.core, host_->stack(), publisher_.reader(0), test::test_mempool(), host_->nodes(), *stats_,
                                            /*access_log=*/nullptr, stages_, drain_);
}

Gate::~Gate() { proxy_.reset(); }

void Gate::publish(std::shared_ptr<const tls::ServerContext> server, std::shared_ptr<const tls::ClientContext> client) {
    auto root = std::make_unique<snapshot::Snapshot>();
    root->revision = ++revision_;
    auto cluster = cluster_of(config_, publisher_.id_of(IdKind::kCluster, "out"), publisher_.id_of(IdKind::kEndpoint, "out"));
    if (config_.calls_tls) {
        auto& socket = cluster->transport_sockets.emplace_back();
        socket.tls = true;
        socket.context_id = 0;
        root->client_contexts = {std::move(client)};
        socket.peer.verify_host = "gate.example";
        socket.settings_hash = upstream::hash_settings(socket.peer, "");
    }
    root->clusters.resize(cluster->id + 1);
    root->clusters[cluster->id] = cluster;
    listener_->id = publisher_.id_of(IdKind::kListener, "in");
    auto& chain = listener_->chains.front();
    chain.id = publisher_.id_of(IdKind::kChain, "chain");
    root->listeners.push_back(listener_);
    root->routes.push_back(routes_to(cluster->id));
    root->chains.resize(chain.id + 1);
    root->chains[chain.id] = {.routes = root->routes.back().get(), .tls = std::move(server)};
    scratches_.push_back(std::make_unique<route::Scratch>());
    ASSERT_TRUE(root->routes.back()->prepare_scratch(*scratches_.back()));
    root->scratch[0] = scratches_.back().get();
    ASSERT_TRUE(publisher_.publish(std::move(root)));
}

void Gate::run(Instant now) {
    proxy_->quiescent();
    proxy_->turn(now);
    for (tcp::ConnectionEvent event; host_->stack().poll_event(event);) proxy_->handle_event(event, now);
    proxy_->handle_timeout(now);
    publisher_.reclaim();
}

Instant Gate::next() const { return std::min(proxy_->poll_timeout(), host_->stack().poll_timeout()); }

std::string Gate::leftovers() {
    const proxy::Core& core = proxy_->engine().core();
    const auto tcp = host_->stack().usage();
    const std::pair<const char*, uint64_t> lent[] = {
        {"streams", core.streams.in_use()}, {"clients", core.downstreams.in_use()}, {"arrivals", core.arrivals.in_use()},
        {"TLS transports", core.tls_transports.in_use()}, {"identities", core.identities.distinct()}, {"OpenSSL objects", core.handshaker.live()},
        {"upstream connections", core.upstream_connections.in_use()}, {"arena chunks", core.arena_chunks.in_use()},
        {"TCP connections", tcp.connections}, {"TIME-WAITs", tcp.time_waits}, {"TCP runs", tcp.runs}, {"list nodes", host_->nodes().in_use()}};
    std::string text;
    for (const auto& [what, n] : lent)
        if (n > 0) text += fmt::format(" {} {}", n, what);
    return text;
}

}  // namespace sluice::sim
