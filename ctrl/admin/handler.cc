// The table of paths, and the few answers that need no room of their own. 404, 405 and 403 are told apart, with cures.
#include "ctrl/admin/handler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "ctrl/admin/views.h"

namespace sluice::admin {

namespace {

constexpr char kApplyPath[] = "/v1/config/apply";

}  // namespace

bool Handler::takes_body(const std::string& path) { return path == kApplyPath; }

Answer Answer::error(int status, const std::string& message, const std::string& cure) {
    nlohmann::ordered_json body{{"error", message}};
    if (!cure.empty()) body["cure"] = cure;
    return json(body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n", status);
}

Handler::Handler(Sources sources) : sources_(std::move(sources)) {
    const Sources& s = sources_;
    const auto json = [&s](auto view) { return [&s, view](const Request& r) { return Answer::json(view(s, r)); }; };
    entries_ = {
        {"GET", "/", "this list", [this](const Request&) { return index(); }},
        {"GET", "/ready", "200 LIVE once a revision has been live on all cores", [this](const Request&) { return ready(); }},
        {"GET", "/stats/prometheus", "metrics: Prometheus text or OpenMetrics; ?filter=REGEX &usedonly", [&s](const Request& r) { return metrics_answer(s, r); }},
        {"GET", "/config_dump", "xDS resources in force, as Envoy shows them", json([](const Sources& x, const Request&) { return config_dump(x); })},
        {"GET", "/clusters", "clusters and endpoints, as Envoy shows them", [&s](const Request&) { return Answer::text(clusters_text(s)); }},
        {"GET", "/v1/status", "what the gateway does now", json(status_json)},
        {"GET", "/v1/config", "the revision in force and the one refused", json(config_json)},
        {"GET", "/v1/config/history", "revisions that were", json(history_json)},
        {"GET", "/v1/config/revision", "?revision= : its files; also in_force, refused, directory", [&s](const Request& r) { return revision_answer(s, r); }},
        {"GET", "/v1/config/resources", "?revision= : what comes of its files", [&s](const Request& r) { return resources_answer(s, r); }},
        {"GET", "/v1/listeners", "?port= &source=", json(listeners_json)},
        {"GET", "/v1/routes", "?host= &port= &source=", json(routes_json)},
        {"GET", "/v1/clusters", "?host= &port= &source=", json(clusters_json)},
        {"GET", "/v1/endpoints", "?host= &port= &source=", json(endpoints_json)},
        {"GET", "/v1/secrets", "?source= : certificates and roots, never keys", json(secrets_json)},
        {"GET", "/v1/runtime", "cores: cycles by stage", json(runtime_json)},
        {"GET", "/v1/stats", "?filter= : counters by name", json(stats_json)},
        {"GET", "/v1/drops", "what was dropped or refused, by reason, and the balance of frames", json(drops_json)},
        {"GET", "/v1/top", "what sluicectl top shows: counters and histograms", json(top_json)},
        {"GET", "/v1/connections", "?port= &host= &cluster= &peer= &state= &idle_us= &sort= &limit=", [&s](const Request& r) { return connections(s, r); }},
        {"GET", "/v1/connections/show", "?id=", [&s](const Request& r) { return show_connection(s, r); }},
        {"POST", "/v1/connections/close", "?id= &reset=1", [&s](const Request& r) { return close_connection(s, r); }},
        {"GET", "/v1/log/tail", "?flags= &status= &host= &path= &history= &follow=0 : requests as they end", [&s](const Request& r) { return log_tail(s, r); }, true},
        {"GET", "/v1/capture", "?port= &connection= &filter= &snap= &count= &seconds= &token= : pcapng", [&s](const Request& r) { return capture(s, r); }, true},
        {"POST", "/v1/capture/stop", "?token=", [&s](const Request& r) { return stop_capture(s, r); }},
        {"POST", kApplyPath, "change the mesh directory, validated, all or nothing", [&s](const Request& r) { return apply_answer(s, r); }},
        {"POST", "/v1/config/rollback", "?revision= &dry_run=true : the directory as it was", [&s](const Request& r) { return rollback_answer(s, r); }},
        {"POST", "/drain", "finish open requests, accept no new connections; ?endpoint= &force=1 : pick this endpoint no more",
         [this](const Request& r) { return drain(r, true); }},
        {"POST", "/undrain", "accept again; ?endpoint= : pick it again", [this](const Request& r) { return drain(r, false); }},
        {"POST", "/log/reopen", "open the access log's path again (logrotate)", [this](const Request&) { return reopen_log(); }},
        {"POST", "/log/level", "?level= : of the gateway's own log", [this](const Request& r) { return log_level(r); }},
    };
}

Answer Handler::handle(const Request& request) const {
    Answer answer = find_answer(request);
    if (answer.status >= 100 && answer.status < 600)
        sources_.admin_requests->by_class[request.writable][static_cast<size_t>(answer.status / 100 - 1)].fetch_add(1, std::memory_order_relaxed);
    return answer;
}

Answer Handler::find_answer(const Request& request) const {
    live();   // so that /ready stays true while a later revision is on its way
    const std::string method = request.method == "HEAD" ? "GET" : request.method;
    std::string allow;
    for (const Entry& entry : entries_) {
        if (request.path != entry.path) continue;
        if (method != entry.method) {
            allow = entry.method;
            continue;
        }
        if (method == "POST" && !request.writable)
            return Answer::error(403, "this endpoint is read-only", "use the unix socket (sluicectl does)");
        if (entry.streams && !request.writable)
            return Answer::error(403, "this endpoint has no streams", "use the unix socket (sluicectl does)");
        return entry.answer(request);
    }
    if (!allow.empty()) {
        Answer answer = Answer::error(405, fmt::format("{} takes {}", request.path, allow));
        answer.allow = allow == "GET" ? "GET, HEAD" : allow;
        return answer;
    }
    return Answer::error(404, "no such path", "GET / lists what there is");
}

Answer Handler::index() const {
    std::string out;
    for (const Entry& entry : entries_) out += fmt::format("{:<5}{:<24}{}\n", entry.method, entry.path, entry.help);
    return Answer::text(std::move(out));
}

bool Handler::live() const {
    if (was_live_.load(std::memory_order_relaxed)) return true;
    if (!sources_.config || !sources_.config().in_force.live_everywhere) return false;
    was_live_.store(true, std::memory_order_relaxed);
    return true;
}

// The words of Envoy's /ready (ServerInfo.State).
Answer Handler::ready() const {
    if (sources_.draining && sources_.draining()) return Answer::text("DRAINING\n", 503);
    if (!live()) return Answer::text("INITIALIZING\n", 503);
    return Answer::text("LIVE\n");
}

Answer Handler::drain_endpoint(const Request& request, bool on) const {
    if (!sources_.drain_endpoint) return Answer::error(501, "this gateway cannot drain an endpoint");
    const std::string force = request.parameter("force");
    const auto done = sources_.drain_endpoint(request.parameter("endpoint"), on, force == "1" || force == "true");
    if (!done) return Answer::error(done.error().status, done.error().message, done.error().cure);
    const nlohmann::ordered_json answer{{"endpoint", done->endpoint}, {"draining", done->draining}, {"clusters", done->clusters}};
    return Answer::json(answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

Answer Handler::drain(const Request& request, bool on) const {
    if (!request.parameter("endpoint").empty()) return drain_endpoint(request, on);
    if (!sources_.set_draining) return Answer::error(501, "this gateway cannot drain");
    sources_.set_draining(on);
    const bool draining = sources_.draining && sources_.draining();
    return Answer::json(fmt::format("{{\"draining\": {}}}\n", draining ? "true" : "false"));
}

Answer Handler::reopen_log() const {
    if (!sources_.access_log || sources_.access_log->path().empty()) return Answer::error(409, "there is no access log", "set accessLog.path");
    const uint64_t before = sources_.access_log->reopened();
    sources_.access_log->reopen();
    for (int i = 0; i < 100 && sources_.access_log->reopened() == before; i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (sources_.access_log->reopened() == before)
        return Answer::error(500, fmt::format("{} could not be opened; the old file is still written", sources_.access_log->path()),
                             "the gateway's own log says why");
    return Answer::json(nlohmann::json{{"reopened", sources_.access_log->path()}}.dump() + "\n");
}

Answer Handler::log_level(const Request& request) const {
    if (!sources_.set_log_level || !sources_.log_level) return Answer::error(501, "this gateway's log level is fixed");
    const std::string level = request.parameter("level");
    if (!level.empty() && !sources_.set_log_level(level))
        return Answer::error(400, "no such log level", "debug, info, warning or error");
    return Answer::json(nlohmann::json{{"level", sources_.log_level()}}.dump() + "\n");
}

}  // namespace sluice::admin
