// The closed loop of handshakes (see handshakes.h).
// In and out: see the header. The first connection sends a request, since some servers keep their tickets until they write. One is used many times, as servers without a replay list allow: it saves the client a full handshake each.
#include "perf/tls_client/handshakes.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <vector>

namespace sluice::perf {

namespace {

constexpr uint64_t kFirstNs = 5'000'000'000;   // until the ticket that others are resumed with
constexpr std::string_view kRequest = "GET /0 HTTP/1.1\r\nHost: handshakes\r\n\r\n";   // any answer will do

class Loop {
 public:
    Loop(ClientContext& context, const HandshakePlan& plan, HandshakeOutcome& out) : context_(context), plan_(plan), out_(out), clients_(plan.concurrency) {}
    ~Loop() {
        clients_.clear();
        SSL_SESSION_free(session_);
        if (epoll_ >= 0) ::close(epoll_);
    }

    std::string run() {
        epoll_ = epoll_create1(0);
        if (epoll_ < 0) return "no epoll";
        if (plan_.resume && !get_session()) return "no ticket came from the server: " + out_.failure;
        const uint64_t began = monotonic_ns();
        from_ = began + plan_.warmup_ns, to_ = from_ + plan_.measure_ns;
        for (Client& c : clients_) begin(c);
        std::array<void*, 64> tags;
        for (uint64_t now = began; now < to_; now = monotonic_ns()) {
            const int n = wait_ready(epoll_, to_ - now, tags);
            for (int i = 0; i < n; i++) step(*static_cast<Client*>(tags[static_cast<size_t>(i)]));
        }
        return {};
    }

 private:
    struct Client {
        ClientConnection connection;
        uint64_t began_ns = 0;
    };

    void begin(Client& c) {
        c.began_ns = monotonic_ns();
        if (!c.connection.start(context_, plan_.target, session_, epoll_, &c)) ended(c, false);
    }
    void step(Client& c) {
        if (c.connection.advance() == ClientConnection::State::kOpen) c.connection.end();
        if (c.connection.state() == ClientConnection::State::kEnded) ended(c, true);
        else if (c.connection.state() == ClientConnection::State::kFailed) ended(c, false);
        else return;
        begin(c);
    }
    /// True: the ticket is there.
    bool ticket_came(Client& c) {
        const bool opens = c.connection.state() != ClientConnection::State::kOpen;
        if (c.connection.advance() != ClientConnection::State::kOpen) return false;
        if (opens) c.connection.write({reinterpret_cast<const uint8_t*>(kRequest.data()), kRequest.size()});
        while (c.connection.read(room_) > 0) {}
        return c.connection.tickets() > 0;
    }
    void ended(Client& c, bool good) {
        const uint64_t now = monotonic_ns();
        if (!good && out_.failure.empty()) out_.failure = c.connection.why();
        if (now >= from_ && now < to_) {
            if (good) out_.latency.record(now - c.began_ns);
            (good ? out_.done : out_.failed)++;
            if (good && c.connection.resumed()) out_.resumed++;
        }
        c.connection.close();
    }
    bool get_session() {
        Client& first = clients_[0];
        if (!first.connection.start(context_, plan_.target, nullptr, epoll_, &first)) return false;
        std::array<void*, 1> tags;
        for (const uint64_t deadline = monotonic_ns() + kFirstNs; monotonic_ns() < deadline;) {
            if (wait_ready(epoll_, kFirstNs, tags) == 0) continue;
            if (ticket_came(first)) break;
            if (first.connection.state() == ClientConnection::State::kFailed) {
                out_.failure = first.connection.why();
                break;
            }
        }
        session_ = first.connection.take_session();
        first.connection.close();
        return session_ != nullptr;
    }

    ClientContext& context_;
    const HandshakePlan& plan_;
    HandshakeOutcome& out_;
    std::vector<Client> clients_;
    SSL_SESSION* session_ = nullptr;
    int epoll_ = -1;
    uint64_t from_ = UINT64_MAX, to_ = 0;
    std::array<uint8_t, 4096> room_;
};

}  // namespace

std::string run_handshakes(ClientContext& context, const HandshakePlan& plan, HandshakeOutcome& out) { return Loop(context, plan, out).run(); }

}  // namespace sluice::perf
