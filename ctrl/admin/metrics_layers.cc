// Counters of net::Stack and tcp::Stack under their field names, ports and cores with their own labels.
#include "ctrl/admin/metrics_layers.h"

#include <algorithm>
#include <iterator>

namespace sluice::admin {

namespace {

using prometheus::MetricType;

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
    SLUICE_FIELD(tcp::Counters, ports_exhausted),
};
#undef SLUICE_FIELD

template <typename Counters, size_t N>
void counters(const char* prefix, const char* layer, const Field<Counters> (&fields)[N], const Counters& values, Families& out) {
    for (const auto& field : fields) {
        std::string words = field.name;
        std::replace(words.begin(), words.end(), '_', ' ');
        out.one(std::string(prefix) + field.name + "_total", layer + words, MetricType::Counter, values.*field.field);
    }
}

struct PortField {
    const char* name;
    const char* help;
    uint64_t PortState::*field;
};
constexpr PortField kPort[] = {
    {"sluice_port_rx_frames_total", "Frames received", &PortState::rx_frames},
    {"sluice_port_rx_bytes_total", "Bytes received", &PortState::rx_bytes},
    {"sluice_port_tx_frames_total", "Frames sent", &PortState::tx_frames},
    {"sluice_port_tx_bytes_total", "Bytes sent", &PortState::tx_bytes},
    {"sluice_port_rx_dropped_total", "Frames that the port could not take in", &PortState::rx_dropped},
    {"sluice_port_tx_dropped_total", "Frames that the port could not send", &PortState::tx_dropped},
    {"sluice_port_rx_errors_total", "Frames received damaged", &PortState::rx_errors},
};
constexpr PortField kException[] = {   // of ports that have a way to the kernel
    {"sluice_port_to_kernel_total", "Frames given to the kernel: not the gateway's, or for both", &PortState::to_kernel},
    {"sluice_port_from_kernel_total", "Frames sent for the kernel", &PortState::from_kernel},
    {"sluice_port_exception_dropped_total", "Frames lost between port and kernel", &PortState::exception_dropped},
};

struct WorkerField {
    const char* name;
    const char* help;
    MetricType type;
    uint64_t WorkerRuntime::*field;
};
constexpr WorkerField kWorker[] = {
    {"sluice_worker_cycles_total", "Cycles since start", MetricType::Counter, &WorkerRuntime::cycles_total},
    {"sluice_worker_busy_cycles_total", "Cycles of turns that found work", MetricType::Counter, &WorkerRuntime::cycles_busy},
    {"sluice_worker_turns_total", "Turns of the poll loop", MetricType::Counter, &WorkerRuntime::turns},
    {"sluice_worker_sleeps_total", "Sleeps of the poll loop", MetricType::Counter, &WorkerRuntime::sleeps},
    {"sluice_worker_requests_total", "Requests finished", MetricType::Counter, &WorkerRuntime::requests},
    {"sluice_worker_handed_over_total", "Segments handed to the core that owns their connection", MetricType::Counter, &WorkerRuntime::handed_over},
    {"sluice_worker_taken_over_total", "Segments taken from other cores", MetricType::Counter, &WorkerRuntime::taken_over},
    {"sluice_worker_handover_dropped_total", "Segments dropped because the owner's ring was full", MetricType::Counter, &WorkerRuntime::handover_dropped},
    {"sluice_worker_rss_mismatch_total", "Frames whose hash by the port differs from ours", MetricType::Counter, &WorkerRuntime::rss_mismatch},
    {"sluice_worker_connections", "TCP connections open", MetricType::Gauge, &WorkerRuntime::connections},
    {"sluice_worker_mbufs_free", "Packet buffers free", MetricType::Gauge, &WorkerRuntime::mbufs_free},
};

void worker_metrics(const std::vector<WorkerRuntime>& workers, Families& out) {
    for (const auto& field : kWorker) {
        out.begin(field.name, field.help, field.type);
        for (const auto& w : workers) out.add({{"core", std::to_string(w.core)}}, w.*field.field);
    }
    out.begin("sluice_worker_stage_cycles_total", "Busy cycles by stage", MetricType::Counter);
    for (const auto& w : workers)
        for (const auto& [stage, cycles] : w.stages) out.add({{"core", std::to_string(w.core)}, {"stage", stage}}, cycles);
}

}  // namespace

void Families::begin(std::string name, std::string help, MetricType type) {
    families_.push_back({std::move(name), std::move(help), type, {}});
}

void Families::add(Labels labels, uint64_t value) {
    prometheus::ClientMetric m;
    m.label = std::move(labels);
    if (families_.back().type == MetricType::Counter) m.counter.value = static_cast<double>(value);
    else m.gauge.value = static_cast<double>(value);
    families_.back().metric.push_back(std::move(m));
}

std::vector<prometheus::MetricFamily> Families::take() {
    std::erase_if(families_, [](const auto& f) { return f.metric.empty(); });
    return std::move(families_);
}

void layer_metrics(const Sources& s, Families& out) {
    if (s.ports) {
        const auto ports = s.ports();
        for (const auto& field : kPort) {
            out.begin(field.name, field.help, MetricType::Counter);
            for (const auto& p : ports) out.add({{"port", p.name}}, p.*field.field);
        }
        for (const auto& field : kException) {
            out.begin(field.name, field.help, MetricType::Counter);
            for (const auto& p : ports)
                if (!p.exception.empty()) out.add({{"port", p.name}}, p.*field.field);
        }
        out.begin("sluice_port_up", "1 while the link is up", MetricType::Gauge);
        for (const auto& p : ports) out.add({{"port", p.name}}, p.link_up ? 1 : 0);
    }
    if (s.workers) worker_metrics(s.workers(), out);
    if (s.net) counters("sluice_net_", "Ethernet and IP: ", kNet, s.net(), out);
    if (s.tcp) counters("sluice_tcp_", "TCP: ", kTcp, s.tcp(), out);
}

}  // namespace sluice::admin
