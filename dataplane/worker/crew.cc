// Opening ports and running one pinned thread for each core (see crew.h).
#include "worker/crew.h"

#include <rte_errno.h>
#include <rte_lcore.h>
#include <sched.h>
#include <signal.h>
#include <sys/random.h>

#include <fmt/format.h>

#include <cstring>

#include "base/rng.h"

namespace sluice::worker {

namespace {
uint64_t random_seed() {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = rte_rdtsc();
    return seed;
}

/// From the system's random source, or repeatable from a seed.
RssKey random_key(uint64_t seed) {
    RssKey key;
    if (seed == 0 && getrandom(key.data(), key.size(), 0) == static_cast<ssize_t>(key.size())) return key;
    Rng rng(seed != 0 ? seed : rte_rdtsc());
    for (uint8_t& byte : key) byte = static_cast<uint8_t>(rng.next());
    return key;
}
}  // namespace

Result<std::unique_ptr<Crew>> Crew::open(const CrewSetup& setup) {
    if (setup.eal.cores.empty()) return unexpected(std::string("workers: no cores given"));
    const uint64_t seed = setup.seed != 0 ? setup.seed : random_seed();
    EalSetup eal_setup = setup.eal;
    eal_setup.rss_key = random_key(setup.seed);
    auto eal = Eal::start(eal_setup);
    if (!eal) return unexpected(eal.error());
    std::unique_ptr<Crew> crew(new Crew);
    crew->eal_ = std::move(*eal);
    crew->exception_thread_.privileged_by(setup.privileged);
    const auto cores = static_cast<uint32_t>(setup.eal.cores.size());
    const uint32_t rss_entries = crew->eal_->rss_entries();
    crew->owners_ = rss_entries != 0 ? std::make_unique<OwnerTable>(cores, eal_setup.rss_key, rss_entries)
                                     : std::make_unique<OwnerTable>(cores, seed);
    if (cores > 1) crew->exchange_ = std::make_unique<Exchange>(cores);
    if (auto done = crew->open_exceptions(setup.eal); !done) return unexpected(done.error());
    for (uint32_t i = 0; i < cores; i++) {
        WorkerConfig c;
        c.index = i;
        c.cpu = setup.eal.cores[i];
        c.net = setup.net;
        c.net.seed = seed + 1 + i;
        c.net.announce = i == 0;   // once for the gateway, not once a core
        c.net.ports = setup.ports;
        for (size_t p = 0; p < c.net.ports.size(); p++) {
            const PortInfo& info = crew->eal_->ports()[p];
            net::PortConfig& port = c.net.ports[p];
            port.mac = info.mac;
            port.mtu = info.mtu;
            port.rx_checksum = info.rx_checksum;
            port.tx_ip_checksum = info.tx_ip_checksum;
            port.tx_tcp_checksum = info.tx_tcp_checksum;
            port.tso = info.tso;
            port.multi_segment = info.multi_segment;
        }
        c.tcp = setup.tcp;
        c.tcp.seed = seed ^ (0x9e3779b97f4a7c15 * (i + 1));
        c.slice_nodes = setup.slice_nodes;
        c.poll = setup.poll;
        c.ports = &crew->eal_->ports();
        c.pool = crew->eal_->pool(i);
        c.owners = crew->owners_.get();
        c.exchange = crew->exchange_.get();
        c.exceptions = crew->exceptions_;
        crew->configs_.push_back(std::move(c));
    }
    crew->workers_.resize(cores);
    crew->failures_.resize(cores);
    return crew;
}

/// The ports' TAP devices. The kernel's frames of port p leave by core p: one core each, so that they keep their order.
Result<void> Crew::open_exceptions(const EalSetup& setup) {
    const auto cores = static_cast<uint32_t>(setup.cores.size());
    for (uint32_t p = 0; p < setup.ports.size(); p++) {
        exceptions_.push_back(nullptr);
        if (setup.ports[p].exception.empty()) continue;
        const PortInfo& info = eal_->ports()[p];
        auto port = exception_thread_.add(setup.ports[p].exception, info.mac, info.mtu, cores, p % cores);
        if (!port) return unexpected(fmt::format("port {}: exception: {}", info.name, port.error()));
        exceptions_.back() = *port;
    }
    return {};
}

void Crew::thread_main(uint32_t index, const ApplicationFactory& factory) {
    const WorkerConfig& config = configs_[index];
    pthread_setname_np(pthread_self(), fmt::format("sluice-w{}", index).c_str());
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);   // signals are the control thread's
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(config.cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0)
        failures_[index] = fmt::format("cannot run on CPU {}: {}", config.cpu, std::strerror(errno));
    else if (rte_thread_register() != 0)   // mempool caches are by lcore id
        failures_[index] = fmt::format("no lcore id: {}", rte_strerror(rte_errno));
    if (failures_[index].empty()) {
        workers_[index] = std::make_unique<Worker>(config);
        auto application = factory(*workers_[index]);
        if (application) workers_[index]->set_application(std::move(application));
        else failures_[index] = "the application could not be made";
    }
    const bool failed = !failures_[index].empty();
    ready_.fetch_add(1, std::memory_order_release);
    ready_.notify_all();
    if (!failed) {
        workers_[index]->run(stop_);
        workers_[index]->set_application(nullptr);
    }
    rte_thread_unregister();
}

Result<void> Crew::launch(const ApplicationFactory& factory) {
    stop_ = false;
    ready_ = 0;
    exception_thread_.start();
    for (uint32_t i = 0; i < size(); i++) threads_.emplace_back([this, i, factory] { thread_main(i, factory); });
    for (uint32_t n = ready_.load(); n < size(); n = ready_.load(std::memory_order_acquire)) ready_.wait(n);
    for (uint32_t i = 0; i < size(); i++) {
        if (failures_[i].empty()) continue;
        stop();
        return unexpected(fmt::format("worker {} on CPU {}: {}", i, configs_[i].cpu, failures_[i]));
    }
    return {};
}

void Crew::stop() {
    stop_.store(true, std::memory_order_relaxed);
    for (std::thread& t : threads_)
        if (t.joinable()) t.join();
    threads_.clear();
    exception_thread_.stop();
}

Crew::~Crew() {
    stop();
    workers_.clear();      // frees mbufs: before the pools go
    exchange_.reset();
    eal_.reset();
}

}  // namespace sluice::worker
