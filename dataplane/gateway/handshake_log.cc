// See handshake_log.h.
#include "gateway/handshake_log.h"

#include <fmt/format.h>

namespace sluice::gateway {
namespace {

/// Names in certificates are their owners' words: what cannot be printed does not reach a terminal.
std::string printable(const char* text) {
    std::string out = text;
    for (char& c : out)
        if (c < 0x20 || c == 0x7f) c = '?';
    return out;
}

}  // namespace

std::string describe(const proxy::HandshakeFailure& f) {
    const bool server = f.role == tls::Role::kServer;
    const std::string kind = f.failure == tls::Failure::kNone ? std::string() : fmt::format("{}: ", tls::to_string(f.failure));
    std::string line = fmt::format("TLS handshake with {} {} {} failed: {}{}", f.remote.to_string(), server ? "on listener" : "of cluster", f.owner, kind,
                                   printable(f.reason));
    if (f.alert != tls::Alert::kCloseNotify)
        line += fmt::format(" (alert {} {})", tls::to_string(f.alert), f.failure == tls::Failure::kPeerAlert ? "received" : "sent");
    return line;
}

void HandshakeLog::take(proxy::HandshakeFailures& failures, Clock::time_point now) {
    tick(now);
    for (proxy::HandshakeFailure failure; failures.pop(failure);) {
        if (written_++ < kLinesPerSecond) write_(describe(failure));
        else left_out_++;
    }
}

void HandshakeLog::tick(Clock::time_point now) {
    if (now < second_ + std::chrono::seconds(1)) return;
    second_ = now;
    written_ = 0;
    if (left_out_ > 0) write_(fmt::format("and {} more TLS handshakes failed within a second; counters tell why: sluicectl stats handshake_failures", std::exchange(left_out_, 0)));
}

}  // namespace sluice::gateway
