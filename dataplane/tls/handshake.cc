// A core's handshakes (see handshake.h): copies bytes out of mbufs, hands jobs to a thread or runs them, tells owners what came of them.
#include "tls/handshake.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include "base/pool.h"
#include "tls/handshake_job.h"

namespace sluice::tls {

namespace {

constexpr uint32_t kInlineJobsPerPoll = 1;    // a core without handshake threads serves its connections in between
constexpr uint32_t kChunksPerHandshake = 2;   // on average: 8 KiB hold nearly every flight
constexpr const char* kTooLong = "more bytes than a handshake may have";
constexpr uint32_t kChunksMin = 256;          // of a small core: a few long chains at once

}  // namespace

void run_job(HandshakeJob& job, const LiveConnection::Gauge& gauge) {
    using State = HandshakeSession::State;
    if (job.destroy) {
        if (job.session->wants_tickets() && job.input) {   // they came together with the end
            for (const HandshakeChunk* chunk = job.input; chunk; chunk = chunk->next) job.session->write({chunk->bytes, chunk->size});
            job.session->run(job.output);
            job.tickets_taken = job.session->tickets_taken();
        }
        job.session.reset();
        return;
    }
    if (!job.session) {
        job.session = job.server ? std::make_unique<HandshakeSession>(std::move(job.server), gauge)
                                 : std::make_unique<HandshakeSession>(std::move(job.client), job.peer, job.remote, gauge);
        job.server = nullptr, job.client = nullptr;
    }
    const bool was_done = job.session->state() == State::kDone;
    for (const HandshakeChunk* chunk = job.input; chunk; chunk = chunk->next) job.session->write({chunk->bytes, chunk->size});
    job.state = job.session->run(job.output);
    job.tickets_taken = job.session->tickets_taken();
    if (job.state == State::kFailed) {
        job.failure = job.session->failure();
        job.alert = job.session->alert();
        job.reason = job.session->reason();
        job.session.reset();
        return;
    }
    if (job.state != State::kDone) return;
    if (!was_done) {
        job.result = job.session->take_result();
        job.has_result = true;
    }
    job.wants_tickets = job.session->wants_tickets();
    if (!job.wants_tickets) job.session.reset();
}

struct Handshaker::Impl {
    Impl(HandshakeThreads::Impl& threads, uint32_t core, const HandshakeLimits& limits);
    ~Impl();

    Handshake* take(HandshakeOwner& owner);
    void give(Handshake* handshake);
    bool append(Handshake& handshake, const uint8_t* bytes, size_t size);
    void give_chunks(HandshakeChunk*& head);
    void dispatch(Handshake& handshake, bool fresh);
    void look_later(Handshake& handshake);
    /// There are bytes for a job, and nothing is in the way of it.
    static bool ready(const Handshake& h) { return !h.out && !h.listed && !h.delivering && h.pending && !h.finished && h.owner; }
    void returned(Handshake& handshake, Instant now);
    void deliver_done(Handshake& handshake, Instant now);
    void deliver_failed(Handshake& handshake, Failure failure, Alert alert, std::string_view reason, Instant now);
    void proceed(Handshake& handshake, Instant now);
    void leave(Handshake& handshake);
    void run_inline(Instant now);
    void poll(Instant now);
    bool is_inline() const { return threads.options.threads == 0; }

