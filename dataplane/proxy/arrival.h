// A client's connection from its accept until it is known what speaks on it: the first bytes are looked at where the listener's chains
// ask for them, a filter chain is picked, TLS shakes hands. In: a raw transport's events. Out: a Downstream over the raw transport or
// over TLS, or a connection closed and counted. From a pool of its core, so floods of half-open ones are bounded; listed with its
// listener, which closes it. Envoy's listener filters and filter chain manager.
#pragma once

#include <cstdint>

#include "proxy/core.h"
#include "proxy/listeners.h"
#include "proxy/transport.h"

namespace sluice::tls {
struct Hello;
}

namespace sluice::proxy {

class TlsTransport;

class Arrival final : public TransportHandler, public TimerHandler {
 public:
    /// Of a listener whose every connection goes to one plain chain: none of this is needed.
    static bool is_direct(const snapshot::Listener& listener) {
        return listener.chains.size() == 1 && !listener.inspect_tls && !listener.chains.front().tls &&
               (listener.default_chain == 0 || listener.chain_index.matches_all());
    }

    Arrival(Core& core, Listeners& listeners, ListenerState& listener, Transport& raw);
    ~Arrival();
    /// Its first look, when the accept is unwound. By the core.
    void run(Instant now);
    /// The listener's drain is over, or an operator's wish.
    void abort();

    void on_transport_events(uint16_t events, Instant now) override;
    void on_timer(Instant now) override;
    void describe(worker::ConnectionRow& row) const override;
    worker::CloseOutcome close_for_operator(bool reset, Instant now) override;

    Arrival *next_dead = nullptr, *next_ready = nullptr;   // Core's
    bool scheduled = false;
    Arrival *previous = nullptr, *next = nullptr;          // ListenerState's

 private:
    enum class State : uint8_t { kNew, kInspect, kHandshake, kLinger /* a refusal is on its way */, kClosed };
    void inspect();
    bool worth_a_look(bool& counts);
    void choose(const tls::Hello* hello);
    void shake_hands();
    void hand_over();
    void refuse();
    void on_handshake_failed();
    void linger();
    void tell_failure(std::string_view reason);
    void close();
    telemetry::ListenerStats& stats() { return core_.stats.listener(listener_.listener->id); }

    Core& core_;
    Listeners& listeners_;
    ListenerState& listener_;
    Transport* transport_;              // the raw one, then TLS over it
    TlsTransport* tls_ = nullptr;       // transport_, once it is TLS
    const snapshot::FilterChain* chain_ = nullptr;
    LazyTimer timer_;
    Instant deadline_ = Instant::never();
    State state_ = State::kNew;
    uint8_t looks_ = 0;                 // at the first bytes
};

}  // namespace sluice::proxy
