// Connections without TCP: a test plays the client and the servers byte by byte. In: what peers send, when they close.
// Out: what the proxy wrote and did to the connection. Owned by the network until the test ends, also after release().
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/transport.h"
#include "tests/support/eal.h"

namespace sluice::proxy::test {

class FakeTransport final : public Transport {
 public:
    FakeTransport(SliceNodePool& nodes, const FourTuple& tuple, Instant* now) : queue_(nodes), sent_(nodes), now_(now) {
        receive_queue_ = &queue_;
        tuple_ = tuple;
    }

    // The peer's hand.
    void send(std::string_view text, size_t cut = SIZE_MAX) {
        while (!text.empty()) {
            const auto piece = text.substr(0, cut);
            text.remove_prefix(piece.size());
            received_ += piece.size();
            if (!queue_.push_back(sluice::test::heap_slice(piece))) std::abort();
        }
        tell(tcp::kReadable);
    }
    void accept_connection() { tell(tcp::kConnected); }
    void refuse() { fail(tcp::Error::kRefused); }
    void reset() { fail(tcp::Error::kReset); }
    void close() {
        peer_closed_ = true;
        tell(tcp::kPeerClosed);
    }
    void fail(tcp::Error error) {
        error_ = error;
        tell(tcp::kFailed);
    }
    /// Text with a reset right behind it, in one event.
    void send_and_reset(std::string_view text) {
        received_ += text.size();
        if (!text.empty() && !queue_.push_back(sluice::test::heap_slice(text))) std::abort();
        error_ = tcp::Error::kReset;
        tell(tcp::kReadable | tcp::kFailed);
    }
    /// Text and FIN in one event, as from one segment.
    void send_and_close(std::string_view text) {
        received_ += text.size();
        if (!text.empty() && !queue_.push_back(sluice::test::heap_slice(text))) std::abort();
        peer_closed_ = true;
        tell(tcp::kReadable | tcp::kPeerClosed);
    }
    /// Takes what was written, as a client that reads; room for more is told.
    std::string take(uint64_t max = UINT64_MAX) {
        std::string text;
        while (!sent_.empty() && text.size() < max) {
            const auto n = std::min<uint64_t>(sent_.front().size(), max - text.size());
            text.append(reinterpret_cast<const char*>(sent_.front().data()), n);
            sent_.consume(n);
        }
        int events = 0;
        if (want_sent_ && sent_.empty() && !text.empty()) events |= tcp::kSent;
        if (want_room_ && send_room_raw() > 0) {
            want_room_ = false;
            events |= tcp::kWritable;
        }
        if (events) tell(events);
        return text;
    }
    uint64_t unread() const { return sent_.bytes(); }
    uint64_t unconsumed() const { return received_ - consumed_; }
    uint64_t received_queue_bytes() const { return queue_.bytes(); }

    uint64_t send_capacity = 128 * 1024;
    bool shut = false, aborted = false, released = false, read_enabled = true;
    std::function<void()> after_event;

    // Transport
    void consumed(uint64_t n) override { consumed_ += n; }
    void set_read_enabled(bool enabled) override { read_enabled = enabled; }
    uint64_t send_room() override {
        const uint64_t room = send_room_raw();
        if (room == 0) want_room_ = true;
        return room;
    }
    bool write(SliceQueue&& data) override {
        if (aborted || shut || error_ != tcp::Error::kNone) return false;
        sent_.append(std::move(data));
        return true;
    }
    uint64_t unacknowledged() const override { return sent_.bytes(); }
    void set_want_sent(bool want) override { want_sent_ = want; }
    void shutdown_write() override { shut = true; }
    void abort() override {
        aborted = true;
        sent_.clear();
    }
    void release() override {
        released = true;
        queue_.clear();
    }
    tcp::Error error() const override { return error_; }

 private:
    uint64_t send_room_raw() const { return sent_.bytes() >= send_capacity ? 0 : send_capacity - sent_.bytes(); }
    void tell(int events) {
        if (handler_) handler_->on_transport_events(static_cast<uint16_t>(events), *now_);
        if (after_event) after_event();
    }
    SliceQueue queue_, sent_;
    Instant* now_;
    uint64_t received_ = 0, consumed_ = 0;
    bool want_room_ = false, want_sent_ = false;
    tcp::Error error_ = tcp::Error::kNone;
};

class FakeNetwork final : public Network {
 public:
    FakeNetwork(SliceNodePool& nodes, Instant* now) : nodes_(nodes), now_(now) {}

    struct Socket {
        SocketAddress address;
        void* user;
    };
    void* listen(const SocketAddress& local, void* user) override {
        for (auto& socket : sockets_) {
            if (socket->address == local) return nullptr;
        }
        sockets_.push_back(std::make_unique<Socket>(Socket{local, user}));
        return sockets_.back().get();
    }
    void close_listener(void* socket) override {
        std::erase_if(sockets_, [&](const auto& s) { return s.get() == socket; });
    }
    Transport* connect(const SocketAddress& remote, TransportHandler& handler, Instant, tcp::Error* error) override {
        if (connect_error != tcp::Error::kNone) {
            *error = connect_error;
            return nullptr;
        }
        const SocketAddress local{IpAddress::v4(0x0a000001), next_port_++};
        upstreams.push_back(std::make_unique<FakeTransport>(nodes_, FourTuple{local, remote}, now_));
        upstreams.back()->set_handler(&handler);
        upstreams.back()->after_event = after_event;
        return upstreams.back().get();
    }
    /// A client's connection to a listener on `port`; nullptr if none listens or it was refused.
    FakeTransport* connect_client(uint16_t port, const SocketAddress& from) {
        for (auto& socket : sockets_) {
            if (socket->address.port != port) continue;
            SocketAddress local = socket->address;
            if (local.ip.is_unspecified()) local.ip = IpAddress::v4(0xc0000202);
            clients.push_back(std::make_unique<FakeTransport>(nodes_, FourTuple{local, from}, now_));
            FakeTransport* client = clients.back().get();
            client->after_event = after_event;
            return accept_handler_ && accept_handler_->on_accept(*client, socket->user, *now_) ? client : nullptr;
        }
        return nullptr;
    }
    size_t listening() const { return sockets_.size(); }

    std::deque<std::unique_ptr<FakeTransport>> clients, upstreams;
    std::function<void()> after_event;
    tcp::Error connect_error = tcp::Error::kNone;

 private:
    SliceNodePool& nodes_;
    Instant* now_;
    std::vector<std::unique_ptr<Socket>> sockets_;
    uint16_t next_port_ = 40000;
};

}  // namespace sluice::proxy::test
