// Turns of the world, and what its wires do. See tls_world.h.
#include "tests/sim/tls_world.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstdio>

#include "base/checksum.h"
#include "tests/support/certificates.h"
#include "tests/support/eal.h"

namespace sluice::sim {

namespace {

constexpr uint32_t kClientIp = 0xc0000205, kAIp = 0xc0000202, kBIp = 0x0a000002, kServerIp = 0x0a00000a;
constexpr uint8_t kFin = 1;
constexpr Duration kIdle = seconds(10);
/// Longer than any retransmission gives up after.
constexpr Duration kDeadline = seconds(4 * 3600);

// --- Randomness of OpenSSL from the world's seed, so that a handshake repeats byte by byte ---

Rng openssl_rng{1};

int seeded_bytes(unsigned char* out, int n) {
    for (int i = 0; i < n; i++) out[i] = static_cast<unsigned char>(openssl_rng.next());
    return 1;
}
int seeded_status() { return 1; }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"   // the only way to give all of libcrypto another generator
class SeededOpenssl {
 public:
    explicit SeededOpenssl(uint64_t seed) {
        openssl_rng = Rng(seed);
        static const RAND_METHOD method = {nullptr, seeded_bytes, nullptr, nullptr, seeded_bytes, seeded_status};
        RAND_set_rand_method(&method);
    }
    ~SeededOpenssl() { RAND_set_rand_method(RAND_OpenSSL()); }
};
#pragma GCC diagnostic pop

// --- Who the gateways are ---

int64_t now_s() { return static_cast<int64_t>(time(nullptr)); }

struct Pki {
    Pki() {
        test::CertificateSpec spec;
        spec.not_before_s = 1'577'836'800 - now_s();   // 2020 to 2050: its bytes are the same each day
        spec.not_after_s = 2'524'608'000 - now_s();
        spec.names = {"DNS:gate.example", "URI:spiffe://cluster.local/ns/gw/sa/gate"};
        for (size_t i = 0; i < issued.size(); i++) {
            spec.common_name = fmt::format("gate {}", i);
            spec.key_number = static_cast<int>(i);
            issued[i] = root.issue(spec);
        }
    }
    SeededOpenssl seeded{20261127};
    test::CertificateAuthority root{"simulated root"};
    std::array<test::Issued, 3> issued;
};
const Pki& pki() {
    static const Pki made;
    return made;
}

tls::Parameters parameters_of(const TlsScenario& s) {
    tls::Parameters parameters;
    if (s.tls13) parameters.min_version = tls::Version::kTls13;
    else parameters.max_version = tls::Version::kTls12;
    if (!s.suite.empty()) parameters.cipher_suites = {s.suite};
    return parameters;
}

std::shared_ptr<const tls::ServerContext> server_context(const TlsScenario& s, const test::Issued& issued, std::shared_ptr<tls::TicketKeys> tickets) {
    tls::ServerOptions options;
    options.certificates.push_back({issued.chain_pem, issued.private_key_pem, {}, "server"});
    options.parameters = parameters_of(s);
    options.ticket_keys = std::move(tickets);
    if (s.mutual) options.client_certificate = tls::ServerOptions::ClientCertificate::kRequired, options.verification.trusted_ca_pem = pki().root.pem();
    auto made = tls::ServerContext::create(std::move(options), now_s());
    return made ? *made : nullptr;
}

std::shared_ptr<const tls::ClientContext> client_context(const TlsScenario& s, const test::Issued& issued) {
    tls::ClientOptions options;
    if (s.mutual) options.certificates.push_back({issued.chain_pem, issued.private_key_pem, {}, "client"});
    options.parameters = parameters_of(s);
    options.verification.trusted_ca_pem = pki().root.pem();
    auto made = tls::ClientContext::create(std::move(options), now_s());
    return made ? *made : nullptr;
}

Gate::Config gate_config(const TlsScenario& s, bool first, uint64_t seed, tls::HandshakeThreads* threads) {
    Gate::Config config;
    config.listen = {IpAddress::v4(first ? kAIp : kBIp), static_cast<uint16_t>(first ? 80 : 443)};
    config.next = first ? SocketAddress{IpAddress::v4(kBIp), 443} : SocketAddress{IpAddress::v4(kServerIp), 8080};
    (first ? config.calls_tls : config.serves_tls) = true;
    config.requests_per_connection = first ? s.requests_per_connection : 0;
    config.idle = first ? kIdle : kIdle + kIdle;
    config.mtu = s.mtu;
    config.seed = seed;
    proxy::CoreConfig& core = config.core;
    core.connections_max = core.upstream_connections_max = core.streams_max = core.arrivals_max = 2048;
    core.arena_chunks = 8192;
    core.listeners_max = 8;
    core.upstream = {.clusters = 8, .endpoints = 8};
    core.tcp.receive_buffer_bytes = core.tcp.send_buffer_bytes = s.buffer_bytes;
    core.tcp.keepalive_idle = seconds(20), core.tcp.keepalive_interval = seconds(5);   // half-dead connections must end: their reset may be lost
    core.expanded_keys_max = s.expanded_keys_max;
    core.tls_key_records_max = s.key_records_max;
    core.handshake_threads = threads;
    return config;
}

std::unique_ptr<test::Host> plain_host(uint32_t ip, uint64_t seed) {
    test::HostConfig config;
    config.address = IpAddress::v4(ip);
    config.tcp.seed = seed;
    config.tcp.connections_max = 8192;
    config.tcp.time_wait = seconds(1);
    config.multi_segment = true;
    return std::make_unique<test::Host>(config);
}

tcp::Options plain_options() {
    tcp::Options options;
    options.keepalive_idle = seconds(20), options.keepalive_interval = seconds(5);
    return options;
}

std::unique_ptr<tls::HandshakeThreads> one_thread(bool wanted) {
    if (!wanted) return nullptr;
    return std::make_unique<tls::HandshakeThreads>(tls::HandshakeThreads::Options{.threads = 1, .cores = 1, .cpus = {}, .name = "sim-tls"});
}

/// Over a segment that was altered.
void put_checksum(test::WireSegment& s) {
    s.bytes[16] = s.bytes[17] = 0;
    const auto length = static_cast<uint32_t>(s.bytes.size());
    const uint16_t sum = checksum_finish(checksum_add(s.bytes.data(), length, pseudo_header_sum(s.source, s.destination, net::kProtocolTcp, length)));
    std::memcpy(s.bytes.data() + 16, &sum, sizeof sum);
}

}  // namespace

TlsWorld::TlsWorld(const TlsScenario& scenario, uint64_t seed)
    : scenario_(scenario), rng_(seed), wire_rng_(rng_.split()), mbufs_before_(rte_mempool_avail_count(test::test_mempool())),
      threads_a_(one_thread(scenario.threads)), threads_b_(one_thread(scenario.threads)) {
    pki();
    const SeededOpenssl seeded(seed);
    ticket_keys_ = std::make_shared<tls::TicketKeys>();
    ticket_keys_->rotate(now_s());
    client_host_ = plain_host(kClientIp, rng_.next());
    server_host_ = plain_host(kServerIp, rng_.next());
    a_ = std::make_unique<Gate>(gate_config(scenario, true, rng_.next(), threads_a_.get()));
    b_ = std::make_unique<Gate>(gate_config(scenario, false, rng_.next(), threads_b_.get()));
    for (test::Host* host : {client_host_.get(), &a_->host(), &b_->host(), server_host_.get()})
        machines_.push_back({host, std::make_unique<test::Wire>(scenario.wire, rng_.split())});
    rotate(*a_, false);
    rotate(*b_, true);
    server_host_->stack().listen({IpAddress::v4(kServerIp), 8080}, nullptr, plain_options());
    uint64_t key = 1000;
    for (uint32_t i = 0; i < scenario.clients; i++) {
        auto& client = *clients_.emplace_back(std::make_unique<ClientEnd>());
        for (uint32_t n = 0; n < scenario.exchanges; n++, key += 2)
            client.exchanges.push_back({key, rng_.below(scenario.body_max + 1), rng_.below(scenario.body_max + 1), static_cast<int>(rng_.below(2)),
                                        static_cast<int>(rng_.below(3)), rng_.chance(scenario.client_aborts)});
    }
}

TlsWorld::~TlsWorld() = default;

void TlsWorld::complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = fmt::format("at {} us: {}", now_.us, what);
}

