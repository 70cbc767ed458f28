// Counters to rates, buckets to quantiles, and the layout (see top_view.h).
#include "ctrl/sluicectl/top_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

uint64_t grown(const Json& before, const Json& after, const char* key) {
    const uint64_t a = number_of(before, key), b = number_of(after, key);
    return b > a ? b - a : 0;
}

/// The entry of a list with the same name.
const Json& same(const Json& list, const Json& entry, const char* key) {
    static const Json kNone;
    for (const auto& one : list)
        if (child_of(one, key) == child_of(entry, key)) return one;
    return kNone;
}

using Buckets = std::map<uint64_t, uint64_t>;   // upper end in us: how many

Buckets buckets_of(const Json& list) {
    Buckets out;
    for (const auto& pair : list)
        if (pair.is_array() && pair.size() == 2) out[pair[0].get<uint64_t>()] += pair[1].get<uint64_t>();
    return out;
}

/// Milliseconds; null without a request.
Json quantile(const Buckets& buckets, double q) {
    uint64_t total = 0, seen = 0;
    for (const auto& [upper, n] : buckets) total += n;
    if (total == 0) return nullptr;
    const auto rank = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(q * static_cast<double>(total))));
    for (const auto& [upper, n] : buckets)
        if ((seen += n) >= rank) return static_cast<double>(upper) / 1000;
    return nullptr;
}

struct Interval {
    double seconds;
    double rate(uint64_t n) const { return seconds > 0 ? static_cast<double>(n) / seconds : 0; }
};

Json cores(const Json& before, const Json& after, Interval t) {
    Json out = Json::array();
    for (const auto& w : child_of(after, "workers")) {
        const Json& then = same(child_of(before, "workers"), w, "core");
        const uint64_t cycles = grown(then, w, "cycles_total"), busy = grown(then, w, "cycles_busy");
        out.push_back({{"core", number_of(w, "core")}, {"busy", cycles ? static_cast<double>(busy) / static_cast<double>(cycles) : 0.0},
                       {"requests_per_s", t.rate(grown(then, w, "requests"))}, {"connections", number_of(w, "connections")},
                       {"mbufs_free", number_of(w, "mbufs_free")}, {"mbufs_total", number_of(w, "mbufs_total")}});
    }
    return out;
}

Json listeners(const Json& before, const Json& after, Interval t, Buckets& all) {
    Json out = Json::array();
    for (const auto& l : child_of(after, "listeners")) {
        const Json& then = same(child_of(before, "listeners"), l, "name");
        Buckets now = buckets_of(child_of(l, "duration_us"));
        for (const auto& [upper, n] : buckets_of(child_of(then, "duration_us"))) now[upper] -= std::min(now[upper], n);
        for (const auto& [upper, n] : now) all[upper] += n;
        out.push_back({{"name", text_of(l, "name")}, {"connections", number_of(l, "connections")}, {"requests_per_s", t.rate(grown(then, l, "requests"))},
                       {"errors_per_s", t.rate(grown(then, l, "errors"))}, {"p50_ms", quantile(now, 0.5)}, {"p99_ms", quantile(now, 0.99)}});
    }
    return out;
}

Json busiest(const Json& before, const Json& after, const char* what, Interval t, bool errors) {
    std::vector<Json> rows;
    for (const auto& entry : child_of(after, what)) {
        const Json& then = same(child_of(before, what), entry, "name");
        Json row{{"name", text_of(entry, "name")}, {"requests_per_s", t.rate(grown(then, entry, "requests"))}};
        if (errors) row["errors_per_s"] = t.rate(grown(then, entry, "errors"));
        else row["to"] = text_of(entry, "to");
        if (real_of(row, "requests_per_s") > 0) rows.push_back(std::move(row));
    }
    std::stable_sort(rows.begin(), rows.end(), [](const Json& a, const Json& b) { return real_of(a, "requests_per_s") > real_of(b, "requests_per_s"); });
    if (rows.size() > kBusiest) rows.resize(kBusiest);
    return rows;
}

/// Those that grew.
Json rates(const Json& before, const Json& after, const char* what, Interval t) {
    Json out = Json::object();
    for (const auto& [name, value] : child_of(after, what).items())
        if (const uint64_t n = grown(child_of(before, what), child_of(after, what), name.c_str())) out[name] = t.rate(n);
    return out;
}

double sum(const Json& object) {
    double total = 0;
    for (const auto& [name, value] : object.items()) total += value.get<double>();
    return total;
}

std::string rate_text(double per_s) { return per_s >= 10 || per_s == 0 ? grouped(static_cast<uint64_t>(per_s + 0.5)) : fmt::format("{:.1f}", per_s); }

std::string ms_text(const Json& ms) { return !ms.is_number() ? "-" : ms.get<double>() < 10 ? fmt::format("{:.2f}ms", ms.get<double>()) : fmt::format("{:.0f}ms", ms.get<double>()); }

std::string list_of(const Json& object) {
    std::string out;
    for (const auto& [name, value] : object.items()) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", printable(name), rate_text(value.get<double>()));
    return out.empty() ? "none" : out;
}

double busy_of(const Json& view) {
    double busy = 0;
    for (const auto& core : child_of(view, "cores")) busy += real_of(core, "busy");
    return child_of(view, "cores").empty() ? 0 : busy / static_cast<double>(child_of(view, "cores").size());
}

