// Transports that are TCP connections as they are: the thin adapter between tcp::Stack's events and the proxy's handlers.
// In: tcp::ConnectionEvent. Out: one virtual call to the handler. Adapters come from a pool sized at start; the stack owns the
// connections. Nothing is copied or queued here.
#pragma once

#include "base/pool.h"
#include "proxy/transport.h"
#include "tcp/stack.h"
#include "telemetry/stat_array.h"

namespace sluice::proxy {

class TcpNetwork;

class TcpTransport final : public Transport {
 public:
    TcpTransport(TcpNetwork& network, tcp::Connection& connection);
    void consumed(uint64_t n) override { connection_->consumed(n); }
    void set_read_enabled(bool enabled) override { connection_->set_read_enabled(enabled); }
    uint64_t send_room() override { return connection_->send_room(); }
    bool write(SliceQueue&& data) override { return connection_->write(std::move(data)); }
    uint64_t unacknowledged() const override { return connection_->unacknowledged(); }
    void set_want_sent(bool want) override { connection_->set_want_sent(want); }
    void shutdown_write() override { connection_->shutdown_write(); }
    void abort() override { connection_->abort(); }
    void release() override;
    tcp::Error error() const override { return connection_->error(); }
    uint32_t segment_bytes() const override { return connection_->info(/*segments=*/false).snd_mss; }
    tcp::ConnectionId id() const override { return connection_->id(); }

 private:
    friend class TcpNetwork;
    TcpNetwork* network_;
    tcp::Connection* connection_;
};

class TcpNetwork final : public Network {
 public:
    /// `connections_max` adapters; `options` for accepted and for opened connections alike.
    TcpNetwork(tcp::Stack& stack, uint32_t connections_max, const tcp::Options& options)
        : stack_(&stack), transports_(connections_max), options_(options) {}

    void* listen(const SocketAddress& local, void* listener_user) override;
    void close_listener(void* socket) override;
    Transport* connect(const SocketAddress& remote, TransportHandler& handler, Instant now, tcp::Error* error) override;
    /// Each event of the stack's poll_event().
    void handle_event(const tcp::ConnectionEvent& event, Instant now);
    uint32_t transports_in_use() const { return transports_.in_use(); }
    /// Clients refused because no adapter was left. Any thread.
    uint64_t accept_refused() const { return accept_refused_.get(); }

    void describe(const tcp::Connection& connection, worker::ConnectionRow& row) const;
    worker::CloseOutcome close(tcp::Connection& connection, bool reset, Instant now);

 private:
    friend class TcpTransport;
    void accept(tcp::Connection& connection, uint16_t events, Instant now);

    tcp::Stack* stack_;
    Pool<TcpTransport> transports_;
    tcp::Options options_;
    telemetry::Counter accept_refused_;
};

}  // namespace sluice::proxy
