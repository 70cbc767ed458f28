// One simulated machine: a stack of libsluice_tcp.so behind its C interface, and nothing else of Sluice's.
// In: packets from a link. Out: packets to a link, each checked as a receiver would. Owns the stack. `at()` brings it to the present
// before anything is asked of it; a host that nobody asks is left alone until its next deadline.
#pragma once

#include "base/rng.h"
#include "tests/harness/sluice_tcp_sim.h"
#include "tests/sim/link.h"

namespace sluice::sim {

struct HostConfig {
    IpAddress address;
    uint16_t mtu = 1500;
    bool sack = true, timestamps = true, window_scale = true, new_reno = false;
    enum class Ecn : uint8_t { kOff, kOnRequest, kOn } ecn = Ecn::kOnRequest;
    uint32_t syn_backlog = 1024;
    Duration time_wait = seconds(60);
    bool tx_checksum = false, multi_segment = false, tso = false;
    bool chained_receive = false;    // packets come in pieces
    double memory_fault = 0;         // share of packets that the port could not store
    uint32_t objects_fail_every = 0, mbufs_fail_every = 0;  // steps (sluice_tcp_sim.h); 0: never
    uint32_t sockets_max = 4096;
};

/// What an application sets on its sockets.
struct SocketOptions {
    int receive_buffer_bytes = 256 * 1024, send_buffer_bytes = 256 * 1024;
    int keepalive_idle_s = 7200, keepalive_interval_s = 75, keepalive_probes = 9;
    bool no_delay = true;
};

class Host {
 public:
    Host(const HostConfig& config, uint64_t stack_seed, Instant now, Rng rng);
    ~Host() { th_destroy(stack_); }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    /// The stack, its clock at `now`.
    th_stack* at(Instant now);
    Instant deadline() const;
    void deliver(const Packet& packet, Instant now);
    /// Everything that is ready goes onto `wire`. Returns how many packets that were.
    uint32_t transmit(PacketSink& wire, Instant now);

    /// 0, or -errno and no socket.
    int open(const SocketOptions& options, Instant now, int& fd);
    int listen(uint16_t port, const SocketOptions& options, Instant now);
    int connect(const IpAddress& to, uint16_t port, const SocketOptions& options, Instant now, int& fd, uint16_t& own_port);
    int accept(int listener, Instant now, IpAddress& from, uint16_t& port);

    const HostConfig& config() const { return config_; }
    struct th_usage usage() const;
    sluice_tcp_counts counts() const;
    /// The first thing that no good host does; empty if there was none.
    const std::string& wrong() const { return wrong_; }

 private:
    HostConfig config_;
    Rng rng_;
    th_stack* stack_ = nullptr;
    Instant now_;
    std::string wrong_;
};

}  // namespace sluice::sim
