// The management endpoint's sockets: a unix socket for reading and writing (mode 0600: its owner and root), and HTTP on a
// loopback address for reading. Each has its own few threads, so that a stuck reader of one never blocks the other.
// In: a Handler, which outlives the server. Owns threads and the socket file; both are gone after stop(). RFC 9112 by cpp-httplib.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/ip_address.h"
#include "base/result.h"
#include "ctrl/admin/handler.h"

namespace sluice::admin {

class Server {
 public:
    struct Options {
        std::string socket;                  // empty = none
        std::optional<SocketAddress> http;   // loopback only
    };
    /// Binds and serves; or says what is in the way and what to do.
    static Result<std::unique_ptr<Server>> start(const Options& options, const Handler& handler);
    ~Server();
    void stop();

 private:
    struct Endpoint;
    Server();
    std::unique_ptr<Endpoint> unix_, http_;
    std::string socket_path_;
};

/// ::1 and 127.0.0.0/8.
bool is_loopback(const IpAddress& address);
/// Whether a Host header may reach the loopback endpoint: a loopback address or localhost. Anything else is a web page that
/// got its own name to point here (DNS rebinding).
bool is_local_host_header(std::string_view host);

}  // namespace sluice::admin
