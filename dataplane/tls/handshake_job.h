// One handshake as a core and its handshake thread pass it to and fro. At each moment one side has it: while `out` is set, `job` is the
// thread's, otherwise the core's; everything else is always the core's. So neither locks. Internal to the TLS room.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/spsc_ring.h"
#include "tls/handshake_session.h"

namespace sluice::tls {

/// Bytes copied out of mbufs, from a pool of the core: an mbuf must not leave its core.
struct HandshakeChunk {
    static constexpr uint32_t kBytes = 4096 - 16;
    HandshakeChunk* next = nullptr;
    uint32_t size = 0;
    uint8_t bytes[kBytes];
    // Not zeroed.
    HandshakeChunk() {}   // NOLINT
};

struct HandshakeJob {
    // From the core.
    std::shared_ptr<const ServerContext> server;
    std::shared_ptr<const ClientContext> client;
    ClientPeer peer;
    SocketAddress remote;
    HandshakeChunk* input = nullptr;       // the core's again when the job comes back
    bool destroy = false;                  // frees the session and does nothing else
    // The thread's.
    std::unique_ptr<HandshakeSession> session;
    // From the thread.
    HandshakeSession::State state = HandshakeSession::State::kRunning;
    std::vector<uint8_t> output;
    HandshakeResult result;                // once, when state becomes kDone
    bool has_result = false, wants_tickets = false;
    uint32_t tickets_taken = 0;
    Failure failure = Failure::kNone;
    Alert alert = Alert::kCloseNotify;
    std::string reason;
};

/// Does what the job asks. On a handshake thread, or on the core where there is none.
void run_job(HandshakeJob& job, const LiveConnection::Gauge& gauge);

/// The opaque type of handshake.h.
class Handshake {
 public:
    HandshakeJob job;
    HandshakeOwner* owner = nullptr;       // nullptr: nobody waits for it any more
    HandshakeChunk* pending = nullptr;     // bytes for the next job, oldest first
    HandshakeChunk* pending_tail = nullptr;
    uint64_t received = 0;
    uint32_t thread = 0;
    bool out = false;                      // a job is with the thread
    bool begun = false;                    // a job was, ever: there may be a session
    bool closed = false;                   // no byte will come
    bool held_back = false;                // bytes beyond the limit stay with the owner until the job is back
    bool finished = false;                 // on_handshake_done was called; stays for tickets
    bool leaving = false;                  // goes back to the pool as soon as its session is gone
    Failure verdict = Failure::kNone;      // of the core: too large, closed
    bool wants_tickets = false;            // as of the last job
    bool delivering = false;               // its owner is being told: what the owner does takes effect afterwards
    bool listed = false;                   // in the core's list of handshakes to look at
    Handshake* next = nullptr;             // there, or in the list of free ones
};

/// The queues between one core and the handshake threads, a set for each thread. Urgent ones first: what was begun comes to an end even
/// while new connections flood in.
struct HandshakeLane {
    struct Queues {
        explicit Queues(uint32_t capacity) : urgent(capacity), fresh(capacity), back(capacity) {}
        SpscRing<Handshake*> urgent, fresh, back;
    };
    HandshakeLane(uint32_t threads, uint32_t capacity) {
        for (uint32_t i = 0; i < threads; i++) by_thread.push_back(std::make_unique<Queues>(capacity));
    }
    std::vector<std::unique_ptr<Queues>> by_thread;
    LiveConnection::Gauge live = std::make_shared<std::atomic<uint32_t>>(0);
};

struct HandshakeThreads::Impl {
    explicit Impl(const Options& options);
    ~Impl();
    /// A core's queues, for `capacity` handshakes; they live as long as the threads. Not on the path.
    HandshakeLane* attach(uint32_t core, uint32_t capacity);
    void detach(uint32_t core, HandshakeLane* lane);
    /// There is work for `thread`. A system call only where that thread sleeps.
    void wake(uint32_t thread);

    struct Thread;
    Options options;
    std::vector<std::unique_ptr<Thread>> threads;
    std::vector<std::atomic<HandshakeLane*>> current;      // by core
    std::mutex mutex;                                      // of attaching
    std::vector<std::unique_ptr<HandshakeLane>> lanes;
};

}  // namespace sluice::tls