    HandshakeThreads::Impl& threads;
    uint32_t core;
    HandshakeLimits limits;
    HandshakeLane* lane;
    Pool<Handshake> pool;
    Pool<HandshakeChunk> chunks;
    Handshake* free = nullptr;                 // used before: their vectors and strings keep their room
    uint32_t in_use = 0;
    uint32_t jobs_out = 0;
    std::vector<uint32_t> out_by_thread;
    SpscRing<Handshake*> urgent, fresh;        // inline only
    Handshake* look_head = nullptr;            // to be looked at in the next poll
    Handshake* look_tail = nullptr;
    HandshakeCounters counters;
};

Handshaker::Impl::Impl(HandshakeThreads::Impl& given, uint32_t number, const HandshakeLimits& l)
    : threads(given), core(number), limits(l), lane(given.attach(number, l.handshakes_max)), pool(l.handshakes_max),
      chunks(std::max(l.handshakes_max * kChunksPerHandshake, kChunksMin)), out_by_thread(std::max(given.options.threads, 1u)),
      urgent(is_inline() ? l.handshakes_max : 1), fresh(is_inline() ? l.handshakes_max : 1) {}

/// At the end of the core: nobody is told any more; threads finish what they have.
Handshaker::Impl::~Impl() {
    for (uint32_t i = 0; i < pool.touched(); i++) {
        Handshake* handshake = pool.at(i);
        handshake->owner = nullptr;
        if (!handshake->leaving) leave(*handshake);
    }
    while (in_use > 0) {
        poll(Instant{});
        if (!is_inline()) std::this_thread::yield();
    }
    threads.detach(core, lane);
    for (uint32_t i = pool.touched(); i-- > 0;) pool.give(pool.at(i));
}

Handshake* Handshaker::Impl::take(HandshakeOwner& owner) {
    Handshake* handshake = nullptr;
    if (jobs_out < limits.queued_max && in_use < limits.handshakes_max) {
        handshake = free ? free : pool.take();
        if (free) free = free->next;
    }
    if (!handshake) {
        counters.failed[static_cast<size_t>(Failure::kTooMany)]++;
        return nullptr;
    }
    in_use++;
    counters.started++;
    handshake->next = nullptr;
    handshake->owner = &owner;
    handshake->leaving = false;
    handshake->thread = static_cast<uint32_t>(std::min_element(out_by_thread.begin(), out_by_thread.end()) - out_by_thread.begin());
    return handshake;
}

void Handshaker::Impl::give(Handshake* h) {
    give_chunks(h->pending);
    give_chunks(h->job.input);
    HandshakeJob& job = h->job;
    job.server = nullptr, job.client = nullptr;
    job.destroy = job.has_result = job.wants_tickets = false;
    job.state = HandshakeSession::State::kRunning;
    job.output.clear();
    job.result.keys.wipe();
    job.result = {};
    job.tickets_taken = 0;
    job.failure = Failure::kNone, job.alert = Alert::kCloseNotify;
    job.reason.clear();
    h->owner = nullptr;
    h->pending_tail = nullptr;
    h->received = 0;
    h->out = h->begun = h->closed = h->finished = h->wants_tickets = h->held_back = h->listed = false;
    h->leaving = true;   // a free one stays as it is when the core ends
    h->verdict = Failure::kNone;
    h->next = free;
    free = h;
    in_use--;
}

bool Handshaker::Impl::append(Handshake& h, const uint8_t* bytes, size_t size) {
    while (size > 0) {
        if (!h.pending_tail || h.pending_tail->size == HandshakeChunk::kBytes) {
            HandshakeChunk* chunk = chunks.take();
            if (!chunk) return false;
            (h.pending_tail ? h.pending_tail->next : h.pending) = chunk;
            h.pending_tail = chunk;
        }
        HandshakeChunk& tail = *h.pending_tail;
        const size_t n = std::min<size_t>(size, HandshakeChunk::kBytes - tail.size);
        std::memcpy(tail.bytes + tail.size, bytes, n);
        tail.size += static_cast<uint32_t>(n);
        bytes += n, size -= n;
    }
    return true;
}

void Handshaker::Impl::give_chunks(HandshakeChunk*& head) {
    while (HandshakeChunk* chunk = head) {
        head = chunk->next;
        chunks.give(chunk);
    }
}

/// Gives the job to its thread. Precondition: it is not there.
void Handshaker::Impl::dispatch(Handshake& h, bool is_fresh) {
    h.job.input = h.pending;
    h.pending = h.pending_tail = nullptr;
    h.out = h.begun = true;
    jobs_out++;
    bool pushed;
    if (is_inline()) pushed = (is_fresh ? fresh : urgent).push(&h);
    else {
        HandshakeLane::Queues& queues = *lane->by_thread[h.thread];
        pushed = (is_fresh ? queues.fresh : queues.urgent).push(&h);   // as many places as handshakes: never full
        out_by_thread[h.thread]++;
        threads.wake(h.thread);
    }
    (void)pushed;
}

void Handshaker::Impl::look_later(Handshake& h) {
    if (h.listed) return;
    h.listed = true;
    h.next = nullptr;
    (look_tail ? look_tail->next : look_head) = &h;
    look_tail = &h;
}

/// Nobody needs it any more: its session goes first, on the thread that has it.
void Handshaker::Impl::leave(Handshake& h) {
    h.leaving = true;
    h.owner = nullptr;
    if (h.out || h.listed || h.delivering) return;   // when it comes back, in the next poll, when its owner returns
    if (!h.job.session) return give(&h);
    h.job.destroy = true;
    dispatch(h, false);
}

void Handshaker::Impl::returned(Handshake& h, Instant now) {
    h.out = false;
    jobs_out--;
    give_chunks(h.job.input);
    HandshakeJob& job = h.job;
    counters.tickets_taken += std::exchange(job.tickets_taken, 0u);
    h.wants_tickets = job.wants_tickets;
    if (h.owner && !h.finished && !job.output.empty()) {
        h.delivering = true;
        h.owner->on_handshake_bytes(job.output, now);
        h.delivering = false;
    }
    job.output.clear();
    proceed(h, now);
}

/// What is to be done next with a handshake that is here.
void Handshaker::Impl::proceed(Handshake& h, Instant now) {
    HandshakeJob& job = h.job;
    if (h.leaving) return leave(h);   // cancelled or finished meanwhile
    if (h.verdict != Failure::kNone) {
        const char* words = h.verdict == Failure::kTooLarge ? kTooLong : "no memory left for handshakes";
        return deliver_failed(h, h.verdict, Alert::kCloseNotify, words, now);
    }
    if (job.has_result) return deliver_done(h, now);
    if (job.state == HandshakeSession::State::kFailed) return deliver_failed(h, job.failure, job.alert, job.reason, now);
    if (h.finished) {
        if (job.session && h.pending) dispatch(h, false);   // without a session it only waits for finish()
        return;
    }
    if (h.pending) return dispatch(h, !h.begun);
    if (h.held_back) return deliver_failed(h, Failure::kTooLarge, Alert::kCloseNotify, kTooLong, now);
    if (h.closed) deliver_failed(h, Failure::kPeerClosed, Alert::kCloseNotify, "the peer closed during the handshake", now);
}

void Handshaker::Impl::deliver_done(Handshake& h, Instant now) {
    HandshakeJob& job = h.job;
    job.has_result = false;
    h.finished = true;
    (job.result.resumed ? counters.done_resumed : counters.done_full)++;
    if (job.result.fallback) counters.fallbacks++;
    // What came while the last job was out came behind the handshake.
    for (const HandshakeChunk* chunk = h.pending; chunk; chunk = chunk->next)
        job.result.leftover.insert(job.result.leftover.end(), chunk->bytes, chunk->bytes + chunk->size);
    give_chunks(h.pending);
    h.pending_tail = nullptr;
    const bool tickets = h.wants_tickets;
    h.delivering = true;
    h.owner->on_handshake_done(std::move(job.result), tickets, now);
    h.delivering = false;
    job.result.keys.wipe();
    job.result = {};
    if (!tickets || h.leaving) leave(h);
}

void Handshaker::Impl::deliver_failed(Handshake& h, Failure failure, Alert alert, std::string_view reason, Instant now) {
    counters.failed[static_cast<size_t>(failure)]++;
    h.delivering = true;
    h.owner->on_handshake_failed(failure, alert, reason, now);
    h.delivering = false;
    leave(h);
}

void Handshaker::Impl::run_inline(Instant now) {
    for (uint32_t i = 0; i < kInlineJobsPerPoll; i++) {
        Handshake* handshake = nullptr;
        if (!urgent.pop(handshake) && !fresh.pop(handshake)) return;
        run_job(handshake->job, lane->live);
        returned(*handshake, now);
    }
}

void Handshaker::Impl::poll(Instant now) {
    Handshake* handshake = std::exchange(look_head, nullptr);
    look_tail = nullptr;
    while (handshake) {
        Handshake* next = handshake->next;
        handshake->listed = false;
        if (!handshake->out) proceed(*handshake, now);
        handshake = next;
    }
    if (is_inline()) return run_inline(now);
    for (size_t i = 0; jobs_out > 0 && i < lane->by_thread.size(); i++)
        while (lane->by_thread[i]->back.pop(handshake)) {
            out_by_thread[i]--;
            returned(*handshake, now);
        }
}

Handshaker::Handshaker(HandshakeThreads& threads, uint32_t core, const HandshakeLimits& limits)
    : impl_(std::make_unique<Impl>(*threads.impl_, core, limits)) {}
Handshaker::~Handshaker() = default;

Handshake* Handshaker::start_server(std::shared_ptr<const ServerContext> context, HandshakeOwner& owner) {
    Handshake* handshake = impl_->take(owner);
    if (handshake) handshake->job.server = std::move(context);   // there is nothing to do before its first bytes
    return handshake;
}

Handshake* Handshaker::start_client(std::shared_ptr<const ClientContext> context, const ClientPeer& peer, const SocketAddress& remote, HandshakeOwner& owner,
                                    bool texts) {
    Handshake* handshake = impl_->take(owner);
    if (!handshake) return nullptr;
    handshake->job.client = std::move(context);
    handshake->job.peer = peer;
    handshake->job.peer.identity_certificates |= texts;
    handshake->job.remote = remote;
    impl_->dispatch(*handshake, false);   // ours: a request waits for it
    return handshake;
}

bool Handshaker::feed(Handshake& h, SliceQueue& in) {
    bool taken = h.verdict == Failure::kNone;
    while (!in.empty()) {
        if (taken && h.received + in.front().size() > impl_->limits.bytes_max) {
            if (impl_->ready(h)) impl_->dispatch(h, !h.begun);
            h.held_back = h.out;   // perhaps the handshake is over and this is data: the receive window waits, not our memory
            if (h.out) return true;
        }
        const Slice slice = in.pop_front();
        if (!taken) continue;
        h.received += slice.size();
        if (h.received > impl_->limits.bytes_max) h.verdict = Failure::kTooLarge;
        else if (!impl_->append(h, slice.data(), slice.size())) h.verdict = Failure::kTooMany;
        taken = h.verdict == Failure::kNone;
    }
    in.clear();
    if (!taken) {
        if (!h.out) impl_->look_later(h);
        return false;
    }
    if (impl_->ready(h)) impl_->dispatch(h, !h.begun);
    return true;
}

void Handshaker::peer_closed(Handshake& h) {
    h.closed = true;
    if (!h.out) impl_->look_later(h);
}

void Handshaker::cancel(Handshake& h) {
    if (!h.leaving) impl_->leave(h);
}

void Handshaker::take_ticket(Handshake& h, std::span<const uint8_t> record) {
    if (h.leaving || !h.finished || !h.wants_tickets) return;
    // One that has no room is lost, and those behind it: OpenSSL cannot open them without it, and says so.
    if (!impl_->append(h, record.data(), record.size())) return;
    if (!h.out) impl_->look_later(h);
}

void Handshaker::finish(Handshake& h) { cancel(h); }
void Handshaker::poll(Instant now) { impl_->poll(now); }
bool Handshaker::busy() const { return impl_->jobs_out > 0 || impl_->look_head != nullptr; }
uint32_t Handshaker::live() const { return impl_->lane->live->load(std::memory_order_relaxed); }
const HandshakeCounters& Handshaker::counters() const { return impl_->counters; }

}  // namespace sluice::tls
