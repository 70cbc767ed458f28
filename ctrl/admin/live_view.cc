// Answers that go on: /v1/log/tail and /v1/capture; and the counters behind /v1/drops and /v1/top.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>

#include "ctrl/admin/drops.h"
#include "ctrl/admin/json.h"
#include "ctrl/admin/names.h"
#include "ctrl/admin/views.h"

namespace sluice::admin {

namespace {

using telemetry::CoreStats;

constexpr uint32_t kWaitMs = 100;
constexpr size_t kPieceBytes = 64 * 1024;

std::string rfc3339(uint64_t unix_us) {
    const std::time_t seconds = static_cast<std::time_t>(unix_us / 1'000'000);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), unix_us / 1000 % 1000);
}

Json record_json(const RecentRecord& r) {
    const auto text = [](const std::string& t) { return t.empty() ? Json(nullptr) : Json(t); };
    const auto address = [](const SocketAddress& a) { return a.port ? Json(a.to_string()) : Json(nullptr); };
    return {{"time", rfc3339(r.start_unix_us)}, {"method", text(r.method)}, {"host", text(r.authority)}, {"path", text(r.path)},
            {"status", r.status}, {"flags", r.flags ? Json(telemetry::response_flags(r.flags)) : Json(nullptr)}, {"details", text(r.details)},
            {"reason", text(r.reason)}, {"duration_ms", static_cast<double>(r.duration_us) / 1000},
            {"upstream_ms", r.upstream_response_us == UINT64_MAX ? Json(nullptr) : Json(static_cast<double>(r.upstream_response_us) / 1000)},
            {"client", address(r.downstream_remote)}, {"upstream", address(r.upstream_remote)}, {"cluster", text(r.cluster)},
            {"route", text(r.route_name)}, {"listener", text(r.listener)}, {"attempts", r.attempts}, {"bytes_received", r.bytes_received},
            {"bytes_sent", r.bytes_sent}, {"user_agent", text(r.user_agent)}, {"request_id", text(r.request_id)}, {"core", r.core}};
}

class Tail final : public Stream {
 public:
    Tail(RecentLog& log, std::shared_ptr<RecentLog::Follower> follower, bool follow)
        : log_(log), follower_(std::move(follower)), follow_(follow) {}
    ~Tail() override { log_.unfollow(follower_); }

    bool next(std::string& out) override {
        RecentRecord record;
        uint64_t lost = 0;
        while (out.size() < kPieceBytes) {
            const bool any = follower_->next(record, lost, out.empty() && follow_ ? kWaitMs : 0);
            if (lost) out += dump({{"lost", lost}});
            if (!any) return follow_;
            out += dump(record_json(record));
        }
        return true;
    }
    std::string keep_alive() const override { return "\n"; }

 private:
    RecentLog& log_;
    std::shared_ptr<RecentLog::Follower> follower_;
    const bool follow_;
};

std::optional<uint64_t> number(const std::string& text, uint64_t max) {
    uint64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    return error == std::errc{} && end == text.data() + text.size() && n <= max ? std::optional(n) : std::nullopt;
}

/// "503", "5xx" or "400-499".
bool read_status(const std::string& text, RecentFilter& into) {
    if (text.size() == 3 && text.ends_with("xx") && text[0] >= '1' && text[0] <= '5') {
        into.status_min = static_cast<uint16_t>((text[0] - '0') * 100);
        into.status_max = static_cast<uint16_t>(into.status_min + 99);
        return true;
    }
    const size_t dash = text.find('-');
    const auto from = number(text.substr(0, dash), 999), to = dash == text.npos ? from : number(text.substr(dash + 1), 999);
    if (!from || !to || *from > *to) return false;
    into.status_min = static_cast<uint16_t>(*from), into.status_max = static_cast<uint16_t>(*to);
    return true;
}

uint64_t count(const Sources& s, auto pick) { return telemetry::sum(std::span<const CoreStats* const>(s.cores), pick); }