/// New contexts for one side, as after an edit; sessions and connections of before go on.
void TlsWorld::rotate(Gate& gate, bool server_side) {
    const test::Issued& issued = pki().issued[rng_.below(pki().issued.size())];
    if (server_side) gate.publish(server_context(scenario_, issued, scenario_.tickets ? ticket_keys_ : nullptr), nullptr);
    else gate.publish(nullptr, client_context(scenario_, issued));
}

void TlsWorld::after_request(uint64_t key) {
    if (!served_.insert(key).second) complain(fmt::format("request {} was served twice", key));
    if (rng_.chance(scenario_.rotations)) {
        totals_.rotated++;
        if (rng_.chance(0.3)) ticket_keys_->rotate(now_s());
        const bool server_side = rng_.chance(0.5);
        rotate(server_side ? *b_ : *a_, server_side);
    }
    if (rng_.chance(scenario_.operator_closes)) close_one();
}

/// sluicectl connections close, of whichever comes first from some slot on.
void TlsWorld::close_one() {
    Gate& gate = rng_.chance(0.5) ? *a_ : *b_;
    tcp::Stack& stack = gate.host().stack();
    auto cursor = static_cast<uint32_t>(rng_.below(16));
    uint32_t slots = stack.slots();
    tcp::Connection* connection = stack.next(cursor, slots);
    if (!connection || !connection->user()) return;
    gate.proxy().close(*connection, /*reset=*/rng_.chance(0.5), now_);
    totals_.closed_by_operator++;
}

