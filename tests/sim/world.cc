// The clock's steps: packets, timers, news, applications, output, in this order, until nothing is due any more.
// In and out: see world.h. What decides anything comes from one generator, in one order.
#include "tests/sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::sim {

namespace {

constexpr uint16_t kPort = 80;
/// A host may wake so often in a virtual second and find nothing to do: the wheel reports far deadlines early, and memory
/// that is short is asked for every millisecond.
constexpr uint32_t kIdleWakeupsPerSecond = 1500;

uint64_t mix(uint64_t digest, uint64_t word) {
    digest = (digest ^ word) * 0x9e3779b97f4a7c15;
    return digest ^ (digest >> 29);
}

uint64_t mix(uint64_t digest, std::span<const uint8_t> bytes) {
    for (size_t at = 0; at < bytes.size(); at += 8) {
        uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, std::min<size_t>(8, bytes.size() - at));
        digest = mix(digest, word);
    }
    return mix(digest, bytes.size());
}

uint64_t key_of(size_t host, uint64_t port_or_fd) { return static_cast<uint64_t>(host) << 32 | port_or_fd; }

}  // namespace

World::World(const Scenario& scenario, uint64_t seed) : scenario_(scenario), rng_(seed), pcap_(scenario.pcap_packets) {
    now_ = started_ = Instant{1'000'000 + rng_.below(uint64_t{1} << 42)};  // clocks of 32 bits wrap in some runs
    std::vector<HostConfig> configs{scenario_.server};
    configs.insert(configs.end(), scenario_.clients.begin(), scenario_.clients.end());
    for (HostConfig& config : configs) {
        const uint64_t stack_seed = rng_.next();
        hosts_.push_back(std::make_unique<Host>(config, stack_seed, now_, rng_.split()));
        if (const std::string& wrong = hosts_.back()->wrong(); !wrong.empty()) {
            complain(wrong);
            return;
        }
    }
    for (size_t i = 0; i < scenario_.clients.size(); i++) {
        up_.push_back(std::make_unique<Link>(scenario_.to_server, rng_.split(), &pcap_));
        down_.push_back(std::make_unique<Link>(scenario_.to_client, rng_.split(), &pcap_));
    }
    listener_ = hosts_[kServer]->listen(kPort, scenario_.server_options, now_);
    if (listener_ < 0) complain(fmt::format("listen says {}", listener_));
    for (uint32_t i = 0; i < scenario.connections; i++) {
        open_at_.push_back(now_ + Duration{static_cast<int64_t>(rng_.below(static_cast<uint64_t>(scenario.connect_spread.us) + 1))});
    }
    std::sort(open_at_.begin(), open_at_.end());
    for (size_t i = 0; i < scenario_.changes.size(); i++) {
        change_at_.push_back({now_ + scenario_.changes[i].at, i, true});
        change_at_.push_back({now_ + scenario_.changes[i].until, i, false});
    }
    std::sort(change_at_.begin(), change_at_.end(), [](const Due& a, const Due& b) {
        return a.at != b.at ? a.at < b.at : a.change != b.change ? a.change < b.change : a.begins > b.begins;
    });
    if (scenario_.flood.packets > 0) flood_at_ = now_ + scenario_.flood.gap;
}

void World::complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = fmt::format("at {} us: {}", now_.us, what);
}

size_t World::host_of(const IpAddress& address) const {
    for (size_t i = 0; i < hosts_.size(); i++) {
        if (hosts_[i]->config().address == address) return i;
    }
    return hosts_.size();
}

/// From a host onto its wire. Answers to the flood's invented sources end here.
void World::send(Packet packet, Instant now) {
    packets_++;
    digest_ = mix(mix(digest_, now.us), packet.bytes);
    const size_t from = host_of(packet.source), to = host_of(packet.destination);
    if (to == hosts_.size()) return;
    if (now >= started_ + scenario_.measure_from) {
        const uint8_t* const ports = packet.transport() + (to == kServer ? 0 : 2);
        size_t& largest = largest_[static_cast<uint16_t>(ports[0] << 8 | ports[1])];
        largest = std::max(largest, packet.bytes.size());
    }
    (to == kServer ? up_[from - 1] : down_[to - 1])->send(std::move(packet), now);
}