std::string bar(double share) {
    constexpr size_t kWidth = 20;
    const auto full = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * kWidth + 0.5);
    return "[" + std::string(full, '#') + std::string(kWidth - full, ' ') + "]";
}

void add_lines(std::vector<std::string>& out, const std::string& text) {
    for (size_t at = 0, end; at < text.size(); at = end + 1) {
        end = std::min(text.find('\n', at), text.size());
        out.push_back(text.substr(at, end - at));
    }
}

/// Cut at `columns` characters, not in the middle of one.
void clip(std::string& line, size_t columns) {
    size_t characters = 0, at = 0;
    for (; at < line.size(); at++)
        if ((static_cast<unsigned char>(line[at]) & 0xc0) != 0x80 && characters++ == columns) break;
    line.resize(at);
}

}  // namespace

Json top_view(const Json& before, const Json& after) {
    const Interval t{static_cast<double>(grown(before, after, "unix_us")) / 1e6};
    Buckets all;
    Json per_listener = listeners(before, after, t, all);
    Json out{{"unix_us", number_of(after, "unix_us")}, {"node", text_of(after, "node")}, {"revision", number_of(after, "revision")}, {"seconds", t.seconds}};
    double requests = 0;
    uint64_t connections = 0;
    Json per_core = cores(before, after, t);
    for (const auto& core : per_core) requests += real_of(core, "requests_per_s"), connections += number_of(core, "connections");
    out["requests_per_s"] = requests;
    out["connections"] = connections;
    out["p50_ms"] = quantile(all, 0.5), out["p99_ms"] = quantile(all, 0.99);
    out["flags_per_s"] = rates(before, after, "flags", t);
    out["drops_per_s"] = rates(before, after, "drops", t);
    out["cores"] = std::move(per_core);
    out["listeners"] = std::move(per_listener);
    out["clusters"] = busiest(before, after, "clusters", t, true);
    out["routes"] = busiest(before, after, "routes", t, false);
    return out;
}

std::vector<std::string> top_screen(const Json& view, size_t columns, size_t rows) {
    std::vector<std::string> out;
    out.push_back(fmt::format("{}  revision {}  {} requests/s  p50 {}  p99 {}  {}", text_of(view, "node"), number_of(view, "revision"), rate_text(real_of(view, "requests_per_s")),
                              ms_text(child_of(view, "p50_ms")), ms_text(child_of(view, "p99_ms")), count_of(number_of(view, "connections"), "connection")));
    out.push_back("errors/s  " + list_of(child_of(view, "flags_per_s")));
    out.push_back("drops/s   " + list_of(child_of(view, "drops_per_s")));
    out.emplace_back();
    for (const auto& core : child_of(view, "cores"))
        out.push_back(fmt::format("core {:<3}  {} {:>3.0f}%  {:>9} req/s  {:>9} conn  {:>9} of {} buffers free", number_of(core, "core"), bar(real_of(core, "busy")), real_of(core, "busy") * 100,
                                  rate_text(real_of(core, "requests_per_s")), grouped(number_of(core, "connections")), grouped(number_of(core, "mbufs_free")), grouped(number_of(core, "mbufs_total"))));
    out.emplace_back();
    Table table({{"LISTENER"}, {"REQ/S", true}, {"5XX/S", true}, {"P50", true}, {"P99", true}, {"CONNECTIONS", true}});
    for (const auto& l : child_of(view, "listeners"))
        table.row({text_of(l, "name"), rate_text(real_of(l, "requests_per_s")), rate_text(real_of(l, "errors_per_s")), ms_text(child_of(l, "p50_ms")), ms_text(child_of(l, "p99_ms")),
                   grouped(number_of(l, "connections"))});
    add_lines(out, table.text());
    Table clusters({{"CLUSTER"}, {"REQ/S", true}, {"5XX/S", true}}), routes({{"ROUTE"}, {"TO"}, {"REQ/S", true}});
    for (const auto& r : child_of(view, "clusters")) clusters.row({text_of(r, "name"), rate_text(real_of(r, "requests_per_s")), rate_text(real_of(r, "errors_per_s"))});
    for (const auto& r : child_of(view, "routes")) routes.row({text_of(r, "name"), text_of(r, "to"), rate_text(real_of(r, "requests_per_s"))});
    for (const Table* part : {&clusters, &routes}) {
        if (part->empty()) continue;
        out.emplace_back();
        add_lines(out, part->text());
    }
    if (out.size() > rows) out.resize(rows);
    for (auto& one : out) clip(one, columns);
    return out;
}

std::string top_line(const Json& view) {
    return fmt::format("{} req/s  busy {:.0f}%  p50 {}  p99 {}  {}  errors/s {}  drops/s {}", rate_text(real_of(view, "requests_per_s")), busy_of(view) * 100, ms_text(child_of(view, "p50_ms")),
                       ms_text(child_of(view, "p99_ms")), count_of(number_of(view, "connections"), "connection"), rate_text(sum(child_of(view, "flags_per_s"))),
                       rate_text(sum(child_of(view, "drops_per_s"))));
}

}  // namespace sluice::ctl
