// Applications, clock and checks of the simulated world. See world.h.
#include "tests/sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tests/support/eal.h"

namespace sluice::sim {

namespace {

constexpr uint16_t kPort = 80;

/// Byte `at` of the stream named by `key`.
uint8_t byte_of(uint64_t key, uint64_t at) {
    uint64_t z = key + (at >> 3) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    return static_cast<uint8_t>((z ^ (z >> 27)) >> (8 * (at & 7)));
}

}  // namespace

World::World(const Scenario& scenario, uint64_t seed) : scenario_(scenario), rng_(seed) {
    mbufs_at_start_ = rte_mempool_avail_count(test::test_mempool());
    now_ = Instant{1'000'000 + rng_.below(uint64_t{1} << 42)};  // clocks of 32 bits wrap in some runs
    for (int i = 0; i < 2; i++) {
        scenario_.host[i].tcp.seed = rng_.next();
        hosts_[i] = std::make_unique<Host>(scenario_.host[i], rng_.split());
        wires_[i] = std::make_unique<Link>(scenario_.wire[i], rng_.split(), &pcap_);
        hosts_[i]->stack().handle_timeout(now_);
    }
    hosts_[1]->stack().listen({scenario_.host[1].address, kPort}, this, scenario_.options[1]);
    for (uint32_t i = 0; i < scenario.connections; i++) {
        open_at_.push_back(now_ + Duration{static_cast<int64_t>(rng_.below(scenario.connect_spread.us + 1))});
    }
    std::sort(open_at_.begin(), open_at_.end());
}

World::~World() {
    endpoints_.clear();
}

void World::complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = fmt::format("at {} us: {}", now_.us, what);
}

void World::open_due() {
    while (opened_ < open_at_.size() && open_at_[opened_] <= now_) {
        opened_++;
        auto e = std::make_unique<Endpoint>();
        e->host = hosts_[0].get();
        e->key_out = rng_.next();
        e->key_in = rng_.next();
        auto amount = [&](uint64_t max) { return scenario_.exact_bytes ? max : rng_.below(max + 1) >> rng_.below(8); };
        e->to_send = amount(scenario_.bytes_max[0]);
        e->to_receive = amount(scenario_.bytes_max[1]);
        e->write_max = static_cast<uint32_t>(rng_.between(1, scenario_.write_max));
        e->read_max = static_cast<uint32_t>(rng_.between(1, scenario_.read_max));
        if (scenario_.exact_bytes) e->write_max = scenario_.write_max, e->read_max = scenario_.read_max;
        if (scenario_.read_pause_max.us > 0) e->read_pause = Duration{static_cast<int64_t>(rng_.below(scenario_.read_pause_max.us))};
        tcp::Error error;
        e->connection = e->host->stack().connect({scenario_.host[1].address, kPort}, IpAddress{}, scenario_.options[0], e.get(),
                                                 now_, &error);
        if (!e->connection) {
            complain(fmt::format("connect failed: {}", static_cast<int>(error)));
            return;
        }
        endpoints_.push_back(std::move(e));
    }
}

void World::take_events(int host) {
    tcp::ConnectionEvent event;
    while (hosts_[host]->stack().poll_event(event)) on_event(host, event);
}

void World::on_event(int host, const tcp::ConnectionEvent& event) {
    if (event.events & tcp::kAccepted) {
        if (event.connection->listener_user() != this) complain("listener_user is wrong");
        const uint16_t client_port = event.connection->tuple().remote.port;
        Endpoint* client = nullptr;
        for (auto& other : endpoints_) {
            if (other->host == hosts_[0].get() && other->connection && !other->released &&
                other->connection->tuple().local.port == client_port) client = other.get();
        }
        const bool accepted_before = client && client->accepted;
        if (!client || accepted_before) {
            // A repeated ACK may open the same cookie twice: that price of cookies is known (RFC 4987 3.6).
            const bool by_cookie = hosts_[host]->stack().counters().syn_cookies_good > 0;
            if (!scenario_.may_fail && !by_cookie) complain("accepted a connection that nobody opened");
            event.connection->abort();
            event.connection->release();
            return;
        }
        client->accepted = true;
        auto e = std::make_unique<Endpoint>();
        e->host = hosts_[host].get();
        e->connection = event.connection;
        e->key_out = client->key_in, e->key_in = client->key_out;
        e->to_send = client->to_receive, e->to_receive = client->to_send;
        e->write_max = client->read_max % 30000 + 1, e->read_max = client->read_max;
        if (scenario_.exact_bytes) e->write_max = scenario_.write_max;
        if (scenario_.read_pause_max.us > 0) e->read_pause = Duration{static_cast<int64_t>(rng_.below(scenario_.read_pause_max.us))};
        e->wait_for_peer = rng_.chance(0.3);
        event.connection->set_user(e.get());
        endpoints_.push_back(std::move(e));
    }
    auto* e = static_cast<Endpoint*>(event.connection->user());
    if (event.events & tcp::kPeerClosed) e->peer_closed = true;
    if (event.events & tcp::kFailed) {
        e->failed = true;
        e->error = event.connection->error();
        if (!scenario_.may_fail) {
            complain(fmt::format("host {} port {}: connection failed, error {}", host, event.connection->tuple().local.port,
                                 static_cast<int>(e->error)));
        }
    }
}

