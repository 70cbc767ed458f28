// A capture's life: filter, taps, frames in the order they came, statistics at the end.
#include "gateway/captures.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/clock.h"
#include "ctrl/admin/pcapng.h"
#include "worker/capture.h"

namespace sluice::gateway {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
constexpr Duration kPatience = seconds(2);
constexpr size_t kPieceBytes = 1u << 18;   // handed on at once, and no more than that is kept

std::string host_text(const FourTuple& t) {
    return fmt::format("(tcp and host {} and host {} and port {} and port {})", t.local.ip.to_string(), t.remote.ip.to_string(), t.local.port,
                       t.remote.port);
}

/// The filter with its connections, and once more behind a VLAN tag where ports have one: libpcap's `vlan` shifts what follows.
std::string expression(const admin::CaptureWanted& wanted, bool tagged) {
    std::string connections;
    for (const FourTuple& t : wanted.connections) connections += (connections.empty() ? "" : " or ") + host_text(t);
    std::string all = wanted.filter.empty() ? connections : connections.empty() ? "(" + wanted.filter + ")" : fmt::format("({}) and ({})", wanted.filter, connections);
    if (!all.empty() && tagged) all = fmt::format("({}) or (vlan and ({}))", all, all);
    return all;
}

}  // namespace

class Captures::Session final : public admin::Stream {
 public:
    Session(Captures& owner, const admin::CaptureWanted& wanted) : owner_(owner), wanted_(wanted) {
        // From a core's Instant to the wall clock.
        const auto now = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
        unix_offset_us_ = static_cast<uint64_t>(now) - TscClock::now().us;
        if (wanted.seconds_max) end_ = steady_clock::now() + std::chrono::seconds(wanted.seconds_max);
        for (const auto& port : owner.crew_.eal().ports()) names_.push_back(port.name);
        admin::pcapng_begin(names_, wanted.snap_bytes, head_);
    }
    ~Session() override { take_off(); }

    /// False: core `i` did not answer, or has as many captures as it takes.
    bool put_on(uint32_t core, Tap tap) {
        auto job = std::make_unique<worker::AddTap>(*tap.tap);
        const auto answer = owner_.crew_.worker(core).mailbox().ask(job, kPatience);
        if (answer == worker::Mailbox::Answer::kDone && job->added()) {
            taps_.push_back({core, std::move(tap)});
            return true;
        }
        if (answer == worker::Mailbox::Answer::kSilent) owner_.remove(core, tap);   // it may still have done it, just now
        return false;
    }

    /// Interface statistics may stand anywhere, and the last ones count.
    std::string keep_alive() const override {
        std::string out;
        statistics(out);
        return out;
    }

    void end() { ending_.store(true, std::memory_order_relaxed); }

    bool next(std::string& out) override {
        out += std::exchange(head_, {});
        const bool last = ending_.load(std::memory_order_relaxed) || steady_clock::now() >= end_ || done();
        if (last) take_off();
        const size_t before = out.size();
        drain(out);
        if (last && out.size() - before < kPieceBytes) {
            statistics(out);
            return false;
        }
        if (out.size() == before) std::this_thread::sleep_for(milliseconds(10));
        return true;
    }

 private:
    struct Tapped {
        uint32_t core;
        Tap kept;
        bool on = true;
        worker::CaptureTap* tap = kept.tap.get();
    };
    bool done() const { return wanted_.frames_max && frames_ >= wanted_.frames_max; }

    void take_off() {
        for (Tapped& t : taps_)
            if (std::exchange(t.on, false)) owner_.remove(t.core, t.kept);
    }

    /// Of several cores the oldest frame first, as far as they are there.
    void drain(std::string& out) {
        const size_t before = out.size();
        while (out.size() - before < kPieceBytes && !done()) {
            Tapped* first = nullptr;
            worker::CapturedFrame oldest{};
            for (Tapped& t : taps_) {
                const auto bytes = t.tap->ring().front();
                if (bytes.empty()) continue;
                worker::CapturedFrame frame;
                std::memcpy(&frame, bytes.data(), sizeof frame);
                if (!first || frame.at < oldest.at) first = &t, oldest = frame;
            }
            if (!first) return;
            const auto bytes = first->tap->ring().front().subspan(sizeof oldest);
            admin::PcapngFrame frame{oldest.port, oldest.sent, oldest.at.us + unix_offset_us_, oldest.length, {}, {}};
            frame.bytes.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            first->tap->ring().pop();
            if (oldest.sent) admin::finish_offloads(oldest.ol_flags, oldest.l2_bytes, oldest.l3_bytes, oldest.segment_bytes, frame);
            admin::pcapng_frame(frame, out);
            frames_++;
        }
    }

