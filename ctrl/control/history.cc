// The list, what is dropped from it, and the thread that writes it down.
#include "ctrl/control/history.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <set>
#include <utility>

namespace sluice::control {

History::History(Options options, Log log) : options_(std::move(options)), log_(std::move(log)) { health_.directory = options_.directory; }

History::~History() {
    if (writer_.joinable()) {
        writer_.request_stop();
        writer_.join();
    }
}

void History::open() {
    if (options_.directory.empty()) return;
    auto store = StateStore::open(options_.directory, options_.fault);
    if (!store) {
        failed(store.error());
        return;
    }
    std::vector<Record> found = (*store)->load();
    for (const Record& record : found)
        if (record.fate == Fate::kDamaged) log_(Level::kWarning, fmt::format("revision {} is lost: {}", record.revision, record.damage));
    std::lock_guard lock(mutex_);
    health_.damaged = static_cast<uint64_t>(std::count_if(found.begin(), found.end(), [](const Record& r) { return r.fate == Fate::kDamaged; }));
    records_ = std::move(found);
    if (!records_.empty()) last_ = records_.back().revision;
    trim();
    store_ = std::move(*store);
    writer_ = std::jthread([this](std::stop_token stop) {
        pthread_setname_np(pthread_self(), "sluice-state");
        write_loop(std::move(stop));
    });
}

uint64_t History::next_revision() const {
    std::lock_guard lock(mutex_);
    return last_ + 1;
}

void History::add(Record record, source::FileSetPtr files) {
    std::lock_guard lock(mutex_);
    const uint64_t revision = record.revision;
    const auto known = std::find_if(records_.begin(), records_.end(), [&](const Record& r) { return r.revision == revision; });
    if (known != records_.end()) *known = std::move(record);
    else records_.push_back(std::move(record));
    last_ = std::max(last_, revision);
    if (files) waiting_[revision] = std::move(files);
    trim();
    if (store_) dirty_[revision] = ++change_;
    wake_.notify_all();
}

void History::lived(uint64_t revision, std::chrono::microseconds time_to_live) {
    std::lock_guard lock(mutex_);
    for (Record& record : records_) {
        if (record.revision != revision) continue;
        record.time_to_live = time_to_live;
        if (store_) dirty_[revision] = ++change_;
        wake_.notify_all();
    }
}

/// The newest, and the two newest good ones with different files: what is served, and what a rollback goes to.
bool History::protects(size_t index) const {
    if (index + 1 == records_.size()) return true;
    std::set<std::string> good;
    for (size_t i = records_.size(); i-- > 0 && good.size() < 2;) {
        if (records_[i].fate != Fate::kApplied || !good.insert(records_[i].hash).second) continue;
        if (i == index) return true;
    }
    return false;
}

/// Keeps as many revisions and bytes as are allowed: the oldest go first.
void History::trim() {
    const auto bytes = [this] {
        std::map<std::string, uint64_t> sets;
        for (const Record& r : records_) sets[r.hash] = r.bytes;
        uint64_t sum = 0;
        for (const auto& [hash, size] : sets) sum += size;
        return sum;
    };
    for (size_t i = 0; i < records_.size() && (records_.size() > options_.revisions_max || bytes() > options_.bytes_max);) {
        if (protects(i)) {
            i++;
            continue;
        }
        waiting_.erase(records_[i].revision), dirty_.erase(records_[i].revision);
        records_.erase(records_.begin() + static_cast<ptrdiff_t>(i));
    }
    uint64_t waiting = 0;
    for (auto entry = waiting_.rbegin(); entry != waiting_.rend(); ++entry) {
        waiting += entry->second->bytes;
        if (waiting <= options_.waiting_bytes_max || entry == waiting_.rbegin()) continue;
        waiting_.erase(waiting_.begin(), entry.base());   // it and all older ones
        break;
    }
}

std::vector<Record> History::records() const {
    std::lock_guard lock(mutex_);
    return records_;
}

std::optional<Record> History::find(uint64_t revision) const {
    std::lock_guard lock(mutex_);
    for (const Record& record : records_)
        if (record.revision == revision) return record;
    return std::nullopt;
}

std::expected<source::FileSetPtr, std::string> History::files_of(uint64_t revision) const {
    std::string hash;
    const StateStore* store;
    {
        std::lock_guard lock(mutex_);
        if (const auto waiting = waiting_.find(revision); waiting != waiting_.end()) return waiting->second;
        for (const Record& record : records_)
            if (record.revision == revision) hash = record.hash;
        store = store_.get();
    }
    if (hash.empty()) return std::unexpected(fmt::format("revision {} is not in the history", revision));
    if (!store) return std::unexpected(fmt::format("the files of revision {} are not kept: set state.directory", revision));
    return store->content(hash);
}

History::Health History::health() const {
    std::lock_guard lock(mutex_);
    return health_;
}

void History::failed(const std::string& error) {
    bool is_new;
    {
        std::lock_guard lock(mutex_);
        is_new = std::exchange(health_.error, error) != error;
        health_.write_failures++;
    }
    if (is_new) log_(Level::kWarning, fmt::format("{}; the gateway serves on, but this history would not survive a restart", error));
}

void History::flush() {
    std::unique_lock lock(mutex_);
    const uint64_t failures = health_.write_failures;
    written_.wait(lock, [&] { return dirty_.empty() || health_.write_failures != failures; });
}

void History::write_loop(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (wake_.wait(lock, stop, [this] { return !dirty_.empty(); }), !dirty_.empty()) {
        const auto [revision, change] = *dirty_.begin();
        const auto record = std::find_if(records_.begin(), records_.end(), [r = revision](const Record& x) { return x.revision == r; });
        if (record == records_.end()) {   // dropped meanwhile
            dirty_.erase(revision);
            continue;
        }
        const Record copy = *record;
        const auto waiting = waiting_.find(revision);
        const source::FileSetPtr files = waiting == waiting_.end() ? nullptr : waiting->second;
        const std::vector<Record> keep = records_;
        lock.unlock();
        store_->keep_only(keep);   // first, so that there is room
        const auto written = store_->put(copy, files.get());
        if (!written) failed(written.error());
        lock.lock();
        if (written) {
            if (const auto now = dirty_.find(revision); now != dirty_.end() && now->second == change) dirty_.erase(now);
            waiting_.erase(revision);
            if (!health_.error.empty() && dirty_.empty()) {
                health_.error.clear();
                log_(Level::kInfo, "the state directory is written again");
            }
        }
        written_.notify_all();
        if (written) continue;
        if (stop.stop_requested()) return;
        wake_.wait_for(lock, stop, options_.retry, [] { return false; });
    }
}

}  // namespace sluice::control