bool World::packets_arrive() {
    bool any = false;
    Packet packet;
    for (size_t i = 0; i < up_.size(); i++) {
        Host& client = *hosts_[i + 1];
        Host& server = *hosts_[kServer];
        for (; up_[i]->receive(packet, now_); any = true) server.deliver(packet, now_);
        for (; down_[i]->receive(packet, now_); any = true) client.deliver(packet, now_);
        for (; up_[i]->receive_returned(packet, now_); any = true) client.deliver(packet, now_);
        for (; down_[i]->receive_returned(packet, now_); any = true) server.deliver(packet, now_);
    }
    return any;
}

void World::open_due() {
    for (; !open_at_.empty() && open_at_.front() <= now_; open_at_.pop_front()) {
        auto e = std::make_unique<Endpoint>();
        const size_t host = 1 + rng_.below(scenario_.clients.size());
        e->host = hosts_[host].get();
        e->client = true;
        e->key_out = rng_.next();
        e->key_in = rng_.next();
        e->to_send = rng_.below(scenario_.bytes_to_server + 1) >> rng_.below(8);
        e->to_receive = rng_.below(scenario_.bytes_to_client + 1) >> rng_.below(8);
        e->write_max = static_cast<uint32_t>(rng_.between(1, scenario_.write_max));
        e->read_max = static_cast<uint32_t>(rng_.between(1, scenario_.read_max));
        if (scenario_.read_pause_max.us > 0) {
            e->read_pause = Duration{static_cast<int64_t>(rng_.below(static_cast<uint64_t>(scenario_.read_pause_max.us)))};
        }
        e->write_pause = scenario_.write_pause_max;
        if (rng_.chance(scenario_.aborts)) {
            e->may_fail = true;
            if (rng_.chance(0.5)) e->abort_at = now_ + Duration{static_cast<int64_t>(rng_.below(3'000'000))};
        }
        const int error = e->host->connect(scenario_.server.address, kPort, scenario_.client_options, now_, e->fd, e->port);
        if (error != 0) return complain(fmt::format("connect says {}", error));
        clients_[key_of(host, e->port)] = static_cast<uint32_t>(endpoints_.size());
        add(std::move(e));
    }
}

void World::add(std::unique_ptr<Endpoint> e) {
    e->index = static_cast<uint32_t>(endpoints_.size());
    const auto host = static_cast<size_t>(std::find_if(hosts_.begin(), hosts_.end(), [&](const auto& h) { return h.get() == e->host; }) -
                                          hosts_.begin());
    sockets_[key_of(host, static_cast<uint64_t>(e->fd))] = e->index;
    if (e->abort_at != Instant::never()) look_at_.push({e->abort_at, e->index});
    news_.push_back(e->index);
    open_++;
    endpoints_.push_back(std::move(e));
}

void World::change_due() {
    if (change_at_.empty() || change_at_.front().at > now_) return;
    while (!change_at_.empty() && change_at_.front().at <= now_) change_at_.pop_front();
    apply_changes();
}

/// The wires as they are between the changes that have begun and not ended.
void World::apply_changes() {
    LinkConfig to_server = scenario_.to_server, to_client = scenario_.to_client;
    for (const Change& change : scenario_.changes) {
        if (now_ < started_ + change.at || now_ >= started_ + change.until) continue;
        for (LinkConfig* wire : {&to_server, &to_client}) {
            wire->mtu = std::min(wire->mtu, change.mtu);
            wire->icmp = wire->icmp && change.icmp;
            if (change.outage) wire->loss = 1;
        }
    }
    for (auto& link : up_) link->set(to_server);
    for (auto& link : down_) link->set(to_client);
}

