// The control thread: reads the mesh directory when it changes, publishes, retires, watches the cores, obeys signals.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <stop_token>

#include "ctrl/apply/apply.h"
#include "gateway/gateway.h"
#include "gateway/setup.h"

namespace sluice::gateway {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

Diagnostic no_room() {
    Diagnostic diagnostic;
    diagnostic.code = "SLC0401";
    diagnostic.message = "no room for another revision: requests in progress hold too many parts of older ones";
    diagnostic.cure = "write the file again when they have ended";
    return diagnostic;
}

}  // namespace

std::expected<void, std::vector<Diagnostic>> Gateway::apply(const xds::ResourceSet& resources, uint64_t revision,
                                                            const std::string& hash) {
    auto snapshot = apply::build(resources, publisher_.current(), publisher_, revision, hash);
    if (!snapshot) return std::unexpected(as_diagnostics(snapshot.error(), host_));
    if (!publisher_.publish(std::move(*snapshot))) return std::unexpected(std::vector{no_room()});
    tables_.set(*publisher_.current());
    return {};
}

/// Regexes that were new ran without Hyperscan; once they are compiled the same revision is published again with them.
void Gateway::adopt_compiled() {
    const auto* current = publisher_.current();
    if (!current || !apply::could_adopt(*current)) return;
    const auto in_force = revisions_.state().in_force;
    if (in_force.revision != current->revision) return;
    auto snapshot = apply::build(*in_force.resources, current, publisher_, in_force.revision, in_force.content_hash);
    if (snapshot && publisher_.publish(std::move(*snapshot))) tables_.set(*publisher_.current());
}

/// Every core works by the newest revision: its listeners are open, its routes are in use.
bool Gateway::live_everywhere() const {
    const uint64_t revision = publisher_.current() ? publisher_.current()->revision : 0;
    for (uint32_t i = 0; i < cores_.size(); i++)
        if (const auto* proxy = proxies_[i].load(); !proxy || proxy->revision() != revision) return false;
    return true;
}

void Gateway::tell_conflicts() {
    std::vector<std::string> now;
    for (uint8_t p = 0; p < host_.ports.size(); p++)
        for (const auto& conflict : conflicts_of(crew_->worker(0), p)) now.push_back(fmt::format("port {}: {}", host_.ports[p].name, conflict));
    for (const auto& conflict : now)
        if (std::find(conflicts_.begin(), conflicts_.end(), conflict) == conflicts_.end())
            spdlog::error("{}: not used here; asked for again every 60 to 70 s. Give one of the two another address", conflict);
    for (const auto& conflict : conflicts_)
        if (std::find(now.begin(), now.end(), conflict) == now.end()) spdlog::info("{}: no longer", conflict);
    conflicts_ = std::move(now);
}

bool Gateway::drained() const {
    for (uint32_t i = 0; i < crew_->size(); i++)
        if (const auto* proxy = proxies_[i].load(); proxy && !proxy->drained()) return false;
    return true;
}

control::Watchdog Gateway::make_watchdog() const {
    std::vector<std::string> names;
    for (uint32_t i = 0; i < crew_->size(); i++) names.push_back(fmt::format("worker {} on CPU {}", i, cores_[i]));
    return control::Watchdog(std::move(names), [](const std::string& text, bool stalled) {
        stalled ? spdlog::error("{}", text) : spdlog::info("{}", text);
    });
}

bool Gateway::cores_turn(control::Watchdog& watchdog) const {
    std::vector<uint64_t> turns;
    for (uint32_t i = 0; i < crew_->size(); i++) turns.push_back(crew_->worker(i).counters().turns.get());
    return watchdog.look(turns, steady_clock::now());
}

void Gateway::control_loop(control::Signals& signals, source::DirectoryWatcher& watcher) {
    bool ready = false;
    std::optional<steady_clock::time_point> deadline;   // of the drain
    revisions_.load_and_apply(steady_clock::now());
    const std::stop_source never;
    control::Watchdog watchdog = make_watchdog();
    const auto feed_every = control::service_watchdog_interval();
    auto fed = steady_clock::time_point{};
    while (true) {
        if (cores_turn(watchdog) && feed_every.count() != 0 && steady_clock::now() - fed >= feed_every) {
            fed = steady_clock::now();
            control::notify_service_manager("WATCHDOG=1");
        }
        const bool pending = revisions_.tick();
        tell_conflicts();
        const auto waiting = publisher_.reclaim();
        waiting_.store(uint64_t{waiting.snapshots} << 32 | waiting.parts, std::memory_order_relaxed);
        if (!pending) adopt_compiled();
        if (!ready && !pending && revisions_.state().in_force.live_everywhere) {
            ready = true;
            control::notify_service_manager("READY=1\nSTATUS=serving");
        }
        if (deadline) {
            if (drained()) {
                spdlog::info("drained");
                return;
            }
            if (steady_clock::now() >= *deadline) {
                spdlog::warn("drain deadline passed; closing what is still open");
                return;
            }
        }
        control::wait_readable({signals.fd(), watcher.fd()}, milliseconds(pending ? 1 : deadline ? 10 : 200));
        while (const auto signal = signals.next()) {
            if (*signal == SIGHUP) {
                if (access_log_) access_log_->reopen();
                continue;
            }
            if (deadline) {
                spdlog::warn("told to stop again: stopping at once");
                return;
            }
            spdlog::info("draining: no new connections; at most {} s for what is open (send the signal again to stop at once)",
                         host_.drain_deadline.us / 1'000'000);
            stopping_.store(true, std::memory_order_release);
            draining_.store(true, std::memory_order_release);
            control::notify_service_manager("STATUS=draining");
            deadline = steady_clock::now() + std::chrono::microseconds(host_.drain_deadline.us);
        }
        const auto seen = steady_clock::now();
        if (watcher.wait(never.get_token(), milliseconds(0))) revisions_.load_and_apply(seen);
    }
}

}  // namespace sluice::gateway