void World::read(Endpoint& e) {
    SliceQueue& queue = e.connection->receive_queue();
    if (queue.empty()) return;
    if (now_ < e.read_at) return;
    uint64_t n = std::min<uint64_t>(queue.bytes(), e.read_max), left = n;
    for (const SliceNode* node = queue.head(); node && left > 0; node = node->next) {
        for (uint32_t i = 0; i < node->slice.size() && left > 0; i++, left--) {
            if (node->slice.data()[i] != byte_of(e.key_in, e.received)) {
                return complain(fmt::format("wrong byte {} of {} on port {}", e.received, e.to_receive,
                                            e.connection->tuple().local.port));
            }
            e.received++;
        }
    }
    queue.consume(n);
    e.connection->consumed(n);
    bytes_delivered_ += n;
    last_byte_at_ = now_;
    if (e.received > e.to_receive) complain("more bytes than were sent");
    if (e.read_pause.us > 0) e.read_at = now_ + Duration{static_cast<int64_t>(rng_.below(e.read_pause.us)) + 1};
}

void World::write(Endpoint& e) {
    if (e.wait_for_peer && e.received < e.to_receive) return;
    uint8_t chunk[32768];
    while (e.sent < e.to_send) {
        const uint64_t room = e.connection->send_room();
        if (room == 0) return;
        const uint64_t n = std::min({e.to_send - e.sent, room, uint64_t{e.write_max}, uint64_t{sizeof chunk}});
        for (uint64_t i = 0; i < n; i++) chunk[i] = byte_of(e.key_out, e.sent + i);
        SliceQueue data(e.host->nodes());
        Slice slice = test::heap_slice(std::span<const uint8_t>(chunk, n));
        if (!slice.segment() || !data.push_back(std::move(slice))) return complain("the test ran out of mbufs or nodes");
        if (!e.connection->write(std::move(data))) return complain("write refused despite room");
        e.sent += n;
    }
    if (!e.shut) {
        e.shut = true;
        e.connection->shutdown_write();
    }
}

/// What an application does when it looks at a connection.
void World::serve(Endpoint& e) {
    if (e.released) return;
    if (e.failed) {
        e.connection->release();
        e.released = true;
        return;
    }
    read(e);
    if (e.connection->state() >= tcp::State::kEstablished) write(e);
    if (e.peer_closed && e.connection->receive_queue().empty()) {
        if (e.received != e.to_receive) {
            return complain(fmt::format("stream ended after {} of {} bytes", e.received, e.to_receive));
        }
        if (e.shut) {
            e.connection->release();
            e.released = true;
        }
    }
}

void World::step_all() {
    for (int i = 0; i < 2; i++) hosts_[i]->stack().handle_timeout(now_);
    for (int to = 0; to < 2; to++) {
        Packet packet;
        while (wires_[1 - to]->receive(packet, now_)) hosts_[to]->deliver(packet, now_);
    }
    open_due();
    for (int i = 0; i < 2; i++) take_events(i);
    for (size_t i = 0; i < endpoints_.size(); i++) serve(*endpoints_[i]);
    for (int i = 0; i < 2; i++) hosts_[i]->transmit(*wires_[i], now_);
}

Instant World::next_time() const {
    Instant at = std::min(wires_[0]->next(), wires_[1]->next());
    for (const auto& host : hosts_) at = std::min(at, host->stack().poll_timeout());
    if (opened_ < open_at_.size()) at = std::min(at, open_at_[opened_]);
    for (const auto& e : endpoints_) {
        if (!e->released && e->read_at > now_ && !e->connection->receive_queue().empty()) at = std::min(at, e->read_at);
    }
    return at;
}

bool World::done() const {
    if (opened_ < open_at_.size()) return false;
    return std::all_of(endpoints_.begin(), endpoints_.end(), [](const auto& e) { return e->released; });
}

std::string World::run() {
    const Instant start = now_;
    for (uint64_t steps = 0;; steps++) {
        step_all();
        if (!complaint_.empty()) return complaint_;
        Instant next = next_time();
        // A partial read leaves data behind without an event: look again soon.
        for (const auto& e : endpoints_) {
            if (!e->released && e->read_at <= now_ && !e->connection->receive_queue().empty()) {
                next = std::min(next, now_ + microseconds(100));
            }
        }
        if (next == Instant::never()) break;
        if (steps > 20'000'000) return "does not come to an end";
        if (next - start > seconds(4 * 3600)) return "still busy after four hours:" + unfinished();
        now_ = std::max(next, now_ + microseconds(1));
    }
    if (!done()) return "everything stands still, but not all is done:" + unfinished();
    return leftovers();
}

std::string World::unfinished() {
    std::string text;
    for (const auto& e : endpoints_) {
        if (e->released) continue;
        text += fmt::format(" [port {} state {} sent {}/{} received {}/{} queued {} unacknowledged {} room {}]",
                            e->connection->tuple().local.port, static_cast<int>(e->connection->state()), e->sent, e->to_send,
                            e->received, e->to_receive, e->connection->receive_queue().bytes(),
                            e->connection->unacknowledged(), e->connection->send_room());
    }
    return text;
}

std::string World::leftovers() {
    for (int i = 0; i < 2; i++) {
        tcp::Stack& stack = hosts_[i]->stack();
        if (stack.connections() || stack.half_open() || stack.time_wait()) {
            return fmt::format("host {} keeps {} connections, {} half open, {} in TIME-WAIT", i, stack.connections(),
                               stack.half_open(), stack.time_wait());
        }
        if (hosts_[i]->nodes().in_use() != 0) return fmt::format("host {} keeps {} list nodes", i, hosts_[i]->nodes().in_use());
        if (hosts_[i]->damaged_accepted() != 0) return fmt::format("host {} took damaged segments", i);
    }
    const unsigned mbufs = rte_mempool_avail_count(test::test_mempool());
    if (mbufs != mbufs_at_start_) return fmt::format("{} mbufs leaked", static_cast<int>(mbufs_at_start_ - mbufs));
    return {};
}

}  // namespace sluice::sim
