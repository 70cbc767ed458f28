// Dice for simulated worlds. See scenario.h. Amounts are bounded so that a world ends within seconds of real time.
#include "tests/sim/scenario.h"

#include <algorithm>

#include "base/rng.h"

namespace sluice::sim {

namespace {

int64_t up_to(Rng& rng, uint64_t us) { return static_cast<int64_t>(rng.below(us)); }

LinkConfig random_wire(Rng& rng) {
    LinkConfig wire;
    const double badness = rng.chance(0.2) ? 0 : rng.unit();
    wire.loss = 0.1 * badness * rng.unit();
    wire.duplicate = 0.05 * badness * rng.unit();
    wire.corrupt = 0.03 * badness * rng.unit();
    wire.reorder = 0.2 * badness * rng.unit();
    wire.delay = Duration{up_to(rng, uint64_t{1} << rng.between(4, 17))};
    wire.jitter = Duration{up_to(rng, static_cast<uint64_t>(wire.delay.us) + 2000)};
    if (rng.chance(0.5)) wire.bytes_per_s = uint64_t{20'000} << rng.below(12);
    if (rng.chance(0.5)) wire.mark_above = Duration{up_to(rng, 50'000)};
    return wire;
}

void randomize(HostConfig& host, Rng& rng) {
    host.mtu = rng.chance(0.7) ? 1500 : static_cast<uint16_t>(rng.between(1280, 2000));
    host.tx_checksum = rng.chance(0.5);
    host.multi_segment = rng.chance(0.5);
    host.tso = rng.chance(0.5);
    host.chained_receive = rng.chance(0.2);
    host.memory_fault = rng.chance(0.2) ? 0.02 * rng.unit() : 0;
    host.sack = rng.chance(0.8);
    host.timestamps = rng.chance(0.7);
    host.window_scale = rng.chance(0.8);
    host.syn_backlog = rng.chance(0.8) ? 1024 : 1 + static_cast<uint32_t>(rng.below(4));
    host.ecn = static_cast<HostConfig::Ecn>(rng.below(3));
    host.new_reno = rng.chance(0.3);
    host.time_wait = seconds(static_cast<int64_t>(rng.between(1, 60)));
}

SocketOptions random_options(Rng& rng) {
    SocketOptions options;
    options.receive_buffer_bytes = static_cast<int>(rng.between(1, uint64_t{1} << rng.between(9, 20)));
    options.send_buffer_bytes = static_cast<int>(rng.between(1, uint64_t{1} << rng.between(9, 20)));
    options.no_delay = rng.chance(0.7);
    // Half-dead connections must end: the other end's RST may have been lost.
    options.keepalive_idle_s = 20, options.keepalive_interval_s = 5, options.keepalive_probes = 6;
    return options;
}

void add_trouble(Scenario& s, Rng& rng) {
    if (rng.chance(0.2)) s.aborts = rng.unit();
    if (rng.chance(0.15)) {
        s.flood = {static_cast<uint32_t>(rng.between(100, 3000)), Duration{1 + up_to(rng, 2000)}};
        s.server.syn_backlog = 1 + static_cast<uint32_t>(rng.below(64));
    }
    const bool v6 = !s.server.address.is_v4();
    for (int i = 0; i < 2 && rng.chance(0.3); i++) {
        Change change;
        change.at = Duration{up_to(rng, 3'000'000)};
        change.until = change.at + Duration{up_to(rng, 12'000'000)};
        change.mtu = static_cast<uint16_t>(v6 ? rng.between(1280, 1500) : rng.between(600, 1500));
        change.icmp = rng.chance(0.5);
        if (rng.chance(0.2)) change.outage = true, change.until = change.at + Duration{up_to(rng, 5'000'000)};
        s.changes.push_back(change);
    }
    if (!rng.chance(0.2)) return;
    s.server.objects_fail_every = static_cast<uint32_t>(rng.between(20, 250));
    s.server.mbufs_fail_every = static_cast<uint32_t>(rng.between(20, 250));
    for (HostConfig& client : s.clients) {
        client.objects_fail_every = s.server.objects_fail_every;
        client.mbufs_fail_every = s.server.mbufs_fail_every;
    }
}

}  // namespace

Scenario plain() {
    Scenario s;
    s.server.address = IpAddress::v4(0x0a000001);
    s.clients.resize(1);
    s.clients[0].address = IpAddress::v4(0x0a000002);
    return s;
}

Scenario random_scenario(uint64_t seed) {
    if (seed % 256 == 255) return crowd(seed, 2000);
    Rng rng(seed ^ 0x5eed);
    Scenario s = plain();
    s.clients.resize(rng.chance(0.7) ? 1 : rng.between(2, 4));
    const bool v6 = rng.chance(0.3);
    if (v6) s.server.address = *IpAddress::parse("2001:db8::1");
    randomize(s.server, rng);
    for (size_t i = 0; i < s.clients.size(); i++) {
        s.clients[i].address = IpAddress::v4(0x0a000002 + static_cast<uint32_t>(i));
        if (v6) {
            s.clients[i].address = s.server.address;
            s.clients[i].address.bytes[15] = static_cast<uint8_t>(2 + i);
        }
        randomize(s.clients[i], rng);
    }
    s.to_server = random_wire(rng);
    s.to_client = random_wire(rng);
    s.server_options = random_options(rng);
    s.client_options = random_options(rng);
    s.connections = static_cast<uint32_t>(rng.between(1, rng.chance(0.1) ? 100 : 6));
    const uint64_t scale = s.connections > 10 ? 4'000 : 60'000;
    // Keep the number of segments in bounds: a window of a few bytes moves few bytes.
    s.bytes_to_server = std::min<uint64_t>(scale, static_cast<uint64_t>(s.server_options.receive_buffer_bytes) * 200 + 100);
    s.bytes_to_client = std::min<uint64_t>(scale, static_cast<uint64_t>(s.client_options.receive_buffer_bytes) * 200 + 100);
    s.write_max = static_cast<uint32_t>(uint64_t{1} << rng.between(6, 15));
    s.read_max = static_cast<uint32_t>(uint64_t{1} << rng.between(8, 20));
    if (rng.chance(0.3)) s.read_pause_max = Duration{up_to(rng, uint64_t{1} << rng.between(8, 19))};
    add_trouble(s, rng);
    Rng later(seed ^ 0x1a7e);  // what came after the corpus: its seeds keep their worlds
    if (later.chance(0.1)) s.write_pause_max = Duration{up_to(later, uint64_t{1} << later.between(16, 27))};
    return s;
}

Scenario crowd(uint64_t seed, uint32_t connections) {
    Rng rng(seed ^ 0xc0de);
    Scenario s = plain();
    s.clients.resize(4);
    randomize(s.server, rng);
    for (size_t i = 0; i < s.clients.size(); i++) {
        s.clients[i].address = IpAddress::v4(0x0a000002 + static_cast<uint32_t>(i));
        randomize(s.clients[i], rng);
    }
    s.server.sockets_max = 4 * connections + 4096;  // and so many mbufs twice
    s.to_server = random_wire(rng);
    s.to_client = random_wire(rng);
    for (LinkConfig* wire : {&s.to_server, &s.to_client}) {
        if (wire->bytes_per_s != 0) wire->bytes_per_s = std::max<uint64_t>(wire->bytes_per_s, 2'000'000);
    }
    s.server_options = random_options(rng);
    s.client_options = random_options(rng);
    for (SocketOptions* options : {&s.server_options, &s.client_options}) {
        options->receive_buffer_bytes = std::clamp(options->receive_buffer_bytes, 1000, 65536);
        options->send_buffer_bytes = std::clamp(options->send_buffer_bytes, 1000, 65536);
    }
    s.connections = connections;
    s.connect_spread = seconds(10);
    s.bytes_to_server = s.bytes_to_client = 6'000;
    s.read_pause_max = rng.chance(0.3) ? milliseconds(100) : Duration{};
    add_trouble(s, rng);
    return s;
}

}  // namespace sluice::sim