/// Buckets that hold something, as [bucket's upper end in us, how many].
Json histogram_json(const telemetry::HistogramSum& h) {
    Json out = Json::array();
    for (uint32_t i = 0; i < telemetry::kHistogramBuckets; i++)
        if (h.buckets[i]) out.push_back({telemetry::histogram_upper(i), h.buckets[i]});
    return out;
}

Json listeners_of(const Sources& s, const Tables& tables) {
    const auto ports = ports_of(s);
    Json out = Json::array();
    for (const auto& l : tables.listeners) {
        if (!l) continue;
        telemetry::HistogramSum duration;
        for (const CoreStats* core : s.cores) duration.add(core->listener(l->id).request_duration_us);
        out.push_back({{"name", listener_place(*l, ports)},
                       {"connections", count(s, [&](const CoreStats& c) -> const auto& { return c.listener(l->id).connections_active; })},
                       {"requests", duration.count},
                       {"errors", count(s, [&](const CoreStats& c) -> const auto& { return c.listener(l->id).responses.classes[4]; })},
                       {"duration_us", histogram_json(duration)}});
    }
    return out;
}

Json clusters_of(const Sources& s, const Tables& tables) {
    Json out = Json::array();
    for (const auto& c : tables.clusters) {
        if (!c) continue;
        const uint64_t requests = count(s, [&](const CoreStats& core) -> const auto& { return core.cluster(c->id).requests; });
        if (requests == 0) continue;
        const ClusterName name = split_cluster_name(c->name);
        out.push_back({{"name", short_host(name.host, true) + (name.subset.empty() ? "" : " " + name.subset)}, {"requests", requests},
                       {"active", count(s, [&](const CoreStats& core) -> const auto& { return core.cluster(c->id).requests_active; })},
                       {"errors", count(s, [&](const CoreStats& core) -> const auto& { return core.cluster(c->id).responses.classes[4]; })}});
    }
    return out;
}

Json routes_of(const Sources& s, const Tables& tables) {
    Json out = Json::array();
    for (const auto& table : tables.routes) {
        if (!table) continue;
        for (const auto& host : table->virtual_hosts())
            for (const auto& route : host.routes) {
                const uint64_t hits = count(s, [&](const CoreStats& c) -> const auto& { return c.route_hits(route.stat_id); });
                if (hits) out.push_back({{"name", host.name + " " + route.match_text}, {"to", route_target(route)}, {"requests", hits}});
            }
    }
    return out;
}

}  // namespace

std::string drops_json(const Sources& s, const Request&) {
    const DropReport report = drop_report(s);
    Json reasons = Json::array(), delivered = Json::object();
    for (const DropReason& r : report.reasons)
        reasons.push_back({{"layer", r.layer}, {"reason", r.reason}, {"count", r.count}, {"unit", to_string(r.unit)}, {"received_frame", r.balanced},
                           {"meaning", r.meaning}, {"cure", r.cure}});
    for (const auto& [who, n] : report.balance.delivered) delivered[std::string(who)] = n;
    const FrameBalance& b = report.balance;
    return dump({{"unix_us", unix_us_now()}, {"reasons", std::move(reasons)},
                 {"frames", {{"received", b.received}, {"reassembled", b.reassembled}, {"delivered", std::move(delivered)}, {"dropped", b.dropped},
                             {"in_flight", b.in_flight}, {"unexplained", b.unexplained}}}});
}

std::string top_json(const Sources& s, const Request& request) {
    const auto tables = tables_of(s);
    Json flags = Json::object(), drops = Json::object();
    for (uint32_t i = 0; i < telemetry::kResponseFlags; i++)
        flags[telemetry::response_flags(1u << i)] = count(s, [&](const CoreStats& c) -> const auto& { return c.flags[i]; });
    for (const DropReason& r : drop_reasons(s))
        if (r.count && r.unit != DropUnit::kRequest) drops[r.layer + "." + r.reason] = r.count;
    Json out = Json::parse(runtime_json(s, request), nullptr, false);
    out["node"] = s.node_id;
    out["revision"] = tables->revision;
    out["listeners"] = listeners_of(s, *tables);
    out["clusters"] = clusters_of(s, *tables);
    out["routes"] = routes_of(s, *tables);
    out["flags"] = std::move(flags);
    out["drops"] = std::move(drops);
    return dump(out);
}

