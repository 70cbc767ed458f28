// Active opens: source address by route, source port by keyed hash, ISN and timestamp offset by keyed hash.
// In: the remote address. Out: a connection in SYN-SENT whose SYN leaves with this turn's output, or why not.
// A port is free if its tuple is in no table and this core owns it. RFC 6056 (ports), RFC 6528 (ISNs), RFC 7323 7.1.
#include <cstring>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {

/// What of a tuple goes into a hash besides both addresses.
enum class Ports { kNone, kRemote, kBoth };

uint64_t keyed(const SipKey& key, const FourTuple& tuple, Ports ports) {
    SipHash24 h(key);
    for (const IpAddress* ip : {&tuple.local.ip, &tuple.remote.ip}) {
        uint64_t words[2];
        std::memcpy(words, ip->bytes.data(), 16);
        h.word(words[0]);
        h.word(words[1]);
    }
    const uint64_t local = ports == Ports::kBoth ? tuple.local.port : 0;
    const uint64_t remote = ports == Ports::kNone ? 0 : tuple.remote.port;
    return h.finish(local << 16 | remote, 4);
}

}  // namespace

/// RFC 6528 3: a clock of 4 microseconds plus a keyed hash of the connection's name.
Seq Stack::Impl::initial_sequence(const FourTuple& tuple, Instant now) const {
    return Seq{static_cast<uint32_t>(now.us / 4 + keyed(sequence_key, tuple, Ports::kBoth))};
}

/// RFC 7323 7.1: nobody learns our uptime, nor one peer what clock another sees. The same for all connections between two
/// addresses: a tuple opened again goes on where it was (RFC 6191).
uint32_t Stack::Impl::timestamp_offset(const FourTuple& tuple) const {
    return static_cast<uint32_t>(keyed(timestamp_key, tuple, Ports::kNone));
}

/// RFC 6056 3.3.4, double-hash: an offset and a counter per remote, so that ports to one remote run through the range
/// while nobody can tell the next. Tuples in TIME-WAIT are passed by, and taken only when nothing else is left (RFC 6191).
bool Stack::Impl::choose_port(FourTuple& tuple, uint32_t& hash, Seq* iss_floor, bool& reuse, Instant now) {
    const uint64_t seed = keyed(port_key, tuple, Ports::kRemote);
    const uint32_t range = uint32_t{config.port_last} - config.port_first + 1;
    uint32_t& counter = port_counters[seed >> 56];
    NoPorts& none = no_ports[seed % no_ports.size()];
    if (now < none.until && none.local == tuple.local.ip && none.remote == tuple.remote) return false;
    for (const bool take_time_wait : {false, true}) {
        for (uint32_t i = 0; i < range; i++) {
            const uint32_t offset = static_cast<uint32_t>(seed) + counter++;
            tuple.local.port = static_cast<uint16_t>(config.port_first + offset % range);
            if (port_free(tuple, hash, take_time_wait, iss_floor, reuse, now)) return true;
        }
    }
    none = {tuple.local.ip, tuple.remote, now + kNoPortsFor};
    return false;
}

/// True if nothing holds the tuple, or (`take_time_wait`) nothing but an entry that may be reused, which is then gone.
bool Stack::Impl::port_free(const FourTuple& tuple, uint32_t& hash, bool take_time_wait, Seq* iss_floor, bool& reuse, Instant now) {
    if (!environment.owns(tuple)) return false;
    hash = hash_tuple(demux_key, tuple);
    if (find(tuple, hash)) return false;
    TimeWait* w = find_time_wait(tuple, hash);
    if (!w) return true;
    // With timestamps the peer tells new from old; a second has passed, so the clock has moved (RFC 6191 2).
    const bool old_enough = w->expires_at < now + config.time_wait - seconds(1);
    if (!take_time_wait || !w->timestamps || !old_enough) return false;
    *iss_floor = w->snd_nxt;
    reuse = true;
    forget(*w);
    counters.time_wait_reused++;
    return true;
}

Connection* Stack::Impl::connect(const SocketAddress& remote, const IpAddress& source_ip, const Options& options, void* user,
                                 Instant now, Error* error) {
    auto refuse = [&](Error e) -> Connection* {
        counters.connect_failed++;
        if (error) *error = e;
        return nullptr;
    };
    const auto route = environment.route(remote.ip, source_ip);
    if (!route) return refuse(Error::kNoRoute);
    if (tcbs.available() == 0) {
        counters.no_memory++;
        return refuse(Error::kNoMemory);
    }
    FourTuple tuple{{source_ip.is_unspecified() ? route->source : source_ip, options.local_port}, remote};
    uint32_t hash = 0;
    Seq iss_floor;
    bool reuse = false;
    const bool found = options.local_port != 0 ? port_free(tuple, hash, true, &iss_floor, reuse, now)
                                               : choose_port(tuple, hash, &iss_floor, reuse, now);
    if (!found) {
        if (options.local_port == 0) counters.ports_exhausted++;
        return refuse(Error::kNoPorts);
    }
    Tcb* t = create(tuple, hash, options, *route, now);
    if (!t) return refuse(Error::kNoMemory);
    t->user = user;
    t->sack = config.sack;
    t->timestamps = config.timestamps;
    t->snd_una = initial_sequence(tuple, now);
    if (reuse && !t->snd_una.after(iss_floor)) t->snd_una = iss_floor + 65536;
    t->snd_nxt = t->snd_una + 1;
    t->state = State::kSynSent;
    t->syn_pending = true;
    set_transmit_timer(*t, XmitTimer::kHandshake, now + t->rtt.backed_off(0, config.max_rto));
    want_output(*t);
    schedule(*t, now);
    if (error) *error = Error::kNone;
    return t;
}

}  // namespace sluice::tcp
