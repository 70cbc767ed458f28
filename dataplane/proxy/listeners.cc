// The difference between the listeners that are open and those that should be.
#include "proxy/listeners.h"

#include <algorithm>

#include "proxy/arrival.h"
#include "proxy/downstream.h"

namespace sluice::proxy {
namespace {

/// Unchanged parts are shared between snapshots; a rebuilt part with the same content is the same listener too.
bool same(const snapshot::Listener& a, const snapshot::Listener& b) {
    return &a == &b || (a.id == b.id && a.content_hash != 0 && a.content_hash == b.content_hash);
}

}  // namespace

Listeners::~Listeners() {
    while (first_) {
        ListenerState& state = *first_;
        if (state.socket) core_.network.close_listener(state.socket);
        forget(state);
    }
}

void Listeners::reconcile(const snapshot::Snapshot& root) {
    for (ListenerState* state = first_; state;) {
        ListenerState* const next = state->next;
        const bool kept = std::any_of(root.listeners.begin(), root.listeners.end(),
                                      [&](const auto& listener) { return same(*listener, *state->listener); });
        if (!kept && !state->draining) drain(*state);
        state = next;
    }
    open_failures_ = 0;
    for (const auto& listener : root.listeners) {
        ListenerState* state = find(listener->id);
        if (!state) {
            open(*listener);
        } else if (!state->socket) {  // its address was taken then
            state->socket = core_.network.listen(listener->address, state);
            if (!state->socket) open_failures_++;
        }
    }
}

ListenerState* Listeners::find(uint32_t id) {
    for (ListenerState* state = first_; state; state = state->next) {
        if (!state->draining && state->listener->id == id) return state;
    }
    return nullptr;
}

void Listeners::open(const snapshot::Listener& listener) {
    ListenerState* state = core_.listeners.take(core_);
    if (!state) {
        open_failures_++;
        return;
    }
    state->listener = snapshot::Pin<snapshot::Listener>(core_.reader.pins(), &listener);
    state->direct = Arrival::is_direct(listener);
    state->next = first_;
    if (first_) first_->previous = state;
    first_ = state;
    state->socket = core_.network.listen(listener.address, state);
    if (!state->socket) open_failures_++;
}

void Listeners::drain(ListenerState& state) {
    if (state.socket) core_.network.close_listener(std::exchange(state.socket, nullptr));
    state.draining = true;
    if (state.connection_count == 0) return forget(state);
    state.drain_deadline = core_.now + state.listener->drain_timeout();
    state.drain_timer.want(core_.timers, state.drain_deadline);
    for (Downstream* connection = state.connections; connection; connection = connection->next) connection->on_drain(core_.now);
}

void Listeners::drain_all() {
    for (ListenerState* state = first_; state;) {
        ListenerState* const next = state->next;
        if (!state->draining) drain(*state);
        state = next;
    }
}

void Listeners::abort_all(std::string_view reason) {
    for (ListenerState* state = first_; state; state = state->next) {
        for (Downstream* connection = state->connections; connection; connection = connection->next) connection->abort(reason);
        for (Arrival* arrival = state->arrivals; arrival; arrival = arrival->next) arrival->abort();
    }
}

void Listeners::released(ListenerState& state) {
    if (state.draining && state.connection_count == 0) forget(state);
}

void Listeners::forget(ListenerState& state) {
    core_.timers.cancel(state.drain_timer);
    (state.previous ? state.previous->next : first_) = state.next;
    if (state.next) state.next->previous = state.previous;
    core_.listeners.give(&state);
}

uint32_t Listeners::open_count() const {
    uint32_t n = 0;
    for (const ListenerState* state = first_; state; state = state->next) n += state->socket != nullptr;
    return n;
}

uint32_t Listeners::draining_count() const {
    uint32_t n = 0;
    for (const ListenerState* state = first_; state; state = state->next) n += state->draining;
    return n;
}

void ListenerState::on_timer(Instant now) {
    core.now = now;
    if (now < drain_deadline) return drain_timer.want(core.timers, drain_deadline);
    for (Downstream* connection = connections; connection; connection = connection->next)
        connection->abort("the drain's deadline has passed");
    for (Arrival* arrival = arrivals; arrival; arrival = arrival->next) arrival->abort();
}

}  // namespace sluice::proxy
