// One end of a connection as its application sees it: writes known bytes, reads and checks the other end's, half-closes,
// aborts, or reads slowly. In: the connection's news and the time. Out: calls on the connection, complaints, when to look again.
// Owns nothing: the connection is the stack's until released.
#pragma once

#include <cstdint>
#include <string>

#include "base/rng.h"
#include "tests/sim/host.h"

namespace sluice::sim {

struct Endpoint {
    uint32_t index = 0, peer = UINT32_MAX;  // in the world's list
    Host* host = nullptr;
    tcp::Connection* connection = nullptr;
    uint64_t key_out = 0, key_in = 0;       // which bytes are sent and expected
    uint64_t to_send = 0, to_receive = 0;
    uint64_t sent = 0, received = 0;
    uint32_t write_max = 16384, read_max = 1u << 20;
    Duration read_pause{};                  // a slow reader waits between reads, at most so long
    Instant read_at{};
    Instant abort_at = Instant::never();    // then it resets the connection
    bool client = false, accepted = false;  // a client's: its server end exists
    bool peer_closed = false, shut = false, released = false, failed = false;
    bool wait_for_peer = false;             // answers only when it has everything: a half close
    bool may_fail = false;                  // this end or the other aborts
    tcp::Error error{};

    /// What the application does when it looks at its connection. Empty, or what went wrong.
    std::string serve(Instant now, Rng& rng);
    /// When it wants to look again without news; never() if not.
    Instant look_at(Instant now) const;
    std::string describe() const;

 private:
    std::string read(Instant now, Rng& rng);
    std::string write();
    std::string within_limits() const;
    void release();
};

}  // namespace sluice::sim
