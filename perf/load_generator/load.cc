// A run from connecting to its result (see load.h). A connection that ends is opened again, and counted.
// In and out: see the header. Nothing is allocated between the first request and the last answer.
#include "perf/load_generator/load.h"

#include <algorithm>
#include <utility>

namespace sluice::perf {

namespace {
constexpr uint64_t kConnectNs = 10'000'000'000, kDrainNs = 1'000'000'000;
}

Load::Load(worker::Worker& worker, TlsCore* tls, uint32_t connections_max)
    : worker_(worker), tls_(tls), ns_per_cycle_(static_cast<uint64_t>((static_cast<unsigned __int128>(1'000'000'000) << 32) / TscClock::hz())) {
    clients_.reserve(connections_max);
    free_.reserve(connections_max);
}

void Load::start(const Plan& plan) {
    offered_plan_ = std::make_unique<Plan>(plan);
    offered_.store(offered_plan_.get(), std::memory_order_release);
}

Outcome Load::take() {
    Outcome out = std::move(result_);
    result_ = {};
    enter(Phase::kIdle);
    return out;
}

Instant Load::poll_timeout() const {
    const Phase p = phase_.load(std::memory_order_relaxed);
    return p == Phase::kIdle || p == Phase::kDone ? Instant::never() : Instant{0};   // a run is timed by polling
}

void Load::turn(Instant now) {
    const Phase p = phase_.load(std::memory_order_relaxed);
    if (p == Phase::kIdle) {
        const Plan* plan = offered_.exchange(nullptr, std::memory_order_acq_rel);
        if (!plan) return;
        plan_ = *plan;
        result_ = {};
        clients_.clear();
        clients_.resize(plan_.connections);
        free_.assign(plan_.connections, 0);
        free_head_ = free_count_ = connected_ = waiting_ = 0;
        epoch_ns_ = 0;
        deadline_ns_ = now_ns() + kConnectNs;
        enter(Phase::kConnecting);
        for (Client& c : clients_) open(c, now);
        return;
    }
    if (p != Phase::kDone) advance(now_ns());
}

/// What the time says of the phase, and the requests that are due.
void Load::advance(uint64_t at) {
    switch (phase_.load(std::memory_order_relaxed)) {
        case Phase::kConnecting:
            if (connected_ == clients_.size()) begin(at);
            else if (at > deadline_ns_) end();
            return;
        case Phase::kWarmup:
            if (at >= measure_from_ns_) enter(Phase::kMeasuring);
            send_due(at);
            return;
        case Phase::kMeasuring:
            if (at < measure_to_ns_) return send_due(at);
            deadline_ns_ = measure_to_ns_ + kDrainNs;
            enter(Phase::kDraining);
            [[fallthrough]];
        case Phase::kDraining:
            send_due(at);
            if (at >= deadline_ns_ || (waiting_ == 0 && next_due() >= measure_to_ns_)) end();
            return;
        default: return;
    }
}

/// All are connected: requests begin.
void Load::begin(uint64_t at) {
    epoch_ns_ = at;
    measure_from_ns_ = at + plan_.warmup_ns;
    measure_to_ns_ = measure_from_ns_ + plan_.measure_ns;
    schedule_ = Schedule(plan_.arrivals, plan_.rate_per_s, plan_.seed);
    enter(Phase::kWarmup);
    if (open_loop()) return;
    free_count_ = 0;
    for (Client& c : clients_) send(c, at, at);
}

/// Open loop: each request that is due goes to the connection that has been idle longest. Those due after the window are not sent.
void Load::send_due(uint64_t at) {
    if (!open_loop()) return;
    while (free_count_ > 0) {
        const uint64_t due = next_due();
        if (due > at || due >= measure_to_ns_) return;
        schedule_.take();
        Client& client = clients_[free_[free_head_]];
        free_head_ = free_head_ + 1 == free_.size() ? 0 : free_head_ + 1;
        free_count_--;
        send(client, due, at);
    }
}

void Load::send(Client& client, uint64_t due, uint64_t at) {
    client.due_ns = due;
    client.sent_ns = at;
    client.waiting = true;
    waiting_++;
    const auto* bytes = reinterpret_cast<const uint8_t*>(plan_.request.data());
    if (!client.link->write_copy({bytes, plan_.request.size()}, worker_.now())) client.connection->abort();
}

void Load::handle_event(const tcp::ConnectionEvent& event, Instant now) {
    auto& client = *static_cast<Client*>(event.connection->user());
    if ((event.events & tcp::kConnected) && client.link->begin(*event.connection, tls::Role::kClient)) opened(client);
    if (event.events & tcp::kReadable) read(client, now);
    if (client.connection == event.connection && event.events & (tcp::kFailed | tcp::kPeerClosed)) ended(client, (event.events & tcp::kFailed) != 0, now);
}

void Load::on_link(tcp::Connection& connection, bool open, Instant now) {
    auto& client = *static_cast<Client*>(connection.user());
    if (open) return opened(client);
    connection.abort();
    ended(client, true, now);
}

void Load::opened(Client& client) {
    const Phase p = phase_.load(std::memory_order_relaxed);
    connected_++;
    if (p == Phase::kConnecting || open_loop()) {
        free(client);
    } else if (p != Phase::kDraining) {
        const uint64_t at = now_ns();
        send(client, at, at);
    }
}

void Load::read(Client& client, Instant now) {
    const bool lives = client.link->receive();
    SliceQueue& in = client.link->in();
    uint64_t taken = 0;
    bool over = false;
    while (!in.empty() && !over) {
        const Slice slice = in.pop_front();
        taken += slice.size();
        for (uint32_t at = 0; at < slice.size() && !over;) {
            const auto step = client.reader.take(slice.span().subspan(at));
            at += step.used;
            if (step.state == ResponseReader::State::kMore) continue;
            // What nobody asked for is as wrong as what cannot be read.
            over = step.state == ResponseReader::State::kBad || !client.waiting;
            if (over) result_.malformed++;
            else answered(client, now_ns());
        }
    }
    client.link->consumed(taken);
    if (phase_.load(std::memory_order_relaxed) == Phase::kMeasuring) result_.bytes += taken;
    if (over) client.connection->abort();
    if (over || !lives) ended(client, over, now);
}

void Load::answered(Client& client, uint64_t at) {
    client.waiting = false;
    waiting_--;
    // A closed loop's window is of answers, an open one's of requests: those that were late belong to it above all.
    if (in_window(open_loop() ? client.due_ns : at)) {
        result_.completed++;
        result_.latency.record(at - client.due_ns);
        result_.service.record(at - client.sent_ns);
        if (client.reader.status() / 100 != 2) result_.not_2xx++;
    }
    if (client.reader.close()) return;   // FIN follows
    if (open_loop()) free(client);
    else if (at < measure_to_ns_) send(client, at, at);
}

void Load::open(Client& client, Instant now) {
    tcp::Error error{};
    client.waiting = false;
    client.reader.reset();
    client.link = std::make_unique<Link>(worker_, tls_, *this);
    client.connection = worker_.tcp().connect(plan_.target, {}, {}, &client, now, &error);
    if (!client.connection) result_.failed_connections++;
}

/// A connection is over. While the run goes on another one takes its place.
void Load::ended(Client& client, bool failed, Instant now) {
    if (client.waiting && client.reader.ends_at_close() && !failed) answered(client, now_ns());
    if (failed || client.waiting) result_.failed_connections++;
    if (client.waiting) waiting_--;
    client.waiting = false;
    unfree(client);
    tcp::Connection* c = std::exchange(client.connection, nullptr);
    client.link->shutdown(*c);
    client.link.reset();
    c->release();
    switch (phase_.load(std::memory_order_relaxed)) {
        case Phase::kConnecting: return end();   // nobody there, or nobody who wants us: the run says so at once
        case Phase::kDraining: return;
        default: break;
    }
    connected_--;
    result_.reconnects++;
    open(client, now);
}

/// Takes it out of the queue of free ones, if it stands there.
void Load::unfree(const Client& client) {
    const auto index = static_cast<uint32_t>(&client - clients_.data());
    const auto place = [this](uint32_t i) -> uint32_t& { return free_[(free_head_ + i) % free_.size()]; };
    for (uint32_t i = 0; i < free_count_; i++) {
        if (place(i) != index) continue;
        for (uint32_t j = i + 1; j < free_count_; j++) place(j - 1) = place(j);
        free_count_--;
        return;
    }
}

void Load::end() {
    const uint64_t at = now_ns();
    result_.window_ns = plan_.measure_ns;
    if (open_loop() && epoch_ns_ != 0) {
        for (const Client& c : clients_) {
            if (!c.waiting || !in_window(c.due_ns)) continue;
            result_.unanswered++;
            result_.latency.record(at - c.due_ns);
        }
        for (; next_due() < measure_to_ns_; schedule_.take()) {
            const uint64_t due = next_due();
            if (!in_window(due)) continue;
            result_.unanswered++;
            result_.unsent++;
            result_.latency.record(at - due);
        }
    }
    enter(Phase::kDraining);
    for (Client& c : clients_) {
        if (!c.connection) continue;
        if (c.waiting) c.connection->abort();
        else c.link->shutdown(*c.connection);
        c.link.reset();   // no word of an unfinished handshake comes any more
        c.connection->release();
        c.connection = nullptr;
    }
    enter(Phase::kDone);
}

}  // namespace sluice::perf
