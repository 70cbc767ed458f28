// A gateway that is only its numbers: two cores, one listener, two routes, a service with two subsets and one endpoint down.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "ctrl/admin/sources.h"

namespace sluice::admin::test {

struct FakeGateway {
    telemetry::CoreStats core_a, core_b;
    TablesHolder tables;
    control::State state;
    bool draining = false, drained_endpoint = false, last_endpoint = false;
    std::string level = "info";
    std::vector<WorkerRuntime> workers;
    const control::History* history = nullptr;
    source::FileSetPtr directory = source::make_file_set({});
    std::function<std::optional<control::EditAnswer>(control::ApplyRequest)> on_apply;
    std::function<std::optional<control::EditAnswer>(control::RollbackRequest)> on_rollback;

    FakeGateway() {
        set_tables();
        set_state();
        set_counters();
        WorkerRuntime w;
        w.core = 2;
        w.cycles_per_s = 3'000'000'000;
        w.cycles_total = 9'000;
        w.cycles_busy = 4'000;
        w.requests = 5;
        w.stages = {{"driver_rx", 1000}, {"tcp", 3000}};
        workers = {w};
    }

    Sources sources() {
        Sources s;
        s.node_id = "edge-1";
        s.node_namespace = "istio-system";
        s.version = "0.1.0";
        s.started = std::chrono::system_clock::now() - std::chrono::hours(74);
        s.config = [this] { return state; };
        s.tables = [this] { return tables.get(); };
        s.cores = {&core_a, &core_b};
        s.workers = [this] { return workers; };
        s.ports = [] {
            PortState outside{.name = "outside", .device = "af_xdp:eth1", .addresses = {"192.0.2.10/24"}, .listen = true};
            outside.speed_mbps = 25'000;
            outside.queues = 2;
            outside.rx_dropped = 7;
            PortState inside{.name = "inside", .device = "af_xdp:eth2", .addresses = {"10.0.0.10/16"}};
            return std::vector<PortState>{outside, inside};
        };
        s.net = [] {
            net::Counters c{};
            c.rx_frames = 11;
            c.bytes_linearized = 700;
            return c;
        };
        s.tcp = [] {
            tcp::Counters c{};
            c.retransmits = 3;
            c.bytes_copied_tx = 50;
            c.bytes_attached_tx = 6000;
            return c;
        };
        s.waiting = [] { return std::pair<uint32_t, uint32_t>{1, 2}; };
        s.draining = [this] { return draining; };
        s.set_draining = [this](bool on) { draining = on; };
        s.drain_endpoint = [this](const std::string& endpoint, bool drain, bool force) -> std::expected<EndpointDrain, Refusal> {
            if (endpoint != "10.0.1.2:9080") return std::unexpected(Refusal{404, "no endpoint " + endpoint + " is in force", "sluicectl pc endpoints lists them"});
            if (drain && !force && last_endpoint) return std::unexpected(Refusal{409, "reviews.shop would have no endpoint left", "--force does it all the same"});
            drained_endpoint = drain;
            return EndpointDrain{endpoint, drain, {"outbound|9080|v2|reviews.shop.svc.cluster.local"}};
        };
        s.log_level = [this] { return level; };
        s.set_log_level = [this](std::string_view l) {
            if (l != "info" && l != "debug") return false;
            level = l;
            return true;
        };
        s.history = history;
        s.directory = [this] { return source::Files{directory, {}}; };
        if (on_apply) s.apply = [this](control::ApplyRequest request) { return on_apply(std::move(request)); };
        if (on_rollback) s.rollback = [this](control::RollbackRequest request) { return on_rollback(std::move(request)); };
        return s;
    }

    static std::shared_ptr<upstream::Cluster> cluster(uint32_t id, const char* name, std::vector<upstream::Endpoint> endpoints) {
        auto set = std::make_shared<upstream::EndpointSet>();
        set->endpoints = std::move(endpoints);
        auto out = std::make_shared<upstream::Cluster>();
        out->id = id;
        out->name = name;
        out->source = "mesh/reviews.yaml:30";
        out->object = "ServiceEntry shop/reviews";
        out->endpoints = set;
        return out;
    }

