// The process and its configuration: Envoy's server metrics, those of Prometheus' client libraries, revisions, management requests.
#include <dirent.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "ctrl/admin/metrics.h"

namespace sluice::admin {

namespace {

double real_seconds(std::chrono::system_clock::time_point t) { return std::chrono::duration<double>(t.time_since_epoch()).count(); }

uint64_t resident_bytes() {
    unsigned long size = 0, resident = 0;
    FILE* file = std::fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (std::fscanf(file, "%lu %lu", &size, &resident) != 2) resident = 0;
    std::fclose(file);
    return uint64_t{resident} * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

uint64_t open_files() {
    DIR* directory = opendir("/proc/self/fd");
    if (!directory) return 0;
    uint64_t n = 0;
    while (const dirent* entry = readdir(directory)) n += entry->d_name[0] != '.';
    closedir(directory);
    return n - 1;   // the directory itself
}

void write_process(const Sources& s, uint64_t resident, MetricWriter& out) {
    out.one_real("process_start_time_seconds", real_seconds(s.started));
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    out.one_real("process_cpu_seconds_total", seconds(usage.ru_utime) + seconds(usage.ru_stime));
    out.one("process_resident_memory_bytes", resident);
    out.one("process_open_fds", open_files());
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) out.one("process_max_fds", limit.rlim_cur);
}

/// Days are whole, as Envoy counts them; an expired certificate has none left.
void write_secret_metrics(const snapshot::TlsState* tls, MetricWriter& out) {
    const auto now_s = static_cast<int64_t>(unix_us_now() / 1'000'000);
    int64_t first = INT64_MAX;
    uint64_t refused = 0;
    out.begin("sluice_certificate_expiration_timestamp_seconds");
    if (tls) {
        for (const auto& [name, secret] : tls->secrets) {
            refused += !secret->refused.empty();
            const int64_t ends = secret->not_after_s();
            if (ends == 0) continue;
            // A bundle of the machine's roots always holds one that ends soon.
            if (secret->type == snapshot::SecretState::Type::kCertificate) first = std::min(first, ends);
            out.add(label_text({{"secret", name}}), static_cast<uint64_t>(ends));
        }
    }
    if (first != INT64_MAX) out.one("envoy_server_days_until_first_cert_expiring", static_cast<uint64_t>(std::max<int64_t>(0, (first - now_s) / 86400)));
    out.one("sluice_secrets_refused", refused);
    out.one("sluice_secret_rotations_total", tls ? tls->rotations_total : 0);
    out.one("sluice_secret_refusals_total", tls ? tls->refusals_total : 0);
}

}  // namespace

void write_server_metrics(const Sources& s, const Tables& tables, MetricWriter& out) {
    const bool draining = s.draining && s.draining();
    uint64_t connections = 0, listeners = 0, clusters = 0;
    for (const auto& l : tables.listeners) {
        if (!l) continue;
        listeners++;
        connections += total(s, [&](const telemetry::CoreStats& c) -> const auto& { return c.listener(l->id).connections_active; });
    }
    for (const auto& c : tables.clusters) clusters += c != nullptr;
    out.one("envoy_server_live", draining ? 0 : 1);
    out.one("envoy_server_state", draining ? 1 : tables.revision == 0 ? 3 : 0);
    out.one("envoy_server_uptime", static_cast<uint64_t>(seconds_since(s.started)));
    out.one("envoy_server_concurrency", s.cores.size());
    out.one("envoy_server_total_connections", connections);
    const struct mallinfo2 heap = mallinfo2();
    const uint64_t resident = resident_bytes();
    out.one("envoy_server_memory_allocated", heap.uordblks + heap.hblkhd);
    out.one("envoy_server_memory_heap_size", heap.arena + heap.hblkhd);
    out.one("envoy_server_memory_physical_size", resident);
    out.one("envoy_listener_manager_total_listeners_active", listeners);
    out.one("envoy_listener_manager_workers_started", s.cores.empty() ? 0 : 1);
    out.one("envoy_cluster_manager_active_clusters", clusters);
    write_process(s, resident, out);
}

void write_config_metrics(const Sources& s, MetricWriter& out) {
    const auto state = state_of(s);
    const auto seconds = [](std::chrono::microseconds t) { return std::chrono::duration<double>(t).count(); };
    out.begin("sluice_build_info");
    out.add(label_text({{"version", s.version}, {"node", s.node_id}, {"namespace", s.node_namespace}}), uint64_t{1});
    out.one("sluice_config_revision", state.in_force.revision);
    out.one("sluice_config_live_on_all_cores", state.in_force.live_everywhere);
    out.one("sluice_config_applied_total", state.applied_total);
    out.one("sluice_config_refused_total", state.refused_total);
    out.one("sluice_config_newest_refused", state.refused ? 1 : 0);
    out.one("sluice_config_serving_last_good", state.serving_last_good ? 1 : 0);
    out.begin("sluice_config_refusals_total");
    for (size_t i = 0; i < control::kCauses.size(); i++) out.add(label_text({{"cause", control::kCauses[i]}}), state.refused_by_cause[i]);
    out.one("sluice_state_write_failures_total", s.history ? s.history->health().write_failures : 0);
    out.one("sluice_config_warnings", state.in_force.warnings.size());
    out.one_real("sluice_config_build_seconds", seconds(state.in_force.build_time));
    out.one_real("sluice_config_live_seconds", seconds(state.in_force.time_to_live));
    out.one_real("sluice_config_in_force_timestamp_seconds", state.in_force.revision ? real_seconds(state.in_force.since) : 0);
    write_secret_metrics(tables_of(s)->tls.get(), out);
    if (s.waiting) {
        const auto [snapshots, parts] = s.waiting();
        out.one("sluice_snapshots_retiring", snapshots);
        out.one("sluice_parts_retiring", parts);
    }
    out.begin("sluice_admin_requests_total");
    for (size_t writable = 0; writable < 2; writable++)
        for (size_t i = 0; i < 5; i++)
            out.add(label_text({{"endpoint", writable ? "socket" : "http"}, {"code_class", std::to_string(i + 1)}}),
                    s.admin_requests->by_class[writable][i].load(std::memory_order_relaxed));
}

}  // namespace sluice::admin
