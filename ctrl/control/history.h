// The revisions that there were, the last 20 of them: in memory for who asks, on disk for the next start. A thread of its own
// writes, so that a slow or full disk holds up nobody; what could not be written is tried again.
// In: a record for each revision, with its files. Out: records, and the files of each. Owns the state directory and the thread.
// The control thread calls open(), add() and lived(); any thread may ask.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "ctrl/control/record.h"
#include "ctrl/control/state_store.h"

namespace sluice::control {

enum class Level { kInfo, kWarning, kError };
using Log = std::function<void(Level level, const std::string& text)>;

class History {
 public:
    struct Options {
        std::string directory;                    // empty: kept in memory alone
        uint32_t revisions_max = 20;
        uint64_t bytes_max = 512u << 20;          // of all files kept, each set counted once
        uint64_t waiting_bytes_max = 256u << 20;  // of files in memory, not written yet
        std::chrono::milliseconds retry{5000};    // after a write that failed
        StateStore::Fault fault = {};
    };
    /// `log` is called from the writer's thread too.
    History(Options options, Log log);
    ~History();
    History(const History&) = delete;
    History& operator=(const History&) = delete;

    /// Reads what is on disk. Without a usable directory the history starts empty, and says so.
    void open();
    uint64_t next_revision() const;
    /// Takes a new revision, or a known one's newer record.
    void add(Record record, source::FileSetPtr files);
    void lived(uint64_t revision, std::chrono::microseconds time_to_live);

    std::vector<Record> records() const;   // oldest first
    std::optional<Record> find(uint64_t revision) const;
    /// The files as they were; or why they are not to be had.
    std::expected<source::FileSetPtr, std::string> files_of(uint64_t revision) const;

    struct Health {
        std::string directory;             // empty: none is configured
        std::string error;                 // empty: all is written
        uint64_t write_failures = 0;
        uint64_t damaged = 0;              // records that could not be read at the start
    };
    Health health() const;
    /// Waits until all is written or a write has failed. For tests.
    void flush();

 private:
    void write_loop(std::stop_token stop);
    void trim();
    bool protects(size_t index) const;
    void failed(const std::string& error);

    const Options options_;
    const Log log_;
    std::unique_ptr<StateStore> store_;    // set once, by open()
    mutable std::mutex mutex_;             // guards what follows; never held while writing
    std::condition_variable_any wake_, written_;
    std::vector<Record> records_;
    std::map<uint64_t, source::FileSetPtr> waiting_;   // files not on disk
    std::map<uint64_t, uint64_t> dirty_;               // revision -> number of the change to write
    uint64_t change_ = 0, last_ = 0;
    Health health_;
    std::jthread writer_;                  // last: stops before the rest goes
};

}  // namespace sluice::control
