// /v1/status: one look at everything that an operator asks first. /v1/config: revisions. /v1/runtime: cores.
// Degraded means: something needs an operator (a refused revision, an endpoint down, no revision in force).
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "ctrl/admin/json.h"
#include "ctrl/admin/names.h"
#include "ctrl/admin/views.h"

namespace sluice::admin {

namespace {

Json revision_json(const control::InForce& c) {
    if (c.revision == 0) return nullptr;
    Json out{{"revision", c.revision}, {"hash", c.content_hash}, {"age_s", seconds_since(c.since)}, {"live_everywhere", c.live_everywhere}};
    if (c.live_everywhere) out["time_to_live_ms"] = static_cast<double>(c.time_to_live.count()) / 1000;
    out["warnings"] = Json::parse(render_json(c.warnings), nullptr, false);
    return out;
}

Json refused_json(const std::optional<control::Refused>& r) {
    if (!r) return nullptr;
    return {{"revision", r->revision}, {"hash", r->content_hash}, {"age_s", seconds_since(r->since)},
            {"diagnostics", Json::parse(render_json(r->diagnostics), nullptr, false)}};
}

Json config_of(const control::State& state) {
    return {{"in_force", revision_json(state.in_force)}, {"refused", refused_json(state.refused)},
            {"serving_last_good", state.serving_last_good}, {"state_directory_error", state.history.error},
            {"applied_total", state.applied_total}, {"refused_total", state.refused_total}};
}

/// One address of one service; subsets (v1, v2) share it.
struct Backend {
    std::string host;
    SocketAddress address;
    uint64_t last_success_us = 0, last_failure_us = 0, down_since_us = UINT64_MAX;
    telemetry::FailureReason reason = telemetry::FailureReason::kNone;
};

std::map<std::pair<std::string, SocketAddress>, Backend> backends(const Sources& s, const Tables& tables) {
    std::map<std::pair<std::string, SocketAddress>, Backend> out;
    for (const auto& cluster : tables.clusters) {
        if (!cluster || !cluster->endpoints) continue;
        const std::string host = short_host(split_cluster_name(cluster->name).host, true);
        for (const auto& endpoint : cluster->endpoints->endpoints) {
            const auto e = telemetry::summarize_endpoint(s.cores, endpoint.id);
            Backend& b = out[{host, endpoint.address}];
            b.host = host;
            b.address = endpoint.address;
            b.last_success_us = std::max(b.last_success_us, e.last_success_us);
            if (e.down_since_us) b.down_since_us = std::min(b.down_since_us, e.down_since_us);
            if (e.last_failure_us <= b.last_failure_us) continue;
            b.last_failure_us = e.last_failure_us;
            b.reason = e.last_failure_reason;
        }
    }
    return out;
}

/// Known and never picked: by the mesh config, or by an operator's drain.
Json left_out_json(const Sources& s, const Tables& tables) {
    std::set<std::tuple<std::string, std::string, std::string>> all;
    for (const auto& cluster : tables.clusters) {
        if (!cluster || !cluster->endpoints) continue;
        for (const auto& endpoint : cluster->endpoints->left_out)
            all.emplace(short_host(split_cluster_name(cluster->name).host, true), endpoint.address.to_string(), left_out_text(endpoint.why));
    }
    const auto drained = s.drained_endpoints ? s.drained_endpoints() : std::vector<std::string>{};
    const auto by_operator = [&](const std::string& address) {
        return std::any_of(drained.begin(), drained.end(), [&](const std::string& one) { return address == one || address.starts_with(one + ":") || address.starts_with("[" + one + "]:"); });
    };
    Json out = Json::array();
    for (const auto& [host, address, state] : all)
        out.push_back({{"host", host}, {"address", address}, {"state", state}, {"by_operator", by_operator(address)}});
    return out;
}

Json backends_json(const Sources& s, const Tables& tables) {
    const auto all = backends(s, tables);
    Json down = Json::array();
    const uint64_t now = unix_us_now();
    for (const auto& [key, b] : all) {
        if (b.down_since_us == UINT64_MAX || b.last_success_us >= b.last_failure_us) continue;
        const uint64_t since = std::max(b.down_since_us, b.last_success_us);
        down.push_back({{"host", b.host}, {"address", b.address.to_string()},
                        {"down_s", now > since ? static_cast<double>(now - since) / 1e6 : 0.0}, {"reason", telemetry::to_string(b.reason)}});
    }
    Json left_out = left_out_json(s, tables);
    return {{"up", all.size() - down.size()}, {"total", all.size() + left_out.size()}, {"down", std::move(down)}, {"left_out", std::move(left_out)}};
}

Json ports_json(const std::vector<PortState>& ports) {
    Json out = Json::array();
    for (const auto& p : ports)
        out.push_back({{"name", p.name}, {"device", p.device}, {"addresses", p.addresses}, {"conflicts", p.conflicts}, {"listen", p.listen}, {"link_up", p.link_up},
                       {"queues", p.queues}, {"speed_mbps", p.speed_mbps}, {"rx_frames", p.rx_frames}, {"rx_bytes", p.rx_bytes},
                       {"tx_frames", p.tx_frames}, {"tx_bytes", p.tx_bytes}, {"rx_dropped", p.rx_dropped},
                       {"tx_dropped", p.tx_dropped}, {"rx_errors", p.rx_errors}, {"exception", p.exception}, {"to_kernel", p.to_kernel},
                       {"from_kernel", p.from_kernel}, {"exception_dropped", p.exception_dropped}});
    return out;
}

Json refused_secrets_json(const Tables& tables) {
    Json out = Json::array();
    if (tables.tls)
        for (const auto& [name, secret] : tables.tls->secrets)
            if (!secret->refused.empty()) out.push_back({{"name", name}, {"refused", secret->refused}, {"cure", secret->cure}, {"old_in_force", secret->hash != 0}});
    return out;
}

}  // namespace

std::string status_json(const Sources& s, const Request& request) {
    const auto state = state_of(s);
    const auto tables = tables_of(s);
    const bool draining = s.draining && s.draining();
    const char* word = draining ? "draining" : state.in_force.revision == 0 ? "waiting for a config" : "serving";
    Json out{{"node", s.node_id}, {"namespace", s.node_namespace}, {"version", s.version}, {"state", word},
             {"uptime_s", seconds_since(s.started)}, {"config", config_of(state)}, {"ports", ports_json(ports_of(s))},
             {"listeners", Json::parse(listeners_json(s, {.method = "GET", .path = {}, .parameters = {}, .writable = request.writable}), nullptr, false)},
             {"backends", backends_json(s, *tables)}};
    if (s.access_log)
        out["access_log"] = {{"path", s.access_log->path()}, {"lines", s.access_log->lines()}, {"dropped", s.access_log->dropped()},
                             {"write_failed", s.access_log->write_failed()}};
    out["tls"] = {{"key_log", s.key_log}, {"secrets_refused", refused_secrets_json(*tables)}};
    if (s.process) {
        const control::ProcessState p = s.process();
        out["process"] = {{"user", p.user}, {"capabilities", p.capabilities}, {"seccomp", p.seccomp}, {"core_dumps", p.core_dumps}};
    }
    if (s.waiting) {
        const auto [snapshots, parts] = s.waiting();
        out["retiring"] = {{"snapshots", snapshots}, {"parts", parts}};
    }
    return dump(out);
}

std::string config_json(const Sources& s, const Request&) { return dump(config_of(state_of(s))); }

std::string runtime_json(const Sources& s, const Request&) {
    Json workers = Json::array();
    for (const auto& w : s.workers ? s.workers() : std::vector<WorkerRuntime>{}) {
        Json stages = Json::array();
        for (const auto& [name, cycles] : w.stages) stages.push_back({{"stage", name}, {"cycles", cycles}});
        workers.push_back({{"core", w.core}, {"cycles_per_s", w.cycles_per_s}, {"cycles_total", w.cycles_total}, {"cycles_busy", w.cycles_busy}, {"cycles_measuring", w.cycles_measuring},
                           {"turns", w.turns}, {"turns_empty", w.turns_empty}, {"sleeps", w.sleeps}, {"requests", w.requests},
                           {"connections", w.connections}, {"mbufs_free", w.mbufs_free}, {"mbufs_total", w.mbufs_total},
                           {"stages", std::move(stages)}});
    }
    return dump({{"unix_us", unix_us_now()}, {"workers", std::move(workers)}});
}

}  // namespace sluice::admin
