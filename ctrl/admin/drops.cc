// The list of reasons, written once: layer by layer as a frame meets them, each with its counter, a sentence and a cure.
#include "ctrl/admin/drops.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "http/h1/codec.h"

namespace sluice::admin {

namespace {

using telemetry::CoreStats;
using Unit = DropUnit;

/// All counters, read once. What a frame meets late is read first: then one on its way is missing, never counted twice.
struct Look {
    explicit Look(const Sources& s) {
        if (s.tcp) tcp = s.tcp();
        if (s.net) net = s.net();
        if (s.workers) workers = s.workers();
        if (s.drops) core = s.drops();
        if (s.ports) ports = s.ports();
    }
    uint64_t of_ports(uint64_t PortState::*field) const {
        return std::accumulate(ports.begin(), ports.end(), uint64_t{0}, [&](uint64_t n, const PortState& p) { return n + p.*field; });
    }
    uint64_t of_workers(uint64_t WorkerRuntime::*field) const {
        return std::accumulate(workers.begin(), workers.end(), uint64_t{0}, [&](uint64_t n, const WorkerRuntime& w) { return n + w.*field; });
    }

    tcp::Counters tcp{};
    net::Counters net{};
    CoreDrops core;
    std::vector<WorkerRuntime> workers;
    std::vector<PortState> ports;
};

/// What the stack counted, less what the kernel took of it.
uint64_t less(uint64_t counted, uint64_t kernel) { return counted > kernel ? counted - kernel : 0; }

class List {
 public:
    explicit List(std::vector<DropReason>& out) : out_(out) {}
    void layer(std::string_view name) { layer_ = name; }
    /// A received frame that ended here.
    void frame(std::string_view reason, uint64_t count, std::string_view meaning, std::string_view cure) {
        out_.push_back({layer_, std::string(reason), count, Unit::kFrameIn, true, meaning, cure});
    }
    void other(Unit unit, std::string_view reason, uint64_t count, std::string_view meaning, std::string_view cure) {
        out_.push_back({layer_, std::string(reason), count, unit, false, meaning, cure});
    }

