// Starts DPDK for the gateway and opens its ports: one logical port is one or more ethdevs and queues, spread over the cores.
// In: cores, devices, memory. Out: pools per core, ports with what was detected, or one line that says what to do.
// Owns the devices and pools until stop(). Control thread only; once per process.
#pragma once

#include <rte_mempool.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/ethernet.h"
#include "worker/interface.h"
#include "worker/offload.h"
#include "worker/rss.h"

namespace sluice::worker {

enum class Hugepages : uint8_t { kAuto, kRequire, kNever };

struct PortSetup {
    std::string name;            // the operator's, for messages
    std::string device;          // af_xdp:IFACE | af_packet:IFACE | pci:ADDRESS | devargs:STRING
    uint16_t mtu = 1500;
    std::string exception = {};  // TAP device for what is not the gateway's; empty: none
    OffloadWish offloads = {};
};

struct EalSetup {
    std::vector<unsigned> cores;             // one worker each; CPU numbers
    std::vector<PortSetup> ports;
    Hugepages hugepages = Hugepages::kAuto;
    uint32_t mbufs_per_core = 32768;         // raised to what the queues need
    std::string file_prefix;                 // empty: sluice-<pid>
    std::string log_file;                    // DPDK's own log; empty: kept for error messages only
    RssKey rss_key{};                        // random: who knows it chooses the core
};

/// One queue pair of one ethdev, served by one core.
struct Queue {
    uint16_t ethdev = 0;
    uint16_t queue = 0;
};

struct PortInfo {
    std::string name;
    std::string driver;                      // net_af_xdp, net_af_packet, ...
    std::string device;
    net::MacAddress mac{};
    uint16_t mtu = 1500;
    bool rx_checksum = false, tx_ip_checksum = false, tx_tcp_checksum = false, tso = false;
    bool large_receive = false;              // frames of up to 64 KiB come in, in chains
    bool multi_segment = false;              // takes chained and indirect mbufs
    bool rss = false;                        // puts TCP into the queue of core Toeplitz mod rss_entries() mod cores
    std::vector<std::vector<Queue>> queues;  // by core
};

/// ethdev's own counters, summed over a port's ethdevs. Any control thread.
struct DeviceCounters {
    uint64_t rx_frames, tx_frames, rx_bytes, tx_bytes, rx_missed, rx_errors, tx_errors, rx_no_mbuf;
};

class Eal {
 public:
    static Result<std::unique_ptr<Eal>> start(const EalSetup& setup);
    ~Eal();
    Eal(const Eal&) = delete;
    Eal& operator=(const Eal&) = delete;

    const std::vector<PortInfo>& ports() const { return ports_; }
    rte_mempool* pool(uint32_t core) const { return pools_[core]; }
    uint32_t cores() const { return static_cast<uint32_t>(pools_.size()); }
    bool hugepages() const { return hugepages_; }
    /// Of the table that all ports with rss steer by; 0: there are none.
    uint32_t rss_entries() const { return rss_entries_; }
    DeviceCounters device_counters(uint32_t port) const;
    /// Frames' memory is left out of core dumps.
    void keep_out_of_dumps() const;
    /// What DPDK said, last lines, for error messages.
    static std::string log_tail(size_t lines);

 private:
    Eal() = default;
    Result<void> init(const EalSetup& setup);
    Result<void> open_port(const PortSetup& setup, const std::vector<std::string>& ethdev_names);
    void steer_by_hash(const RssKey& key);
    Result<void> configure(uint16_t ethdev, const PortSetup& setup, PortInfo& info, uint16_t queues, uint32_t first_core);

    std::vector<PortInfo> ports_;
    std::vector<rte_mempool*> pools_;
    std::vector<uint16_t> started_;
    std::vector<InterfaceClaim> claims_;   // given up after the devices are closed
    RssKey rss_key_{};
    uint32_t rss_entries_ = 0;
    bool hugepages_ = false;
    bool up_ = false;   // DPDK is
};

}  // namespace sluice::worker
