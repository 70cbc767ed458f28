// Draining, and which log a record belongs to. Sets come from the control thread through use() before a worker can name them, so a
// number that is not known yet is waiting in the news. A set is forgotten when its last record is written.
#include "telemetry/access_log_writer.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>

namespace sluice::telemetry {

namespace {

constexpr uint32_t kBusyLines = 512;   // fewer in a turn: sleep, so that lines gather into larger writes
constexpr uint32_t kLinesOfOneRing = 4096;   // then the next ring gets its turn
constexpr auto kDrainAtStop = std::chrono::seconds(1);
constexpr size_t kFilesMax = 64;

}  // namespace

Result<std::unique_ptr<AccessLogWriter>> AccessLogWriter::open(Options options, std::vector<AccessLogRing*> rings, Log log) {
    std::unique_ptr<AccessLogWriter> out(new AccessLogWriter(std::move(options), std::move(rings), std::move(log)));
    Known& standard = out->known_[AccessLogSet::standard()->id()];
    standard.set = AccessLogSet::standard();
    if (out->options_.path.empty()) return out;
    auto file = std::make_unique<AccessLogFile>(out->options_.path, out->options_.batch_bytes, out->log_, out->totals_);
    if (auto opened = file->open(); !opened) return std::unexpected(opened.error());
    standard.files.push_back(file.get());
    out->paths_.insert(out->options_.path);
    out->files_.push_back(std::move(file));
    out->files_open_ = 1;
    return out;
}

AccessLogWriter::AccessLogWriter(Options options, std::vector<AccessLogRing*> rings, Log log)
    : options_(std::move(options)), rings_(std::move(rings)), log_(std::move(log)) {}

AccessLogWriter::~AccessLogWriter() { stop(); }

Result<void> AccessLogWriter::use(const std::shared_ptr<const AccessLogSet>& set) {
    const std::scoped_lock lock(mutex_);
    for (const auto& log : set->logs()) {
        if (paths_.contains(log.path)) continue;
        if (paths_.size() >= kFilesMax) return std::unexpected(fmt::format("access log {}: more than {} files", log.path, kFilesMax));
        auto file = std::make_unique<AccessLogFile>(log.path, options_.batch_bytes, log_, totals_);
        if (auto opened = file->open(); !opened) return opened;
        paths_.insert(log.path);
        new_files_.push_back(std::move(file));
    }
    new_sets_.push_back(set);
    news_.store(true, std::memory_order_release);
    return {};
}

void AccessLogWriter::adopt() {
    if (!news_.exchange(false, std::memory_order_acq_rel)) return;
    const std::scoped_lock lock(mutex_);
    std::move(new_files_.begin(), new_files_.end(), std::back_inserter(files_));
    new_files_.clear();
    for (auto& set : new_sets_) {
        Known& known = known_[set->id()];
        if (known.set) continue;
        for (const auto& log : set->logs())
            known.files.push_back(std::find_if(files_.begin(), files_.end(), [&](const auto& f) { return f->path() == log.path; })->get());
        known.set = std::move(set);
    }
    new_sets_.clear();
    files_open_.store(static_cast<uint32_t>(files_.size()), std::memory_order_relaxed);
}

void AccessLogWriter::start() {
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void AccessLogWriter::stop() {
    stopping_.store(true, std::memory_order_release);
    if (thread_.joinable()) thread_.join();
}

void AccessLogWriter::run() {
    pthread_setname_np(pthread_self(), "sluice-log");
    sigset_t pipe_closed;   // a reader that went away is EPIPE, not the end of the gateway
    sigemptyset(&pipe_closed);
    sigaddset(&pipe_closed, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_closed, nullptr);
    while (!stopping_.load(std::memory_order_acquire)) {
        if (turn() < kBusyLines) std::this_thread::sleep_for(std::chrono::microseconds(options_.idle_us));
    }
    const auto end = std::chrono::steady_clock::now() + kDrainAtStop;
    while (turn() != 0 && std::chrono::steady_clock::now() < end) {
    }
}

void AccessLogWriter::write(const AccessLogEntry& entry) {
    if (options_.also) options_.also(entry);
    if (entry.flags & kNotForTheFile) return;
    auto known = known_.find(entry.log_set);
    if (known == known_.end()) {
        adopt();
        known = known_.find(entry.log_set);
        if (known == known_.end()) return;
    }
    const auto& [set, files, last] = known->second;
    for (size_t i = 0; i < files.size(); i++) {
        const bool standard = entry.log_set == AccessLogSet::standard()->id();
        if (!standard && set->logs()[i].filter && !set->logs()[i].filter(entry)) continue;
        (standard ? options_.format : set->logs()[i].format).format(entry, files[i]->batch());
        files[i]->line_added();
    }
}

uint32_t AccessLogWriter::turn() {
    adopt();
    if (reopen_wanted_.exchange(false, std::memory_order_acq_rel)) {
        bool all = true;
        for (auto& file : files_) all &= file->reopen();
        if (all) reopened_.add();
    }
    uint32_t taken = 0;
    for (AccessLogRing* ring : rings_) taken += ring->drain([this](const AccessLogEntry& entry) { write(entry); }, kLinesOfOneRing);
    for (auto& file : files_) file->flush();
    const auto now = std::chrono::steady_clock::now();
    if (now - tended_ >= std::chrono::microseconds(options_.tend_us)) {
        tended_ = now;
        tend();
    }
    return taken;
}

void AccessLogWriter::tend() {
    for (auto& file : files_) file->tend();
    report_drops();
    forget_unused();
}

void AccessLogWriter::report_drops() {
    const uint64_t now = dropped();
    const bool dropping = now != drops_seen_;
    if (dropping && !dropping_) {
        drops_before_ = drops_seen_;
        if (log_) log_("access log: requests come faster than lines can be written; lines are being dropped", true);
    } else if (!dropping && dropping_ && log_) {
        log_(fmt::format("access log: all lines are written again; dropped: {}", now - drops_before_), false);
    }
    drops_seen_ = now;
    dropping_ = dropping;
}

void AccessLogWriter::forget_unused() {
    for (auto entry = known_.begin(); entry != known_.end();) {
        Known& known = entry->second;
        if (known.set == AccessLogSet::standard() || known.set.use_count() != 1) {
            known.last_record.clear();
            ++entry;
            continue;
        }
        bool written = !known.last_record.empty() || rings_.empty();
        for (size_t i = 0; i < known.last_record.size(); i++) written &= rings_[i]->tail() >= known.last_record[i];
        if (known.last_record.empty())
            for (const AccessLogRing* ring : rings_) known.last_record.push_back(ring->head());
        entry = written ? known_.erase(entry) : std::next(entry);
    }
    const std::scoped_lock lock(mutex_);
    if (!new_sets_.empty()) return;   // one of them may want a file that none wanted before
    std::erase_if(files_, [this](const auto& file) {
        const bool wanted = file->path() == options_.path || std::any_of(known_.begin(), known_.end(), [&](const auto& known) {
            const auto& files = known.second.files;
            return std::find(files.begin(), files.end(), file.get()) != files.end();
        });
        if (!wanted) paths_.erase(file->path());
        return !wanted;
    });
    files_open_.store(static_cast<uint32_t>(files_.size()), std::memory_order_relaxed);
}

uint64_t AccessLogWriter::dropped() const {
    uint64_t total = 0;
    for (const AccessLogRing* ring : rings_) total += ring->dropped();
    return total;
}

uint64_t AccessLogWriter::truncated() const {
    uint64_t total = 0;
    for (const AccessLogRing* ring : rings_) total += ring->truncated();
    return total;
}

}  // namespace sluice::telemetry
