// One turn after another (see worker.h): receive, demultiplex, run timers, hand news to the application, transmit in bursts.
// Batches by stage, not by packet: link and IP for the whole burst, then TCP for the whole burst, so that code stays in cache
// and cycles can be told apart with two clock reads a stage.
#include "worker/worker.h"

#include <sched.h>
#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_mempool.h>
#include <rte_pause.h>
#include <sys/prctl.h>
#include <time.h>

#include <array>
#include <utility>

#include "base/clock.h"
#include "base/limits.h"

namespace sluice::worker {

namespace {
constexpr uint32_t kEventsPerTurn = 1024;
constexpr uint32_t kSegmentsPerTurn = 512;
constexpr uint16_t kControlFrames = 16;      // room kept for ARP, ND and ICMP in a port's queue
constexpr uint32_t kPrefetchAhead = 4;
constexpr uint32_t kBacklogBurst = 8;        // segments of one burst from which they come faster than one by one
constexpr uint16_t kKernelFramesPerTurn = 32;   // of an exception path, towards the wire
constexpr uint32_t kReservePart = 16;        // of the pool: below it payload is refused, so that ACKs still come in
constexpr uint32_t kTcpFlagsAt = 13;         // byte of the header (RFC 9293 3.1)
constexpr uint8_t kTcpSyn = 2;
constexpr uint32_t kHashCheckEvery = 1024;
constexpr Duration kSampleEvery = milliseconds(100);
static_assert(limits::kPortsMax <= 8, "believed_hashes_ has a bit for each port");

/// Link to TCP, and where a message's head begins: lines that another core, or a device, has written.
void prefetch_head(const rte_mbuf& frame) {
    const char* const at = rte_pktmbuf_mtod(&frame, const char*);
    rte_prefetch0(at);
    rte_prefetch0(at + RTE_CACHE_LINE_SIZE);
    if (frame.data_len > 2 * RTE_CACHE_LINE_SIZE) rte_prefetch0(at + 2 * RTE_CACHE_LINE_SIZE);
}

net::StackConfig with_sharing(net::StackConfig config, bool several_cores) {
    config.share_neighbors = several_cores;
    config.share_fragments = several_cores;
    return config;
}
}  // namespace

Worker::Worker(const WorkerConfig& config)
    : config_(config),
      nodes_(config.slice_nodes),
      net_(with_sharing(config.net, config.exchange != nullptr), config.pool),
      tcp_(config.tcp, config.pool, nodes_, *this),
      policy_(config.poll),
      now_(TscClock::now()),
      pool_reserve_(config.pool->size / kReservePart) {
    for (const PortInfo& info : *config.ports) {
        if (info.rss) believed_hashes_ = static_cast<uint8_t>(believed_hashes_ | 1u << ports_.size());
        ports_.push_back(std::make_unique<Port>(info, config.index, config.pool));
    }
    exceptions_.resize(ports_.size());
    for (size_t p = 0; p < config.exceptions.size(); p++)
        if (config.exceptions[p]) exceptions_[p] = std::make_unique<ExceptionEnd>(*config.exceptions[p], config.index);
}

Worker::~Worker() { application_.reset(); }

std::optional<net::RouteInfo> Worker::route(const IpAddress& destination, const IpAddress& source) {
    return net_.route(destination, source);
}

bool Worker::owns(const FourTuple& tuple) { return config_.owners->owner(tuple) == config_.index; }

void Worker::run(const std::atomic<bool>& stop) {
    prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);   // sleeps of 50 us, not of 100
    application_->online();
    accounted_until_ = TscClock::cycles();
    while (!stop.load(std::memory_order_relaxed)) {
        const bool worked = turn();
        const PollPolicy::Decision next = policy_.after_turn(worked, now_, next_deadline(), application_->others_wait());
        if (next.action == PollPolicy::Action::kYield) yield();
        else if (next.action == PollPolicy::Action::kSleep) sleep(next.duration);
    }
    application_->offline();
}