    void statistics(std::string& out) const {
        for (uint32_t p = 0; p < names_.size(); p++) {
            admin::PcapngStatistics s;
            s.port = p;
            s.unix_us = TscClock::now().us + unix_offset_us_;
            for (const Tapped& t : taps_) s.received += t.tap->seen(p), s.accepted += t.tap->matched(p), s.dropped += t.tap->dropped(p);
            admin::pcapng_statistics(s, out);
        }
    }

    Captures& owner_;
    const admin::CaptureWanted wanted_;
    std::vector<std::string> names_;
    std::vector<Tapped> taps_;
    std::string head_;
    uint64_t unix_offset_us_ = 0, frames_ = 0;
    steady_clock::time_point end_ = steady_clock::time_point::max();
    std::atomic<bool> ending_{false};
};

Result<uint32_t> Captures::ports_of(const admin::CaptureWanted& wanted) const {
    const auto& ports = crew_.eal().ports();
    uint32_t bits = 0;
    for (const std::string& name : wanted.ports) {
        const auto found = std::find_if(ports.begin(), ports.end(), [&](const auto& p) { return p.name == name; });
        if (found == ports.end()) {
            std::string names;
            for (const auto& p : ports) names += (names.empty() ? "" : ", ") + p.name;
            return unexpected(fmt::format("no port `{}`: there are {}", name, names));
        }
        bits |= 1u << (found - ports.begin());
    }
    return wanted.ports.empty() ? UINT32_MAX : bits;
}

Result<std::shared_ptr<admin::Stream>> Captures::start(const admin::CaptureWanted& wanted) {
    const auto ports = ports_of(wanted);
    if (!ports) return unexpected(ports.error());
    // The user's text alone first, so that a mistake is told about what was written.
    if (!wanted.filter.empty())
        if (const auto alone = worker::CaptureFilter::compile(wanted.filter); !alone)
            return unexpected(fmt::format("filter `{}`: {}: man pcap-filter has the syntax", wanted.filter, alone.error()));
    std::shared_ptr<const worker::CaptureFilter> filter;
    if (const std::string text = expression(wanted, tagged_); !text.empty()) {
        auto compiled = worker::CaptureFilter::compile(text);
        if (!compiled) return unexpected(fmt::format("filter `{}`: {}", text, compiled.error()));
        filter = std::move(*compiled);
    }
    auto session = std::make_shared<Session>(*this, wanted);
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(sessions_, [](const auto& s) { return s.second.expired(); });
        if (sessions_.size() >= worker::CaptureTaps::kMax)
            return unexpected(fmt::format("{} captures are under way already: end one of them", sessions_.size()));
        sessions_[wanted.token] = session;
    }
    for (uint32_t i = 0; i < crew_.size(); i++) {
        if (session->put_on(i, {std::make_shared<worker::CaptureTap>(*ports, wanted.snap_bytes, filter.get()), filter})) continue;
        return unexpected(fmt::format("core {} did not answer, or has as many captures as it takes: sluicectl runtime shows it", crew_.worker(i).cpu()));
    }
    return std::shared_ptr<admin::Stream>(std::move(session));
}

bool Captures::stop(const std::string& token) {
    std::shared_ptr<Session> session;   // may be the last that holds it: not under the lock
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = sessions_.find(token); found != sessions_.end()) session = found->second.lock();
    }
    if (session) session->end();
    return session != nullptr;
}

void Captures::remove(uint32_t core, const Tap& tap) {
    auto job = std::make_unique<worker::RemoveTap>(*tap.tap);
    if (crew_.worker(core).mailbox().ask(job, kPatience) == worker::Mailbox::Answer::kDone) return;
    const std::lock_guard lock(mutex_);
    stuck_.push_back(tap);
}

}  // namespace sluice::gateway
