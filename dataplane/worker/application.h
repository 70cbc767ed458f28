// What runs on a worker core above TCP: the proxy, or a test's echo server. The worker calls it; it never blocks, allocates
// or makes system calls. Made and destroyed on its worker's thread; owns its connections' handles until release().
#pragma once

#include <functional>
#include <memory>

#include "base/time.h"
#include "tcp/stack.h"
#include "worker/connection_row.h"

namespace sluice::worker {

class Worker;

class Application {
 public:
    virtual ~Application() = default;
    /// Start of each turn: notices a new snapshot.
    virtual void turn(Instant now) = 0;
    virtual void handle_event(const tcp::ConnectionEvent& event, Instant now) = 0;
    virtual void handle_timeout(Instant now) = 0;
    virtual Instant poll_timeout() const = 0;
    /// True when nothing is in progress: the worker may stop at once when asked to.
    virtual bool idle() const = 0;
    /// Threads that work for this core, share its CPU and give way to it have work: the worker is to rest now and then.
    virtual bool others_wait() const { return false; }

    /// What a connection of its own does, for operators; those it does not hold stay as they are.
    virtual void describe(tcp::Connection&, ConnectionRow&) {}
    /// An operator wants it closed. kClosing: not held here.
    virtual CloseOutcome close(tcp::Connection&, bool /*reset*/, Instant /*now*/) { return CloseOutcome::kClosing; }

    /// End of each turn: nothing obtained from the snapshot's root in this turn is used any more.
    virtual void quiescent() {}
    /// Around a sleep: publishers do not wait for a sleeping core.
    virtual void offline() {}
    virtual void online() {}
};

/// Called on the worker's own thread, once.
using ApplicationFactory = std::function<std::unique_ptr<Application>(Worker&)>;

}  // namespace sluice::worker
