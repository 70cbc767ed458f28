// All workers of the process: starts EAL and ports, gives each core its pool, stacks and thread, stops them in order.
// In: what the operator's file says. Out: running workers, each with an application made by the factory on its own thread.
// Owns workers, threads, ports. Control thread only.
#pragma once

#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "worker/application.h"
#include "worker/eal.h"
#include "worker/exception_thread.h"
#include "worker/worker.h"

namespace sluice::worker {

struct CrewSetup {
    EalSetup eal;
    std::vector<net::PortConfig> ports;   // as eal.ports; mac, mtu bound and offloads are filled in from the device
    net::StackConfig net;                 // all but ports
    tcp::StackConfig tcp;
    PollConfig poll;
    uint32_t slice_nodes = 262144;
    uint64_t seed = 0;                    // 0: from the system's random source
    /// Runs what needs CAP_NET_ADMIN after start (a TAP device made again); empty: the thread that wants it has that itself.
    std::function<void(const std::function<void()>&)> privileged;
};

class Crew {
 public:
    /// Opens everything; no thread runs yet.
    static Result<std::unique_ptr<Crew>> open(const CrewSetup& setup);
    ~Crew();
    Crew(const Crew&) = delete;

    /// Starts one pinned thread for each core; returns when every application was made. Error: which core and why.
    Result<void> launch(const ApplicationFactory& factory);
    /// Sets the stop flag and joins. Applications die on their own threads.
    void stop();

    uint32_t size() const { return static_cast<uint32_t>(workers_.size()); }
    /// Any thread: counters only. Valid from launch() until the Crew's end.
    const Worker& worker(uint32_t i) const { return *workers_[i]; }
    const Eal& eal() const { return *eal_; }
    const OwnerTable& owners() const { return *owners_; }
    const ExceptionPort* exception(uint32_t port) const { return exceptions_[port]; }   // null: none

 private:
    Crew() = default;
    Result<void> open_exceptions(const EalSetup& setup);
    void thread_main(uint32_t index, const ApplicationFactory& factory);

    std::unique_ptr<Eal> eal_;
    std::unique_ptr<OwnerTable> owners_;
    std::unique_ptr<Exchange> exchange_;
    ExceptionThread exception_thread_;
    std::vector<ExceptionPort*> exceptions_;   // by port
    std::vector<WorkerConfig> configs_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::thread> threads_;
    std::vector<std::string> failures_;   // by core, written before `ready_`
    std::atomic<bool> stop_{false};
    std::atomic<uint32_t> ready_{0};
};

}  // namespace sluice::worker
