// Cost of a whole proxied request: the real worker, TCP and proxy, between a generator and a backend in the same process.
// Run on a quiet machine:
//   build/perf/micro_proxy --benchmark_min_time=0.5
// "cycles" are TSC ticks of the gateway's turns for each request in the best batch, the stages are its parts; frames come and go over DPDK's ring
// driver, copied between the two ends as a wire does it. What another core's cache would cost is not in it: perf/load has that.
#include <benchmark/benchmark.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "filter/router.h"
#include "perf/in_process.h"
#include "perf/load_generator/echo_backend.h"
#include "perf/load_generator/load.h"
#include "proxy/proxy.h"
#include "worker/worker.h"

namespace {

using namespace sluice;

constexpr uint32_t kGatewayIp = 0x0a630001, kClientIp = 0x0a630002, kBackendIp = 0x0a630003;
constexpr uint16_t kBackendPort = 9080;
constexpr uint32_t kRequestsOfBatch = 2048;

#define CHECK(what) \
    if (!(what)) std::fprintf(stderr, "micro_proxy: %s\n", #what), std::exit(2)

/// An ethdev whose frames lie in two rings: `out` what it has sent, `in` what it will receive.
struct RingPort {
    RingPort(const std::string& name, rte_mempool* pool, uint8_t last_of_mac) {
        in = rte_ring_create((name + "_in").c_str(), 4096, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
        out = rte_ring_create((name + "_out").c_str(), 4096, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
        const int id = rte_eth_from_rings(name.c_str(), &in, 1, &out, 1, 0);
        CHECK(id >= 0);
        ethdev = static_cast<uint16_t>(id);
        rte_eth_conf conf{};
        CHECK(rte_eth_dev_configure(ethdev, 1, 1, &conf) == 0);
        CHECK(rte_eth_rx_queue_setup(ethdev, 0, 256, 0, nullptr, pool) == 0);
        CHECK(rte_eth_tx_queue_setup(ethdev, 0, 256, 0, nullptr) == 0);
        CHECK(rte_eth_dev_start(ethdev) == 0);
        worker::PortInfo info;
        info.name = name;
        info.mac = {2, 0, 0, 0, 0, last_of_mac};
        info.rx_checksum = info.tx_tcp_checksum = true;   // as virtio does: nobody sums here
        info.multi_segment = true;
        info.queues.resize(1);
        info.queues[0].push_back({ethdev, 0});
        ports.push_back(info);
    }
    ~RingPort() {
        rte_eth_dev_stop(ethdev);
        rte_eth_dev_close(ethdev);
        for (rte_ring* ring : {in, out}) {
            void* frame = nullptr;
            while (rte_ring_sc_dequeue(ring, &frame) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
            rte_ring_free(ring);
        }
    }
    RingPort(const RingPort&) = delete;
    rte_ring *in = nullptr, *out = nullptr;
    uint16_t ethdev = 0;
    std::vector<worker::PortInfo> ports;
};

/// One worker on a ring port.
struct End {
    End(const std::string& name, std::vector<IpPrefix> addresses, uint8_t last_of_mac, const worker::OwnerTable& owners)
        : pool(make_pool(name)), port(std::make_unique<RingPort>(name, pool, last_of_mac)) {
        worker::WorkerConfig config;
        net::PortConfig ip;
        ip.name = name;
        ip.addresses = std::move(addresses);
        ip.mac = port->ports[0].mac;
        ip.mtu = 1500;
        ip.rx_checksum = ip.tx_tcp_checksum = ip.multi_segment = true;
        config.net.ports.push_back(ip);
        config.net.seed = config.tcp.seed = last_of_mac;
        config.tcp.connections_max = 16384;
        config.slice_nodes = 131072;
        config.poll.busy = true;
        config.ports = &port->ports;
        config.pool = pool;
        config.owners = &owners;
        worker = std::make_unique<worker::Worker>(config);
    }
    ~End() {
        worker.reset();
        port.reset();
        free_mbuf_pool(pool);
    }
    static rte_mempool* make_pool(const std::string& name) {
        test::test_eal();
        auto made = make_mbuf_pool(name, 32768, SOCKET_ID_ANY);
        CHECK(made.has_value());
        return *made;
    }
    rte_mempool* pool;
    std::unique_ptr<RingPort> port;
    std::unique_ptr<worker::Worker> worker;
};

/// Frames of `from` arrive at `to` in fresh mbufs of its own pool.
void carry(End& from, End& to) {
    void* frame = nullptr;
    while (rte_ring_sc_dequeue(from.port->out, &frame) == 0) {
        auto* sent = static_cast<rte_mbuf*>(frame);
        rte_mbuf* m = rte_pktmbuf_alloc(to.pool);
        CHECK(m && sent->pkt_len <= rte_pktmbuf_tailroom(m));
        for (const rte_mbuf* s = sent; s; s = s->next)
            std::memcpy(rte_pktmbuf_append(m, s->data_len), rte_pktmbuf_mtod(s, const void*), s->data_len);
        m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
        rte_pktmbuf_free(sent);
        CHECK(rte_ring_sp_enqueue(to.port->in, m) == 0);
    }
}

/// Generator and backend, as in perf/load.
class Peers final : public worker::Application {
 public:
    Peers(worker::Worker& worker, uint32_t body_bytes, uint32_t connections)
        : load(worker, nullptr, connections), backend_(worker, nullptr, kBackendPort, body_bytes, 2 * connections) {}
    void turn(Instant now) override { load.turn(now); }
    void handle_event(const tcp::ConnectionEvent& event, Instant now) override {
        if (event.connection->listener_user()) backend_.handle_event(event, now);
        else load.handle_event(event, now);
    }
    void handle_timeout(Instant) override {}
    Instant poll_timeout() const override { return load.poll_timeout(); }
    bool idle() const override { return false; }
    perf::Load load;

 private:
    perf::EchoBackend backend_;
};

/// Everything on port 80 to the one backend, as perf/peers/load_mesh.yaml has it.
std::unique_ptr<snapshot::Snapshot> tables(snapshot::Publisher& publisher, route::Scratch& scratch) {
    using Id = snapshot::Publisher::IdKind;
    auto root = std::make_unique<snapshot::Snapshot>();
    root->revision = 1;
    const std::string name = "outbound|9080||web.shop.svc.cluster.local";
    auto endpoints = std::make_shared<upstream::EndpointSet>();
    endpoints->endpoints.push_back({.id = publisher.id_of(Id::kEndpoint, "web"), .address = {IpAddress::v4(kBackendIp), kBackendPort}, .weight = 1, .priority = 0, .locality = {}});
    upstream::index_endpoints(*endpoints);
    auto cluster = std::make_shared<upstream::Cluster>();
    cluster->name = name;
    cluster->id = publisher.id_of(Id::kCluster, name);
    cluster->endpoints = endpoints;
    root->clusters.resize(cluster->id + 1);
    root->clusters[cluster->id] = cluster;

    route::VirtualHostInput host;
    host.virtual_host.name = "*:80";
    host.virtual_host.domains = {"*"};
    route::Route route;
    route.name = "all";
    route.matched_prefix_bytes = 1;
    route.total_weight = 1;
    route.clusters.emplace_back();
    route.clusters.back().cluster_name = name;
    route.clusters.back().cluster_id = cluster->id;
    host.matches.push_back({route::RouteMatch::Path::kPrefix, "/", false, {}, {}});
    host.virtual_host.routes.push_back(std::move(route));
    std::vector<route::VirtualHostInput> hosts;
    hosts.push_back(std::move(host));
    auto table = route::RouteTable::build("http.80", std::move(hosts), {}, {});
    CHECK(table.has_value());
    CHECK((*table)->prepare_scratch(scratch));
    root->scratch[0] = &scratch;
    root->routes.push_back(*table);

    auto listener = std::make_shared<snapshot::Listener>();
    listener->name = "0.0.0.0_80";
    listener->address = {IpAddress::v4(0), 80};
    listener->id = publisher.id_of(Id::kListener, listener->name);
    snapshot::FilterChain& chain = listener->chains.emplace_back();
    chain.id = publisher.id_of(Id::kChain, listener->name);
    chain.http.filters.push_back({.factory = &filter::router_factory(), .name = "router", .config = {}});
    root->listeners.push_back(listener);
    root->chains.resize(chain.id + 1);
    root->chains[chain.id].routes = table->get();
    return root;
}

class Scene {
 public:
    Scene(const std::string& name, uint32_t connections, uint32_t body_bytes)
        : owners_(1, 7), near_(name + "p", {*IpPrefix::parse("10.99.0.2/24"), *IpPrefix::parse("10.99.0.3/24")}, 2, owners_),
          far_(name + "g", {*IpPrefix::parse("10.99.0.1/24")}, 1, owners_) {
        CHECK(publisher_.publish(tables(publisher_, scratch_)));
        proxy::CoreConfig config;
        config.seed = 7;
        auto proxy = std::make_unique<proxy::Proxy>(config, far_.worker->tcp(), publisher_.reader(0), far_.pool, far_.worker->nodes(), stats_, &log_,
                                                    far_.worker->stages(), drain_);
        proxy_ = proxy.get();
        far_.worker->set_application(std::move(proxy));
        auto peers = std::make_unique<Peers>(*near_.worker, body_bytes, connections);
        peers_ = peers.get();
        near_.worker->set_application(std::move(peers));
        perf::Plan plan;
        plan.target = {IpAddress::v4(kGatewayIp), 80};
        plan.request = "GET /bytes/" + std::to_string(body_bytes) + " HTTP/1.1\r\nHost: load.example\r\n\r\n";
        plan.connections = connections;
        plan.measure_ns = uint64_t{1} << 62;
        for (int i = 0; i < 64; i++) turn();   // the listener opens
        peers_->load.start(plan);
        run(4 * kRequestsOfBatch);
    }
    ~Scene() {
        near_.worker.reset();
        far_.worker.reset();
    }
    /// Until so many more requests have been proxied.
    void run(uint64_t requests) {
        const uint64_t until = proxy_->requests() + requests;
        uint64_t idle = 0;
        for (uint64_t last = 0; proxy_->requests() < until;) {
            turn();
            idle = proxy_->requests() == last ? idle + 1 : 0;
            last = proxy_->requests();
            CHECK(idle < 100'000'000);
        }
    }
    uint64_t cycles(Stage stage) const { return far_.worker->stages().total(stage); }
    uint64_t requests() const { return proxy_->requests(); }
    /// Received and sent.
    uint64_t frames() const { return far_.worker->port(0).counters().rx_frames.get() + far_.worker->port(0).counters().tx_frames.get(); }

 private:
    /// By itself, so that a profiler can be told to look at nothing else.
    [[gnu::noinline]] void gateway_turn() { far_.worker->turn(); }
    void turn() {
        near_.worker->turn();
        carry(near_, far_);
        gateway_turn();
        carry(far_, near_);
        if (++turns_ % 8 == 0) log_.drain([](const telemetry::AccessLogEntry& e) { benchmark::DoNotOptimize(e.status); });
    }

    worker::OwnerTable owners_;
    End near_, far_;
    snapshot::Publisher publisher_{1};
    route::Scratch scratch_;
    telemetry::CoreStats stats_;
    telemetry::AccessLogRing log_;
    std::atomic<bool> drain_{false};
    proxy::Proxy* proxy_ = nullptr;
    Peers* peers_ = nullptr;
    uint64_t turns_ = 0;
};

// The driver is none here, and the time between two turns is the peers'.
constexpr std::array kCounted = {Stage::kNet, Stage::kTcp, Stage::kHttp, Stage::kRoute, Stage::kUpstream, Stage::kProxy, Stage::kLog, Stage::kTx};
using Costs = std::array<double, kCounted.size()>;

Costs cost_of(Scene& scene, uint32_t requests) {
    std::array<uint64_t, kCounted.size()> before;
    const uint64_t done = scene.requests();
    for (size_t i = 0; i < kCounted.size(); i++) before[i] = scene.cycles(kCounted[i]);
    scene.run(requests);
    Costs costs;
    for (size_t i = 0; i < kCounted.size(); i++)
        costs[i] = static_cast<double>(scene.cycles(kCounted[i]) - before[i]) / static_cast<double>(scene.requests() - done);
    return costs;
}

/// `connections` clients that each send the next request when they have their answer of `body` bytes.
void proxied_request(benchmark::State& state, uint32_t connections, uint32_t body) {
    static int number = 0;
    test::test_eal();
    TscClock::calibrate();
    Scene scene("m" + std::to_string(number++), connections, body);
    const uint64_t frames = scene.frames(), requests = scene.requests();
    // A few turns of a batch tell stages apart (base/stage_clock.h): the sum is the best batch's, the stages are of them all.
    Costs all{};
    double best_sum = 1e18;
    for (auto _ : state) {
        const Costs costs = cost_of(scene, kRequestsOfBatch);
        best_sum = std::min(best_sum, std::accumulate(costs.begin(), costs.end(), 0.0));
        for (size_t i = 0; i < all.size(); i++) all[i] += costs[i];
    }
    const double part = best_sum / std::accumulate(all.begin(), all.end(), 0.0);
    state.counters["cycles"] = best_sum;
    state.counters["frames"] = static_cast<double>(scene.frames() - frames) / static_cast<double>(scene.requests() - requests);
    for (size_t i = 0; i < kCounted.size(); i++) state.counters[std::string(kStageNames[static_cast<size_t>(kCounted[i])])] = all[i] * part;
}
BENCHMARK_CAPTURE(proxied_request, 1KiB_64_connections, 64, 1024);
BENCHMARK_CAPTURE(proxied_request, 0B_64_connections, 64, 0);
BENCHMARK_CAPTURE(proxied_request, 1KiB_1024_connections, 1024, 1024);

}  // namespace

BENCHMARK_MAIN();
