// EAL start-up and port configuration (see eal.h). Each trap of a driver is handled where it bites, with a word why.
// Errors name the operator's port and the cure; DPDK's own last words are quoted.
#include "worker/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <fstream>
#include <mutex>

#include "base/clock.h"
#include "base/mbuf_pool.h"
#include "worker/interface.h"

namespace sluice::worker {

namespace {

constexpr uint32_t kAfXdpQueueMbufs = 2 * 2048 + 1024;   // taken at set-up, in flight, and a reserve: refill is all or nothing
constexpr uint16_t kDescriptors = 1024;
constexpr uint16_t kAfXdpDescriptors = 2048;

/// What DPDK prints goes here, not to the operator's terminal; its last lines end up in error messages.
class LogCapture {
 public:
    static LogCapture& get() {
        static LogCapture capture;
        return capture;
    }
    void open(const std::string& path) {
        if (!path.empty()) file_ = std::fopen(path.c_str(), "ae");
        cookie_io_functions_t io{};
        io.write = [](void* self, const char* text, size_t n) -> ssize_t {
            static_cast<LogCapture*>(self)->write(text, n);
            return static_cast<ssize_t>(n);
        };
        FILE* stream = fopencookie(this, "w", io);
        if (!stream) return;
        setvbuf(stream, nullptr, _IOLBF, 1024);
        rte_openlog_stream(stream);
    }
    std::string tail(size_t lines) {
        const std::lock_guard lock(mutex_);
        std::string out;
        const size_t from = lines_.size() > lines ? lines_.size() - lines : 0;
        for (size_t i = from; i < lines_.size(); i++) out += (out.empty() ? "" : "; ") + lines_[i];
        return out;
    }
    void write(const char* text, size_t n) {
        const std::lock_guard lock(mutex_);
        if (file_) std::fwrite(text, 1, n, file_), std::fflush(file_);
        for (size_t i = 0; i < n; i++) {
            if (text[i] != '\n') {
                partial_ += text[i];
                continue;
            }
            if (!partial_.empty()) lines_.push_back(std::move(partial_));
            partial_.clear();
            if (lines_.size() > 200) lines_.pop_front();
        }
    }