Answer log_tail(const Sources& s, const Request& request) {
    if (!s.recent_log) return Answer::error(501, "this gateway keeps no requests");
    RecentFilter filter;
    const auto flags = response_flags_of(request.parameter("flags"));
    if (!flags) return Answer::error(400, fmt::format("flags `{}`: no such response flag", request.parameter("flags")), "UH, UF, UO, NR, URX, NC, DC, LR, UT, UR, UC, DPE, UPE, SI, DT, OM");
    filter.flags = *flags;
    filter.host = request.parameter("host"), filter.path = request.parameter("path");
    if (const std::string status = request.parameter("status"); !status.empty() && !read_status(status, filter))
        return Answer::error(400, fmt::format("status `{}` is none", status), "503, 5xx or 400-499");
    const auto history = number(request.parameter("history").empty() ? "10" : request.parameter("history"), RecentLog::kHistory);
    if (!history) return Answer::error(400, "history is not a number", fmt::format("at most {}", RecentLog::kHistory));
    auto follower = s.recent_log->follow(std::move(filter), static_cast<uint32_t>(*history));
    if (!follower) return Answer::error(429, fmt::format("{} follow the log already", RecentLog::kFollowersMax), "end one of them");
    return Answer::streaming(std::make_shared<Tail>(*s.recent_log, std::move(follower), request.parameter("follow") != "0"), "application/x-ndjson");
}

Answer capture(const Sources& s, const Request& request) {
    if (!s.capture) return Answer::error(501, "this gateway cannot capture");
    CaptureWanted wanted;
    const auto [from, to] = request.parameters.equal_range("port");
    for (auto at = from; at != to; ++at) wanted.ports.push_back(at->second);
    wanted.filter = request.parameter("filter");
    wanted.token = request.parameter("token");
    const auto read = [&](const char* name, uint64_t max, auto& into) {
        const std::string text = request.parameter(name);
        const auto n = number(text, max);
        if (n) into = static_cast<std::remove_reference_t<decltype(into)>>(*n);
        return text.empty() || n.has_value();
    };
    if (!read("snap", 262144, wanted.snap_bytes) || !read("count", UINT64_MAX, wanted.frames_max) || !read("seconds", 86400 * 365, wanted.seconds_max))
        return Answer::error(400, "snap, count and seconds are numbers", "snap at most 262144 bytes");
    if (const std::string id = request.parameter("connection"); !id.empty()) {
        const auto name = ConnectionName::parse(id);
        bool silent = false;
        const auto row = name && s.show_connection ? s.show_connection(*name, silent) : std::nullopt;
        if (!row) return Answer::error(404, fmt::format("connection {} is not open", id), "sluicectl connections list shows those that are");
        wanted.connections.push_back(row->tuple);
        if (const auto pair = row->pair.valid() ? s.show_connection({name->core, row->pair}, silent) : std::nullopt) wanted.connections.push_back(pair->tuple);
    }
    auto stream = s.capture(wanted);
    if (!stream) return Answer::error(400, stream.error());
    return Answer::streaming(std::move(*stream), "application/x-pcapng");
}

Answer stop_capture(const Sources& s, const Request& request) {
    const std::string token = request.parameter("token");
    if (!s.stop_capture || !s.stop_capture(token)) return Answer::error(404, fmt::format("no capture `{}`", token), "it has ended by itself");
    return Answer::json(dump({{"stopped", token}}));
}

}  // namespace sluice::admin
