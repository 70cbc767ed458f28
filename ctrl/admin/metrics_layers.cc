// Counters of net::Stack and tcp::Stack under their field names, ports and cores with their own labels.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <iterator>

#include "ctrl/admin/metrics.h"
#include "ctrl/admin/drops.h"

namespace sluice::admin {

namespace {

template <typename Counters>
struct Field {
    const char* name;
    uint64_t Counters::*field;
};

#define SLUICE_FIELD(Counters, field) {#field, &Counters::field}
constexpr Field<net::Counters> kNet[] = {
    SLUICE_FIELD(net::Counters, rx_frames), SLUICE_FIELD(net::Counters, rx_bytes), SLUICE_FIELD(net::Counters, tx_frames),
    SLUICE_FIELD(net::Counters, tx_bytes), SLUICE_FIELD(net::Counters, rx_merged), SLUICE_FIELD(net::Counters, rx_bad_link), SLUICE_FIELD(net::Counters, rx_other_host),
    SLUICE_FIELD(net::Counters, rx_other_vlan), SLUICE_FIELD(net::Counters, rx_stacked_vlan),
    SLUICE_FIELD(net::Counters, rx_bad_ip), SLUICE_FIELD(net::Counters, rx_bad_checksum),
    SLUICE_FIELD(net::Counters, rx_not_ours), SLUICE_FIELD(net::Counters, rx_no_protocol),
    SLUICE_FIELD(net::Counters, rx_source_routed), SLUICE_FIELD(net::Counters, rx_bad_extension),
    SLUICE_FIELD(net::Counters, rx_extension_limit), SLUICE_FIELD(net::Counters, rx_source_ours),
    SLUICE_FIELD(net::Counters, rx_source_loopback), SLUICE_FIELD(net::Counters, rx_source_group),
    SLUICE_FIELD(net::Counters, rx_source_reserved), SLUICE_FIELD(net::Counters, rx_source_mapped),
    SLUICE_FIELD(net::Counters, rx_source_other_port), SLUICE_FIELD(net::Counters, rx_source_no_route),
    SLUICE_FIELD(net::Counters, rx_destination_loopback), SLUICE_FIELD(net::Counters, rx_destination_group),
    SLUICE_FIELD(net::Counters, rx_destination_duplicate), SLUICE_FIELD(net::Counters, rx_fragments),
    SLUICE_FIELD(net::Counters, fragments_reassembled), SLUICE_FIELD(net::Counters, fragments_bad),
    SLUICE_FIELD(net::Counters, fragments_tiny_first), SLUICE_FIELD(net::Counters, fragments_duplicate),
    SLUICE_FIELD(net::Counters, fragments_abandoned), SLUICE_FIELD(net::Counters, fragments_refused),
    SLUICE_FIELD(net::Counters, fragments_evicted), SLUICE_FIELD(net::Counters, fragments_timeout),
    SLUICE_FIELD(net::Counters, icmp_rx), SLUICE_FIELD(net::Counters, icmp_tx), SLUICE_FIELD(net::Counters, icmp_rate_limited),
    SLUICE_FIELD(net::Counters, echo_rate_limited), SLUICE_FIELD(net::Counters, icmp_redirect_ignored),
    SLUICE_FIELD(net::Counters, icmp_bad_quote), SLUICE_FIELD(net::Counters, icmp_error_dropped),
    SLUICE_FIELD(net::Counters, arp_rx), SLUICE_FIELD(net::Counters, arp_tx), SLUICE_FIELD(net::Counters, nd_rx),
    SLUICE_FIELD(net::Counters, nd_tx), SLUICE_FIELD(net::Counters, nd_bad), SLUICE_FIELD(net::Counters, nd_router_ignored),
    SLUICE_FIELD(net::Counters, neighbor_off_link), SLUICE_FIELD(net::Counters, neighbor_answer_limited),
    SLUICE_FIELD(net::Counters, neighbor_solicit_limited), SLUICE_FIELD(net::Counters, neighbor_conflict),
    SLUICE_FIELD(net::Counters, address_claimed), SLUICE_FIELD(net::Counters, address_duplicate),
    SLUICE_FIELD(net::Counters, no_route), SLUICE_FIELD(net::Counters, neighbor_unresolved),
    SLUICE_FIELD(net::Counters, neighbor_full), SLUICE_FIELD(net::Counters, pending_dropped),
    SLUICE_FIELD(net::Counters, tx_no_mbuf), SLUICE_FIELD(net::Counters, bytes_linearized),
    SLUICE_FIELD(net::Counters, tx_queue_full), SLUICE_FIELD(net::Counters, tx_too_big),
    SLUICE_FIELD(net::Counters, tx_cut_by_port),
};
static_assert(std::size(kNet) * sizeof(uint64_t) == sizeof(net::Counters), "a counter of net is not shown");
constexpr Field<tcp::Counters> kTcp[] = {
    SLUICE_FIELD(tcp::Counters, segments_in), SLUICE_FIELD(tcp::Counters, segments_out), SLUICE_FIELD(tcp::Counters, bytes_in),
    SLUICE_FIELD(tcp::Counters, bytes_out), SLUICE_FIELD(tcp::Counters, bad_header), SLUICE_FIELD(tcp::Counters, bad_checksum),
    SLUICE_FIELD(tcp::Counters, no_connection), SLUICE_FIELD(tcp::Counters, resets_in), SLUICE_FIELD(tcp::Counters, resets_out),
    SLUICE_FIELD(tcp::Counters, accepted), SLUICE_FIELD(tcp::Counters, connected), SLUICE_FIELD(tcp::Counters, connect_failed),
    SLUICE_FIELD(tcp::Counters, syn_dropped), SLUICE_FIELD(tcp::Counters, syn_cookies_sent), SLUICE_FIELD(tcp::Counters, syn_cookies_good),
    SLUICE_FIELD(tcp::Counters, listen_overflow), SLUICE_FIELD(tcp::Counters, retransmits), SLUICE_FIELD(tcp::Counters, fast_recoveries),
    SLUICE_FIELD(tcp::Counters, timeouts), SLUICE_FIELD(tcp::Counters, tlp_probes), SLUICE_FIELD(tcp::Counters, out_of_order),
    SLUICE_FIELD(tcp::Counters, duplicates), SLUICE_FIELD(tcp::Counters, paws_dropped), SLUICE_FIELD(tcp::Counters, challenge_acks),
    SLUICE_FIELD(tcp::Counters, keepalive_probes), SLUICE_FIELD(tcp::Counters, time_wait_reused), SLUICE_FIELD(tcp::Counters, no_memory),
    SLUICE_FIELD(tcp::Counters, bytes_copied_tx), SLUICE_FIELD(tcp::Counters, bytes_attached_tx),
    SLUICE_FIELD(tcp::Counters, spurious), SLUICE_FIELD(tcp::Counters, ecn_connections), SLUICE_FIELD(tcp::Counters, ecn_marks_in),
    SLUICE_FIELD(tcp::Counters, ecn_reductions), SLUICE_FIELD(tcp::Counters, mtu_black_holes), SLUICE_FIELD(tcp::Counters, mtu_probes),
    SLUICE_FIELD(tcp::Counters, mtu_raised), SLUICE_FIELD(tcp::Counters, ports_exhausted),
};
static_assert(std::size(kTcp) * sizeof(uint64_t) == sizeof(tcp::Counters), "a counter of tcp is not shown");
#undef SLUICE_FIELD

constexpr std::pair<std::string_view, uint64_t PortState::*> kPort[] = {
    {"sluice_port_rx_frames_total", &PortState::rx_frames},   {"sluice_port_rx_bytes_total", &PortState::rx_bytes},
    {"sluice_port_tx_frames_total", &PortState::tx_frames},   {"sluice_port_tx_bytes_total", &PortState::tx_bytes},
    {"sluice_port_rx_dropped_total", &PortState::rx_dropped}, {"sluice_port_tx_dropped_total", &PortState::tx_dropped},
    {"sluice_port_rx_errors_total", &PortState::rx_errors},
};
constexpr std::pair<std::string_view, uint64_t PortState::*> kException[] = {   // of ports that have a way to the kernel
    {"sluice_port_to_kernel_total", &PortState::to_kernel},
    {"sluice_port_from_kernel_total", &PortState::from_kernel},
    {"sluice_port_exception_dropped_total", &PortState::exception_dropped},
};
constexpr std::pair<std::string_view, uint64_t WorkerRuntime::*> kWorker[] = {
    {"sluice_worker_cycles_total", &WorkerRuntime::cycles_total},
    {"sluice_worker_busy_cycles_total", &WorkerRuntime::cycles_busy},
    {"sluice_worker_cycles_hertz", &WorkerRuntime::cycles_per_s},
    {"sluice_worker_turns_total", &WorkerRuntime::turns},
    {"sluice_worker_empty_turns_total", &WorkerRuntime::turns_empty},
    {"sluice_worker_sleeps_total", &WorkerRuntime::sleeps},
    {"sluice_worker_requests_total", &WorkerRuntime::requests},
    {"sluice_worker_handed_over_total", &WorkerRuntime::handed_over},
    {"sluice_worker_taken_over_total", &WorkerRuntime::taken_over},
    {"sluice_worker_handover_dropped_total", &WorkerRuntime::handover_dropped},
    {"sluice_worker_rss_mismatch_total", &WorkerRuntime::rss_mismatch},
    {"sluice_worker_connections", &WorkerRuntime::connections},
    {"sluice_worker_mbufs", &WorkerRuntime::mbufs_total},
    {"sluice_worker_mbufs_free", &WorkerRuntime::mbufs_free},
};

template <typename Counters, size_t N>
void write_counters(std::string_view prefix, const Field<Counters> (&fields)[N], const Counters& values, MetricWriter& out) {
    for (const auto& field : fields) out.one(fmt::format("{}{}_total", prefix, field.name), values.*field.field);
}

/// The catalogue's entries: what the field's name means, else the name in words.
template <typename Counters, size_t N>
std::vector<Metric> entries(std::string_view prefix, const Field<Counters> (&fields)[N]) {
    static std::deque<std::string> kept;   // what the entries' views point to
    std::vector<Metric> out;
    for (const auto& field : fields) {
        const std::string& name = kept.emplace_back(fmt::format("{}{}_total", prefix, field.name));
        std::string_view help = layer_counter_help(field.name);
        if (help.empty()) {
            std::string words = field.name;
            std::replace(words.begin(), words.end(), '_', ' ');
            words[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(words[0])));
            help = kept.emplace_back(std::move(words));
        }
        out.push_back({name, MetricKind::kCounter, name.ends_with("bytes_total") ? "bytes" : "", "", {}, help});
    }
    return out;
}

}  // namespace

