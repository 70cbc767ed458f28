// The process's Hyperscan databases and the thread that compiles them.
// In: expressions of a shard. Out: a database with the set of patterns it had to leave out.
// Unadopted results are bounded: the oldest are dropped. Hyperscan 5.4, block mode, for this CPU.
#include "route/regex_cache.h"

#include <hs/hs.h>

#include <utility>

namespace sluice::route {
namespace {

constexpr size_t kFreshMax = 4096;   // unadopted databases
constexpr size_t kEntriesMax = 16384;

}  // namespace

RegexCache& RegexCache::instance() {
    static RegexCache cache;
    return cache;
}

RegexCache::~RegexCache() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const Database> RegexCache::database(const std::string& key, std::vector<Expression> expressions,
                                                     uint32_t& budget) {
    std::unique_lock lock(mutex_);
    if (entries_.size() > kEntriesMax) forget_dead();
    {
        Entry& entry = entries_[key];
        if (entry.fresh) {
            entry.live = entry.fresh;
            return std::exchange(entry.fresh, nullptr);
        }
        if (auto live = entry.live.lock()) return live;
        if (entry.queued) return nullptr;
        if (expressions.size() > budget) {
            entry.queued = true;
            jobs_.push_back({key, std::move(expressions)});
            if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
            wake_.notify_one();
            return nullptr;
        }
    }
    budget -= static_cast<uint32_t>(expressions.size());
    lock.unlock();
    auto compiled = compile(std::move(expressions));
    lock.lock();
    entries_[key].live = compiled;
    return compiled;
}

bool RegexCache::ready(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto entry = entries_.find(key);
    return entry != entries_.end() && (entry->second.fresh || !entry->second.live.expired());
}

void RegexCache::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
        if (stop_) return;
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        auto compiled = compile(std::move(job.expressions));
        lock.lock();
        Entry& entry = entries_[job.key];
        entry.queued = false;
        entry.fresh = std::move(compiled);
        fresh_.push_back(std::move(job.key));
        while (fresh_.size() > kFreshMax) {
            if (const auto oldest = entries_.find(fresh_.front()); oldest != entries_.end()) oldest->second.fresh = nullptr;
            fresh_.pop_front();
        }
    }
}

void RegexCache::forget_dead() {
    std::erase_if(entries_, [](const auto& entry) {
        return entry.second.live.expired() && !entry.second.fresh && !entry.second.queued;
    });
}

std::shared_ptr<const Database> RegexCache::compile(std::vector<Expression> expressions) {
    auto database = std::make_shared<Database>();
    while (!expressions.empty()) {
        std::vector<std::string> texts;  // full match, as RE2's; \z, for "$" would also match before a last line end
        for (const Expression& expression : expressions) texts.push_back("^(?:" + expression.text + ")\\z");
        std::vector<const char*> pointers;
        std::vector<unsigned> ids;
        for (size_t i = 0; i < texts.size(); i++) {
            pointers.push_back(texts[i].c_str());
            ids.push_back(expressions[i].id);
        }
        const std::vector<unsigned> flags(texts.size(), HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY);
        hs_compile_error_t* error = nullptr;
        const hs_error_t status = hs_compile_multi(pointers.data(), flags.data(), ids.data(), static_cast<unsigned>(texts.size()),
                                                   HS_MODE_BLOCK, nullptr, &database->handle, &error);
        if (status == HS_SUCCESS) return database;
        const int bad = error ? error->expression : -1;
        hs_free_compile_error(error);
        if (bad < 0) break;  // no one pattern is at fault: all stay on RE2
        database->without |= uint64_t{1} << expressions[static_cast<size_t>(bad)].id;
        expressions.erase(expressions.begin() + bad);
    }
    for (const Expression& expression : expressions) database->without |= uint64_t{1} << expression.id;
    return database;
}

}  // namespace sluice::route
