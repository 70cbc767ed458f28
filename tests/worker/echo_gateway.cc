// echo_gateway: workers with the trial application on a real wire. Prints "ready" when it answers; on SIGTERM its counters.
// Usage: echo_gateway --device af_xdp:IFACE --address 10.0.0.1/24 [--address ...] [--gateway IP] [--core N ...] [--busy]
#include <signal.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "tests/worker/echo_application.h"
#include "worker/crew.h"

namespace {

using namespace sluice;

int fail(const std::string& why) {
    std::fprintf(stderr, "echo_gateway: %s\n", why.c_str());
    return 2;
}

void print_counters(const worker::Crew& crew) {
    for (uint32_t i = 0; i < crew.size(); i++) {
        const worker::Worker& w = crew.worker(i);
        const auto& c = w.counters();
        const auto& n = w.net_counters();
        const auto& t = w.tcp_counters();
        const auto& p = w.port(0).counters();
        std::printf("worker %u: cycles %lu busy %lu sleep %lu turns %lu empty %lu (%lu cycles each) sleeps %lu handed_over %lu taken_over %lu\n", i,
                    c.cycles.get(), c.busy_cycles.get(), c.sleep_cycles.get(), c.turns.get(), c.empty_turns.get(),
                    c.empty_turn_cost.get(), c.sleeps.get(), c.handed_over.get(), c.taken_over.get());
        std::printf("  stages:");
        for (size_t s = 0; s < kStages; s++)
            std::printf(" %s %lu", std::string(kStageNames[s]).c_str(), w.stages().total(static_cast<Stage>(s)));
        std::printf("\n  net: rx %lu tx %lu bad_link %lu bad_ip %lu bad_checksum %lu not_ours %lu no_protocol %lu "
                    "fragments %lu whole %lu no_route %lu unresolved %lu pending_dropped %lu queue_full %lu too_big %lu no_mbuf %lu\n",
                    n.rx_frames, n.tx_frames, n.rx_bad_link, n.rx_bad_ip, n.rx_bad_checksum, n.rx_not_ours,
                    n.rx_no_protocol, n.rx_fragments, n.fragments_reassembled, n.no_route, n.neighbor_unresolved, n.pending_dropped, n.tx_queue_full,
                    n.tx_too_big, n.tx_no_mbuf);
        std::printf("  tcp: in %lu out %lu bad_checksum %lu accepted %lu retransmits %lu timeouts %lu fast %lu out_of_order %lu "
                    "duplicates %lu resets_in %lu resets_out %lu no_memory %lu copied %lu attached %lu\n",
                    t.segments_in, t.segments_out, t.bad_checksum, t.accepted, t.retransmits, t.timeouts, t.fast_recoveries,
                    t.out_of_order, t.duplicates, t.resets_in, t.resets_out, t.no_memory, t.bytes_copied_tx, t.bytes_attached_tx);
        std::printf("  port: rx %lu tx %lu retried %lu dropped %lu linearized %lu no_mbuf %lu; pool available %lu\n", p.rx_frames.get(),
                    p.tx_frames.get(), p.tx_retried.get(), p.tx_dropped.get(), p.frames_linearized.get(), p.no_mbuf.get(),
                    c.pool_available.get());
    }
    const auto d = crew.eal().device_counters(0);
    std::printf("device: rx %lu tx %lu missed %lu rx_errors %lu tx_errors %lu rx_no_mbuf %lu\n", d.rx_frames, d.tx_frames, d.rx_missed,
                d.rx_errors, d.tx_errors, d.rx_no_mbuf);
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    worker::CrewSetup setup;
    setup.eal.hugepages = worker::Hugepages::kAuto;
    net::PortConfig port;
    port.name = "wire";
    std::string device;
    for (int i = 1; i < argc; i++) {
        const std::string option = argv[i];
        const char* value = i + 1 < argc ? argv[i + 1] : "";
        if (option == "--busy") {
            setup.poll.busy = true;
            continue;
        }
        i++;
        if (option == "--device") device = value;
        else if (option == "--core") setup.eal.cores.push_back(static_cast<unsigned>(std::atoi(value)));
        else if (option == "--mbufs") setup.eal.mbufs_per_core = static_cast<uint32_t>(std::atoi(value));
        else if (option == "--log") setup.eal.log_file = value;
        else if (option == "--seed") setup.seed = std::strtoull(value, nullptr, 10);
        else if (option == "--address") {
            const auto p = IpPrefix::parse(value);
            if (!p) return fail(std::string("not an address: ") + value);
            port.addresses.push_back(*p);
        } else if (option == "--gateway") {
            const auto g = IpAddress::parse(value);
            if (!g) return fail(std::string("not an address: ") + value);
            port.routes.push_back({*IpPrefix::parse(g->is_v4() ? "0.0.0.0/0" : "::/0"), *g});
        } else return fail("unknown option " + option);
    }
    if (setup.eal.cores.empty()) setup.eal.cores = {1};
    setup.eal.ports = {{"wire", device, 1500}};
    setup.ports = {port};

    sigset_t signals;
    sigemptyset(&signals);
    for (int s : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, s);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    auto crew = worker::Crew::open(setup);
    if (!crew) return fail(crew.error());
    const auto launched = (*crew)->launch([](worker::Worker& w) { return std::make_unique<worker::test::EchoApplication>(w); });
    if (!launched) return fail(launched.error());
    std::printf("ready driver %s mtu %u multi_segment %d\n", (*crew)->eal().ports()[0].driver.c_str(), (*crew)->eal().ports()[0].mtu,
                (*crew)->eal().ports()[0].multi_segment);
    std::fflush(stdout);
    for (int signal = 0; sigwait(&signals, &signal) == 0;) {
        if (signal != SIGUSR1) break;
        print_counters(**crew);
    }
    (*crew)->stop();
    print_counters(**crew);
    return 0;
}