 private:
    std::vector<DropReason>& out_;
    std::string layer_;
};

constexpr std::string_view kNothing = "Nothing to do here.";
constexpr std::string_view kSpoofed = "Somebody forges addresses, or the network is wired or routed wrongly: sluicectl capture shows who.";
constexpr std::string_view kLimits = "Raise limits.connections and memory.limit in the gateway's file, or add gateways.";
constexpr std::string_view kMemory = "Raise memory.limit in the gateway's file; sluicectl runtime -o wide shows free frame buffers.";

void driver(const Look& l, List& list) {
    list.layer("driver");
    list.other(Unit::kFrameIn, "missed", l.of_ports(&PortState::rx_missed), "The device had no room left: frames came faster than the cores took them.",
               "Give workers more cores or queues; sluicectl runtime shows how busy they are.");
    list.other(Unit::kFrameIn, "no_mbuf", l.of_ports(&PortState::rx_no_mbuf), "No frame buffer was free when a frame came in.", kMemory);
    list.other(Unit::kFrameIn, "damaged", l.of_ports(&PortState::rx_errors), "The device saw a damaged frame (CRC, length).", "Look at cable, optics and the switch's port.");
    list.other(Unit::kFrameOut, "tx_full", l.of_ports(&PortState::tx_dropped), "The device took no frames for 10 ms, so those that waited were dropped.",
               "The link is down, slower than the traffic, or the driver is stuck: look at sluicectl status.");
    list.other(Unit::kFrameOut, "tx_no_mbuf", l.core.linearize_no_mbuf, "No frame buffer was free to copy a frame into one piece, as this device wants it.", kMemory);
}

void link(const Look& l, List& list) {
    const auto& n = l.net;
    list.layer("link");
    list.frame("malformed", n.rx_bad_link, "Shorter than its header, sent from a group address, or no valid ARP.", "A broken or hostile host on the link: sluicectl capture shows its MAC.");
    list.frame("other_host", n.rx_other_host, "For another station's MAC: switches flood frames whose destination they do not know.", kNothing);
    list.frame("other_vlan", less(n.rx_other_vlan, l.core.kernel_vlan), "Of a VLAN that is not the port's.", "If it should be ours, set the port's `vlan`; else let the switch filter it.");
    list.frame("stacked_vlan", n.rx_stacked_vlan, "With two VLAN tags: refused, so that nobody hops between VLANs.", "Take QinQ off the switch's port.");
}

void ip(const Look& l, List& list) {
    const auto& n = l.net;
    list.layer("ip");
    list.frame("malformed", n.rx_bad_ip, "IP header with impossible version, length or options.", "A broken or hostile sender: sluicectl capture shows it.");
    list.frame("checksum", n.rx_bad_checksum, "Wrong IP or ICMP checksum, or a transport checksum that the device found wrong.", "Memory or link errors on the way; behind veth, turn tx checksum offload off on the peer.");
    list.frame("not_our_address", less(n.rx_not_ours, l.core.kernel_address), "To an address that no port of ours has, and the gateway forwards nothing.", "If it should be ours, add it to the port's `addresses`.");
    list.frame("no_protocol", less(n.rx_no_protocol, l.core.kernel_protocol), "Neither TCP nor ICMP (UDP, other EtherTypes), and no kernel to give it to.", "Give the port an `exception` device if services on this host need it.");
    list.frame("source_routed", n.rx_source_routed, "Its sender chose the path: refused (RFC 6274, RFC 5095).", kSpoofed);
    list.frame("bad_extension", n.rx_bad_extension, "IPv6 extension headers out of place, or an option that says: discard.", "A broken or hostile sender.");
    list.frame("extension_limit", n.rx_extension_limit, "More IPv6 extension headers or options than anybody needs.", "A hostile sender.");
    list.frame("source_ours", n.rx_source_ours, "From one of our own addresses.", "Another host has our address (sluicectl status), a loop in the network, or a forgery.");
    list.frame("source_loopback", n.rx_source_loopback, "From a loopback address.", kSpoofed);
    list.frame("source_group", n.rx_source_group, "From a multicast or broadcast address.", kSpoofed);
    list.frame("source_reserved", n.rx_source_reserved, "From 0/8, 240/4 or another address that no host has.", kSpoofed);
    list.frame("source_mapped", n.rx_source_mapped, "IPv6 packet with an IPv4 address inside: never valid on a wire.", kSpoofed);
    list.frame("source_other_port", n.rx_source_other_port, "From a network that is on another port's link.", kSpoofed);
    list.frame("source_no_route", n.rx_source_no_route, "No route leads back to its source (RFC 3704).", "Add a route to the port, or set its reversePath to loose if paths differ by direction.");
    list.frame("destination_loopback", n.rx_destination_loopback, "To a loopback address.", kSpoofed);
    list.frame("destination_group", n.rx_destination_group, "To us by a link broadcast, or to a group that only ICMPv6 may use.", kNothing);
    list.frame("destination_duplicate", n.rx_destination_duplicate, "To an address of ours that another host has, too: not used until that ends.", "Give one of the two another address: sluicectl status names the other's MAC.");
    list.other(Unit::kFrameOut, "no_route", n.no_route, "No route to the destination.", "Add a route to a port.");
    list.other(Unit::kFrameOut, "queue_full", n.tx_queue_full, "A turn made more frames than the port's queue holds; TCP sends them again.", kNothing);
    list.other(Unit::kFrameOut, "too_big", n.tx_too_big, "Larger than the port's MTU.", "Set the port's `mtu` to what the link takes.");
    list.other(Unit::kFrameOut, "no_mbuf", n.tx_no_mbuf, "No frame buffer was free for an answer of the IP layer.", kMemory);
}

void fragments(const Look& l, List& list) {
    const auto& n = l.net;
    list.layer("fragments");
    list.frame("malformed", n.fragments_bad, "A fragment of impossible length or place.", "A hostile sender, or a broken router.");
    list.frame("tiny_first", n.fragments_tiny_first, "The first fragment does not hold the whole TCP header: a way around firewalls.", "A hostile sender.");
    list.frame("duplicate", n.fragments_duplicate, "Came twice.", kNothing);
    list.frame("abandoned", n.fragments_abandoned, "Overlaps with another fragment of its datagram: the whole datagram is given up (RFC 5722).", "A hostile sender.");
    list.frame("refused", n.fragments_refused, "Too many fragments or bytes wait already.", "A flood of fragments: fragments on a path to a TCP service mean a wrong MTU.");
    list.other(Unit::kDatagram, "evicted", n.fragments_evicted, "An incomplete datagram made room for a newer one.", "A flood of fragments.");
    list.other(Unit::kDatagram, "timeout", n.fragments_timeout, "The missing fragments did not come in time.", "Loss on the path.");
}

void icmp(const Look& l, List& list) {
    const auto& n = l.net;
    list.layer("icmp");
    list.frame("redirect_ignored", n.icmp_redirect_ignored, "A redirect: routes are configured, nobody on the link may bend them.", kNothing);
    list.frame("bad_quote", n.icmp_bad_quote, "An error about something that we did not send.", "Late errors, or a blind attack on connections.");
    list.frame("echo_limited", n.echo_rate_limited, "More echo requests than are answered each second.", "Ping less.");
    list.other(Unit::kFrameOut, "error_limited", n.icmp_rate_limited, "More errors than we send each second.", "Somebody scans the gateway, or sends to closed ports.");
    list.other(Unit::kDatagram, "error_queue_full", n.icmp_error_dropped, "More errors about our segments in one turn than are looked at.", kNothing);
    list.layer("neighbors");
    list.frame("malformed", n.nd_bad, "A neighbour discovery message that breaks RFC 4861's rules.", "A broken or hostile host on the link.");
    list.frame("router_ignored", n.nd_router_ignored, "Router solicitation or advertisement: routes are configured.", kNothing);
    list.frame("off_link", n.neighbor_off_link, "Somebody claims to be a neighbour whose address is not on this link.", "Check the prefix lengths of the port's `addresses` and of its neighbours.");
    list.frame("answer_limited", n.neighbor_answer_limited, "More questions for our MAC than are answered each second.", "An ARP or ND flood: sluicectl capture shows who asks.");
    list.other(Unit::kFrameOut, "solicit_limited", n.neighbor_solicit_limited, "More addresses to be resolved than we ask for each second.", "Somebody scans our networks through us, or many backends are gone.");
    list.other(Unit::kFrameOut, "unresolved", n.neighbor_unresolved, "The next hop does not answer ARP or ND.", "The backend or router is down, or on another link: check addresses and routes.");
    list.other(Unit::kFrameOut, "table_full", n.neighbor_full, "More neighbours than the table holds (4,096).", "Route through a router instead of one large link.");
    list.other(Unit::kFrameOut, "waiting_displaced", n.pending_dropped, "Too many frames waited for neighbours to answer.", "As `unresolved`.");
}

void tcp(const Look& l, List& list) {
    const auto& t = l.tcp;
    list.layer("tcp");
    list.frame("malformed", t.bad_header, "A TCP header of impossible length, or cut short.", "A broken or hostile sender.");
    list.frame("checksum", t.bad_checksum, "Wrong TCP checksum.", "Memory or link errors on the way; behind veth, turn tx checksum offload off on the peer.");
    list.frame("no_connection", less(t.no_connection, l.core.kernel_no_connection), "To a port where nobody listens, or of a connection long gone; answered with RST.",
               "sluicectl pc listeners shows what is open.");
    list.frame("syn_dropped", t.syn_dropped, "A new connection was not taken: the table is full, the listener waits, or no route leads back.", kLimits);
    list.frame("paws", t.paws_dropped, "An old duplicate by its timestamp (RFC 7323).", kNothing);
    list.other(Unit::kConnection, "backlog_full", t.listen_overflow, "More half-open connections than the backlog: SYN cookies answered, or the ACK found no room.", "A SYN flood, or bursts beyond limits.connections.");
    list.other(Unit::kConnection, "ports_exhausted", t.ports_exhausted, "Every source port towards a backend is in use.", "Add addresses to the port towards the backends, or let connections be reused longer.");
    list.other(Unit::kConnection, "connect_failed", t.connect_failed, "A connection to a backend could not be opened.", "sluicectl pc endpoints shows which, and why.");
    list.other(Unit::kDatagram, "no_memory", t.no_memory, "No frame buffer or list node was free.", kMemory);
    list.layer("worker");
    list.frame("pressure", l.core.pressure, "A segment with payload was refused because frame buffers ran low; its sender repeats it.", kMemory);
    list.frame("handover_full", l.of_workers(&WorkerRuntime::handover_dropped), "The ring to the core that owns the connection was full.",
               "That core is overloaded or stalled: sluicectl runtime. A NIC with RSS needs no hand-over.");
    list.other(Unit::kRecord, "news_full", l.core.news, "One core's news about neighbours or ICMP errors found another's ring full.", kNothing);
    list.layer("exception");
    list.frame("ring_full", l.core.kernel_lost, "A frame for the kernel found its ring full.", "The exception thread is starved: keep a CPU free of workers.");
    list.other(Unit::kFrameIn, "copy_or_tap", less(l.of_ports(&PortState::exception_dropped), l.core.kernel_lost),
               "The kernel's copy of a frame was lost, or its TAP device took it not.", "As `ring_full`; or the TAP device is down.");
}

struct FlagReason {
    telemetry::ResponseFlag flag;
    std::string_view reason, meaning, cure;
};
constexpr FlagReason kFlags[] = {
    {telemetry::kUpstreamOverflow, "circuit_breaker", "503 UO: a circuit breaker of the cluster was open.", "Raise the DestinationRule's connectionPool limits, or add endpoints."},
    {telemetry::kNoHealthyUpstream, "no_healthy_upstream", "503 UH: the cluster has no endpoint to send to.", "sluicectl pc endpoints; the service has no instance, or all are ejected."},
    {telemetry::kNoRoute, "no_route", "404 NR: no route matches host and path.", "sluicectl pc routes --host NAME; sluicectl log tail --flags NR shows the requests."},
    {telemetry::kNoCluster, "no_cluster", "503 NC: the route leads to a cluster that is not known.", "sluicectl analyze the mesh directory: a destination's host or subset is missing."},
    {telemetry::kOverloadManager, "overload", "503 OM: memory for the request ran out.", kLimits},
};

uint64_t flag_count(const Sources& s, telemetry::ResponseFlag flag) {
    const auto bit = static_cast<size_t>(std::countr_zero(static_cast<uint32_t>(flag)));
    return telemetry::sum(std::span<const CoreStats* const>(s.cores), [&](const CoreStats& c) -> const telemetry::Counter& { return c.flags[bit]; });
}

/// `pick`: a listener's statistics on one core -> a counter. Over all listeners.
template <typename Pick>
uint64_t of_listeners(const Sources& s, Pick pick) {
    uint64_t n = 0;
    if (!s.tables) return n;
    const auto tables = s.tables();
    for (const auto& listener : tables->listeners) {
        if (!listener) continue;
        for (const CoreStats* core : s.cores) n += pick(core->listener(listener->id)).get();
    }
    return n;
}

using telemetry::ListenerStats;

/// Clients that never came to a request.
void tls(const Sources& s, List& list) {
    list.layer("tls");
    const auto row = [&](std::string_view reason, telemetry::Counter ListenerStats::*field, std::string_view meaning, std::string_view cure) {
        list.other(Unit::kConnection, reason, of_listeners(s, [&](const ListenerStats& l) -> const auto& { return l.*field; }), meaning, cure);
    };
    row("no_filter_chain", &ListenerStats::no_filter_chain_match, "No server of the listener takes the client's name or protocol.", "sluicectl pc listeners -o json shows what each chain matches.");
    row("first_bytes_timeout", &ListenerStats::inspect_timeouts, "A client said nothing in the time that its first bytes have.", kNothing);
    row("bad_hello", &ListenerStats::bad_hellos, "First bytes of TLS that are no client hello, or one too long.", kNothing);
    row("no_secret", &ListenerStats::no_secret, "The listener's certificate is not there yet.", "sluicectl pc secrets says why.");
    for (size_t i = 1; i < telemetry::kTlsFailures; i++)
        list.other(Unit::kConnection, ::sluice::tls::to_string(static_cast<::sluice::tls::Failure>(i)), of_listeners(s, [&](const ListenerStats& l) -> const auto& { return l.tls.failed[i]; }),
                   "A handshake with a client failed.", "The gateway's log tells who and why; docs/tls.md.");
}

void proxy(const Sources& s, const Look& l, List& list) {
    list.layer("proxy");
    list.other(Unit::kConnection, "accept_refused", l.core.accept_refused, "A client's connection was reset: the core has as many as it may.", kLimits);
    list.other(Unit::kConnection, "stream_refused", l.core.stream_refused, "A client's connection was cut: no room for its request.", kLimits);
    list.other(Unit::kRequest, "arena_full", l.core.arena_full, "No memory was left for a request's headers; answered 503 OM.", kLimits);
    list.other(Unit::kRequest, "mbufs_empty", l.core.mbufs_empty, "No frame buffer was free for an answer.", kMemory);
    for (const auto& f : kFlags) list.other(Unit::kRequest, f.reason, flag_count(s, f.flag), f.meaning, f.cure);
    tls(s, list);
    list.layer("http");
    for (size_t i = 1; i < telemetry::kProtocolErrors; i++)
        list.other(Unit::kRequest, http::h1::to_string(static_cast<http::h1::Error>(i)), of_listeners(s, [&](const ListenerStats& stats) -> const auto& { return stats.protocol_errors[i]; }),
                   "A request that breaks HTTP's rules or a limit; answered and closed.", "Mend the client: sluicectl log tail --flags DPE shows who sends it.");
}

void telemetry_of(const Sources& s, List& list) {
    list.layer("telemetry");
    list.other(Unit::kRecord, "log_ring_full", s.access_log ? s.access_log->dropped() : 0, "An access-log record was dropped: the log thread was behind.",
               "Keep a CPU free of workers, write to a faster file, or log less.");
    list.other(Unit::kRecord, "log_write_failed", s.access_log ? s.access_log->write_failed() : 0, "An access-log line was lost to a failing or stuck file.", "The gateway's own log says why: disk full, reader gone.");
}

/// Balanced reasons of one layer, but for those counted before the layer says that it received the frame.
uint64_t dropped_in(const std::vector<DropReason>& reasons, std::string_view layer, std::initializer_list<std::string_view> but = {}) {
    uint64_t n = 0;
    for (const DropReason& r : reasons)
        if (r.balanced && r.layer == layer && std::find(but.begin(), but.end(), r.reason) == but.end()) n += r.count;
    return n;
}

FrameBalance balance_of(const Look& l, const std::vector<DropReason>& reasons) {
    FrameBalance b;
    b.received = l.core.frames_received;
    b.reassembled = l.net.fragments_reassembled;
    for (const DropReason& r : reasons)
        if (r.balanced) b.dropped += r.count;
    const CoreDrops& c = l.core;
    b.delivered = {
        {"tcp", less(l.tcp.segments_in, dropped_in(reasons, "tcp") + c.kernel_no_connection)},
        {"icmp and neighbors", less(l.net.icmp_rx + l.net.arp_rx, dropped_in(reasons, "icmp") + dropped_in(reasons, "neighbors"))},
        {"fragments", less(l.net.rx_fragments, dropped_in(reasons, "fragments", {"malformed", "tiny_first"}))},
        {"kernel", less(c.kernel_own + c.kernel_vlan + c.kernel_address + c.kernel_protocol + c.kernel_no_connection, c.kernel_lost)},
    };
    b.in_flight = less(l.of_workers(&WorkerRuntime::handed_over), l.of_workers(&WorkerRuntime::taken_over));
    uint64_t explained = b.dropped + b.in_flight;
    for (const auto& [who, n] : b.delivered) explained += n;
    b.unexplained = static_cast<int64_t>(b.received + b.reassembled - explained);
    return b;
}

}  // namespace

std::string_view to_string(DropUnit unit) {
    switch (unit) {
        case Unit::kFrameIn: return "frame in";
        case Unit::kFrameOut: return "frame out";
        case Unit::kDatagram: return "datagram";
        case Unit::kConnection: return "connection";
        case Unit::kRequest: return "request";
        case Unit::kRecord: return "record";
    }
    return "";
}

DropReport drop_report(const Sources& sources) {
    const Look look(sources);
    DropReport out;
    List list(out.reasons);
    driver(look, list);
    link(look, list);
    ip(look, list);
    fragments(look, list);
    icmp(look, list);
    tcp(look, list);
    proxy(sources, look, list);
    telemetry_of(sources, list);
    out.balance = balance_of(look, out.reasons);
    return out;
}

std::vector<DropReason> drop_reasons(const Sources& sources) { return drop_report(sources).reasons; }

}  // namespace sluice::admin
