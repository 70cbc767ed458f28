// runtime: where each core's cycles went between two looks. stats: counters by name, as they are or as they grew.
// Rates use the gateway's own time stamps, so that a slow terminal does not bend them.
#include <fmt/format.h>

#include <algorithm>

#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

constexpr double kUnaccountedMax = 0.03;   // of busy cycles

uint64_t grown(const Json& before, const Json& after, const char* key) {
    const uint64_t a = number_of(before, key), b = number_of(after, key);
    return b > a ? b - a : 0;
}

const Json& worker_of(const Json& sample, uint64_t core) {
    static const Json kNone;
    for (const auto& w : child_of(sample, "workers"))
        if (number_of(w, "core") == core) return w;
    return kNone;
}

uint64_t stage_cycles(const Json& worker, const std::string& stage) {
    for (const auto& s : child_of(worker, "stages"))
        if (text_of(s, "stage") == stage) return number_of(s, "cycles");
    return 0;
}

/// One core between two samples, as data: what -o json prints and the table shows.
Json rates(const Json& before, const Json& after, double seconds) {
    const uint64_t requests = grown(before, after, "requests"), cycles = grown(before, after, "cycles_total"), busy = grown(before, after, "cycles_busy");
    const auto per_request = [&](uint64_t n) { return requests ? Json(n / requests) : Json(nullptr); };
    const auto share = [&](uint64_t n) { return busy ? static_cast<double>(n) / static_cast<double>(busy) : 0.0; };
    Json stages = Json::object(), shares = Json::object();
    uint64_t in_stages = 0;
    for (const auto& s : child_of(after, "stages")) {
        const std::string name = text_of(s, "stage");
        const uint64_t then = stage_cycles(before, name), now = number_of(s, "cycles");
        const uint64_t spent = now > then ? now - then : 0;
        in_stages += spent;
        stages[name] = per_request(spent);
        shares[name] = share(spent);
    }
    return {{"core", number_of(after, "core")}, {"busy", cycles ? static_cast<double>(busy) / static_cast<double>(cycles) : 0.0},
            {"requests_per_s", seconds > 0 ? static_cast<double>(requests) / seconds : 0.0}, {"cycles_per_request", per_request(busy)},
            {"connections", number_of(after, "connections")}, {"mbufs_free", number_of(after, "mbufs_free")},
            {"mbufs_total", number_of(after, "mbufs_total")}, {"cycles_per_request_by_stage", std::move(stages)},
            {"busy_by_stage", std::move(shares)}, {"unaccounted", share(busy > in_stages ? busy - in_stages : 0)},
            {"measuring", share(grown(before, after, "cycles_measuring"))}};
}

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char ch) { return ch == '_' ? ' ' : static_cast<char>(std::toupper(ch)); });
    return text;
}

std::string cell(const Json& row, const char* key) { return child_of(row, key).is_number() ? grouped(number_of(row, key)) : "-"; }

double seconds_between(const Json& before, const Json& after) { return static_cast<double>(grown(before, after, "unix_us")) / 1e6; }

std::string rate(double per_second) { return per_second >= 10 ? grouped(static_cast<uint64_t>(per_second + 0.5)) : fmt::format("{:.1f}", per_second); }

}  // namespace

