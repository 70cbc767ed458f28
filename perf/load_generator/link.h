// A connection as HTTP sees it: bytes in, bytes out, over TCP or over TLS 1.3 on our own record layer. TLS is mutual in both roles.
// In: events of the connection below. Out: plain bytes; open() once they can flow. Owns its records and a handshake in progress; TCP's
// handle stays its user's. TlsCore is what the connections of a core share. Handshakes are inline: they are over before a run's window.
#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/slice.h"
#include "tcp/stack.h"
#include "tls/context.h"
#include "tls/handshake.h"
#include "tls/records.h"
#include "worker/worker.h"

namespace sluice::perf {

/// Certificates, as perf/tls_world.py makes them; shared by cores.
struct TlsContexts {
    std::shared_ptr<const tls::ClientContext> client;   // shows client.crt
    std::shared_ptr<const tls::ServerContext> server;   // shows backend.crt, wants a certificate
    tls::ClientPeer peer;
};
std::expected<TlsContexts, std::string> read_contexts(const std::string& folder, const std::string& server_name);

class TlsCore {
 public:
    TlsCore(worker::Worker& worker, const TlsContexts& contexts, uint32_t connections_max);
    void poll(Instant now) { handshaker.poll(now); }

    const TlsContexts& contexts;
    worker::Worker& worker;
    tls::HandshakeThreads threads;
    tls::Handshaker handshaker;
    tls::RecordEngine engine;
};

class LinkUser {
 public:
    /// A TLS handshake is over: bytes can flow, or the connection cannot be used.
    virtual void on_link(tcp::Connection& connection, bool open, Instant now) = 0;

 protected:
    ~LinkUser() = default;
};

class Link final : private tls::HandshakeOwner {
 public:
    /// `core` nullptr: plain TCP, open at once.
    Link(worker::Worker& worker, TlsCore* core, LinkUser& user) : nodes_(worker.nodes()), core_(core), user_(user), plain_(worker.nodes()), sealing_(worker.nodes()) {}
    ~Link();
    Link(const Link&) = delete;

    /// TCP is connected. True: bytes can flow already; else on_link() follows.
    bool begin(tcp::Connection& connection, tls::Role role);
    /// Bytes came. False: the other side ended it, or broke the protocol.
    bool receive();
    SliceQueue& in() { return core_ ? plain_ : connection_->receive_queue(); }
    /// Bytes of in() were taken.
    void consumed(uint64_t n) {
        if (!core_) connection_->consumed(n);
    }
    /// Not 0 where TCP has room at all: TCP tells of room only to who found none.
    uint64_t send_room() const {
        const uint64_t room = connection_->send_room();
        return core_ && room > 0 ? std::max<uint64_t>(1, tls::Records::plain_room(room)) : room;
    }
    bool write(SliceQueue&& bytes, Instant now);
    /// False: no memory.
    bool write_copy(std::span<const uint8_t> bytes, Instant now);
    /// close_notify, where the handshake is over, and FIN. `connection`: TCP may never have connected.
    void shutdown(tcp::Connection& connection);

 private:
    void on_handshake_bytes(std::span<const uint8_t> bytes, Instant now) override;
    void on_handshake_done(tls::HandshakeResult&& result, bool take_tickets, Instant now) override;
    void on_handshake_failed(tls::Failure failure, tls::Alert alert, std::string_view reason, Instant now) override;
    bool open_records();
    void send_control();

    SliceNodePool& nodes_;
    TlsCore* core_;
    LinkUser& user_;
    tcp::Connection* connection_ = nullptr;
    tls::Handshake* handshake_ = nullptr;
    std::optional<tls::Records> records_;
    SliceQueue plain_, sealing_;
    uint64_t given_back_ = 0;   // bytes that the handshake read too far: TCP has them as consumed already
};

}  // namespace sluice::perf