bool Worker::turn() {
    const uint64_t start = TscClock::cycles();
    now_ = TscClock::at(start);
    // What lay between the turns (the choice to spin, the next deadline) is this one's, too.
    if (accounted_until_ == 0) accounted_until_ = start;
    stages_.begin_turn(accounted_until_);
    application_->turn(now_);
    bool worked = receive();
    if (config_.exchange) worked |= take_over();
    handle_icmp_errors();
    worked |= run_timers();
    worked |= run_events();
    worked |= run_jobs();
    worked |= transmit();
    if (config_.exchange) share_news();
    application_->quiescent();
    account(worked);
    return worked;
}

bool Worker::receive() {
    std::array<rte_mbuf*, limits::kBurst> frames;
    bool any = false;
    for (uint32_t p = 0; p < ports_.size(); p++) {
        for (uint32_t q = 0; q < ports_[p]->queues(); q++) {
            stages_.enter(Stage::kDriverRx);
            const uint16_t n = ports_[p]->receive(frames.data(), limits::kBurst);
            if (n == 0) continue;
            any = true;
            policy_.received(n);
            if (taps_.any()) [[unlikely]] capture(static_cast<uint8_t>(p), false, frames.data(), n);
            handle_frames(static_cast<uint8_t>(p), frames.data(), n);
        }
    }
    stages_.enter(Stage::kLoop);
    return any;
}

void Worker::capture(uint8_t port, bool sent, rte_mbuf* const* frames, uint16_t n) {
    const StageScope scope(stages_, Stage::kControl);
    taps_.take(port, sent, frames, n, now_);
}

void Worker::handle_frames(uint8_t port, rte_mbuf** frames, uint16_t n) {
    std::array<net::DatagramIn, limits::kBurst> datagrams;
    uint16_t count = 0;
    ExceptionEnd* const kernel = exceptions_[port].get();
    stages_.enter(Stage::kNet);
    for (uint16_t i = 0; i < std::min<uint16_t>(n, kPrefetchAhead); i++) prefetch_head(*frames[i]);
    for (uint16_t i = 0; i < n; i++) {
        if (i + kPrefetchAhead < n) prefetch_head(*frames[i + kPrefetchAhead]);
        net::DatagramIn& d = datagrams[count];
        const Audience who = kernel ? audience(frames[i], ports_[port]->info().mac) : Audience::kGateway;
        if (who == Audience::kBoth) kernel->to_kernel(frames[i]);
        if (who == Audience::kKernel) {
            give_to_kernel(*kernel, frames[i], counters_.kernel_own);
            rte_pktmbuf_free(frames[i]);
            continue;
        }
        switch (net_.handle_frame(frames[i], port, now_, d)) {
            case net::Verdict::kTransport: count++; break;
            case net::Verdict::kConsumed: break;
            case net::Verdict::kException: handle_exception(d, who); break;
            case net::Verdict::kFragment:
                if (const uint32_t collector = config_.owners->collector(d); collector != config_.index) hand_over(d, collector);
                else if (reassemble(d)) count++;
                break;
        }
    }
    stages_.enter(Stage::kTcp);
    tcp_.set_backlog(count >= kBacklogBurst);
    tcp_.prefetch({datagrams.data(), count});
    pool_low_ = rte_mempool_avail_count(config_.pool) < pool_reserve_;
    for (uint16_t i = 0; i < count; i++) {
        if (pool_low_ && refused_under_pressure(datagrams[i])) continue;
        handle_datagram(datagrams[i]);
    }
}

