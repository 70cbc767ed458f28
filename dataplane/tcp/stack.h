// One core's TCP: listeners, connections and their timers, as a plain state machine without I/O, clock, lock or thread.
// Segments in by handle_segment, time by handle_timeout, segments out by poll_transmit, news by poll_event.
// The stack owns connections and all slices queued in them. RFC 9293 and the list in docs/tcp.md. Single core.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/slice.h"
#include "base/ip_address.h"
#include "base/time.h"
#include "net/datagram.h"

namespace sluice::tcp {

class Stack;
class Connection;
struct Listener;   // opaque to users: open by listen(), closed by close_listener()

enum class State : uint8_t {
    kClosed, kListen, kSynSent, kSynReceived, kEstablished, kFinWait1, kFinWait2, kCloseWait, kClosing, kLastAck, kTimeWait,
};

/// Why a connection ended or could not be made.
enum class Error : uint8_t {
    kNone, kRefused /* RST to our SYN */, kReset, kTimedOut, kUnreachable, kNoRoute, kNoPorts, kNoMemory, kAborted /* by us */,
};

/// Names one connection for as long as the stack lives: its slot, and which of the slot's connections it is. Odd while it is open.
struct ConnectionId {
    uint32_t slot = 0, generation = 0;
    bool valid() const { return generation != 0; }
    friend bool operator==(ConnectionId, ConnectionId) = default;
};

/// News about a connection; several bits may be set at once. Level of truth is the Connection's getters.
enum Event : uint16_t {
    kAccepted = 1,     // new on a listener (handshake done)
    kConnected = 2,    // our connect() is done
    kReadable = 4,     // receive_queue() grew
    kWritable = 8,     // send room again after a short write
    kPeerClosed = 16,  // FIN received: no more bytes after receive_queue()
    kFailed = 32,      // ended by error(): nothing more is sent or received
    kSent = 64,        // everything written has been acknowledged (only if want_sent(true))
};

struct ConnectionEvent {
    Connection* connection = nullptr;
    uint16_t events = 0;
};

struct Options {           // per connection, defaults from the listener or connect()
    uint32_t receive_buffer_bytes = 256 * 1024;  // limit of receive_queue and the window offered
    uint32_t send_buffer_bytes = 256 * 1024;
    Duration keepalive_idle = seconds(7200), keepalive_interval = seconds(75);
    uint8_t keepalive_probes = 9;
    bool keepalive = true;
    Duration user_timeout = seconds(0);  // 0 = by retransmission count
    bool no_delay = true;                // false: Nagle (RFC 9293 3.7.4)
    bool cork = false;                   // only full segments leave, until it is taken back or the persist timer fires
    enum class Congestion : uint8_t { kOfStack, kCubic, kNewReno } congestion = Congestion::kOfStack;
    static constexpr uint8_t kDscpOfStack = 64;
    uint8_t dscp = kDscpOfStack;         // of the IP header
    // Read at the handshake only.
    uint16_t max_segment = 0;            // the largest MSS offered and used; 0 = what the path takes
    uint16_t local_port = 0;             // of an active open; 0 = chosen (RFC 6056)
};

/// What a connection would tell an operator: segments are counted, sizes are bytes.
struct Info {
    State state = State::kClosed;
    Error soft_error = Error::kNone;  // what a router says is wrong with the path, since the last progress
    bool timestamps = false, sack = false, window_scale = false, ecn = false, quick_ack = false;
    uint8_t snd_shift = 0, rcv_shift = 0, backoff = 0, probes = 0;
    uint32_t snd_mss = 0, rcv_mss = 0, path_mtu = 0;
    uint32_t unacked = 0, sacked = 0, lost = 0, retransmitting = 0;  // segments; without SACK `sacked` is by duplicate ACKs
    uint32_t cwnd = 0, ssthresh = 0, snd_wnd = 0, unsent_bytes = 0;
    uint32_t retransmits = 0;                                        // of its whole life
    Duration rto{}, delayed_ack{}, smoothed_rtt{}, rtt_variance{}, min_rtt{};
    uint64_t bytes_acked = 0, bytes_received = 0;
};

struct StackConfig {
    uint64_t seed = 0;                 // ISNs (RFC 6528), ports (RFC 6056), timestamp offsets, demux key
    uint32_t connections_max = 65536;
    uint32_t listeners_max = 1024;
    uint16_t port_first = 32768, port_last = 60999;   // ephemeral ports
    uint32_t initial_cwnd_segments = 10;              // RFC 6928
    Duration min_rto = milliseconds(200), max_rto = seconds(120), delayed_ack = milliseconds(40);
    Duration time_wait = seconds(60);
    uint32_t syn_backlog = 1024;
    uint8_t dscp = 0;                                 // of connections that have none of their own, and of all else
    bool sack = true, timestamps = true, window_scale = true;
    enum class Congestion : uint8_t { kCubic, kNewReno } congestion = Congestion::kCubic;
    enum class Ecn : uint8_t { kOff, kOnRequest /* only if the peer asks */, kOn } ecn = Ecn::kOnRequest;  // RFC 3168
};

/// What the stack needs of the layers below and of the core: routes, and who owns a 4-tuple. Supplied by the worker or a test.
class Environment {
 public:
    virtual ~Environment() = default;
    virtual std::optional<net::RouteInfo> route(const IpAddress& destination, const IpAddress& source) = 0;
    /// True if this core owns the connection (ephemeral ports are chosen so that it does).
    virtual bool owns(const FourTuple& tuple) = 0;
};

struct Counters {
    uint64_t segments_in, segments_out, bytes_in, bytes_out, bad_header, bad_checksum, no_connection, resets_in, resets_out;
    uint64_t accepted, connected, connect_failed, syn_dropped, syn_cookies_sent, syn_cookies_good, listen_overflow;
    uint64_t retransmits, fast_recoveries, timeouts, tlp_probes, out_of_order, duplicates, paws_dropped, challenge_acks;
    uint64_t keepalive_probes, time_wait_reused, no_memory, bytes_copied_tx, bytes_attached_tx;
    uint64_t spurious;  // recoveries taken back: the original had only been late
    uint64_t ecn_connections, ecn_marks_in, ecn_reductions, mtu_black_holes, mtu_probes, mtu_raised;
    uint64_t ports_exhausted;  // connections not made: every source port towards the remote is taken
};

class Stack {
 public:
    /// `header_pool`: mbufs for headers and copied payload. `nodes`: list nodes of all queues. Both outlive the stack.
    Stack(const StackConfig& config, rte_mempool* header_pool, SliceNodePool& nodes, Environment& environment);
    ~Stack();