 private:
    std::mutex mutex_;
    std::deque<std::string> lines_;
    std::string partial_;
    FILE* file_ = nullptr;
};

/// AF_XDP's driver loads libxdp and libbpf, which print to stderr unless told otherwise: at the end, that a process which is no longer
/// root cannot take its program off (gateway/hardening.cc does).
void capture_bpf_output() {
    using Print = int (*)(int level, const char* format, va_list arguments);
    constexpr int kInfo = 1;   // both libraries': 0 is a warning, 2 for debugging
    const Print print = [](int level, const char* format, va_list arguments) {
        char text[512];
        const int n = level <= kInfo ? vsnprintf(text, sizeof text, format, arguments) : 0;
        if (n > 0) LogCapture::get().write(text, std::min(static_cast<size_t>(n), sizeof text - 1));
        return n;
    };
    for (const auto& [library, setter] : {std::pair("libxdp.so.1", "libxdp_set_print"), std::pair("libbpf.so.1", "libbpf_set_print")})
        if (void* handle = dlopen(library, RTLD_NOW))
            if (const auto set = reinterpret_cast<Print (*)(Print)>(dlsym(handle, setter))) set(print);
}

/// What one `device:` means to EAL.
struct DevicePlan {
    std::vector<std::string> arguments;      // of rte_eal_init
    std::vector<std::string> ethdev_names;   // that must exist afterwards
    std::string interface;                   // of the kernel, if it has one
    bool one_queue_per_ethdev = false;
    bool pci = false;
    bool shares_memory = false;              // the peer maps our memory: virtio-user
};

Result<DevicePlan> plan_device(const PortSetup& port, uint32_t cores, uint32_t& vdev_number) {
    DevicePlan plan;
    const auto colon = port.device.find(':');
    const std::string kind = port.device.substr(0, colon);
    const std::string rest = colon == std::string::npos ? "" : port.device.substr(colon + 1);
    if (rest.empty() || (kind != "af_xdp" && kind != "af_packet" && kind != "pci" && kind != "devargs"))
        return unexpected(fmt::format("port {}: device `{}`: expected af_xdp:INTERFACE, af_packet:INTERFACE, pci:ADDRESS or "
                                      "devargs:STRING", port.name, port.device));
    if (kind == "af_xdp" || kind == "af_packet") {
        plan.interface = rest;
        const Result<uint32_t> channels = prepare_interface(rest);
        if (!channels) return unexpected(fmt::format("port {}: {}", port.name, channels.error()));
        if (kind == "af_packet") {
            // Frames of 2,048 bytes hold MTU 1500 and fit an mbuf; a full transmit ring would block in poll: make it long.
            plan.ethdev_names.push_back(fmt::format("net_af_packet{}", vdev_number++));
            plan.arguments.push_back(fmt::format("--vdev={},iface={},qpairs={},framesz=2048,blocksz=65536,framecnt=4096",
                                                 plan.ethdev_names.back(), rest, cores));
            return plan;
        }
        if (*channels < cores)
            return unexpected(fmt::format("port {}: {} has {} receive queues and {} cores want one each: `ethtool -L {} rx {} tx {}` "
                                          "(or `combined {}`), or give fewer workers.cores", port.name, rest, *channels, cores, rest,
                                          cores, cores, cores));
        // One vdev for each queue (queue_count=2 is refused on veth); every queue, or those without a socket leak to the
        // kernel. busy_budget=0, or each empty poll is a system call.
        plan.one_queue_per_ethdev = true;
        for (uint32_t q = 0; q < *channels; q++) {
            plan.ethdev_names.push_back(fmt::format("net_af_xdp{}", vdev_number++));
            plan.arguments.push_back(fmt::format("--vdev={},iface={},start_queue={},queue_count=1,busy_budget=0",
                                                 plan.ethdev_names.back(), rest, q));
        }
        return plan;
    }
    const std::string name = rest.substr(0, rest.find(','));
    plan.ethdev_names.push_back(name);
    plan.pci = kind == "pci" || name.find(':') != std::string::npos;
    plan.shares_memory = name.starts_with("net_virtio_user") || name.starts_with("virtio_user");
    plan.arguments.push_back(fmt::format("{}={}", plan.pci ? "--allow" : "--vdev", rest));
    if (plan.shares_memory) {   // a frame to be cut takes tens of descriptors: 256, the driver's own choice, hold few of them
        if (rest.find(",queue_size=") == rest.npos) plan.arguments.back() += fmt::format(",queue_size={}", kDescriptors);
        if (cores > 1 && rest.find(",queues=") == rest.npos) plan.arguments.back() += fmt::format(",queues={},cq=1", cores);
    }
    return plan;
}

uint64_t free_hugepage_bytes() {
    std::ifstream meminfo("/proc/meminfo");
    std::string key;
    uint64_t value, pages = 0, size_kib = 0;
    while (meminfo >> key >> value) {
        if (key == "HugePages_Free:") pages = value;
        if (key == "Hugepagesize:") size_kib = value;
        meminfo.ignore(256, '\n');
    }
    return pages * size_kib * 1024;
}

/// CPUs for EAL's main thread, that is the control thread and its children: all that no worker has, if any is left.
std::string main_cpus(const std::vector<unsigned>& workers) {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    std::string free_ones, all;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        all += (all.empty() ? "" : ",") + std::to_string(cpu);
        if (std::find(workers.begin(), workers.end(), cpu) == workers.end())
            free_ones += (free_ones.empty() ? "" : ",") + std::to_string(cpu);
    }
    return free_ones.empty() ? all : free_ones;
}

}  // namespace

void Eal::keep_out_of_dumps() const {
    for (rte_mempool* pool : pools_) sluice::keep_out_of_dumps(pool);
}

std::string Eal::log_tail(size_t lines) { return LogCapture::get().tail(lines); }

Result<std::unique_ptr<Eal>> Eal::start(const EalSetup& setup) {
    std::unique_ptr<Eal> eal(new Eal);
    if (auto done = eal->init(setup); !done) return unexpected(done.error());
    return eal;
}