 private:
    void set_tables() {
        const SocketAddress v1{*IpAddress::parse("10.0.1.1"), 9080}, v2{*IpAddress::parse("10.0.1.2"), 9080};
        snapshot::Snapshot snapshot;
        snapshot.revision = 7;
        auto listener = std::make_shared<snapshot::Listener>();
        listener->id = 4;
        listener->name = "0.0.0.0_80";
        listener->source = "mesh/edge.yaml:1";
        listener->object = "Gateway shop/edge";
        listener->address = {IpAddress::v4(0), 80};
        listener->chains.emplace_back().http.route_config_name = "http.80";
        snapshot.listeners = {listener};
        snapshot.clusters = {nullptr, cluster(1, "outbound|9080|v1|reviews.shop.svc.cluster.local", {{.id = 1, .address = v1, .locality = "eu/a/b"}}),
                             cluster(2, "outbound|9080|v2|reviews.shop.svc.cluster.local", {{.id = 2, .address = v2}}),
                             cluster(3, "outbound|9080||reviews.shop.svc.cluster.local", {{.id = 3, .address = v1}, {.id = 4, .address = v2}})};
        snapshot.routes = {routes()};
        snapshot.chains = {{.routes = snapshot.routes[0].get(), .tls = nullptr}};
        tables.set(snapshot);
    }

    static std::shared_ptr<const route::RouteTable> routes() {
        route::Route reviews;
        reviews.name = "reviews";
        reviews.match_text = "prefix /reviews";
        reviews.stat_id = 10;
        reviews.source = "mesh/reviews.yaml:9";
        reviews.object = "VirtualService shop/reviews";
        reviews.clusters.resize(2);
        reviews.clusters[0] = {.cluster_id = 1, .cluster_name = "outbound|9080|v1|reviews.shop.svc.cluster.local", .weight = 90};
        reviews.clusters[1] = {.cluster_id = 2, .cluster_name = "outbound|9080|v2|reviews.shop.svc.cluster.local", .weight = 10};
        reviews.total_weight = 100;
        route::Route old;
        old.action = route::Route::Action::kRedirect;
        old.redirect.https = true;
        old.redirect.host = "new.example";
        old.match_text = "exact /old";
        old.stat_id = 11;
        old.order = 1;
        route::VirtualHostInput input;
        input.virtual_host.name = "shop.example:80";
        input.virtual_host.domains = {"shop.example", "shop.example:80"};
        input.virtual_host.routes = {reviews, old};
        input.matches.resize(2);
        input.matches[0].path_text = "/reviews";
        input.matches[1].path = route::RouteMatch::Path::kExact;
        input.matches[1].path_text = "/old";
        route::VirtualHostInput other;
        other.virtual_host.name = "wild";
        other.virtual_host.domains = {"*.example"};
        std::vector<route::VirtualHostInput> hosts;
        hosts.push_back(std::move(input));
        hosts.push_back(std::move(other));
        auto built = route::RouteTable::build("http.80", std::move(hosts), {}, {});
        EXPECT_TRUE(built) << (built ? "" : built.error());
        return built ? *built : nullptr;
    }

    void set_state() {
        state.in_force.revision = 7;
        state.in_force.content_hash = "9f2c61ab";
        state.in_force.since = std::chrono::system_clock::now() - std::chrono::minutes(2);
        state.in_force.live_everywhere = true;
        state.in_force.time_to_live = std::chrono::microseconds(11'000);
        auto resources = std::make_shared<xds::ResourceSet>();
        resources->listeners["0.0.0.0_80"].edit([](auto& l) {
            l.set_name("0.0.0.0_80");
            l.mutable_address()->mutable_socket_address()->set_port_value(80);
        });
        resources->clusters["a<b>"].edit([](auto& c) { c.set_name("a<b>"); });
        resources->endpoints["x"].edit([](auto& e) { e.set_cluster_name("x"); });
        resources->routes["http.80"].edit([](auto& r) { r.set_name("http.80"); });
        state.in_force.resources = resources;
        state.applied_total = 7;
    }

    void set_counters() {
        core_a.route_hits(10).add(30'000);
        core_b.route_hits(10).add(8'412);
        core_a.listener(4).requests.add(30'000);
        core_b.listener(4).requests.add(8'415);
        core_b.listener(4).no_route.add(3);
        core_a.listener(4).responses.add(200);
        core_a.listener(4).protocol_errors[static_cast<size_t>(http::h1::Error::kBareLf)].add(2);
        core_a.listener(4).request_duration_us.record(400);
        core_b.listener(4).request_duration_us.record(40'000);
        core_a.cluster(1).requests.add(20);
        core_a.cluster(1).connections_open.add(3);
        core_b.cluster(1).connections_open.sub(1);
        core_a.add_flags(telemetry::kNoRoute);
        const auto now = static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
        core_a.endpoint(1).requests.add(20);
        core_a.endpoint(1).success(now - 1'000'000);
        core_b.endpoint(2).requests.add(5);
        core_b.endpoint(2).connect_failures.add(2);
        core_b.endpoint(2).failure(telemetry::FailureReason::kRefused, now - 12'000'000);
    }
};

}  // namespace sluice::admin::test