    /// Accept connections to `local` (unspecified ip of a family = any local address). `user` is returned by
    /// Connection::listener_user(). Null if the table is full or the address is taken.
    Listener* listen(const SocketAddress& local, void* user, const Options& options);
    /// Stops accepting (SYNs get RST); connections accepted before live on.
    void close_listener(Listener* listener);
    /// For connections that SYNs open from now on.
    void set_options(Listener* listener, const Options& options);
    /// False: the layer above has enough connections waiting. SYNs and the ACKs that end handshakes are dropped, so that
    /// the peers repeat them.
    void set_accepting(Listener* listener, bool accepting);
    /// Active open from `source_ip` (unspecified: by route). On failure nullptr and *error.
    Connection* connect(const SocketAddress& remote, const IpAddress& source_ip, const Options& options, void* user,
                        Instant now, Error* error);

    /// Optional, before the segments of a burst are handled: fetches what they will touch. Among a million connections the
    /// table's entry and the control block lie in memory, and waiting for one at a time doubles a segment's cost.
    void prefetch(std::span<const net::DatagramIn> burst) const;
    /// Takes ownership of datagram.mbuf. False if it belongs to no listener or connection: then the mbuf stays the caller's
    /// (exception port), who may answer by reject().
    bool handle_segment(net::DatagramIn& datagram, Instant now);
    /// True while segments come in large bursts, faster than they are handled: ACKs of text in order are then put together over
    /// turns, up to a limit, as they are where the kernel merges segments on receive.
    void set_backlog(bool backlog);
    /// Answers a segment that nobody wants with RST (RFC 9293 3.10.7.1), rate limited.
    void reject(const net::DatagramIn& datagram, Instant now);
    /// False if it quotes nothing that is in flight: then nothing else may believe it either.
    bool handle_icmp_error(const net::IcmpError& error, Instant now);
    /// Runs due timers.
    void handle_timeout(Instant now);
    Instant poll_timeout() const;