/// Not for the stack: the kernel's, if the port has a way there and it has not got its copy yet, else refused.
void Worker::handle_exception(net::DatagramIn& d, Audience who) {
    ExceptionEnd* const kernel = exceptions_[d.port].get();
    RelaxedCounter& why = d.foreign == net::Foreign::kVlan      ? counters_.kernel_vlan
                          : d.foreign == net::Foreign::kAddress ? counters_.kernel_address
                                                                : counters_.kernel_protocol;
    if (!kernel) net_.send_port_unreachable(d, now_);
    else if (who == Audience::kBoth) ++why;
    else give_to_kernel(*kernel, d.mbuf, why);
    rte_pktmbuf_free(d.mbuf);
}

/// A frame that nobody here wants but the kernel; it stays the caller's.
void Worker::give_to_kernel(ExceptionEnd& kernel, const rte_mbuf* frame, RelaxedCounter& why) {
    ++why;
    if (!kernel.to_kernel(frame)) ++counters_.kernel_lost;
}

/// Puts a fragment to the others of its datagram. True: `d` is now the whole datagram, which may have another owner.
bool Worker::reassemble(net::DatagramIn& d) {
    const net::Verdict verdict = net_.handle_fragment(d, now_);
    if (verdict == net::Verdict::kException) handle_exception(d, Audience::kGateway);
    return verdict == net::Verdict::kTransport;
}

/// When frames run out, what would pin another one is dropped (the peer sends it again), and what frees some is let in:
/// AF_XDP receives nothing at all once its refill fails, so the last frames must not lie in stream buffers.
bool Worker::refused_under_pressure(const net::DatagramIn& d) {
    const bool readable = d.payload_length > 12 && uint32_t{d.payload_offset} + 13 <= d.mbuf->data_len;
    const uint32_t header = readable ? (*rte_pktmbuf_mtod_offset(d.mbuf, const uint8_t*, d.payload_offset + 12) >> 4) * 4u : 0;
    if (readable && d.payload_length <= header) return false;
    ++counters_.pressure_dropped;
    rte_pktmbuf_free(d.mbuf);
    return true;
}

void Worker::handle_datagram(net::DatagramIn& d) {
    const bool readable = d.payload_length > kTcpFlagsAt && d.payload_offset + kTcpFlagsAt < d.mbuf->data_len;
    if (config_.exchange && readable) {
        const uint32_t owner = owner_of(d);
        if (owner != config_.index) {
            hand_over(d, owner);
            return;
        }
    }
    deliver(d);
}

/// By the port's hash where it is believed: in software it costs 130 cycles, over IPv6 350. It is checked when a connection
/// begins, so that all of it has one owner whatever the port does later, and now and then. One wrong hash, and the port is
/// believed no more.
uint32_t Worker::owner_of(const net::DatagramIn& d) {
    const rte_mbuf* m = d.mbuf;
    const auto* tcp = rte_pktmbuf_mtod_offset(m, const uint8_t*, d.payload_offset);
    const FourTuple tuple{{d.destination, load_be16(tcp + 2)}, {d.source, load_be16(tcp)}};
    const bool plain = m->nb_segs == 1 && m->l3_len == (d.source.is_v4() ? sizeof(rte_ipv4_hdr) : sizeof(rte_ipv6_hdr));
    if (!plain || (believed_hashes_ >> d.port & 1) == 0 || (m->ol_flags & RTE_MBUF_F_RX_RSS_HASH) == 0)
        return config_.owners->owner(tuple);
    const bool syn = (tcp[kTcpFlagsAt] & kTcpSyn) != 0;
    if ((syn || hashes_++ % kHashCheckEvery == 0) && config_.owners->rss_hash(tuple) != m->hash.rss) {
        ++counters_.rss_mismatch;
        believed_hashes_ = static_cast<uint8_t>(believed_hashes_ & ~(1u << d.port));
        return config_.owners->owner(tuple);
    }
    return config_.owners->owner_of_hash(m->hash.rss);
}

/// A segment of ours goes to TCP. What belongs to no listener and no connection is the kernel's, if the port has a way there.
void Worker::deliver(net::DatagramIn& d) {
    if (tcp_.handle_segment(d, now_)) return;
    if (ExceptionEnd* kernel = exceptions_[d.port].get()) give_to_kernel(*kernel, d.mbuf, counters_.kernel_no_connection);
    else tcp_.reject(d, now_);
    rte_pktmbuf_free(d.mbuf);
}