Result<void> Eal::init(const EalSetup& setup) {
    const auto cores = static_cast<uint32_t>(setup.cores.size());
    std::vector<std::string> arguments = {"sluiced"};
    std::vector<DevicePlan> plans;
    uint32_t vdev_number = 0, queues = 0;
    bool pci = false, shares_memory = false;
    for (const PortSetup& port : setup.ports) {
        Result<DevicePlan> plan = plan_device(port, cores, vdev_number);
        if (!plan) return unexpected(plan.error());
        if (!plan->interface.empty()) {
            Result<InterfaceClaim> claim = InterfaceClaim::take(plan->interface);
            if (!claim) return unexpected(fmt::format("port {}: {}", port.name, claim.error()));
            claims_.push_back(std::move(*claim));
        }
        arguments.insert(arguments.end(), plan->arguments.begin(), plan->arguments.end());
        pci |= plan->pci;
        shares_memory |= plan->shares_memory;
        queues += plan->one_queue_per_ethdev ? static_cast<uint32_t>(plan->ethdev_names.size()) : cores;
        plans.push_back(std::move(*plan));
    }
    const uint32_t mbufs = std::max(setup.mbufs_per_core, (queues + cores - 1) / cores * kAfXdpQueueMbufs * 2);
    const uint64_t memory = mbuf_pool_bytes(mbufs) * cores;
    const uint64_t hugepage_bytes = setup.hugepages == Hugepages::kNever ? 0 : free_hugepage_bytes();
    hugepages_ = hugepage_bytes > memory + (32u << 20);
    if (setup.hugepages == Hugepages::kRequire && !hugepages_)
        return unexpected(fmt::format("memory.hugepages: require, but {} MiB of free hugepages are less than the {} MiB wanted: "
                                      "sysctl vm.nr_hugepages={}", hugepage_bytes >> 20, (memory >> 20) + 32, (memory >> 21) + 17));
    if (hugepages_) arguments.push_back("--in-memory");   // refused together with --no-huge
    else arguments.insert(arguments.end(), {"--no-huge", "--no-shconf", "-m", std::to_string((memory >> 20) + (memory >> 27) + 64)});
    // Its peer maps our memory by file: without this EAL hands out no file for pages that are not huge, and a file for each
    // page that is, which are more than a vhost message names.
    if (shares_memory) arguments.push_back("--single-file-segments");
    if (!pci) arguments.push_back("--no-pci");
    arguments.insert(arguments.end(), {"--no-telemetry", "--iova-mode=va", "--log-level=*:notice",
                                       "--lcores=0@(" + main_cpus(setup.cores) + ")",
                                       "--file-prefix=" + (setup.file_prefix.empty() ? fmt::format("sluice-{}", getpid()) : setup.file_prefix)});
    LogCapture::get().open(setup.log_file);
    if (std::any_of(setup.ports.begin(), setup.ports.end(), [](const PortSetup& p) { return p.device.starts_with("af_xdp:"); })) capture_bpf_output();
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0)
        return unexpected(fmt::format("DPDK did not start: {} ({})", rte_strerror(rte_errno), log_tail(3)));
    up_ = true;
    rmdir(rte_eal_get_runtime_dir());   // made even where no file goes into it; one for each start would be left
    TscClock::calibrate();
    for (uint32_t core = 0; core < cores; core++) {
        auto pool = make_mbuf_pool(fmt::format("sluice_mbufs_{}", core), mbufs, SOCKET_ID_ANY);
        if (!pool) return unexpected(pool.error());
        pools_.push_back(*pool);
    }
    rss_key_ = setup.rss_key;
    ports_.reserve(setup.ports.size());   // Port keeps references
    for (size_t i = 0; i < setup.ports.size(); i++) {
        if (auto done = open_port(setup.ports[i], plans[i].ethdev_names); !done) return done;
        PortInfo& info = ports_.back();
        if (plans[i].interface.empty()) continue;
        const uint16_t mtu = interface_mtu(plans[i].interface);
        if (mtu < info.mtu)
            return unexpected(fmt::format("port {}: mtu {} is more than the {} of {}: `ip link set {} mtu {}`, or lower ports[].mtu",
                                          info.name, info.mtu, mtu, plans[i].interface, plans[i].interface, info.mtu));
    }
    steer_by_hash(setup.rss_key);
    return {};
}

