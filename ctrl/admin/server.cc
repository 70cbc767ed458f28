// cpp-httplib runs the sockets; all routing is the Handler's, from the pre-routing hook, before a body is read: few requests have
// one worth reading (config apply), and its length must be said and bounded. One request a connection, short timeouts, small heads (8 KiB, the library's limit).
#include "ctrl/admin/server.h"

#include <fmt/format.h>
#include <httplib.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

namespace sluice::admin {

namespace {

constexpr time_t kReadTimeoutS = 2, kWriteTimeoutS = 10;
constexpr size_t kThreads = 3, kStreams = RecentLog::kFollowersMax + 4;   // answers that end, and those that go on
constexpr int kStreamEndMs = 2000;
constexpr auto kKeepAlive = std::chrono::seconds(1);
constexpr size_t kBodyBytesMax = 32u << 20;

Answer answer_for(const Handler& handler, const httplib::Request& request, bool writable) {
    if (!writable && !is_local_host_header(request.get_header_value("Host")))
        return Answer::error(403, "the Host header names no loopback address", "use 127.0.0.1 or localhost");
    try {
        return handler.handle({request.method, request.path, {request.params.begin(), request.params.end()}, writable, request.get_header_value("Accept"), request.body});
    } catch (const std::exception& e) {
        return Answer::error(500, e.what());
    }
}

/// Streams being served, and whether they shall end.
struct Streaming {
    std::atomic<bool> stopping{false};
    std::atomic<uint32_t> open{0};
};

/// One of them, for as long as it is answered.
class Open {
 public:
    explicit Open(Streaming& streaming) : streaming_(streaming) { streaming_.open++; }
    ~Open() { streaming_.open--; }
    Open(const Open&) = delete;