void Worker::hand_over(const net::DatagramIn& d, uint32_t owner) {
    if (config_.exchange->datagrams(config_.index, owner).push(d)) {
        ++counters_.handed_over;
        return;
    }
    ++counters_.handover_dropped;
    rte_pktmbuf_free(d.mbuf);
}

bool Worker::take_over() {
    bool any = false;
    for (uint32_t from = 0; from < config_.exchange->cores(); from++) {
        if (from == config_.index) continue;
        stages_.enter(Stage::kTcp);
        auto& ring = config_.exchange->datagrams(from, config_.index);
        net::DatagramIn d;
        for (uint32_t i = 0; i < 4 * limits::kBurst && ring.pop(d); i++) {
            any = true;
            ++counters_.taken_over;
            if (!d.is_fragment) deliver(d);
            else if (reassemble(d)) handle_datagram(d);   // we collect it, and may not be its connection's owner
        }
        auto& news = config_.exchange->news(from, config_.index);
        CoreNews item;
        while (news.pop(item)) {
            any = true;
            if (item.kind == CoreNews::Kind::kNeighbor) net_.handle_neighbor_update(item.neighbor, now_);
            else believe_icmp_error(item.icmp_error);
        }
    }
    stages_.enter(Stage::kLoop);
    return any;
}

/// Answers to ARP and ND arrive on any queue: every core hears of them.
void Worker::share_news() {
    CoreNews item;
    item.kind = CoreNews::Kind::kNeighbor;
    while (net_.poll_neighbor_update(item.neighbor))
        for (uint32_t to = 0; to < config_.exchange->cores(); to++)
            if (to != config_.index && !config_.exchange->news(config_.index, to).push(item)) ++counters_.news_dropped;
}

void Worker::handle_icmp_errors() {
    CoreNews item;
    item.kind = CoreNews::Kind::kIcmpError;
    while (net_.poll_icmp_error(item.icmp_error)) {
        const uint32_t owner = config_.owners->owner(item.icmp_error.tuple);
        if (owner == config_.index) believe_icmp_error(item.icmp_error);
        else if (!config_.exchange->news(config_.index, owner).push(item)) ++counters_.news_dropped;
    }
}

/// What TCP believes of a path's size is remembered for the connections that come after.
void Worker::believe_icmp_error(const net::IcmpError& error) {
    if (tcp_.handle_icmp_error(error, now_) && error.kind == net::IcmpError::Kind::kFragmentationNeeded)
        net_.update_path_mtu(error.tuple.remote.ip, error.path_mtu, now_);
}

bool Worker::run_timers() {
    bool any = false;
    if (net_.poll_timeout() <= now_) {
        stages_.enter(Stage::kNet);
        net_.handle_timeout(now_);
        any = true;
    }
    if (tcp_.poll_timeout() <= now_) {
        stages_.enter(Stage::kTcp);
        tcp_.handle_timeout(now_);
        any = true;
    }
    if (application_->poll_timeout() <= now_) {
        stages_.enter(Stage::kProxy);
        application_->handle_timeout(now_);
        any = true;
    }
    return any;
}

bool Worker::run_events() {
    stages_.enter(Stage::kProxy);
    uint32_t n = 0;
    for (tcp::ConnectionEvent event; n < kEventsPerTurn && tcp_.poll_event(event); n++) application_->handle_event(event, now_);
    stages_.enter(Stage::kLoop);
    return n > 0;
}

bool Worker::run_jobs() {
    if (!mailbox_.waiting()) return false;
    const StageScope scope(stages_, Stage::kControl);
    return mailbox_.run(*this);
}