std::vector<Metric> layer_metrics(std::string_view prefix) {
    return prefix == "sluice_tcp_" ? entries(prefix, kTcp) : entries(prefix, kNet);
}

void write_port_metrics(const Sources& s, MetricWriter& out) {
    const auto ports = ports_of(s);
    out.begin("sluice_port_up");
    for (const auto& p : ports) out.add(label_text({{"port", p.name}}), p.link_up ? 1 : 0);
    out.begin("sluice_port_speed_bytes");
    for (const auto& p : ports)
        if (p.speed_mbps) out.add(label_text({{"port", p.name}}), p.speed_mbps * 1'000'000 / 8);
    for (const auto& [name, field] : kPort) {
        out.begin(name);
        for (const auto& p : ports) out.add(label_text({{"port", p.name}}), p.*field);
    }
    for (const auto& [name, field] : kException) {
        out.begin(name);
        for (const auto& p : ports)
            if (!p.exception.empty()) out.add(label_text({{"port", p.name}}), p.*field);
    }
}

void write_core_metrics(const Sources& s, MetricWriter& out) {
    if (!s.workers) return;
    const auto workers = s.workers();
    for (const auto& [name, field] : kWorker) {
        out.begin(name);
        for (const auto& w : workers) out.add(label_text({{"core", std::to_string(w.core)}}), w.*field);
    }
    out.begin("sluice_worker_stage_cycles_total");
    for (const auto& w : workers)
        for (const auto& [stage, cycles] : w.stages) out.add(label_text({{"core", std::to_string(w.core)}, {"stage", stage}}), cycles);
}

void write_drop_metrics(const Sources& s, MetricWriter& out) {
    out.begin("sluice_drops_total");
    for (const auto& drop : drop_reasons(s)) out.add(label_text({{"layer", drop.layer}, {"reason", drop.reason}}), drop.count);
}

void write_layer_metrics(const Sources& s, MetricWriter& out) {
    if (s.net) write_counters("sluice_net_", kNet, s.net(), out);
    if (s.tcp) write_counters("sluice_tcp_", kTcp, s.tcp(), out);
}

}  // namespace sluice::admin