int runtime(const Context& c, Duration interval) {
    const auto before = c.client.get("/v1/runtime");
    if (!before) return fail(c, before.error());
    c.sleep(interval);
    const auto after = c.client.get("/v1/runtime");
    if (!after) return fail(c, after.error());
    Json rows = Json::array();
    for (const auto& w : child_of(*after, "workers")) rows.push_back(rates(worker_of(*before, number_of(w, "core")), w, seconds_between(*before, *after)));
    if (write_data(c, rows)) return 0;
    if (rows.empty()) {
        c.out << "no worker core\n";
        return 0;
    }
    std::vector<Table::Column> columns{{"CORE", true}, {"BUSY", true}, {"REQ/S", true}, {"CYCLES/REQ", true}};
    for (const auto& [stage, cycles] : rows[0]["cycles_per_request_by_stage"].items()) columns.push_back({upper(stage), true});
    const bool wide = c.form == Form::kWide;
    if (wide) columns.insert(columns.end(), {{"CONNECTIONS", true}, {"BUFFERS FREE", true}, {"BUFFERS", true}});
    Table table(std::move(columns));
    for (const auto& row : rows) {
        std::vector<std::string> cells{std::to_string(number_of(row, "core")), fmt::format("{:.0f}%", real_of(row, "busy") * 100),
                                       rate(real_of(row, "requests_per_s")), cell(row, "cycles_per_request")};
        for (const auto& [stage, cycles] : row["cycles_per_request_by_stage"].items()) cells.push_back(cell(row["cycles_per_request_by_stage"], stage.c_str()));
        if (wide) for (const char* key : {"connections", "mbufs_free", "mbufs_total"}) cells.push_back(cell(row, key));
        table.row(std::move(cells));
    }
    c.out << table.text();
    double unaccounted = 0, measuring = 0;
    for (const auto& row : rows) unaccounted = std::max(unaccounted, real_of(row, "unaccounted")), measuring = std::max(measuring, real_of(row, "measuring"));
    c.out << fmt::format("of the busy cycles: {:.1f} % unaccounted, {:.1f} % spent on measuring{}\n", unaccounted * 100, measuring * 100, rows.size() > 1 ? " (the core with the most)" : "");
    if (unaccounted > kUnaccountedMax)
        c.err << fmt::format("sluicectl: more than {:.0f} % of a core's busy cycles are in no stage: the stages above do not tell all\n", kUnaccountedMax * 100);
    return 0;
}

int stats(const Context& c, const std::string& filter, Duration delta) {
    Filters filters;
    if (!filter.empty()) filters["filter"] = filter;
    const auto before = c.client.get("/v1/stats", filters);
    if (!before) return fail(c, before.error());
    if (delta.us == 0) {
        const Json& all = child_of(*before, "stats");
        const int code = all.empty() && !filter.empty() ? 1 : 0;
        if (write_data(c, all)) return code;
        for (const auto& [name, value] : all.items()) c.out << fmt::format("{} {}\n", printable(name), value.dump());
        if (code) c.err << "sluicectl: no counter's name contains `" << printable(filter) << "`\n";
        return code;
    }
    c.sleep(delta);
    const auto after = c.client.get("/v1/stats", filters);
    if (!after) return fail(c, after.error());
    const double seconds = seconds_between(*before, *after);
    const Json& then = child_of(*before, "stats");
    Json changed = Json::object();
    Table table({{"COUNTER"}, {"CHANGE", true}, {"PER SECOND", true}});
    for (const auto& [name, value] : child_of(*after, "stats").items()) {
        if (!value.is_number()) continue;
        if (value.is_number_float()) {   // seconds
            const double growth = value.get<double>() - real_of(then, name.c_str());
            if (growth == 0) continue;
            changed[name] = growth;
            table.row({printable(name), fmt::format("{:.3f}", growth), fmt::format("{:.3f}", seconds > 0 ? growth / seconds : 0)});
            continue;
        }
        const auto change = value.get<int64_t>() - static_cast<int64_t>(number_of(then, name.c_str()));
        if (change == 0) continue;
        changed[name] = change;
        const uint64_t size = change < 0 ? static_cast<uint64_t>(-change) : static_cast<uint64_t>(change);
        const std::string sign = change < 0 ? "-" : "";
        table.row({printable(name), sign + grouped(size), sign + rate(seconds > 0 ? static_cast<double>(size) / seconds : 0)});
    }
    if (write_data(c, changed)) return 0;
    if (table.empty()) c.out << "nothing changed\n";
    else c.out << table.text();
    return 0;
}

}  // namespace sluice::ctl