/// One key and one table for all ports that hash, so that owners are one function: the smallest table, repeated in larger ones.
/// A port that does not take them is served like one that cannot hash, by the rings between cores.
void Eal::steer_by_hash(const RssKey& key) {
    if (cores() < 2) return;
    const auto table = [this](const PortInfo& p) {
        const Queue& first = p.queues[0][0];
        const bool one_device = std::all_of(p.queues.begin(), p.queues.end(),
                                            [&](const auto& q) { return q.size() == 1 && q[0].ethdev == first.ethdev; });
        return one_device ? rss_table_size(first.ethdev) : 0;
    };
    for (const PortInfo& p : ports_) {
        const uint32_t entries = table(p);
        if (entries >= cores() && (rss_entries_ == 0 || entries < rss_entries_)) rss_entries_ = entries;
    }
    bool any = false;
    for (PortInfo& p : ports_) {
        p.rss = rss_entries_ != 0 && table(p) >= rss_entries_ && program_rss(p.queues[0][0].ethdev, key, rss_entries_, cores());
        any |= p.rss;
    }
    if (!any) rss_entries_ = 0;
}

Result<void> Eal::open_port(const PortSetup& setup, const std::vector<std::string>& ethdev_names) {
    PortInfo info;
    info.name = setup.name;
    info.device = setup.device;
    info.mtu = setup.mtu;
    info.queues.resize(cores());
    const bool one_queue_each = ethdev_names.size() > 1 || ethdev_names[0].starts_with("net_af_xdp");
    for (uint32_t i = 0; i < ethdev_names.size(); i++) {
        uint16_t ethdev;
        // EAL start succeeds when a vdev fails to probe: each must be found by its name.
        if (rte_eth_dev_get_port_by_name(ethdev_names[i].c_str(), &ethdev) != 0) {
            const bool xdp = setup.device.starts_with("af_xdp:");
            return unexpected(fmt::format("port {}: {} did not start ({}){}", setup.name, setup.device, log_tail(3),
                                          xdp ? fmt::format(": use device: af_packet:{}", setup.device.substr(7)) : ""));
        }
        const auto done = one_queue_each ? configure(ethdev, setup, info, 1, i % cores())
                                        : configure(ethdev, setup, info, static_cast<uint16_t>(cores()), 0);
        if (!done) {
            const bool xdp = setup.device.starts_with("af_xdp:");
            return unexpected(fmt::format("port {}: {}: {} ({}){}", setup.name, setup.device, done.error(), log_tail(3),
                                          xdp ? fmt::format(": use device: af_packet:{}", setup.device.substr(7)) : ""));
        }
    }
    ports_.push_back(std::move(info));
    return {};
}