    /// The next segment ready to go, most urgent first. False when there is none. The caller owns out.mbuf.
    bool poll_transmit(net::DatagramOut& out, Instant now);
    /// The next connection with news. An event is reported once; its connection stays valid until release().
    bool poll_event(ConnectionEvent& out);

    // For operators: connections by slot. Single core, like everything here.
    /// The connection of that name; null if it has ended.
    Connection* find(ConnectionId id) const;
    /// The next open connection from slot `cursor` on, which moves behind it. Each slot looked at takes one from `slots`; null
    /// when they are used up or no slot is left (cursor == slots()).
    Connection* next(uint32_t& cursor, uint32_t& slots) const;
    uint32_t slots() const;
    /// Gives back a connection that nobody holds, after abort().
    void reap(ConnectionId id);

    /// What is lent from each pool; all zero when nothing is left.
    struct Usage {
        uint32_t connections, time_waits, runs, records, control, timers;
    };
    Usage usage() const;
    uint32_t connections() const;
    uint32_t half_open() const;
    uint32_t time_wait() const;
    /// Memory of all pools that is lent out: control blocks, TIME-WAIT entries, queues' nodes and records.
    uint64_t bytes_in_use() const;
    const Counters& counters() const;
    SliceNodePool& nodes() const;
    rte_mempool* pool() const;

    struct Impl;
    Impl& inside() const { return *impl_; }   // for tests that include tcp/stack_impl.h

 private:
    friend class Connection;
    std::unique_ptr<Impl> impl_;
};

/// A handle used by the layer above. Pointers stay valid from kAccepted / connect() until release().
class Connection {
 public:
    void* user() const;
    void set_user(void* user);
    void* listener_user() const;             // of the listener that accepted it; null for active opens
    FourTuple tuple() const;
    State state() const;
    Error error() const;
    Duration smoothed_rtt() const;
    uint64_t bytes_received() const, bytes_sent() const;
    /// `segments` false: without the counts of segments, which take a walk over everything in flight.
    Info info(bool segments = true) const;
    ConnectionId id() const;
    Instant opened_at() const;
    /// When a segment last came or left.
    Instant last_active_at() const;
    /// What may change in a connection's life; a buffer that shrinks takes back no window already offered (SHLD-14).
    void configure(const Options& options);
    /// True: acknowledge at once until an answer carries an ACK. False: wait for one from now on.
    void set_quick_ack(bool quick);

    /// Received in order, not yet consumed. The holder may take slices out (pop_front, split_to, consume), then must call
    /// consumed(n) with the number of bytes taken so that the window opens.
    SliceQueue& receive_queue();
    void consumed(uint64_t n);
    /// False while this end does not want bytes: the window is let close (back pressure), nothing is lost.
    void set_read_enabled(bool enabled);

    /// Bytes that write() still takes; 0 sets a wish for kWritable.
    uint64_t send_room();
    /// Queues all of `data` (callers look at send_room() first; more is accepted up to twice the buffer so that one
    /// header block is never cut) and leaves it empty. Slices stay referenced until acknowledged. False if the connection
    /// takes no more data.
    bool write(SliceQueue&& data);
    /// Copies what send_room() and the pool allow, behind what was written before, and returns how many bytes that was.
    uint64_t write_copy(std::span<const uint8_t> bytes);
    void set_want_sent(bool want);
    uint64_t unacknowledged() const;         // bytes queued or in flight
    /// FIN after what is queued (half close).
    void shutdown_write();
    /// RST now; pending data is dropped.
    void abort();
    /// The layer above is done with the handle: no more events. What is queued is still sent, then FIN; unread receive data
    /// makes it an abort (RFC 9293 3.6, RFC 2525 2.17). The pointer is dead to the caller.
    void release();
    Stack& stack() const;

 protected:
    Connection() = default;
    ~Connection() = default;
};

}  // namespace sluice::tcp
