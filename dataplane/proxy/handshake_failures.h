// Handshakes that failed, for the gateway's log: a worker pushes what happened and to whom, the control thread takes it and writes as
// much as a person can read. In: texts, cut where their room ends. Out: plain records. Bounded; a full ring counts what it drops.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/ip_address.h"
#include "base/spsc_ring.h"
#include "telemetry/stat_array.h"
#include "tls/handshake.h"

namespace sluice::proxy {

struct HandshakeFailure {
    SocketAddress remote;
    tls::Role role = tls::Role::kServer;
    tls::Failure failure = tls::Failure::kNone;
    tls::Alert alert = tls::Alert::kCloseNotify;
    char owner[96] = {};    // the listener's name, or the cluster's
    char reason[256] = {};

    template <size_t kBytes>
    static void set(char (&into)[kBytes], std::string_view text) {
        const size_t n = std::min(text.size(), kBytes - 1);
        if (n) std::memcpy(into, text.data(), n);
        into[n] = 0;
    }
};

class HandshakeFailures {
 public:
    /// The core.
    void push(const HandshakeFailure& failure) {
        if (!ring_.push(failure)) dropped_.add();
    }
    /// The control thread.
    bool pop(HandshakeFailure& out) { return ring_.pop(out); }
    uint64_t dropped() const { return dropped_.get(); }

 private:
    SpscRing<HandshakeFailure> ring_{64};
    telemetry::Counter dropped_;
};

}  // namespace sluice::proxy
