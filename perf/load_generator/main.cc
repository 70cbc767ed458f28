// load_generator: one worker on a DPDK port that loads an HTTP server on that wire, answers as its backend, or both.
// In: --device, --address, --core, --echo-port, --echo-bytes, --connections, --mbufs, --no-offloads, --tls and --echo-tls (folders of
// perf/tls_world.py); runs as lines on standard input (command.h). Out: "ready", then for each run a line when its window begins and one
// with what was measured; ends with its input.
// Owns the worker. perf/load is how people use it.
#include <signal.h>
#include <time.h>

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "perf/load_generator/command.h"
#include "perf/load_generator/echo_backend.h"
#include "perf/load_generator/load.h"
#include "worker/crew.h"

namespace {

using namespace sluice;

struct Setup {
    std::string device, log;
    std::string tls, echo_tls;           // folders of certificates; empty: plain
    std::string tls_name = "edge.example";
    std::vector<std::string> addresses;
    std::string router;
    unsigned core = 0;
    uint16_t echo_port = 0;              // 0: no backend
    uint32_t echo_bytes = 1024, connections = 4096, mbufs = 65536;
    bool offloads = true;
};

int fail(const std::string& why) {
    std::fprintf(stderr, "load_generator: %s\n", why.c_str());
    return 2;
}

bool parse(int argc, char** argv, Setup& setup) {
    for (int i = 1; i < argc; i++) {
        const std::string option = argv[i];
        if (option == "--no-offloads") {
            setup.offloads = false;
            continue;
        }
        if (++i == argc) return false;
        const char* value = argv[i];
        const auto number = static_cast<uint32_t>(std::strtoul(value, nullptr, 10));
        if (option == "--device") setup.device = value;
        else if (option == "--address") setup.addresses.emplace_back(value);
        else if (option == "--router") setup.router = value;
        else if (option == "--core") setup.core = number;
        else if (option == "--echo-port") setup.echo_port = static_cast<uint16_t>(number);
        else if (option == "--echo-bytes") setup.echo_bytes = number;
        else if (option == "--connections") setup.connections = number;
        else if (option == "--mbufs") setup.mbufs = number;
        else if (option == "--log") setup.log = value;
        else if (option == "--tls") setup.tls = value;
        else if (option == "--tls-name") setup.tls_name = value;
        else if (option == "--echo-tls") setup.echo_tls = value;
        else return false;
    }
    return !setup.device.empty() && !setup.addresses.empty();
}

/// Generator and backend on one core: an accepted connection is the backend's.
class Both final : public worker::Application {
 public:
    Both(worker::Worker& worker, const Setup& setup, const perf::TlsContexts* contexts)
        : tls_(contexts ? std::make_unique<perf::TlsCore>(worker, *contexts, 3 * setup.connections) : nullptr),
          load_(worker, setup.tls.empty() ? nullptr : tls_.get(), setup.connections) {
        if (setup.echo_port == 0) return;
        backend_ = std::make_unique<perf::EchoBackend>(worker, setup.echo_tls.empty() ? nullptr : tls_.get(), setup.echo_port, setup.echo_bytes, 2 * setup.connections);
    }
    void turn(Instant now) override {
        if (tls_) tls_->poll(now);
        load_.turn(now);
    }
    void handle_event(const tcp::ConnectionEvent& event, Instant now) override {
        if (event.connection->listener_user()) backend_->handle_event(event, now);
        else load_.handle_event(event, now);
    }
    void handle_timeout(Instant) override {}
    Instant poll_timeout() const override { return load_.poll_timeout(); }
    bool idle() const override { return load_.phase() == perf::Load::Phase::kIdle && (!tls_ || !tls_->handshaker.busy()); }
    perf::Load& load() { return load_; }