/// What TCP cannot notice: an attacker between the gateways.
void TlsWorld::tamper(test::WireSegment& s) {
    const uint32_t ips[] = {kAIp, kBIp};
    const auto between = [&](const IpAddress& ip) { return std::any_of(std::begin(ips), std::end(ips), [&](uint32_t v) { return ip == IpAddress::v4(v); }); };
    const size_t header = size_t{4} * (s.bytes[12] >> 4);
    if (!between(s.source) || !between(s.destination) || s.bytes.size() <= header) return;
    const size_t payload = s.bytes.size() - header;
    if (wire_rng_.chance(scenario_.forge)) {
        s.bytes[header + wire_rng_.below(payload)] ^= static_cast<uint8_t>(1u << wire_rng_.below(8));
        totals_.forged++;
    } else if (wire_rng_.chance(scenario_.truncate)) {
        s.bytes.resize(header + wire_rng_.below(payload + 1));
        s.bytes[13] |= kFin;
        totals_.truncated++;
    } else {
        return;
    }
    put_checksum(s);
}

void TlsWorld::deliver(const test::WireSegment& segment) {
    digest_ = (digest_ ^ (segment.bytes.size() + now_.us * 65536)) * 1099511628211u;
    totals_.segments++;
    test::WireSegment arriving = segment;
    if (wire_rng_.chance(scenario_.corrupt)) arriving.bytes[wire_rng_.below(arriving.bytes.size())] ^= static_cast<uint8_t>(1u << wire_rng_.below(8));
    else tamper(arriving);
    for (auto& machine : machines_)
        if (machine.host->config().address == arriving.destination) machine.host->deliver(arriving, now_);
}

void TlsWorld::connect(ClientEnd& client) {
    tcp::Error error = tcp::Error::kNone;
    client.connection = client_host_->stack().connect({IpAddress::v4(kAIp), 80}, IpAddress::v4(0), plain_options(), &client, now_, &error);
    if (!client.connection) complain("a client cannot connect");
}

void TlsWorld::serve_clients() {
    for (tcp::ConnectionEvent event; client_host_->stack().poll_event(event);) {
        auto* client = static_cast<ClientEnd*>(event.connection->user());
        if (client->connection != event.connection) continue;
        if (std::string wrong = client->serve(event.events, *client_host_, scenario_.trouble(), rng_); !wrong.empty()) complain(wrong);
    }
    for (auto& client : clients_)
        if (!client->connection && !client->done()) connect(*client);
}

void TlsWorld::serve_server() {
    std::vector<uint64_t> served;
    for (tcp::ConnectionEvent event; server_host_->stack().poll_event(event);) {
        auto& peer = peers_[event.connection];
        if (!peer) peer = std::make_unique<ServerEnd>();
        bool gone = false;
        if (std::string wrong = peer->serve(*event.connection, event.events, *server_host_, scenario_.server_aborts, scenario_.trouble(), rng_, served, gone);
            !wrong.empty())
            complain(wrong);
        if (gone) peers_.erase(event.connection);
    }
    for (const uint64_t key : served) after_request(key);
}

void TlsWorld::step() {
    test::WireSegment segment;
    for (auto& machine : machines_)
        while (machine.wire->receive(segment, now_)) deliver(segment);
    for (auto& machine : machines_) machine.host->stack().handle_timeout(now_);
    a_->run(now_);
    b_->run(now_);
    serve_server();
    serve_clients();
    for (auto& machine : machines_) machine.host->transmit(*machine.wire, now_);
}

Instant TlsWorld::next_time() const {
    Instant next = std::min(a_->next(), b_->next());
    for (const auto& machine : machines_) next = std::min({next, machine.wire->next(), machine.host->stack().poll_timeout()});
    return next;
}

bool TlsWorld::finished() const {
    return std::all_of(clients_.begin(), clients_.end(), [](const auto& c) { return c->done(); });
}

