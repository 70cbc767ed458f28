// What a connection looks like to the proxy, whatever carries it (TCP now, TLS over it later), and the network that opens and
// accepts them. In: bytes written, bytes consumed. Out: a receive queue and events, one virtual call an event, never a byte.
// A Transport belongs to its network; the pointer is dead after release().
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ip_address.h"
#include "base/slice.h"
#include "base/time.h"
#include "tcp/stack.h"
#include "worker/connection_row.h"

namespace sluice::proxy {

class Transport;
struct TlsInfo;

/// The proxy's object on top of a transport. `events` are tcp::Event bits; the transport's getters are the level of truth.
class TransportHandler {
 public:
    virtual void on_transport_events(uint16_t events, Instant now) = 0;

    // For operators.
    virtual void describe(worker::ConnectionRow&) const {}
    virtual worker::CloseOutcome close_for_operator(bool /*reset*/, Instant /*now*/) { return worker::CloseOutcome::kClosing; }

 protected:
    ~TransportHandler() = default;
};

class Transport {
 public:
    /// Plain bytes received in order. After taking n of them out, call consumed(n): the peer's window opens.
    SliceQueue& receive_queue() { return *receive_queue_; }
    virtual void consumed(uint64_t n) = 0;
    /// False closes the peer's window: used to leave a connection alone altogether. (Bytes that are merely not consumed
    /// close it too, once the receive buffer is full: that is how back pressure travels.)
    virtual void set_read_enabled(bool enabled) = 0;
    /// What write() takes; 0 sets a wish for kWritable.
    virtual uint64_t send_room() = 0;
    /// Queues all of `data`, also beyond send_room() (one header block is never cut). False: this end takes no more.
    [[nodiscard]] virtual bool write(SliceQueue&& data) = 0;
    virtual uint64_t unacknowledged() const = 0;
    virtual void set_want_sent(bool want) = 0;
    virtual void shutdown_write() = 0;
    /// RST now; release() still follows.
    virtual void abort() = 0;
    /// Hands the connection back: what is queued is still sent, then FIN. The pointer is dead.
    virtual void release() = 0;
    virtual tcp::Error error() const = 0;
    /// Bytes of one full segment to the peer; 0: not known.
    virtual uint32_t segment_bytes() const { return 0; }
    /// Of the TCP connection below; not valid where there is none.
    virtual tcp::ConnectionId id() const { return {}; }
    /// What the handshake agreed on; nullptr: plain text.
    virtual const TlsInfo* tls() const { return nullptr; }
    /// Why it failed, beyond error(), in words; valid while kFailed is told.
    virtual std::string_view failure_reason() const { return {}; }
    const FourTuple& tuple() const { return tuple_; }
    bool peer_closed() const { return peer_closed_; }

    void set_handler(TransportHandler* handler) { handler_ = handler; }
    TransportHandler* handler() const { return handler_; }

 protected:
    Transport() = default;
    ~Transport() = default;
    SliceQueue* receive_queue_ = nullptr;
    TransportHandler* handler_ = nullptr;
    FourTuple tuple_;
    bool peer_closed_ = false;
};

class AcceptHandler {
 public:
    /// `listener_user` is what listen() was given. True: the handler has taken the transport over (set_handler). False: it
    /// has been released.
    virtual bool on_accept(Transport& transport, void* listener_user, Instant now) = 0;

 protected:
    ~AcceptHandler() = default;
};

/// Where transports come from. One per core.
class Network {
 public:
    /// An opaque socket, or nullptr if the address is taken or the table full.
    virtual void* listen(const SocketAddress& local, void* listener_user) = 0;
    virtual void close_listener(void* socket) = 0;
    /// nullptr and *error on failure. kConnected or kFailed follows to `handler`.
    virtual Transport* connect(const SocketAddress& remote, TransportHandler& handler, Instant now, tcp::Error* error) = 0;
    void set_accept_handler(AcceptHandler* handler) { accept_handler_ = handler; }

 protected:
    ~Network() = default;
    AcceptHandler* accept_handler_ = nullptr;
};

}  // namespace sluice::proxy
