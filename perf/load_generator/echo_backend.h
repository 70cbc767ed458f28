// The backend of a load test on our own stack: HTTP/1.1, every request answered at once with the same bytes.
// In: connection events of a listening port. Out: responses of the size that the path asks for (/bytes/N), else of the default.
// Owns its listener, its sessions and the mbufs that hold the bytes: a response is references to them, no copy.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/pool.h"
#include "base/slice.h"
#include "perf/load_generator/link.h"
#include "worker/worker.h"

namespace sluice::perf {

class EchoBackend final : public LinkUser {
 public:
    /// `tls` nullptr: plain HTTP.
    EchoBackend(worker::Worker& worker, TlsCore* tls, uint16_t port, uint32_t body_bytes, uint32_t connections_max);
    void handle_event(const tcp::ConnectionEvent& event, Instant now);
    /// Any thread.
    uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }

 private:
    static constexpr uint32_t kRequestBytesMax = 8192, kCopies = 64, kSizesMax = 8;
    struct Session {
        Session(worker::Worker& worker, TlsCore* tls, LinkUser& user) : link(worker, tls, user) {}
        Link link;
        uint64_t body_left = 0;      // of a request, to be passed over
        uint64_t owed = 0;           // bytes of a response's body that found no room yet
    };
    /// A head, and copies of it, since one mbuf takes 65,535 references at most.
    struct Response {
        uint64_t body_bytes = 0;
        std::array<Slice, kCopies> heads;   // with the body, where both fit into one mbuf
        bool whole = false;
        uint32_t next = 0;
    };
    void on_link(tcp::Connection& connection, bool open, Instant now) override;
    void end(tcp::Connection& c);
    void serve(tcp::Connection& c, Session& s, Instant now);
    bool answer(Session& s, std::string_view head, Instant now);
    bool write_body(Session& s, Instant now);
    Response* response(uint64_t body_bytes);
    Slice text_slice(const std::string& text);

    worker::Worker& worker_;
    TlsCore* tls_;
    Pool<Session> sessions_;
    uint32_t default_bytes_;
    std::vector<std::unique_ptr<Response>> responses_;
    std::array<Slice, kCopies> blocks_;      // of body bytes
    uint32_t next_block_ = 0;
    std::array<uint8_t, kRequestBytesMax> scratch_;
    std::atomic<uint64_t> requests_{0};
};

}  // namespace sluice::perf