std::string TlsWorld::run() {
    const SeededOpenssl seeded(rng_.next());
    const Instant deadline = now_ + kDeadline;
    for (uint64_t steps = 0;; steps++) {
        step();
        if (!complaint_.empty()) return complaint_;
        if (finished() && leftovers().empty()) break;
        const Instant next = next_time();
        if (next == Instant::never()) return finished() ? "all is quiet, and there is still:" + leftovers() : "everything stands still:" + unfinished();
        if (next > deadline || steps > 5'000'000) return fmt::format("still busy {} s and {} steps later:{}{}", (now_.us - 1'000'000) / 1'000'000, steps, unfinished(), leftovers());
        now_ = std::max(next, now_ + microseconds(1));
    }
    count_up();
    a_.reset();   // and what the gateways keep for themselves
    b_.reset();
    const unsigned mbufs = rte_mempool_avail_count(test::test_mempool());
    return mbufs == mbufs_before_ ? "" : fmt::format("{} mbufs are lost", mbufs_before_ - mbufs);
}

/// The gateways' own counters, before they go.
void TlsWorld::count_up() {
    for (const Gate* gate : {a_.get(), b_.get()}) {
        const proxy::Core& core = gate->proxy().engine().core();
        const auto& handshakes = core.handshaker.counters();
        const auto& records = core.record_engine.counters();
        totals_.full += handshakes.done_full, totals_.resumed += handshakes.done_resumed, totals_.fallbacks += handshakes.fallbacks;
        totals_.tickets += handshakes.tickets_taken;
        totals_.key_updates += records.key_updates_in, totals_.keys_evicted += records.keys_evicted;
        totals_.bad_records += records.bad_mac + records.bad_record;
    }
}

std::string TlsWorld::unfinished() const {
    std::string text;
    for (size_t i = 0; i < clients_.size(); i++)
        if (!clients_[i]->done())
            text += fmt::format(" client {} waits for request {}{}", i, clients_[i]->exchanges[clients_[i]->current].key, clients_[i]->connection ? "" : ", not connected");
    return text;
}

std::string TlsWorld::leftovers() {
    std::string text = a_->leftovers(), at_b = b_->leftovers();
    if (!text.empty()) text = " A:" + text;
    if (!at_b.empty()) text += " B:" + at_b;
    for (const auto& [name, host] : {std::pair{" client's", client_host_.get()}, std::pair{" server's", server_host_.get()}})
        if (const auto u = host->stack().usage(); u.connections + u.time_waits > 0) text += fmt::format("{} {} connections, {} TIME-WAITs", name, u.connections, u.time_waits);
    return text;
}

void TlsWorld::add_to(Totals& totals) const {
    totals.worlds++;
    for (const auto& client : clients_) totals.answered += client->answered, totals.failed += client->failed, totals.aborted += client->aborted;
    totals.segments += totals_.segments, totals.forged += totals_.forged, totals.truncated += totals_.truncated;
    totals.closed_by_operator += totals_.closed_by_operator, totals.rotated += totals_.rotated;
    totals.virtual_s += static_cast<double>(now_.us - 1'000'000) / 1e6;
    totals.full += totals_.full, totals.resumed += totals_.resumed, totals.fallbacks += totals_.fallbacks, totals.tickets += totals_.tickets;
    totals.key_updates += totals_.key_updates, totals.keys_evicted += totals_.keys_evicted, totals.bad_records += totals_.bad_records;
}

void TlsWorld::Totals::print(const char* name) const {
    std::printf("%s: %llu worlds, %llu segments, %.0f virtual s; %llu answered, %llu failed, %llu aborted; handshakes %llu full, %llu resumed, %llu with OpenSSL's records; "
                "%llu tickets, %llu key updates, %llu keys evicted, %llu bad records; %llu forged, %llu cut, %llu closed by the operator, %llu rotations\n",
                name, static_cast<unsigned long long>(worlds), static_cast<unsigned long long>(segments), virtual_s, static_cast<unsigned long long>(answered),
                static_cast<unsigned long long>(failed), static_cast<unsigned long long>(aborted), static_cast<unsigned long long>(full),
                static_cast<unsigned long long>(resumed), static_cast<unsigned long long>(fallbacks), static_cast<unsigned long long>(tickets),
                static_cast<unsigned long long>(key_updates), static_cast<unsigned long long>(keys_evicted), static_cast<unsigned long long>(bad_records),
                static_cast<unsigned long long>(forged), static_cast<unsigned long long>(truncated), static_cast<unsigned long long>(closed_by_operator),
                static_cast<unsigned long long>(rotated));
}

}  // namespace sluice::sim
