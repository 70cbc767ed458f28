// One end of a connection as its application sees it: a socket that is written with known bytes, read and checked, half-closed,
// aborted, or read slowly. In: the socket's news and the time. Out: socket calls, complaints, when to look again.
// Owns its descriptor until it closes it.
#pragma once

#include <cstdint>
#include <string>

#include "base/rng.h"
#include "tests/sim/host.h"

namespace sluice::sim {

struct Endpoint {
    uint32_t index = 0, peer = UINT32_MAX;  // in the world's list
    Host* host = nullptr;
    int fd = -1;
    uint16_t port = 0;                      // the client's
    uint64_t key_out = 0, key_in = 0;       // which bytes are sent and expected
    uint64_t to_send = 0, to_receive = 0;
    uint64_t sent = 0, received = 0;
    uint32_t write_max = 16384, read_max = 1u << 20;
    Duration read_pause{};                  // a slow reader waits between reads, at most so long
    Instant read_at{};
    Duration write_pause{};                 // and a slow writer so long at most, kPauses times
    static constexpr uint64_t kPauses = 40;
    uint64_t pause_after = 0;               // so many bytes
    Instant write_at{};
    Instant abort_at = Instant::never();    // then it resets the connection
    bool client = false, accepted = false;  // a client's: its server end exists
    bool peer_closed = false, shut = false, closed = false, failed = false;
    bool wait_for_peer = false;             // answers only when it has everything: a half close
    bool may_fail = false;                  // this end or the other aborts
    int error = 0;                          // errno, if it failed

    /// What the application does when it looks at its socket. Empty, or what went wrong.
    std::string serve(Instant now, Rng& rng);
    /// When it wants to look again without news; never() if not.
    Instant look_at(Instant now) const;
    std::string describe() const;

 private:
    std::string read(Instant now, Rng& rng);
    void write(Instant now, Rng& rng);
    void fail(long answer);
    void abort(Instant now);
    void close(Instant now);
    bool unread = false;                    // it stopped reading before the socket was empty
    bool unwritten = false;                 // the socket has room, but there was no memory
};

}  // namespace sluice::sim
