// tcp_gateway: one worker on a real wire with an application that only moves or holds bytes. For perf/tcp_goodput and
// perf/idle_connections. In: --device af_xdp:IFACE --address IP/LEN [--core N] [--connections N] [--buffer-bytes N] [--mbufs N]
// [--busy]. Out: "ready", then on SIGUSR1 a line of JSON: what TCP's pools and the heap hold; the same at its end, SIGTERM.
// Owns the worker. Bytes are those of objects lent out, by their true size.
#include <malloc.h>
#include <signal.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "perf/command_line.h"
#include "perf/in_process.h"
#include "perf/tcp_gateway/application.h"
#include "tcp/connection_impl.h"
#include "worker/crew.h"

namespace {

using namespace sluice;

struct Setup {
    std::string device, address;
    unsigned core = 1;
    uint32_t connections = 1024, buffer_bytes = 256 * 1024, mbufs = 16384;
    bool busy = false;
};

int fail(const std::string& why) {
    std::fprintf(stderr, "tcp_gateway: %s\n", why.c_str());
    return 2;
}

std::optional<int> read_command_line(int argc, char** argv, Setup& setup) {
    return perf::CommandLine("One worker on a real wire that only moves or holds bytes")
        .required_text("--device", setup.device, "as in af_xdp:IFACE")
        .required_text("--address", setup.address, "as in 192.0.2.1/24")
        .number("--core", setup.core, 0u, 1023u, "the worker's CPU")
        .number("--connections", setup.connections, 1u, 4'000'000u, "room for so many")
        .number("--buffer-bytes", setup.buffer_bytes, 1u, 1u << 30, "of each connection and direction")
        .number("--mbufs", setup.mbufs, 1024u, 8'000'000u, "frames of the pool")
        .flag("--busy", setup.busy, "never sleep")
        .read(argc, argv);
}

void print(const worker::Crew& crew, const perf::Holdings& h) {
    const struct mallinfo2 heap = mallinfo2();
    const auto& t = crew.worker(0).tcp_counters();
    const uint64_t connections = h.connections, nodes = h.list_nodes, mbufs = h.mbufs;
    std::printf("{\"connections\": %" PRIu64 ", \"control_block_bytes\": %zu, \"list_node_bytes\": %zu, \"list_nodes\": %" PRIu64 ", \"mbufs\": %" PRIu64
                ", \"mbuf_bytes\": %u, \"heap_bytes\": %zu, \"resident_bytes\": %" PRIu64 ", \"accepted\": %" PRIu64 ", \"retransmits\": %" PRIu64
                ", \"timeouts\": %" PRIu64 ", \"fast_recoveries\": %" PRIu64 ", \"spurious\": %" PRIu64 ", \"no_memory\": %" PRIu64 "}\n",
                connections, sizeof(tcp::Tcb), sizeof(SliceNode), nodes, mbufs,
                static_cast<unsigned>(rte_mempool_calc_obj_size(crew.eal().pool(0)->elt_size, crew.eal().pool(0)->flags, nullptr)),
                heap.uordblks + heap.hblkhd, perf::resident_bytes(), t.accepted, t.retransmits, t.timeouts, t.fast_recoveries, t.spurious, t.no_memory);
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    Setup given;
    if (const auto code = read_command_line(argc, argv, given)) return *code;
    const auto address = IpPrefix::parse(given.address);
    if (!address) return fail("--address: not an address with a prefix such as 192.0.2.1/24");
    worker::CrewSetup setup;
    setup.eal.cores = {given.core};
    worker::PortSetup wire;
    wire.name = "wire";
    wire.device = given.device;
    setup.eal.ports = {wire};
    setup.eal.mbufs_per_core = given.mbufs;
    net::PortConfig port;
    port.name = "wire";
    port.addresses.push_back(*address);
    setup.ports = {port};
    setup.tcp.connections_max = given.connections;
    setup.slice_nodes = 2 * given.mbufs;
    setup.poll.busy = given.busy;

    sigset_t signals;
    sigemptyset(&signals);
    for (int s : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, s);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    perf::Holdings holdings;
    auto crew = worker::Crew::open(setup);
    if (!crew) return fail(crew.error());
    const auto launched = (*crew)->launch(
        [&](worker::Worker& w) { return std::make_unique<perf::MeasuredApplication>(w, given.buffer_bytes, holdings); });
    if (!launched) return fail(launched.error());
    std::printf("ready\n");
    std::fflush(stdout);
    for (int signal = 0; sigwait(&signals, &signal) == 0 && signal == SIGUSR1;) print(**crew, holdings);
    (*crew)->stop();
    print(**crew, holdings);
    return 0;
}