/// Spoofed segments, well made, from addresses that do not exist.
void World::flood_due() {
    for (; flood_at_ <= now_; flood_at_ = ++flooded_ < scenario_.flood.packets ? flood_at_ + scenario_.flood.gap : Instant::never()) {
        IpAddress source = scenario_.server.address;
        const uint64_t who = rng_.next();
        std::memcpy(source.bytes.data() + 12, &who, 4);
        if (source.is_v4()) source = IpAddress::v4(0xac100000 | (static_cast<uint32_t>(who) & 0xfffff));
        else source.bytes[4] = 0x77;
        constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16, kEce = 64, kCwr = 128;
        constexpr uint8_t kKinds[] = {kSyn, kSyn, kSyn, kAck, kRst, kSyn | kEce | kCwr, kFin | kAck};
        const auto port = static_cast<uint16_t>(1 + (who >> 40) % 65535);
        std::vector<uint8_t> tcp{static_cast<uint8_t>(port >> 8), static_cast<uint8_t>(port), 0, kPort};
        for (const uint64_t numbers = rng_.next(); tcp.size() < 12;) tcp.push_back(static_cast<uint8_t>(numbers >> 8 * (tcp.size() - 4)));
        const bool stamped = rng_.chance(0.5);
        const uint8_t rest[] = {static_cast<uint8_t>(stamped ? 8 << 4 : 5 << 4), kKinds[rng_.below(std::size(kKinds))], 0xff, 0xff, 0, 0, 0, 0};
        tcp.insert(tcp.end(), std::begin(rest), std::end(rest));
        if (stamped) {
            const uint8_t option[] = {1, 1, 8, 10, static_cast<uint8_t>(who), static_cast<uint8_t>(who >> 8), 3, 4, 0, 0, 0, 0};
            tcp.insert(tcp.end(), std::begin(option), std::end(option));
        }
        hosts_[kServer]->deliver(tcp_packet(source, scenario_.server.address, tcp), now_);
    }
}

/// Whose sockets may have changed, as the stacks tell.
bool World::take_news() {
    bool any = false;
    for (size_t host = 0; host < hosts_.size(); host++) {
        for (int fd; (fd = sluice_tcp_next_news(hosts_[host]->at(now_))) >= 0; any = true) {
            if (host == kServer && fd == listener_) {
                accept_all();
            } else if (const auto found = sockets_.find(key_of(host, static_cast<uint64_t>(fd))); found != sockets_.end()) {
                news_.push_back(found->second);
            }
        }
    }
    return any;
}

void World::accept_all() {
    IpAddress from;
    uint16_t port = 0;
    int fd;
    while ((fd = hosts_[kServer]->accept(listener_, now_, from, port)) >= 0) on_accepted(fd, from, port);
    if (fd != -EAGAIN) complain(fmt::format("accept says {}", fd));
}

void World::on_accepted(int fd, const IpAddress& from, uint16_t port) {
    const auto found = clients_.find(key_of(host_of(from), port));
    Endpoint* client = found == clients_.end() ? nullptr : endpoints_[found->second].get();
    if (!client || client->accepted) {
        // A late copy of a SYN can open a tuple again after all: the peer's ACK out of TIME-WAIT fits if our ISN clock moved by
        // just as much as was sent (seed 21841). Once in a world is a coincidence.
        if (!client || ++opened_twice_ > 1) complain(fmt::format("accepted a connection that nobody opened: port {}", port));
        th_close(hosts_[kServer]->at(now_), fd);
        return;
    }
    client->accepted = true;
    auto e = std::make_unique<Endpoint>();
    e->host = hosts_[kServer].get();
    e->fd = fd;
    e->port = port;
    e->key_out = client->key_in, e->key_in = client->key_out;
    e->to_send = client->to_receive, e->to_receive = client->to_send;
    e->write_max = client->read_max % 30000 + 1, e->read_max = client->read_max;
    e->read_pause = client->read_pause;
    e->write_pause = client->write_pause;
    e->wait_for_peer = rng_.chance(0.3);
    e->may_fail = client->may_fail;
    e->peer = client->index;
    if (e->may_fail && client->abort_at == Instant::never()) {
        e->abort_at = now_ + Duration{static_cast<int64_t>(rng_.below(3'000'000))};
    }
    client->peer = static_cast<uint32_t>(endpoints_.size());
    add(std::move(e));
}

/// A connection may end in an error where an end aborts; and where little gets through for long, an end that its application
/// has let go of gives up after a minute.
bool World::fits(const Endpoint& e) const {
    const bool hard = !scenario_.changes.empty() || scenario_.server.objects_fail_every != 0 || scenario_.server.mbufs_fail_every != 0;
    return e.may_fail || (hard && e.peer != UINT32_MAX && endpoints_[e.peer]->closed);
}

