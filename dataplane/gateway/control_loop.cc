// The control thread: reads the mesh directory when it changes, publishes, retires, watches the cores, obeys signals.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <optional>
#include <stop_token>

#include "ctrl/apply/apply.h"
#include "ctrl/apply/secrets.h"
#include "ctrl/control/mesh_loader.h"
#include "ctrl/source/certificate_files.h"
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

Diagnostic no_log(const std::string& why, const snapshot::Listener& listener) {
    Diagnostic diagnostic;
    diagnostic.code = "SLC0301";
    diagnostic.object = "listener " + listener.name;
    diagnostic.message = why;
    return diagnostic;
}

constexpr std::chrono::seconds kRefusedEvery{60};   // refused secrets are tried again
constexpr milliseconds kCertificateFilesEvery{200};   // looked at for change
constexpr milliseconds kPatience{100};   // with wrong files, before they are told: more may be on their way

}  // namespace

std::expected<control::Loaded, control::Refused> Gateway::load_files(source::FileSetPtr files) const {
    return control::load_mesh_files({std::move(files), {}}, shown_directory(host_), proxy_node(host_));
}

/// Everything that would be done with these files but publishing.
std::vector<Diagnostic> Gateway::validate(source::FileSetPtr files) const {
    auto loaded = load_files(std::move(files));
    if (!loaded) return std::move(loaded.error().diagnostics);
    snapshot::Publisher aside(1);
    apply::TlsInputs tls = tls_inputs(/*strict=*/true);
    const auto* current = publisher_.current();
    tls.before = current ? current->tls.get() : nullptr;
    const auto built = apply::build(*loaded->resources, nullptr, aside, 1, loaded->content_hash, own_log_, tls);
    return built ? std::move(loaded->warnings) : as_diagnostics(built.error(), host_);
}

/// After privileges are dropped: what is written belongs to the user that runs.
void Gateway::start_revisions() {
    history_.open();
    revisions_.record_in(history_, std::filesystem::absolute(host_.mesh.directory).lexically_normal());
    revisions_.start(steady_clock::now(), [this](source::FileSetPtr files) { return load_files(std::move(files)); });
    revisions_.set_patience(kPatience);
}

std::expected<void, std::vector<Diagnostic>> Gateway::apply(const xds::ResourceSet& resources, uint64_t revision,
                                                            const std::string& hash) {
    const auto marked = drained_.mark(resources);
    // At a start a secret that ran out must not keep the rest from being served; an edit that brings a wrong one is refused.
    const auto* current = publisher_.current();
    auto snapshot = apply::build(marked ? *marked : resources, current, publisher_, revision, hash, own_log_, tls_inputs(current && !refreshing_));
    if (!snapshot) return std::unexpected(as_diagnostics(snapshot.error(), host_));
    const auto before = current ? current->tls : nullptr;
    auto published = publish(std::move(*snapshot));
    if (published) tell_secrets(before.get());
    return published;
}

apply::TlsInputs Gateway::tls_inputs(bool strict) const {
    return {.now_s = std::time(nullptr), .ticket_keys = ticket_keys_, .key_log_path = host_.tls.key_log, .strict = strict};
}

void Gateway::tell_secrets(const snapshot::TlsState* before) {
    for (const auto& news : apply::secret_news(before, publisher_.current()->tls.get()))
        news.refused ? spdlog::error("{}", news.text) : spdlog::info("{}", news.text);
}

/// Ticket keys rotate; files of certificates that changed, and rested, are read; a secret that was refused is tried again.
void Gateway::tend_tls() {
    const auto now = steady_clock::now();
    if (ticket_keys_ && (tickets_rotated_ == steady_clock::time_point{} || now - tickets_rotated_ >= std::chrono::microseconds(host_.tls.ticket_rotate.us))) {
        ticket_keys_->rotate(std::time(nullptr));
        tickets_rotated_ = now;
    }
    if (now - secrets_looked_at_ < kCertificateFilesEvery) return;
    const auto state = revisions_.state();
    if (state.in_force.revision == 0) return;
    secrets_looked_at_ = now;
    std::string mark = source::mark_of(state.in_force.certificate_files, host_.mesh.directory);
    const bool rests = mark == certificate_mark_;   // a certificate is written before its key, or after it
    certificate_mark_ = std::move(mark);
    const bool changed = rests && certificate_mark_ != state.in_force.certificate_mark && certificate_mark_ != certificate_mark_told_;
    // What is not valid yet may have become so.
    const auto* current = publisher_.current();
    const bool again = current && current->tls && now - refused_tried_at_ >= kRefusedEvery &&
                       std::ranges::any_of(current->tls->secrets, [](const auto& secret) { return !secret.second->refused.empty(); });
    if (!changed && !again) return;
    refused_tried_at_ = now;
    certificate_mark_told_ = certificate_mark_;
    refreshing_ = true;
    revisions_.refresh([this](source::FileSetPtr files) { return loader_.load_files({std::move(files), {}}); });
    refreshing_ = false;
}

/// The writer knows a set before a worker can name it.
std::expected<void, std::vector<Diagnostic>> Gateway::publish(std::unique_ptr<snapshot::Snapshot> snapshot) {
    for (const auto& listener : snapshot->listeners) {
        for (const auto& chain : listener->chains) {
            if (!chain.http.access_logs || chain.http.access_logs == own_log_.set) continue;
            if (auto used = access_log_->use(chain.http.access_logs); !used)
                return std::unexpected(std::vector{no_log(used.error(), *listener)});
            access_log_->start();
        }
    }
    if (!publisher_.publish(std::move(snapshot))) return std::unexpected(std::vector{no_room()});
    tables_.set(*publisher_.current());
    return {};
}

/// Regexes that were new ran without Hyperscan; once they are compiled the same revision is published again with them.
void Gateway::adopt_compiled() {
    const auto* current = publisher_.current();
    if (!current || !apply::could_adopt(*current)) return;
    const auto in_force = revisions_.state().in_force;
    if (in_force.revision != current->revision) return;
    static_cast<void>(apply(*in_force.resources, in_force.revision, in_force.content_hash));
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

void Gateway::tell_handshakes() {
    const auto now = steady_clock::now();
    for (auto& slot : proxies_)
        if (const auto* proxy = slot.load()) handshake_log_.take(proxy->handshake_failures(), now);
    handshake_log_.tick(now);
}

/// Names of backends that nobody has any more make room for others.
void Gateway::collect_principals() {
    std::vector<const telemetry::PrincipalUses*> cores;
    for (const auto& stats : stats_) cores.push_back(&stats->principal_uses());
    series_.collect_principals(cores);
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
    tend_tls();
    start_revisions();
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
        tell_handshakes();
        collect_principals();
        const auto waiting = publisher_.reclaim();
        waiting_.store(uint64_t{waiting.snapshots} << 32 | waiting.parts, std::memory_order_relaxed);
        tls::free_retired_contexts();
        if (!pending) adopt_compiled();
        tend_tls();
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
        const int wait_ms = pending ? 1 : deadline || revisions_.holding() ? 10 : 200;
        control::wait_readable({signals.fd(), watcher.fd(), calls_.fd()}, milliseconds(wait_ms));
        calls_.run_pending();
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
