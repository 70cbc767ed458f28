// The listeners of one core: what is open, what drains. In: the snapshot's listeners. Out: sockets opened and closed by
// difference; listeners that did not change are not touched. A ListenerState lives until its last connection has ended and
// pins the configuration that those connections follow.
#pragma once

#include <cstdint>

#include "proxy/core.h"
#include "snapshot/part.h"
#include "snapshot/snapshot.h"

namespace sluice::proxy {

class Arrival;
class Downstream;

struct ListenerState final : public TimerHandler {
    explicit ListenerState(Core& c) : core(c), drain_timer(*this) {}
    /// The drain's deadline: what is still open is cut.
    void on_timer(Instant now) override;

    Core& core;
    snapshot::Pin<snapshot::Listener> listener;
    void* socket = nullptr;                 // nullptr: could not be opened, or closed
    Downstream* connections = nullptr;
    Arrival* arrivals = nullptr;            // accepted, and no filter chain or finished handshake yet
    uint32_t connection_count = 0;          // of both
    bool draining = false;
    bool direct = false;                    // Arrival::is_direct: its clients need no arrival
    Instant drain_started, drain_deadline = Instant::never();
    LazyTimer drain_timer;
    ListenerState *previous = nullptr, *next = nullptr;
};

class Listeners {
 public:
    explicit Listeners(Core& core) : core_(core) {}
    ~Listeners();
    /// Opens, replaces and closes so that exactly `root`'s listeners are open.
    void reconcile(const snapshot::Snapshot& root);
    /// Stops listening and drains everything (SIGTERM).
    void drain_all();
    /// Cuts every connection.
    void abort_all(std::string_view reason);
    /// A connection has ended.
    void released(ListenerState& state);
    uint32_t open_count() const;
    uint32_t draining_count() const;
    uint32_t open_failures() const { return open_failures_; }

 private:
    void open(const snapshot::Listener& listener);
    void drain(ListenerState& state);
    void forget(ListenerState& state);
    ListenerState* find(uint32_t id);

    Core& core_;
    ListenerState* first_ = nullptr;
    uint32_t open_failures_ = 0;
};

}  // namespace sluice::proxy