/// Those with news, and those whose time has come.
bool World::serve_all() {
    for (; !look_at_.empty() && look_at_.top().at <= now_; look_at_.pop()) news_.push_back(look_at_.top().index);
    std::sort(news_.begin(), news_.end());
    news_.erase(std::unique(news_.begin(), news_.end()), news_.end());
    const bool any = !news_.empty();
    for (const uint32_t index : std::exchange(news_, {})) {
        Endpoint& e = *endpoints_[index];
        if (e.closed) continue;
        if (std::string wrong = e.serve(now_, rng_); !wrong.empty()) complain(wrong + " " + e.describe());
        if (e.failed && !fits(e)) complain(fmt::format("failed by {} {}", std::strerror(e.error), e.describe()));
        if (e.closed) open_--;
        else if (const Instant at = e.look_at(now_); at != Instant::never()) look_at_.push({at, index});
    }
    return any;
}

void World::step() {
    std::array<bool, 8> due{};
    for (size_t i = 0; i < hosts_.size(); i++) {
        due[i] = hosts_[i]->deadline() <= now_;
        if (due[i]) hosts_[i]->at(now_);
    }
    bool other = packets_arrive();
    flood_due();
    change_due();
    open_due();
    other = take_news() || other;
    other = serve_all() || other;
    if (now_.us / 1'000'000 != second_) {
        second_ = now_.us / 1'000'000, idle_wakeups_ = {};
        check_hosts();
    }
    for (size_t i = 0; i < hosts_.size(); i++) {
        const bool sent = hosts_[i]->transmit(*this, now_) > 0;
        if (!hosts_[i]->wrong().empty()) complain(fmt::format("host {} {}", i, hosts_[i]->wrong()));
        if (!due[i] || sent || other) continue;
        const auto allowed = kIdleWakeupsPerSecond + 20 * hosts_[i]->usage().connections;
        if (++idle_wakeups_[i] > allowed) complain(fmt::format("host {} wakes for nothing again and again", i));
    }
}

/// What each host holds, all of it together, and whether its port could send everything.
void World::check_hosts() {
    for (size_t i = 0; i < hosts_.size(); i++) {
        const auto usage = hosts_[i]->usage();
        if (usage.half_open > hosts_[i]->config().syn_backlog) complain(fmt::format("host {} has {} half open", i, usage.half_open));
        if (usage.connections > scenario_.connections + 1) complain(fmt::format("host {} has {} connections", i, usage.connections));
        if (hosts_[i]->counts().bad_frames != 0) complain(fmt::format("host {} made frames that its port cannot send", i));
    }
}

uint64_t World::faults() const {
    uint64_t n = 0;
    for (const auto& host : hosts_) n += host->counts().withheld;
    return n;
}

Instant World::next_time() const {
    Instant at = std::min(flood_at_, open_at_.empty() ? Instant::never() : open_at_.front());
    if (!change_at_.empty()) at = std::min(at, change_at_.front().at);
    if (!look_at_.empty()) at = std::min(at, look_at_.top().at);
    for (const auto& host : hosts_) at = std::min(at, host->deadline());
    for (size_t i = 0; i < up_.size(); i++) at = std::min({at, up_[i]->next(), down_[i]->next()});
    return at;
}

std::string World::run() {
    for (uint64_t steps = 0;; steps++) {
        if (complaint_.empty()) step();
        if (!complaint_.empty()) return complaint_;
        const Instant next = next_time();
        if (next == Instant::never()) break;
        if (steps > 50'000'000) return "does not come to an end";
        if (next - started_ > seconds(4 * 3600)) return "still busy after four hours:" + unfinished();
        now_ = std::max(next, now_ + microseconds(1));
    }
    if (open_ > 0) return "everything stands still, but not all is done:" + unfinished();
    return leftovers();
}

std::string World::unfinished() const {
    std::string text;
    for (const auto& e : endpoints_) {
        if (!e->closed) text += " " + e->describe();
    }
    return text;
}

std::string World::leftovers() {
    th_close(hosts_[kServer]->at(now_), listener_);
    check_hosts();
    for (size_t i = 0; i < hosts_.size(); i++) {
        const auto u = hosts_[i]->usage();
        if (u.connections || u.half_open || u.time_wait || u.mbufs || u.bytes) {
            return fmt::format("host {} keeps {} connections, {} half open, {} in TIME-WAIT, {} mbufs, {} bytes", i, u.connections, u.half_open,
                               u.time_wait, u.mbufs, u.bytes);
        }
        if (hosts_[i]->deadline() != Instant::never()) return fmt::format("host {} keeps a timer", i);
    }
    return complaint_;
}

}  // namespace sluice::sim
