// The path and its peers (see path.h): perf/load's generator and backend, and a crowd of clients that stay and are silent.
#include "perf/proxied_path/path.h"

#include "perf/load_generator/echo_backend.h"
#include "perf/load_generator/load.h"

namespace sluice::perf {

namespace {
constexpr uint32_t kRoom = 16384;            // connections besides the idle ones: active, upstream, on their way
constexpr uint32_t kOpening = 256;           // idle clients that are connecting at once
constexpr uint64_t kIdleTurnsMax = 100'000'000;

std::vector<IpPrefix> peer_addresses() {
    std::vector<IpPrefix> addresses = {*IpPrefix::parse("10.99.0.3/24")};
    for (uint32_t i = 0; i < kClientIps; i++) addresses.push_back({IpAddress::v4(kClientIp + i), 24});
    return addresses;
}
}  // namespace

/// Clients that ask once and stay.
class Crowd {
 public:
    explicit Crowd(worker::Worker& worker) : worker_(worker) {}
    /// More of them, as many as may be on their way; `turn` is called until `all` have their answer.
    void open(uint32_t all) {
        const SocketAddress gateway{IpAddress::v4(kGatewayIp), 80};
        for (; opened_ < all && opened_ - answered_ < kOpening; opened_++) {
            tcp::Error error{};
            CHECK(worker_.tcp().connect(gateway, IpAddress::v4(kClientIp + opened_ % kClientIps), {}, this, worker_.now(), &error));
        }
    }
    bool holds(const tcp::Connection& connection) const { return connection.user() == this; }
    void handle_event(const tcp::ConnectionEvent& event) {
        static constexpr std::string_view kRequest = "GET /bytes/0 HTTP/1.1\r\nHost: load.example\r\n\r\n";
        tcp::Connection& c = *event.connection;
        CHECK((event.events & (tcp::kFailed | tcp::kPeerClosed)) == 0);   // an idle client that is thrown out makes the figure another one
        if (event.events & tcp::kConnected) CHECK(c.write_copy({reinterpret_cast<const uint8_t*>(kRequest.data()), kRequest.size()}) == kRequest.size());
        if (event.events & tcp::kReadable) {
            const uint64_t bytes = c.receive_queue().bytes();
            c.receive_queue().clear();
            c.consumed(bytes);
            answered_++;   // the whole answer is one segment
        }
    }
    uint32_t answered() const { return answered_; }

 private:
    worker::Worker& worker_;
    uint32_t opened_ = 0, answered_ = 0;
};

/// Generator, crowd and backend.
class Peers final : public worker::Application {
 public:
    Peers(worker::Worker& worker, uint32_t body_bytes, uint32_t connections)
        : load(worker, nullptr, connections), crowd(worker), backend_(worker, nullptr, kBackendPort, body_bytes, 2 * connections + kOpening) {}
    void turn(Instant now) override { load.turn(now); }
    void handle_event(const tcp::ConnectionEvent& event, Instant now) override {
        if (event.connection->listener_user()) backend_.handle_event(event, now);
        else if (crowd.holds(*event.connection)) crowd.handle_event(event);
        else load.handle_event(event, now);
    }
    void handle_timeout(Instant) override {}
    Instant poll_timeout() const override { return load.poll_timeout(); }
    bool idle() const override { return false; }
    Load load;
    Crowd crowd;

 private:
    EchoBackend backend_;
};

ProxiedPath::ProxiedPath(const std::string& name, SharedTables& tables, uint32_t core, const PathSetup& setup)
    : tables_(tables), core_(core),
      near_({name + "p", peer_addresses(), 2, setup.idle_connections + kRoom, 1024}, tables, tables.peers_exchange, core),
      gateway_({name + "g", {*IpPrefix::parse("10.99.0.1/24")}, 1, setup.idle_connections + kRoom, 32768}, tables, tables.gateway_exchange, core) {
    proxy::CoreConfig config;
    config.core = core;
    config.seed = 7 + core;
    config.connections_max = setup.idle_connections + kRoom;
    auto proxy = std::make_unique<proxy::Proxy>(config, gateway_.worker->tcp(), tables.publisher.reader(core), gateway_.pool, gateway_.worker->nodes(),
                                                *tables.stats[core], tables.logs[core].get(), gateway_.worker->stages(), tables.drain);
    proxy_ = proxy.get();
    gateway_.worker->set_application(std::move(proxy));
    auto peers = std::make_unique<Peers>(*near_.worker, setup.body_bytes, setup.connections);
    peers_ = peers.get();
    near_.worker->set_application(std::move(peers));
    Plan plan;
    plan.target = {IpAddress::v4(kGatewayIp), 80};
    plan.request = "GET /bytes/" + std::to_string(setup.body_bytes) + " HTTP/1.1\r\nHost: load.example\r\n\r\n";
    plan.connections = setup.connections;
    plan.measure_ns = uint64_t{1} << 62;
    for (int i = 0; i < 64; i++) turn();   // the listener opens
    open_idle(setup.idle_connections);
    peers_->load.start(plan);
    run(setup.connections);
}

ProxiedPath::~ProxiedPath() {
    near_.worker.reset();
    gateway_.worker.reset();
}

void ProxiedPath::open_idle(uint32_t connections) {
    uint64_t idle = 0;
    for (uint32_t last = 0; peers_->crowd.answered() < connections;) {
        peers_->crowd.open(connections);
        turn();
        idle = peers_->crowd.answered() == last ? idle + 1 : 0;
        last = peers_->crowd.answered();
        CHECK(idle < kIdleTurnsMax);
    }
}

void ProxiedPath::run(uint64_t requests) {
    const uint64_t until = proxy_->requests() + requests;
    uint64_t idle = 0;
    for (uint64_t last = 0; proxy_->requests() < until;) {
        turn();
        idle = proxy_->requests() == last ? idle + 1 : 0;
        last = proxy_->requests();
        CHECK(idle < kIdleTurnsMax);
    }
}

/// By itself, so that a profiler can be told to look at nothing else.
[[gnu::noinline]] void ProxiedPath::gateway_turn() { gateway_.worker->turn(); }

void ProxiedPath::turn() {
    near_.worker->turn();
    carry(near_, gateway_, tables_.owners);
    gateway_turn();
    carry(gateway_, near_, tables_.owners);
    if (++turns_ % 8 == 0) tables_.logs[core_]->drain([](const telemetry::AccessLogEntry&) {});
}

}  // namespace sluice::perf
