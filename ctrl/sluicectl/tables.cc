// proxy-config: listeners, routes, clusters, endpoints as tables. -o wide adds where each came from and the rarer numbers.
#include <fmt/format.h>

#include <set>

#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

using Rows = std::function<void(const Json& rows, Table& table, bool wide)>;

/// Asks, writes data or a table; an empty answer to a filter is a finding.
int show(const Context& c, const std::string& path, const Filters& filters, std::vector<Table::Column> columns,
         std::vector<Table::Column> wide_columns, const Rows& fill, const char* nothing) {
    const auto rows = c.client.get(path, filters);
    if (!rows) return fail(c, rows.error());
    const int code = rows->empty() && !filters.empty() ? 1 : 0;
    if (write_data(c, *rows)) return code;
    const bool wide = c.form == Form::kWide;
    if (wide) columns.insert(columns.end(), wide_columns.begin(), wide_columns.end());
    Table table(std::move(columns));
    fill(*rows, table, wide);
    if (table.empty()) c.out << nothing << "\n";
    else c.out << table.text();
    return code;
}

std::string errors_of(const Json& row) { return grouped(number_of(child_of(row, "responses"), "5xx")); }

std::string milliseconds_of(uint64_t us) { return us < 10'000 ? fmt::format("{:.1f}ms", static_cast<double>(us) / 1000) : fmt::format("{}ms", us / 1000); }

/// "sni shop.example SIMPLE; plain text", each chain by what it takes and how it is carried.
std::string chains_of(const Json& listener) {
    std::string out;
    for (const auto& chain : child_of(listener, "chains")) {
        const std::string match = text_of(chain, "match"), tls = text_of(chain, "tls");
        out += (out.empty() ? "" : "; ") + (match.empty() ? std::string("all") : match) + (tls.empty() ? "" : " " + tls) +
               (flag_of(chain, "waits_for_secret") ? " WITHOUT A CERTIFICATE" : "");
    }
    return out;
}

}  // namespace

int listeners(const Context& c, const Filters& filters) {
    const auto fill = [](const Json& rows, Table& table, bool wide) {
        for (const auto& l : rows) {
            const Json& d = child_of(l, "duration_us");
            std::vector<std::string> cells{text_of(l, "place"), text_of(l, "protocol"), text_of(l, "object"), grouped(number_of(l, "routes")),
                                           grouped(number_of(l, "connections_active")), grouped(number_of(l, "requests")), errors_of(l),
                                           number_of(l, "requests") ? milliseconds_of(number_of(d, "p50")) : "-",
                                           number_of(l, "requests") ? milliseconds_of(number_of(d, "p99")) : "-"};
            if (wide) for (const char* key : {"name", "route_table", "source"}) cells.push_back(text_of(l, key));
            if (wide) cells.push_back(chains_of(l));
            table.row(std::move(cells));
        }
    };
    return show(c, "/v1/listeners", filters,
                {{"LISTEN"}, {"PROTOCOL"}, {"OBJECT"}, {"ROUTES", true}, {"CONNECTIONS", true}, {"REQUESTS", true}, {"5XX", true}, {"P50", true}, {"P99", true}},
                {{"NAME"}, {"ROUTE TABLE"}, {"SOURCE"}, {"CHAINS"}}, fill, "no listener");
}

int routes(const Context& c, const Filters& filters) {
    const auto fill = [](const Json& rows, Table& table, bool wide) {
        for (const auto& r : rows) {
            const Json& order = child_of(r, "order");
            std::vector<std::string> cells{order.is_null() ? "-" : std::to_string(number_of(r, "order")), text_of(r, "match"), text_of(r, "to"),
                                           grouped(number_of(r, "hits")), text_of(r, "source")};
            if (wide) {
                std::string domains;
                for (const auto& domain : child_of(r, "domains"))
                    if (domain.is_string()) domains += (domains.empty() ? "" : ",") + printable(domain.get<std::string>());
                for (auto& cell : {text_of(r, "table"), domains, text_of(r, "name"), text_of(r, "object")}) cells.push_back(cell);
            }
            table.row(std::move(cells));
        }
    };
    return show(c, "/v1/routes", filters, {{"#"}, {"MATCH"}, {"TO"}, {"HITS", true}, {"SOURCE"}}, {{"TABLE"}, {"DOMAINS"}, {"NAME"}, {"OBJECT"}}, fill, "no route");
}