bool Worker::transmit() {
    const auto ports = static_cast<uint8_t>(ports_.size());
    uint32_t room = kSegmentsPerTurn;
    for (uint8_t p = 0; p < ports; p++) {
        const uint32_t free = net_.transmit_room(p);
        room = std::min(room, free > kControlFrames ? free - kControlFrames : 0);
    }
    stages_.enter(Stage::kTx);
    bool any = false;
    // The same DatagramOut goes round: what the IP layer wrote to its route_hint reaches the connection at the next poll.
    while (room-- > 0 && tcp_.poll_transmit(out_, now_)) {
        any = true;
        net_.send(out_, now_);
    }
    std::array<rte_mbuf*, limits::kBurst> frames;
    for (uint8_t p = 0; p < ports; p++) {
        Port& port = *ports_[p];
        stages_.enter(Stage::kTx);
        for (;;) {
            const uint16_t free = std::min<uint16_t>(limits::kBurst, port.transmit_room());
            const uint16_t n = free == 0 ? uint16_t{0} : net_.poll_transmit(p, frames.data(), free);
            if (n == 0) break;
            if (taps_.any()) [[unlikely]] capture(p, true, frames.data(), n);
            if (const uint64_t copied = port.transmit(frames.data(), n)) net_.count_linearized(copied);
        }
        if (exceptions_[p]) any |= send_for_kernel(p);
        if (!port.has_waiting()) continue;
        stages_.enter(Stage::kDriverTx);
        any |= port.flush(now_);
    }
    stages_.enter(Stage::kLoop);
    return any;
}

/// Frames that the kernel sends leave behind our own.
bool Worker::send_for_kernel(uint8_t p) {
    const uint16_t room = std::min(kKernelFramesPerTurn, ports_[p]->transmit_room());
    uint16_t n = 0;
    for (; n < room; n++) {
        rte_mbuf* frame = exceptions_[p]->from_kernel(config_.pool);
        if (!frame) break;
        if (taps_.any()) [[unlikely]] capture(p, true, &frame, 1);
        ports_[p]->transmit(&frame, 1);
    }
    return n > 0;
}

void Worker::account(bool worked) {
    const uint64_t end = TscClock::cycles();
    const uint64_t cycles = end - std::exchange(accounted_until_, end);
    stages_.end_turn(end, worked);
    ++counters_.turns;
    counters_.cycles.add(cycles);
    if (worked) {
        counters_.busy_cycles.add(cycles);
    } else {
        ++counters_.empty_turns;
        // Beyond the usual: an interrupt, another thread on this CPU, the hypervisor.
        const uint64_t beyond = cycles - empty_cost_.idle_part(cycles);
        counters_.busy_cycles.add(beyond);
        stages_.charge(Stage::kInterrupted, beyond);
        counters_.empty_turn_cost.set(empty_cost_.cost());
    }
    if (now_ >= next_sample_) {   // counting looks at every core's cache: not each turn
        next_sample_ = now_ + kSampleEvery;
        counters_.pool_available.set(rte_mempool_avail_count(config_.pool));
    }
}

Instant Worker::next_deadline() const {
    return std::min({net_.poll_timeout(), tcp_.poll_timeout(), application_->poll_timeout()});
}

void Worker::sleep(Duration at_most) {
    application_->offline();
    const timespec wait{at_most.us / 1'000'000, at_most.us % 1'000'000 * 1000};
    nanosleep(&wait, nullptr);
    ++counters_.sleeps;
    application_->online();
    const uint64_t end = TscClock::cycles();
    const uint64_t slept = end - std::exchange(accounted_until_, end);
    counters_.sleep_cycles.add(slept);
    counters_.cycles.add(slept);
}

void Worker::yield() {
    sched_yield();
    const uint64_t end = TscClock::cycles();
    const uint64_t away = end - std::exchange(accounted_until_, end);
    counters_.yield_cycles.add(away);
    counters_.cycles.add(away);
}

}  // namespace sluice::worker
