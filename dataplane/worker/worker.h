// One core of the data plane: its queues, pools, net and tcp stacks and the application above, run to completion in turns.
// In: frames of its queues, segments handed over by other cores. Out: frames. Owns everything it touches per packet; shares
// only the exchange rings and immutable tables. The only place in the data plane that does I/O and reads a clock.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/slice.h"
#include "base/stage_clock.h"
#include "base/time.h"
#include "net/stack.h"
#include "tcp/stack.h"
#include "worker/application.h"
#include "worker/capture.h"
#include "worker/exception.h"
#include "worker/exchange.h"
#include "worker/mailbox.h"
#include "worker/owner.h"
#include "worker/poll_policy.h"
#include "worker/port.h"

namespace sluice::worker {

struct WorkerConfig {
    uint32_t index = 0;                 // this core among the workers
    unsigned cpu = 0;
    net::StackConfig net;               // ports in the order of `ports`; detected fields are filled in by Crew
    tcp::StackConfig tcp;
    uint32_t slice_nodes = 262144;      // list nodes of all stream buffers of the core
    PollConfig poll;
    const std::vector<PortInfo>* ports = nullptr;
    rte_mempool* pool = nullptr;
    const OwnerTable* owners = nullptr;
    Exchange* exchange = nullptr;       // null with one core
    std::vector<ExceptionPort*> exceptions;   // by port; null: what is not ours is refused
};

/// Written by the worker, read by any thread.
struct WorkerCounters {
    RelaxedCounter turns, empty_turns, sleeps;
    RelaxedCounter cycles, busy_cycles;                 // busy = all - sleeps - yields - empty turns at their calibrated cost
    RelaxedCounter sleep_cycles, yield_cycles;
    RelaxedCounter empty_turn_cost;                     // cycles, calibrated
    RelaxedCounter handed_over, taken_over, handover_dropped, news_dropped;
    RelaxedCounter rss_mismatch;                        // a port's hash that is not ours: it is not believed any more
    RelaxedCounter pool_available;                      // mbufs, sampled now and then
    RelaxedCounter pressure_dropped;                    // segments with payload refused while the pool was low
    // Frames for the kernel alone: its own, and what the stack did not want; and how many of them a full ring lost.
    RelaxedCounter kernel_own, kernel_vlan, kernel_address, kernel_protocol, kernel_no_connection, kernel_lost;
};

class Worker final : private tcp::Environment {
 public:
    explicit Worker(const WorkerConfig& config);
    ~Worker() override;
    Worker(const Worker&) = delete;

    void set_application(std::unique_ptr<Application> application) { application_ = std::move(application); }
    /// Turns until `stop` is set. On the worker's own thread.
    void run(const std::atomic<bool>& stop);
    /// One turn. True if there was work.
    bool turn();

    uint32_t index() const { return config_.index; }
    unsigned cpu() const { return config_.cpu; }
    net::Stack& net() { return net_; }
    tcp::Stack& tcp() { return tcp_; }
    SliceNodePool& nodes() { return nodes_; }
    rte_mempool* pool() const { return config_.pool; }
    StageClock& stages() { return stages_; }
    CaptureTaps& taps() { return taps_; }
    Application* application() const { return application_.get(); }
    Instant now() const { return now_; }

    // Any thread.
    Mailbox& mailbox() const { return mailbox_; }
    const WorkerCounters& counters() const { return counters_; }
    const StageClock& stages() const { return stages_; }
    const Port& port(uint32_t i) const { return *ports_[i]; }
    uint32_t ports() const { return static_cast<uint32_t>(ports_.size()); }
    const ExceptionEnd* exception(uint32_t port) const { return exceptions_[port].get(); }   // null: none
    const net::Counters& net_counters() const { return net_.counters(); }
    std::vector<net::AddressStatus> addresses() const { return net_.addresses(); }
    const tcp::Counters& tcp_counters() const { return tcp_.counters(); }

 private:
    // tcp::Environment
    std::optional<net::RouteInfo> route(const IpAddress& destination, const IpAddress& source) override;
    bool owns(const FourTuple& tuple) override;

    bool receive();
    void handle_frames(uint8_t port, rte_mbuf** frames, uint16_t n);
    void handle_datagram(net::DatagramIn& datagram);
    uint32_t owner_of(const net::DatagramIn& datagram);
    void deliver(net::DatagramIn& datagram);
    void handle_exception(net::DatagramIn& datagram, Audience who);
    void give_to_kernel(ExceptionEnd& kernel, const rte_mbuf* frame, RelaxedCounter& why);
    bool reassemble(net::DatagramIn& datagram);
    bool refused_under_pressure(const net::DatagramIn& datagram);
    void hand_over(const net::DatagramIn& datagram, uint32_t owner);
    bool take_over();
    void share_news();
    void handle_icmp_errors();
    void believe_icmp_error(const net::IcmpError& error);
    bool run_timers();
    bool run_events();
    bool run_jobs();
    void capture(uint8_t port, bool sent, rte_mbuf* const* frames, uint16_t n);
    bool transmit();
    bool send_for_kernel(uint8_t port);
    void account(bool worked);
    void yield();
    Instant next_deadline() const;
    void sleep(Duration at_most);

    WorkerConfig config_;
    std::vector<std::unique_ptr<Port>> ports_;
    std::vector<std::unique_ptr<ExceptionEnd>> exceptions_;   // by port
    SliceNodePool nodes_;
    net::Stack net_;
    tcp::Stack tcp_;
    std::unique_ptr<Application> application_;
    PollPolicy policy_;
    StageClock stages_;
    WorkerCounters counters_;
    Instant now_, next_sample_;
    uint64_t accounted_until_ = 0;      // cycles: every one since the start belongs to a turn, a sleep or a yield
    uint32_t pool_reserve_;
    bool pool_low_ = false;
    uint8_t believed_hashes_ = 0;       // bit by port: what its mbufs' hash.rss says is taken for the owner's hash
    uint32_t hashes_ = 0;               // believed so far: now and then one is checked
    EmptyTurnCost empty_cost_;
    net::DatagramOut out_;
    CaptureTaps taps_;
    mutable Mailbox mailbox_;
};

}  // namespace sluice::worker