int clusters(const Context& c, const Filters& filters) {
    const auto fill = [](const Json& rows, Table& table, bool wide) {
        for (const auto& r : rows) {
            std::vector<std::string> cells{text_of(r, "host"), text_of(r, "port"), text_of(r, "subset").empty() ? "-" : text_of(r, "subset"),
                                           grouped(number_of(r, "endpoints")), text_of(r, "policy"), grouped(number_of(r, "requests")), errors_of(r),
                                           grouped(number_of(r, "retries")), grouped(number_of(r, "connections_open")),
                                           grouped(number_of(r, "connections_idle"))};
            if (wide) {
                for (const char* key : {"connect_failures", "connect_timeouts", "request_timeouts", "resets"}) cells.push_back(grouped(number_of(r, key)));
                for (const char* key : {"source", "object", "name"}) cells.push_back(text_of(r, key));
            }
            table.row(std::move(cells));
        }
    };
    return show(c, "/v1/clusters", filters,
                {{"HOST"}, {"PORT", true}, {"SUBSET"}, {"ENDPOINTS", true}, {"POLICY"}, {"REQUESTS", true}, {"5XX", true}, {"RETRIES", true}, {"OPEN", true}, {"IDLE", true}},
                {{"CONNECT FAILED", true}, {"CONNECT TIMEOUT", true}, {"TIMEOUT", true}, {"RESET", true}, {"SOURCE"}, {"OBJECT"}, {"NAME"}}, fill, "no cluster");
}

int endpoints(const Context& c, const Filters& filters) {
    const auto fill = [](const Json& rows, Table& table, bool wide) {
        for (const auto& r : rows) {
            const std::string state = text_of(r, "state");
            std::vector<std::string> cells{text_of(r, "address"),
                                           state == "down" ? fmt::format("down {} ({})", age(real_of(r, "down_s")), text_of(r, "last_failure")) : state,
                                           grouped(number_of(r, "requests")), grouped(number_of(r, "requests_active")),
                                           grouped(number_of(r, "failures")), grouped(number_of(r, "responses_5xx")), text_of(r, "cluster")};
            if (wide) {
                cells.push_back(std::to_string(number_of(r, "weight")));
                cells.push_back(std::to_string(number_of(r, "priority")));
                cells.push_back(text_of(r, "locality"));
                cells.push_back(text_of(r, "last_failure"));
            }
            table.row(std::move(cells));
        }
    };
    return show(c, "/v1/endpoints", filters,
                {{"ADDRESS"}, {"STATE"}, {"REQUESTS", true}, {"ACTIVE", true}, {"FAILED", true}, {"5XX", true}, {"CLUSTER"}},
                {{"WEIGHT", true}, {"PRIORITY", true}, {"LOCALITY"}, {"LAST FAILURE"}}, fill, "no endpoint");
}

int secrets(const Context& c, const Filters& filters) {
    const auto fill = [](const Json& rows, Table& table, bool wide) {
        for (const auto& r : rows) {
            const Json& certificates = child_of(r, "certificates");
            const Json leaf = certificates.is_array() && !certificates.empty() ? certificates.front() : Json::object();
            std::string names;
            for (const auto& san : child_of(leaf, "sans"))
                if (san.is_string()) names += (names.empty() ? "" : ",") + printable(san.get<std::string>());
            const std::string refused = text_of(r, "refused");
            std::vector<std::string> cells{text_of(r, "name"), text_of(r, "type"), text_of(r, "state"),
                                           child_of(r, "days_left").is_number() ? fmt::format("{:.0f}", real_of(r, "days_left")) : "-",
                                           text_of(r, "not_after").empty() ? "-" : text_of(r, "not_after"), names.empty() ? text_of(leaf, "subject") : names,
                                           text_of(r, "source")};
            if (wide) for (auto& cell : {text_of(leaf, "not_before"), text_of(leaf, "serial"), text_of(leaf, "issuer"), text_of(leaf, "key_type"), text_of(r, "object"), refused}) cells.push_back(cell);
            table.row(std::move(cells));
        }
    };
    const auto rows = c.client.get("/v1/secrets", filters);
    const int shown = show(c, "/v1/secrets", filters,
                           {{"NAME"}, {"TYPE"}, {"STATE"}, {"DAYS", true}, {"UNTIL"}, {"FOR"}, {"SOURCE"}},
                           {{"FROM"}, {"SERIAL"}, {"ISSUER"}, {"KEY"}, {"OBJECT"}, {"REFUSED"}}, fill, "no secret");
    if (shown != 0 || !rows) return shown;
    bool bad = false;
    for (const auto& r : *rows) {
        if (text_of(r, "state") == "in force") continue;
        bad = true;
        if (c.form == Form::kTable && !text_of(r, "refused").empty())
            c.out << fmt::format("\n{}: {}\n", text_of(r, "name"), text_of(r, "refused") + (text_of(r, "cure").empty() ? "" : "; " + text_of(r, "cure")));
    }
    return bad ? 1 : 0;
}

}  // namespace sluice::ctl