/// Sets up `queues` queue pairs, queue q for core first_core + q.
Result<void> Eal::configure(uint16_t ethdev, const PortSetup& setup, PortInfo& info, uint16_t queues, uint32_t first_core) {
    rte_eth_dev_info device;
    if (int e = rte_eth_dev_info_get(ethdev, &device); e != 0) return unexpected(fmt::format("no information: {}", rte_strerror(-e)));
    if (device.max_rx_queues < queues || device.max_tx_queues < queues)
        return unexpected(fmt::format("it has {} queues, {} cores want one each: give fewer workers.cores",
                                      std::min(device.max_rx_queues, device.max_tx_queues), queues));
    rte_eth_conf conf{};
    conf.rxmode.mtu = info.mtu;
    const Offloads offloads = choose_offloads(device, setup.device, setup.offloads, !setup.exception.empty());
    conf.rxmode.offloads = offloads.rx;
    conf.rxmode.max_lro_pkt_size = offloads.lro_bytes_max;
    conf.txmode.offloads = offloads.tx;
    // TCP's 4-tuple and nothing else, so that whatever bears a hash bears the one that owners are chosen by.
    const uint64_t hash_types = device.flow_type_rss_offloads & (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP);
    if (queues > 1 && hash_types != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rxmode.offloads |= device.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
        conf.rx_adv_conf.rss_conf.rss_hf = hash_types;
        if (device.hash_key_size >= kRssKeyBytes && device.hash_key_size <= kRssKeyBytesMax) {
            conf.rx_adv_conf.rss_conf.rss_key = rss_key_.data();
            conf.rx_adv_conf.rss_conf.rss_key_len = device.hash_key_size;
        }
    }
    if (int e = rte_eth_dev_configure(ethdev, queues, queues, &conf); e != 0)
        return unexpected(fmt::format("cannot be configured for {} queues, mtu {}: {}", queues, info.mtu, rte_strerror(-e)));
    const bool xdp = std::string_view(device.driver_name) == "net_af_xdp";
    uint16_t rx = xdp ? kAfXdpDescriptors : kDescriptors, tx = rx;
    rte_eth_dev_adjust_nb_rx_tx_desc(ethdev, &rx, &tx);
    const int socket = rte_eth_dev_socket_id(ethdev);
    for (uint16_t q = 0; q < queues; q++) {
        const uint32_t core = (first_core + q) % cores();
        rte_eth_rxconf rx_conf = device.default_rxconf;
        rx_conf.offloads = conf.rxmode.offloads;
        rte_eth_txconf tx_conf = device.default_txconf;
        tx_conf.offloads = conf.txmode.offloads;
        int e = rte_eth_rx_queue_setup(ethdev, q, rx, static_cast<unsigned>(socket), &rx_conf, pools_[core]);
        if (e == 0) e = rte_eth_tx_queue_setup(ethdev, q, tx, static_cast<unsigned>(socket), &tx_conf);
        if (e != 0) return unexpected(fmt::format("queue {} cannot be set up: {}", q, rte_strerror(-e)));
        info.queues[core].push_back({ethdev, q});
    }
    if (int e = rte_eth_dev_start(ethdev); e != 0) return unexpected(fmt::format("cannot be started: {}", rte_strerror(-e)));
    started_.push_back(ethdev);
    // ND needs multicast; a driver that cannot filter for it receives everything.
    if (rte_eth_allmulticast_enable(ethdev) != 0) rte_eth_promiscuous_enable(ethdev);
    rte_ether_addr mac;
    if (rte_eth_macaddr_get(ethdev, &mac) == 0) std::copy_n(mac.addr_bytes, 6, info.mac.begin());
    info.driver = device.driver_name;
    info.rx_checksum = (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) != 0;
    info.tx_ip_checksum = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
    info.tx_tcp_checksum = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
    info.tso = offloads.tso;
    info.large_receive = (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO) != 0;
    // AF_XDP sends stale memory after the first segment: whatever it claims, it gets single mbufs.
    info.multi_segment = !xdp && (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
    return {};
}

DeviceCounters Eal::device_counters(uint32_t port) const {
    DeviceCounters sum{};
    uint16_t last = UINT16_MAX;
    for (const auto& core : ports_[port].queues) {
        for (const Queue& q : core) {
            rte_eth_stats s;
            if (q.ethdev == last || rte_eth_stats_get(q.ethdev, &s) != 0) continue;
            last = q.ethdev;
            sum.rx_frames += s.ipackets, sum.tx_frames += s.opackets, sum.rx_bytes += s.ibytes, sum.tx_bytes += s.obytes;
            sum.rx_missed += s.imissed, sum.rx_errors += s.ierrors, sum.tx_errors += s.oerrors, sum.rx_no_mbuf += s.rx_nombuf;
        }
    }
    return sum;
}

Eal::~Eal() {
    for (const uint16_t ethdev : started_) {
        rte_eth_dev_stop(ethdev);
        rte_eth_dev_close(ethdev);
    }
    for (rte_mempool* pool : pools_) free_mbuf_pool(pool);
    if (up_) rte_eal_cleanup();   // it complains where it never was
}

}  // namespace sluice::worker
