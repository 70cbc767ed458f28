// Looking, choosing, shaking hands, handing over; and ends.
#include "proxy/arrival.h"

#include <array>

#include "proxy/downstream.h"
#include "proxy/tls_transport.h"
#include "tls/hello.h"

namespace sluice::proxy {
namespace {

/// A hello in honest segments takes a dozen looks; what comes in more pieces costs more than it is worth.
constexpr uint8_t kLooksMax = 64;
/// How long a refused client is given to read why.
constexpr Duration kLinger = seconds(1);

Instant after(Instant from, Duration d) { return d.us > 0 ? from + d : Instant::never(); }

}  // namespace

Arrival::Arrival(Core& core, Listeners& listeners, ListenerState& listener, Transport& raw)
    : core_(core), listeners_(listeners), listener_(listener), transport_(&raw), timer_(*this) {
    next = listener.arrivals;
    if (next) next->previous = this;
    listener.arrivals = this;
    listener.connection_count++;
    stats().arriving.add();
    raw.set_handler(this);
    core.schedule(*this);
}

Arrival::~Arrival() {
    stats().arriving.sub();
    (previous ? previous->next : listener_.arrivals) = next;
    if (next) next->previous = previous;
    listener_.connection_count--;
    listeners_.released(listener_);
}

void Arrival::run(Instant now) {
    core_.now = now;
    if (state_ != State::kNew) return;
    const snapshot::Listener& listener = *listener_.listener;
    state_ = State::kInspect;
    if (!listener.inspect_tls) return choose(nullptr);
    deadline_ = after(core_.now, listener.inspect_timeout);
    timer_.want(core_.timers, deadline_);
    inspect();
}

void Arrival::on_transport_events(uint16_t events, Instant now) {
    core_.now = now;
    switch (state_) {
        case State::kNew:
            if (events & tcp::kFailed) close();
            return;   // run() looks at what is there
        case State::kInspect:
            if (events & tcp::kFailed) return close();
            if (events & (tcp::kReadable | tcp::kPeerClosed)) inspect();
            return;
        case State::kHandshake:
            if (events & tcp::kFailed) return on_handshake_failed();
            if (events & tcp::kConnected) hand_over();
            return;
        case State::kLinger: {
            if (events & tcp::kFailed) return close();
            SliceQueue& in = transport_->receive_queue();
            const uint64_t n = in.bytes();
            in.clear();
            if (n > 0) transport_->consumed(n);
            if (transport_->peer_closed() || (events & tcp::kPeerClosed)) close();
            return;
        }
        case State::kClosed: return;
    }
}

/// A TLS record is waited for whole, so that a hello cut into single bytes is not parsed once for each; only looks at whole ones count.
bool Arrival::worth_a_look(bool& counts) {
    std::array<uint8_t, tls::kRecordHeaderBytes> header;
    const SliceQueue& in = transport_->receive_queue();
    counts = false;
    if (in.empty()) return false;
    if (in.peek(0, header) < header.size() || header[0] != 22) return true;
    counts = true;
    return in.bytes() >= header.size() + (header[3] << 8 | header[4]);
}

void Arrival::inspect() {
    bool counts = false;
    if (worth_a_look(counts)) {
        tls::Hello hello;
        switch (tls::inspect_hello(transport_->receive_queue(), hello)) {
            case tls::HelloStatus::kHello: return choose(&hello);
            case tls::HelloStatus::kNotTls: stats().tls_not_found.add(); return choose(nullptr);
            case tls::HelloStatus::kNeedMore:
                if (!counts || ++looks_ < kLooksMax) break;
                [[fallthrough]];
            case tls::HelloStatus::kBad: stats().bad_hellos.add(); return refuse();
        }
    }
    if (transport_->peer_closed()) close();
}

void Arrival::choose(const tls::Hello* hello) {
    const snapshot::Listener& listener = *listener_.listener;
    route::ConnectionFacts facts;
    facts.local = transport_->tuple().local;
    facts.remote = transport_->tuple().remote;
    std::array<std::string_view, tls::kAlpnProtocolsMax> alpn;
    if (hello) {
        stats().tls_found.add();
        facts.transport = route::TransportProtocol::kTls;
        facts.server_name = hello->server_name_view();
        for (uint32_t i = 0; i < hello->alpn_count; i++) alpn[i] = hello->alpn[i];
        facts.alpn = alpn.data();
        facts.alpn_count = hello->alpn_count;
    }
    int index = listener.chains.size() == 1 && listener.chain_index.matches_all() ? 0 : listener.chain_index.find(facts);
    if (index < 0) index = listener.default_chain;
    if (index < 0 || static_cast<size_t>(index) >= listener.chains.size()) {
        stats().no_filter_chain_match.add();
        return refuse();
    }
    chain_ = &listener.chains[static_cast<size_t>(index)];
    chain_->tls ? shake_hands() : hand_over();
}

void Arrival::shake_hands() {
    const auto& chains = core_.root->chains;
    const auto context = chain_->id < chains.size() ? chains[chain_->id].tls : nullptr;
    if (!context) {
        stats().no_secret.add();
        tell_failure("its certificate is not there yet");
        return refuse();
    }
    TlsTransport* tls = core_.tls_transports.take(core_);
    if (!tls) {
        core_.counters.accept_refused++;
        return refuse();
    }
    state_ = State::kHandshake;
    deadline_ = after(core_.now, chain_->connect_timeout);
    timer_.want(core_.timers, deadline_);
    Transport& raw = *transport_;
    tls->set_handler(this);
    if (tls->accept(raw, context, listener_.listener->id)) {
        transport_ = tls_ = tls;
        return;
    }
    core_.counters.accept_refused++;
    tls->set_handler(nullptr);
    tls->release();
    refuse();
}

/// The bytes that were looked at are the first request's.
void Arrival::hand_over() {
    Downstream* downstream = core_.downstreams.take(core_, listeners_, listener_, *chain_, *transport_);
    if (!downstream) {
        core_.counters.accept_refused++;
        return refuse();
    }
    core_.counters.accepted++;
    Transport& transport = *std::exchange(transport_, nullptr);
    close();
    if (tls_) return;   // goes on by itself
    const uint16_t events = static_cast<uint16_t>((transport.receive_queue().empty() ? 0 : tcp::kReadable) | (transport.peer_closed() ? tcp::kPeerClosed : 0));
    if (events) downstream->on_transport_events(events, core_.now);
}

void Arrival::on_handshake_failed() {
    if (tls_->failure() == tls::Failure::kNone) return close();   // reset by the client, or no memory
    if (tls_->failure() != tls::Failure::kPeerClosed) tell_failure(tls_->failure_reason());
    tls_->gone() ? close() : linger();
}

void Arrival::tell_failure(std::string_view reason) {
    HandshakeFailure told;
    told.remote = transport_->tuple().remote;
    if (tls_) told.failure = tls_->failure(), told.alert = tls_->alert();
    HandshakeFailure::set(told.owner, listener_.listener->name);
    HandshakeFailure::set(told.reason, reason);
    core_.handshake_failures.push(told);
}

/// An alert that a reset overtakes is not read: what the client still sends is taken until it closes, too.
void Arrival::linger() {
    state_ = State::kLinger;
    transport_->shutdown_write();
    if (transport_->peer_closed()) return close();
    deadline_ = core_.now + kLinger;
    timer_.want(core_.timers, deadline_);
}

void Arrival::on_timer(Instant now) {
    core_.now = now;
    if (state_ == State::kClosed) return;
    if (now < deadline_) return timer_.want(core_.timers, deadline_);
    if (state_ == State::kHandshake) {
        stats().tls.add_failure(tls::Failure::kTimeout);
        tell_failure("no finished handshake within the filter chain's transport_socket_connect_timeout");
    }
    if (state_ != State::kInspect) return refuse();
    stats().inspect_timeouts.add();
    if (!listener_.listener->continue_on_inspect_timeout) return refuse();
    deadline_ = Instant::never();
    choose(nullptr);
}

void Arrival::refuse() {
    if (transport_) transport_->abort();
    close();
}

void Arrival::abort() {
    if (state_ != State::kClosed) refuse();
}

void Arrival::close() {
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    core_.timers.cancel(timer_);
    if (Transport* transport = std::exchange(transport_, nullptr)) {
        transport->set_handler(nullptr);
        transport->release();
    }
    core_.bury(*this);
}

void Arrival::describe(worker::ConnectionRow& row) const {
    row.role = worker::ConnectionRow::Role::kDownstream;
    row.owner.set(listener_.listener->name);
    row.phase = state_ <= State::kInspect ? "first bytes" : state_ == State::kHandshake ? "TLS handshake" : "closing";
}

worker::CloseOutcome Arrival::close_for_operator(bool reset, Instant now) {
    core_.now = now;
    if (state_ == State::kClosed) return worker::CloseOutcome::kClosing;
    if (reset) {
        refuse();
        return worker::CloseOutcome::kReset;
    }
    close();
    return worker::CloseOutcome::kClosed;
}

}  // namespace sluice::proxy
