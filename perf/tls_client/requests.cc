// The open loop of requests (see requests.h). One request at a time on each connection; one that is due and finds none free waits, and
// its latency counts from when it was due. In and out: see the header. A connection that fails ends the run: none may.
#include "perf/tls_client/requests.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "perf/load_generator/response_reader.h"
#include "perf/load_generator/schedule.h"

namespace sluice::perf {

namespace {

constexpr uint64_t kOpenNs = 10'000'000'000, kDrainNs = 1'000'000'000;

class Loop {
 public:
    Loop(ClientContext& context, const RequestPlan& plan, RequestOutcome& out)
        : context_(context), plan_(plan), out_(out), clients_(plan.connections), schedule_(Arrivals::kPoisson, plan.rate_per_s, plan.seed) {}
    ~Loop() {
        clients_.clear();
        if (epoll_ >= 0) ::close(epoll_);
    }

    std::string run() {
        epoll_ = epoll_create1(0);
        if (epoll_ < 0) return "no epoll";
        if (!open_all()) return "not all connections opened: " + out_.failure;
        epoch_ = monotonic_ns();
        from_ = epoch_ + plan_.warmup_ns, to_ = from_ + plan_.measure_ns;
        for (uint64_t now = epoch_; now < to_ + kDrainNs && (now < to_ || waiting_ > 0 || due() < to_); now = monotonic_ns()) {
            send_due(now);
            if (free_.empty() || due() > now) look(std::min(free_.empty() ? kDrainNs : due() - now, to_ + kDrainNs - now));
            if (out_.failed > 0) return "a connection ended: " + out_.failure;
        }
        for (const Client& c : clients_) out_.unanswered += c.waiting && c.due_ns >= from_ && c.due_ns < to_;
        return {};
    }

 private:
    struct Client {
        ClientConnection connection;
        ResponseReader reader;
        uint64_t due_ns = 0;
        bool waiting = false, open = false;
    };
    uint64_t due() const { return epoch_ + schedule_.due_ns(); }

    bool open_all() {
        for (Client& c : clients_)
            if (!c.connection.start(context_, plan_.target, nullptr, epoll_, &c)) return out_.failure = c.connection.why(), false;
        for (const uint64_t deadline = monotonic_ns() + kOpenNs; free_.size() < clients_.size() && out_.failed == 0 && monotonic_ns() < deadline;) look(kDrainNs);
        return free_.size() == clients_.size();
    }
    void look(uint64_t timeout_ns) {
        std::array<void*, 64> tags;
        const int n = wait_ready(epoll_, timeout_ns, tags);
        for (int i = 0; i < n; i++) step(*static_cast<Client*>(tags[static_cast<size_t>(i)]));
    }
    void send_due(uint64_t now) {
        while (!free_.empty() && due() <= now && due() < to_) {
            Client& c = *free_.back();
            free_.pop_back();
            c.due_ns = due();
            c.waiting = true;
            waiting_++;
            schedule_.take();
            c.connection.write({reinterpret_cast<const uint8_t*>(plan_.request.data()), plan_.request.size()});
        }
    }
    void step(Client& c) {
        const auto state = c.connection.advance();
        if (state == ClientConnection::State::kOpen) {
            if (!c.open) free_.push_back(&c);
            c.open = true;
            for (size_t n; (n = c.connection.read(room_)) > 0;) take(c, std::span(room_).first(n));
        }
        if (c.connection.state() != ClientConnection::State::kFailed) return;
        if (out_.failure.empty()) out_.failure = c.connection.why();
        out_.failed++;
    }
    void take(Client& c, std::span<const uint8_t> bytes) {
        const auto step = c.reader.take(bytes);
        if (step.state == ResponseReader::State::kBad || (step.state == ResponseReader::State::kDone && !c.waiting)) {
            out_.failure = "what came is no answer";
            out_.failed++;
        }
        if (step.state != ResponseReader::State::kDone || !c.waiting) return;
        c.waiting = false;
        waiting_--;
        free_.push_back(&c);
        if (c.due_ns < from_ || c.due_ns >= to_) return;
        out_.completed++;
        out_.not_2xx += c.reader.status() / 100 != 2;
        out_.latency.record(monotonic_ns() - c.due_ns);
    }

    ClientContext& context_;
    const RequestPlan& plan_;
    RequestOutcome& out_;
    std::vector<Client> clients_;
    std::vector<Client*> free_;
    Schedule schedule_;
    int epoll_ = -1;
    uint32_t waiting_ = 0;
    uint64_t epoch_ = 0, from_ = 0, to_ = 0;
    std::array<uint8_t, 16384> room_;
};

}  // namespace

std::string run_requests(ClientContext& context, const RequestPlan& plan, RequestOutcome& out) { return Loop(context, plan, out).run(); }

}  // namespace sluice::perf
