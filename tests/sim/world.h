// A server, clients, a wire each way between them, and applications; a clock that jumps to the next event.
// In: a scenario and a seed. Out: what went wrong, if anything, and a digest of all packets: the same seed, the same digest.
// Owns hosts, wires and applications. Checks: every byte once and in order, both ends agree, no state beyond its limit, no
// timer that fires for nothing again and again, and at the end th_usage is zero and no timer is armed.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/sim/app.h"
#include "tests/sim/scenario.h"

namespace sluice::sim {

class World final : public PacketSink {
 public:
    World(const Scenario& scenario, uint64_t seed);

    /// Runs until all is over. Empty if all was well.
    std::string run();
    Instant now() const { return now_; }
    uint64_t digest() const { return digest_; }
    uint64_t packets() const { return packets_; }
    Duration virtual_time() const { return now_ - started_; }
    /// The largest packet from and to each client port since Scenario::measure_from.
    const std::map<uint16_t, size_t>& largest() const { return largest_; }
    /// Steps of all hosts in which memory ran out.
    uint64_t faults() const;
    test::Pcap& pcap() { return pcap_; }

 private:
    static constexpr size_t kServer = 0;
    struct Timed {
        Instant at;
        uint32_t index;
        bool operator>(const Timed& o) const { return at != o.at ? at > o.at : index > o.index; }
    };
    struct Due {  // an entry of changes_
        Instant at;
        size_t change;
        bool begins;
    };

    void send(Packet packet, Instant now) override;
    void step();
    bool packets_arrive();
    void open_due();
    void change_due();
    void flood_due();
    void apply_changes();
    bool take_news();
    void accept_all();
    void on_accepted(int fd, const IpAddress& from, uint16_t port);
    bool fits(const Endpoint& e) const;
    void check_hosts();
    void add(std::unique_ptr<Endpoint> e);
    bool serve_all();
    Instant next_time() const;
    size_t host_of(const IpAddress& address) const;
    std::string leftovers();
    std::string unfinished() const;
    void complain(const std::string& what);

    Scenario scenario_;
    Rng rng_;
    test::Pcap pcap_;
    Instant now_{}, started_{};
    std::vector<std::unique_ptr<Host>> hosts_;           // the server first
    int listener_ = -1;
    std::vector<std::unique_ptr<Link>> up_, down_;       // client i to the server, and back
    std::deque<Instant> open_at_;
    std::deque<Due> change_at_;
    uint32_t flooded_ = 0;
    Instant flood_at_ = Instant::never();
    std::vector<std::unique_ptr<Endpoint>> endpoints_;
    std::vector<uint32_t> news_;                         // endpoints to be served in this step
    std::priority_queue<Timed, std::vector<Timed>, std::greater<>> look_at_;
    std::unordered_map<uint64_t, uint32_t> clients_;     // by host and port: which endpoint opened it
    std::unordered_map<uint64_t, uint32_t> sockets_;     // by host and descriptor: whose it is
    uint32_t open_ = 0, opened_twice_ = 0;
    std::array<uint32_t, 8> idle_wakeups_{};             // of each host in this second
    uint64_t second_ = 0;
    std::map<uint16_t, size_t> largest_;
    std::string complaint_;
    uint64_t digest_ = 0, packets_ = 0;
};

}  // namespace sluice::sim