 private:
    std::unique_ptr<perf::TlsCore> tls_;
    perf::Load load_;
    std::unique_ptr<perf::EchoBackend> backend_;
};

void wait_until(const perf::Load& load, bool (*reached)(perf::Load::Phase)) {
    const timespec step{0, 500'000};
    while (!reached(load.phase())) nanosleep(&step, nullptr);
}

void say(const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

void run(perf::Load& load, const perf::Plan& plan) {
    using Phase = perf::Load::Phase;
    load.start(plan);
    wait_until(load, [](Phase p) { return p == Phase::kMeasuring || p == Phase::kDraining || p == Phase::kDone; });
    say("{\"event\": \"measuring\"}");
    wait_until(load, [](Phase p) { return p == Phase::kDraining || p == Phase::kDone; });
    say("{\"event\": \"measured\"}");
    wait_until(load, [](Phase p) { return p == Phase::kDone; });
    say(perf::to_json(plan, load.take()));
}

worker::CrewSetup crew_setup(const Setup& given) {
    worker::CrewSetup setup;
    setup.eal.cores = {given.core};
    worker::PortSetup wire;
    wire.name = "wire";
    wire.device = given.device;
    wire.offloads.checksum = given.offloads;
    setup.eal.ports = {wire};
    setup.eal.mbufs_per_core = given.mbufs;
    setup.eal.log_file = given.log;
    net::PortConfig port;
    port.name = "wire";
    for (const std::string& a : given.addresses) port.addresses.push_back(*IpPrefix::parse(a));
    if (const auto router = IpAddress::parse(given.router)) port.routes.push_back({*IpPrefix::parse(router->is_v4() ? "0.0.0.0/0" : "::/0"), *router});
    setup.ports = {port};
    setup.tcp.connections_max = 4 * given.connections + 1024;
    setup.tcp.port_first = 1024, setup.tcp.port_last = 65535;
    setup.tcp.time_wait = seconds(1);   // a run's connections make room for the next one's
    setup.slice_nodes = 4 * given.mbufs;
    setup.poll.busy = true;
    return setup;
}

}  // namespace

int main(int argc, char** argv) {
    Setup given;
    if (!parse(argc, argv, given))
        return fail("usage: --device DEVICE --address IP/LEN [--address ...] [--router IP] [--core N] [--echo-port N] [--echo-bytes N] [--connections N] "
                    "[--mbufs N] [--no-offloads] [--tls FOLDER] [--tls-name NAME] [--echo-tls FOLDER] [--log FILE]; perf/load is how people use it");
    for (const std::string& a : given.addresses)
        if (!IpPrefix::parse(a)) return fail(fmt::format("`{}` is not an address with a prefix length", a));
    std::optional<perf::TlsContexts> contexts;
    if (const std::string& folder = given.tls.empty() ? given.echo_tls : given.tls; !folder.empty()) {
        auto read = perf::read_contexts(folder, given.tls_name);
        if (!read) return fail(read.error());
        contexts = std::move(*read);
    }
    signal(SIGPIPE, SIG_IGN);   // a vhost peer that went away
    auto crew = worker::Crew::open(crew_setup(given));
    if (!crew) return fail(crew.error());
    Both* both = nullptr;
    const auto launched = (*crew)->launch([&](worker::Worker& w) {
        auto made = std::make_unique<Both>(w, given, contexts ? &*contexts : nullptr);
        both = made.get();
        return made;
    });
    if (!launched) return fail(launched.error());
    const auto& info = (*crew)->eal().ports()[0];
    say(fmt::format("ready {{\"driver\": \"{}\", \"hugepages\": {}, \"tso\": {}, \"large_receive\": {}, \"checksum\": {}, \"tsc_hz\": {}}}", info.driver,
                    (*crew)->eal().hugepages(), info.tso, info.large_receive, info.tx_tcp_checksum, TscClock::hz()));
    for (std::string line; std::getline(std::cin, line);) {
        if (!line.starts_with("run ")) {
            say("{\"event\": \"error\", \"error\": \"expected: run target=...\"}");
            continue;
        }
        const auto plan = perf::parse_run(std::string_view(line).substr(4), given.connections);
        if (plan) run(both->load(), *plan);
        else say(fmt::format("{{\"event\": \"error\", \"error\": \"{}\"}}", plan.error()));
    }
    (*crew)->stop();
    return 0;
}
