// On the core: reads control blocks, asks the application what each connection does (see connection_jobs.h).
#include "worker/connection_jobs.h"

#include "worker/worker.h"

namespace sluice::worker {

namespace {

/// `whole`: also what takes a walk over everything in flight.
void describe(Worker& worker, tcp::Connection& connection, bool whole, ConnectionRow& row) {
    row.core = worker.index();
    row.id = connection.id();
    row.tuple = connection.tuple();
    row.tcp = connection.info(whole);
    row.bytes_received = connection.bytes_received();
    row.bytes_sent = connection.bytes_sent();
    row.receive_queue_bytes = connection.receive_queue().bytes();
    row.send_queue_bytes = connection.unacknowledged();
    const auto us = [&](Instant since) { return static_cast<uint64_t>(std::max<int64_t>(0, (worker.now() - since).us)); };
    row.age_us = us(connection.opened_at());
    row.idle_us = us(connection.last_active_at());
    const bool opening = row.tcp.state == tcp::State::kSynReceived || row.tcp.state == tcp::State::kSynSent;
    row.role = opening ? ConnectionRow::Role::kHandshake : ConnectionRow::Role::kClosing;
    row.phase = opening ? "handshake" : "closing";
    worker.application()->describe(connection, row);
}

}  // namespace

Job::Step ListConnections::step(Worker& worker) {
    if (rows_.size() + kRowsPerTurn > rows_.capacity()) return Step::kWaiting;
    const tcp::Stack& stack = worker.tcp();
    uint32_t slots = kSlotsPerTurn;
    for (uint32_t n = 0; n < kRowsPerTurn; n++) {
        tcp::Connection* connection = stack.next(cursor_, slots);
        if (!connection) break;
        ConnectionRow row;
        describe(worker, *connection, false, row);
        if (!rows_.push(row)) break;   // never: room was there
    }
    time_wait_ = stack.time_wait();
    return cursor_ < stack.slots() ? Step::kMore : Step::kDone;
}

Job::Step ShowConnection::step(Worker& worker) {
    tcp::Connection* connection = worker.tcp().find(id_);
    found_ = connection != nullptr;
    if (connection) describe(worker, *connection, true, row_);
    return Step::kDone;
}

Job::Step CloseConnection::step(Worker& worker) {
    tcp::Connection* connection = worker.tcp().find(id_);
    if (!connection) return Step::kDone;
    outcome_ = worker.application()->close(*connection, reset_, worker.now());
    if (outcome_ == CloseOutcome::kClosing && reset_) {   // nobody above holds it
        connection->abort();
        worker.tcp().reap(id_);
        outcome_ = CloseOutcome::kReset;
    }
    return Step::kDone;
}

}  // namespace sluice::worker