 private:
    Streaming& streaming_;
};

/// Hands a stream on piece by piece until it ends, its asker leaves or the server stops.
void serve_stream(std::shared_ptr<Stream> stream, const std::string& type, Streaming& streaming, httplib::Response& response) {
    auto last = std::make_shared<std::chrono::steady_clock::time_point>(std::chrono::steady_clock::now());
    auto open = std::make_shared<Open>(streaming);
    response.set_chunked_content_provider(type, [stream = std::move(stream), last, open, &streaming](size_t, httplib::DataSink& sink) {
        std::string piece;
        const bool more = stream->next(piece) && !streaming.stopping.load(std::memory_order_relaxed);
        const auto now = std::chrono::steady_clock::now();
        if (piece.empty() && now - *last >= kKeepAlive) piece = stream->keep_alive();
        if (!piece.empty()) *last = now;
        if (!piece.empty() && !sink.write(piece.data(), piece.size())) return false;
        if (!more) sink.done();
        return true;
    });
}

/// The library compresses what it knows for text; OpenMetrics it does not know.
bool gzip(std::string& body) {
    z_stream stream{};
    constexpr int kGzip = 16 + MAX_WBITS;
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzip, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) return false;
    std::string out(deflateBound(&stream, body.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(body.data());
    stream.avail_in = static_cast<uInt>(body.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    out.resize(stream.total_out);
    deflateEnd(&stream);
    if (done) body = std::move(out);
    return done;
}

void answer(const Handler& handler, const httplib::Request& request, httplib::Response& response, bool writable, Streaming& streaming) {
    Answer a = answer_for(handler, request, writable);
    response.status = a.status;
    if (a.stream) {
        serve_stream(std::move(a.stream), a.type, streaming, response);
    } else {
        const bool wants_gzip = request.get_header_value("Accept-Encoding").find("gzip") != std::string::npos;
        if (wants_gzip && a.type.starts_with("application/openmetrics-text") && gzip(a.body)) response.set_header("Content-Encoding", "gzip");
        response.body = std::move(a.body);
        response.set_header("Content-Type", a.type);
    }
    response.set_header("Cache-Control", "no-store");
    // Nothing here is a page; a browser that is led here must not make one of it.
    response.set_header("X-Content-Type-Options", "nosniff");
    response.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    if (!a.allow.empty()) response.set_header("Allow", a.allow);
}

/// True: the body is read, then the request is answered. The library bounds neither chunks nor what they unpack to.
bool wants_body(const httplib::Request& request, httplib::Response& response, bool writable) {
    if (!writable || request.method != "POST" || !Handler::takes_body(request.path)) return false;
    if (request.has_header("Content-Length") && !request.has_header("Transfer-Encoding") && !request.has_header("Content-Encoding")) return true;
    response.status = 411;
    return false;
}

/// Removes a socket that nobody serves any more; says so if somebody does, or if it is something else.
Result<void> make_room(const std::string& path) {
    struct stat status;
    if (lstat(path.c_str(), &status) != 0) {
        if (errno != ENOENT) return unexpected(fmt::format("admin.socket {}: {}", path, std::strerror(errno)));
        std::error_code ignored;
        std::filesystem::create_directory(std::filesystem::path(path).parent_path(), ignored);
        return {};
    }
    if (!S_ISSOCK(status.st_mode)) return unexpected(fmt::format("admin.socket {}: is there and is no socket: choose another path", path));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool served = fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    if (fd >= 0) close(fd);
    if (served) return unexpected(fmt::format("admin.socket {}: another gateway serves it: stop that one, or choose another path", path));
    if (unlink(path.c_str()) != 0) return unexpected(fmt::format("admin.socket {}: {}", path, std::strerror(errno)));
    return {};
}

}  // namespace

bool is_loopback(const IpAddress& address) {
    return address.is_v4() ? address.bytes[12] == 127 : address == IpAddress::parse("::1");
}

bool is_local_host_header(std::string_view host) {
    if (host.starts_with('[')) {
        const size_t end = host.find(']');
        const auto address = end == host.npos ? std::nullopt : IpAddress::parse(host.substr(1, end - 1));
        return address && is_loopback(*address);
    }
    host = host.substr(0, host.find(':'));
    if (host == "localhost") return true;
    const auto address = IpAddress::parse(host);
    return address && is_loopback(*address);
}

struct Server::Endpoint {
    httplib::Server server;
    std::thread thread;
    Streaming streaming;

    Endpoint(const Handler& handler, bool writable) {
        server.set_read_timeout(kReadTimeoutS);
        server.set_write_timeout(kWriteTimeoutS);
        server.set_keep_alive_max_count(1);
        server.set_payload_max_length(kBodyBytesMax);
        server.new_task_queue = [writable] { return new httplib::ThreadPool(kThreads + (writable ? kStreams : 0)); };
        server.set_pre_routing_handler([this, &handler, writable](const httplib::Request& request, httplib::Response& response) {
            if (wants_body(request, response, writable)) return httplib::Server::HandlerResponse::Unhandled;
            if (response.status != 411) answer(handler, request, response, writable, streaming);
            return httplib::Server::HandlerResponse::Handled;
        });
        server.Post(".*", [this, &handler, writable](const httplib::Request& request, httplib::Response& response) {
            answer(handler, request, response, writable, streaming);
        });
    }
    void serve(const char* name) {
        thread = std::thread([this, name] {
            pthread_setname_np(pthread_self(), name);
            server.listen_after_bind();
        });
        while (!server.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ~Endpoint() {
        streaming.stopping.store(true, std::memory_order_relaxed);
        // The library cuts what is being answered when it stops: streams end in order before, or are cut after a while.
        for (int waited_ms = 0; streaming.open.load() != 0 && waited_ms < kStreamEndMs; waited_ms += 5)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        server.stop();
        if (thread.joinable()) thread.join();
    }
};

Server::Server() = default;
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(const Options& options, const Handler& handler) {
    auto out = std::unique_ptr<Server>(new Server);
    if (!options.socket.empty()) {
        if (options.socket.size() >= sizeof(sockaddr_un::sun_path))
            return unexpected(fmt::format("admin.socket {}: longer than {} bytes", options.socket, sizeof(sockaddr_un::sun_path) - 1));
        if (auto room = make_room(options.socket); !room) return unexpected(room.error());
        auto endpoint = std::make_unique<Endpoint>(handler, true);
        endpoint->server.set_address_family(AF_UNIX);
        // The socket's own mode becomes the file's at bind: there is no moment at which others could connect.
        endpoint->server.set_socket_options([](socket_t fd) { fchmod(static_cast<int>(fd), 0600); });
        errno = 0;
        if (!endpoint->server.bind_to_port(options.socket, 1))
            return unexpected(fmt::format("admin.socket {}: {}: the directory must exist and be writable", options.socket,
                                          std::strerror(errno ? errno : EINVAL)));
        out->socket_path_ = options.socket;
        endpoint->serve("sluice-admin");
        out->unix_ = std::move(endpoint);
    }
    if (options.http) {
        if (!is_loopback(options.http->ip))
            return unexpected(fmt::format("admin.http {}: not a loopback address: the endpoint has no passwords", options.http->to_string()));
        auto endpoint = std::make_unique<Endpoint>(handler, false);
        errno = 0;
        if (!endpoint->server.bind_to_port(options.http->ip.to_string(), options.http->port))
            return unexpected(fmt::format("admin.http {}: {}: choose another port", options.http->to_string(), std::strerror(errno ? errno : EADDRINUSE)));
        endpoint->serve("sluice-http");
        out->http_ = std::move(endpoint);
    }
    return out;
}

void Server::stop() {
    unix_.reset();
    http_.reset();
    if (!socket_path_.empty()) unlink(std::exchange(socket_path_, {}).c_str());
}

}  // namespace sluice::admin
