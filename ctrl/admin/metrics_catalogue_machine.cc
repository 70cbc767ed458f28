// The list of metrics about the gateway itself: server, configuration, cores, ports.
#include "ctrl/admin/metrics_catalogue.h"

#include "base/stage_clock.h"

namespace sluice::admin {

namespace {

using Per = SeriesBound::Per;
constexpr SeriesBound each(Per per, uint32_t times = 1) { return {per, times}; }
constexpr auto C = MetricKind::kCounter, G = MetricKind::kGauge;
constexpr SeriesBound kOne, kPorts = each(Per::kPort), kCores = each(Per::kCore);

}  // namespace

std::vector<Metric> envoy_server_metrics() {
    return {
        {"envoy_server_live", G, "", "", kOne, "1 while not draining"},
        {"envoy_server_state", G, "", "", kOne, "0 serving, 1 draining, 3 no revision in force yet"},
        {"envoy_server_uptime", G, "seconds", "", kOne, "Since start"},
        {"envoy_server_concurrency", G, "", "", kOne, "Worker cores"},
        {"envoy_server_total_connections", G, "", "", kOne, "Connections of clients open"},
        {"envoy_server_memory_allocated", G, "bytes", "", kOne, "Memory of the heap in use; packet buffers are not of the heap"},
        {"envoy_server_memory_heap_size", G, "bytes", "", kOne, "Memory of the heap, free or in use"},
        {"envoy_server_memory_physical_size", G, "bytes", "", kOne, "Resident memory"},
        {"envoy_listener_manager_total_listeners_active", G, "", "", kOne, "Listeners in force"},
        {"envoy_listener_manager_workers_started", G, "", "", kOne, "1 once the worker cores turn"},
        {"envoy_cluster_manager_active_clusters", G, "", "", kOne, "Clusters in force"},
        {"envoy_server_days_until_first_cert_expiring", G, "", "", kOne, "Whole days until the first certificate in force expires; absent without one"},
        {"process_start_time_seconds", G, "seconds", "", kOne, "When the process started, since 1970"},
        {"process_cpu_seconds_total", C, "seconds", "", kOne, "Processor time used, user and system"},
        {"process_resident_memory_bytes", G, "bytes", "", kOne, "Resident memory"},
        {"process_open_fds", G, "", "", kOne, "File descriptors open"},
        {"process_max_fds", G, "", "", kOne, "File descriptors that may be open"},
    };
}

std::vector<Metric> config_metrics() {
    return {
        {"sluice_build_info", G, "", "version, node, namespace", kOne, "The version running; always 1"},
        {"sluice_config_revision", G, "", "", kOne, "Revision in force; 0: none yet"},
        {"sluice_config_live_on_all_cores", G, "", "", kOne, "1 once every core works by the revision in force"},
        {"sluice_config_applied_total", C, "", "", kOne, "Revisions put in force"},
        {"sluice_config_refused_total", C, "", "", kOne, "Revisions refused"},
        {"sluice_config_newest_refused", G, "", "", kOne, "1 while the newest edit is refused"},
        {"sluice_config_serving_last_good", G, "", "", kOne, "1 while the directory was refused at the start and a revision of state.directory serves"},
        {"sluice_config_refusals_total", C, "", "cause", each(SeriesBound::Per::kGateway, 4), "Revisions refused, by cause: unreadable, invalid, not_built, no_room"},
        {"sluice_state_write_failures_total", C, "", "", kOne, "Writes to state.directory that failed"},
        {"sluice_config_warnings", G, "", "", kOne, "Warnings about the revision in force"},
        {"sluice_config_build_seconds", G, "seconds", "", kOne, "Of the revision in force: from the edit until it was published"},
        {"sluice_config_live_seconds", G, "seconds", "", kOne, "Of the revision in force: from the edit until it was live on all cores"},
        {"sluice_config_in_force_timestamp_seconds", G, "seconds", "", kOne, "When the revision in force was put in force, since 1970"},
        {"sluice_certificate_expiration_timestamp_seconds", G, "seconds", "secret", each(Per::kGateway, 256), "When the first certificate of the secret expires, since 1970"},
        {"sluice_secrets_refused", G, "", "", kOne, "Secrets whose newest content is refused: what was before is in force, or nothing"},
        {"sluice_secret_rotations_total", C, "", "", kOne, "Secrets replaced while the gateway served"},
        {"sluice_secret_refusals_total", C, "", "", kOne, "Contents of secrets refused"},
        {"sluice_snapshots_retiring", G, "", "", kOne, "Old snapshots that some core may still use"},
        {"sluice_parts_retiring", G, "", "", kOne, "Parts of old snapshots that something still pins"},
        {"sluice_admin_requests_total", C, "", "endpoint, code_class", each(Per::kGateway, 10), "Requests of the management endpoint: `socket` or `http`"},
    };
}

std::vector<Metric> core_metrics() {
    return {
        {"sluice_worker_cycles_total", C, "cycles", "core", kCores, "Cycles since start"},
        {"sluice_worker_busy_cycles_total", C, "cycles", "core", kCores, "Cycles of turns that found work"},
        {"sluice_worker_stage_cycles_total", C, "cycles", "core, stage", each(Per::kCore, kStages), "Busy cycles by stage"},
        {"sluice_worker_cycles_hertz", G, "hertz", "core", kCores, "Cycles in a second"},
        {"sluice_worker_turns_total", C, "", "core", kCores, "Turns of the poll loop"},
        {"sluice_worker_empty_turns_total", C, "", "core", kCores, "Turns that found no work"},
        {"sluice_worker_sleeps_total", C, "", "core", kCores, "Sleeps of the poll loop"},
        {"sluice_worker_requests_total", C, "", "core", kCores, "Requests finished"},
        {"sluice_worker_handed_over_total", C, "", "core", kCores, "Segments handed to the core that owns their connection"},
        {"sluice_worker_taken_over_total", C, "", "core", kCores, "Segments taken from other cores"},
        {"sluice_worker_handover_dropped_total", C, "", "core", kCores, "Segments dropped because the owner's ring was full"},
        {"sluice_worker_rss_mismatch_total", C, "", "core", kCores, "Frames whose hash by the port differs from ours"},
        {"sluice_worker_connections", G, "", "core", kCores, "TCP connections open"},
        {"sluice_worker_mbufs", G, "", "core", kCores, "Packet buffers there are"},
        {"sluice_worker_mbufs_free", G, "", "core", kCores, "Packet buffers free"},
    };
}

std::vector<Metric> port_metrics() {
    return {
        {"sluice_port_up", G, "", "port", kPorts, "1 while the link is up"},
        {"sluice_port_speed_bytes", G, "bytes", "port", kPorts, "The link's bytes in a second, where the port knows"},
        {"sluice_port_rx_frames_total", C, "", "port", kPorts, "Frames received"},
        {"sluice_port_rx_bytes_total", C, "bytes", "port", kPorts, "Bytes received"},
        {"sluice_port_tx_frames_total", C, "", "port", kPorts, "Frames sent"},
        {"sluice_port_tx_bytes_total", C, "bytes", "port", kPorts, "Bytes sent"},
        {"sluice_port_rx_dropped_total", C, "", "port", kPorts, "Frames that the port could not take in"},
        {"sluice_port_tx_dropped_total", C, "", "port", kPorts, "Frames that the port could not send"},
        {"sluice_port_rx_errors_total", C, "", "port", kPorts, "Frames received damaged"},
        {"sluice_port_to_kernel_total", C, "", "port", kPorts, "Frames given to the kernel: not the gateway's, or for both"},
        {"sluice_port_from_kernel_total", C, "", "port", kPorts, "Frames sent for the kernel"},
        {"sluice_port_exception_dropped_total", C, "", "port", kPorts, "Frames lost between port and kernel"},
    };
}

std::vector<Metric> drop_metrics() {
    return {{"sluice_drops_total", C, "", "layer, reason", each(Per::kGateway, 256), "All that was dropped or refused, by layer and reason: `sluicectl drops` explains each"}};
}

}  // namespace sluice::admin
