// Hyperscan databases of the process, by content: the same shard in the next snapshot, or in another table, is compiled once.
// In: expressions. Out: a database, or nothing yet (then a thread of its own compiles it and keeps it until it is adopted).
// Tables own databases; the cache remembers them weakly. Thread safe; never touched by a worker.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "route/regex.h"

namespace sluice::route {

class RegexCache {
 public:
    struct Expression {
        std::string text;
        uint32_t id;  // bit in the shard's mask
    };
    static RegexCache& instance();
    ~RegexCache();

    /// The database of `key`; nullptr if it is not there yet and `budget` does not allow to compile it now.
    std::shared_ptr<const Database> database(const std::string& key, std::vector<Expression> expressions, uint32_t& budget);
    bool ready(const std::string& key);

 private:
    struct Entry {
        std::weak_ptr<const Database> live;
        std::shared_ptr<const Database> fresh;  // compiled in the background, not yet adopted
        bool queued = false;
    };
    struct Job {
        std::string key;
        std::vector<Expression> expressions;
    };
    static std::shared_ptr<const Database> compile(std::vector<Expression> expressions);
    void run();
    void forget_dead();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::unordered_map<std::string, Entry> entries_;
    std::deque<Job> jobs_;
    std::deque<std::string> fresh_;  // keys, oldest first
    bool stop_ = false;
    std::thread thread_;             // started with the first job
};

}  // namespace sluice::route
