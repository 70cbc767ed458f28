// Jobs about connections: list all of a core, show one, close one. In: a mailbox. Out: rows, copied into the job's own memory.
// A listing goes by slots in slices: what opens or closes meanwhile may be seen or not, nothing is seen twice.
#pragma once

#include <cstdint>

#include "base/spsc_ring.h"
#include "worker/connection_row.h"
#include "worker/mailbox.h"

namespace sluice::worker {

class ListConnections final : public Job {
 public:
    static constexpr uint32_t kRowsPerTurn = 64, kSlotsPerTurn = 1024;

    Step step(Worker& worker) override;
    /// Asker, while and after the job runs. False: none is there now.
    bool pop(ConnectionRow& row) { return rows_.pop(row); }
    /// Asker, after the end.
    uint32_t time_wait() const { return time_wait_; }

 private:
    SpscRing<ConnectionRow> rows_{4 * kRowsPerTurn};
    uint32_t cursor_ = 0, time_wait_ = 0;
};

class ShowConnection final : public Job {
 public:
    explicit ShowConnection(tcp::ConnectionId id) : id_(id) {}
    Step step(Worker& worker) override;
    /// After the end. Null: there is no such connection any more.
    const ConnectionRow* row() const { return found_ ? &row_ : nullptr; }

 private:
    tcp::ConnectionId id_;
    bool found_ = false;
    ConnectionRow row_;
};

class CloseConnection final : public Job {
 public:
    CloseConnection(tcp::ConnectionId id, bool reset) : id_(id), reset_(reset) {}
    Step step(Worker& worker) override;
    CloseOutcome outcome() const { return outcome_; }

 private:
    tcp::ConnectionId id_;
    bool reset_;
    CloseOutcome outcome_ = CloseOutcome::kGone;
};

}  // namespace sluice::worker
