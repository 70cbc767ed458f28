// Carries events from tcp::Stack to handlers; a connection without an adapter is refused by RST.
#include "proxy/tcp_transport.h"

namespace sluice::proxy {

TcpTransport::TcpTransport(TcpNetwork& network, tcp::Connection& connection) : network_(&network), connection_(&connection) {
    receive_queue_ = &connection.receive_queue();
    tuple_ = connection.tuple();
}

void TcpTransport::release() {
    connection_->set_user(nullptr);
    connection_->release();
    network_->transports_.give(this);
}

void* TcpNetwork::listen(const SocketAddress& local, void* listener_user) {
    return stack_->listen(local, listener_user, options_);
}

void TcpNetwork::close_listener(void* socket) { stack_->close_listener(static_cast<tcp::Listener*>(socket)); }

Transport* TcpNetwork::connect(const SocketAddress& remote, TransportHandler& handler, Instant now, tcp::Error* error) {
    if (transports_.available() == 0) {
        *error = tcp::Error::kNoMemory;
        return nullptr;
    }
    const IpAddress any = remote.ip.is_v4() ? IpAddress::v4(0) : IpAddress{};
    tcp::Connection* connection = stack_->connect(remote, any, options_, nullptr, now, error);
    if (!connection) return nullptr;
    TcpTransport* transport = transports_.take(*this, *connection);
    connection->set_user(transport);
    transport->set_handler(&handler);
    return transport;
}

void TcpNetwork::handle_event(const tcp::ConnectionEvent& event, Instant now) {
    auto* transport = static_cast<TcpTransport*>(event.connection->user());
    if (!transport) {
        accept(*event.connection, event.events, now);
        return;
    }
    if (event.events & tcp::kPeerClosed) transport->peer_closed_ = true;
    if (transport->handler_) transport->handler_->on_transport_events(event.events, now);
}

void TcpNetwork::describe(const tcp::Connection& connection, worker::ConnectionRow& row) const {
    const auto* transport = static_cast<const TcpTransport*>(connection.user());
    if (transport && transport->handler_) transport->handler_->describe(row);
}

worker::CloseOutcome TcpNetwork::close(tcp::Connection& connection, bool reset, Instant now) {
    auto* transport = static_cast<TcpTransport*>(connection.user());
    return transport && transport->handler_ ? transport->handler_->close_for_operator(reset, now) : worker::CloseOutcome::kClosing;
}

void TcpNetwork::accept(tcp::Connection& connection, uint16_t events, Instant now) {
    if (!(events & tcp::kAccepted)) return;
    TcpTransport* transport = accept_handler_ ? transports_.take(*this, connection) : nullptr;
    if (!transport) {  // nothing left: push back
        accept_refused_.add();
        connection.abort();
        connection.release();
        return;
    }
    connection.set_user(transport);
    if (events & tcp::kPeerClosed) transport->peer_closed_ = true;
    if (!accept_handler_->on_accept(*transport, connection.listener_user(), now)) return;
    const auto rest = static_cast<uint16_t>(events & ~tcp::kAccepted);
    if (rest) transport->handler_->on_transport_events(rest, now);
}

}  // namespace sluice::proxy
