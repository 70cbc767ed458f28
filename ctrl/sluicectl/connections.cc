// connections: what is open on the cores, one of them in full, and closing one. What became of it is looked for until it is gone.
#include <fmt/format.h>

#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

constexpr Duration kPoll = milliseconds(100);

std::string milliseconds_text(double ms) { return ms == 0 ? "-" : ms < 10 ? fmt::format("{:.2f}ms", ms) : fmt::format("{:.0f}ms", ms); }

/// 1.2 kB, 45 MB.
std::string bytes_text(uint64_t n) {
    constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
    auto value = static_cast<double>(n);
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < std::size(kUnits)) value /= 1000, unit++;
    return unit == 0 || value >= 100 ? fmt::format("{:.0f} {}", value, kUnits[unit]) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

/// What it does now: its request and where that goes, or the phase.
std::string doing(const Json& row) {
    const Json& request = child_of(row, "request");
    std::string text = text_of(row, "phase");
    if (request.is_null()) return text;
    text += fmt::format(": {} {}{} {}", text_of(request, "method"), text_of(request, "host"), text_of(request, "path"), age(real_of(request, "age_s")));
    const Json& pair = child_of(row, "pair");
    return pair.is_null() ? text : fmt::format("{} {} {}", text, text_of(row, "role") == "upstream" ? "<-" : "->", text_of(pair, "remote"));
}

int silent_cores(const Context& c, const Json& answer) {
    const Json& silent = child_of(answer, "silent_cores");
    if (silent.empty()) return 0;
    for (const auto& core : silent) c.err << fmt::format("sluicectl: core {} does not answer, its connections are missing: it is stalled or overloaded\n", core.dump());
    return 1;
}

void line(const Context& c, const char* name, const std::string& value) {
    if (!value.empty()) c.out << fmt::format("{:<12}{}\n", name, value);
}

void print_tcp(const Context& c, const Json& t) {
    const auto n = [&](const char* key) { return number_of(t, key); };
    line(c, "rtt", fmt::format("{} smoothed, {} variance, {} least; rto {}{}", milliseconds_text(real_of(t, "rtt_ms")), milliseconds_text(real_of(t, "rtt_variance_ms")),
                               milliseconds_text(real_of(t, "min_rtt_ms")), milliseconds_text(real_of(t, "rto_ms")), n("backoff") ? fmt::format(", backed off {} times", n("backoff")) : ""));
    line(c, "window", fmt::format("cwnd {}, ssthresh {}, the peer's {}", bytes_text(n("cwnd_bytes")), child_of(t, "ssthresh_bytes").is_null() ? "none" : bytes_text(n("ssthresh_bytes")),
                                  bytes_text(n("peer_window_bytes"))));
    line(c, "segments", fmt::format("mss {} out, {} in, path MTU {}; in flight {}, of these SACKed {}, lost {}, sent again {}", n("mss_bytes"), n("received_mss_bytes"), n("path_mtu_bytes"),
                                    n("unacked_segments"), n("sacked_segments"), n("lost_segments"), n("retransmitting_segments")));
    const Json& scale = child_of(t, "window_scale");
    std::string options;
    for (const char* name : {"timestamps", "sack", "ecn"}) options += flag_of(t, name) ? std::string(options.empty() ? "" : " ") + name : "";
    if (!scale.is_null()) options += fmt::format("{}wscale {},{}", options.empty() ? "" : " ", number_of(scale, "send"), number_of(scale, "receive"));
    line(c, "options", options);
    line(c, "acked", fmt::format("{} of {} written; {} not sent yet; {} segments repeated since it opened", bytes_text(n("bytes_acked")),
                                 bytes_text(n("bytes_acked") + n("unsent_bytes")), bytes_text(n("unsent_bytes")), n("retransmits")));
}

}  // namespace

int connections_list(const Context& c, const Filters& filters) {
    const auto answer = c.client.get("/v1/connections", filters);
    if (!answer) return fail(c, answer.error());
    const Json& rows = child_of(*answer, "connections");
    const uint64_t matched = number_of(*answer, "matched");
    const int code = silent_cores(c, *answer);
    if (write_data(c, *answer)) return code;
    const bool wide = c.form == Form::kWide;
    std::vector<Table::Column> columns{{"ID"}, {"SIDE"}, {"STATE"}, {"REMOTE"}, {"OWNER"}, {"AGE", true}, {"IDLE", true}, {"RECEIVED", true}, {"SENT", true}, {"RTT", true}, {"REQUESTS", true}, {"NOW"}};
    if (wide) columns.insert(columns.end(), {{"CORE", true}, {"LOCAL"}, {"PROTOCOL"}, {"CWND", true}, {"REPEATED", true}, {"RECV-Q", true}, {"SEND-Q", true}, {"PAIR"}});
    Table table(std::move(columns));
    for (const auto& row : rows) {
        std::vector<std::string> cells{text_of(row, "id"), text_of(row, "role"), text_of(row, "state"), text_of(row, "remote"), text_of(row, "owner"), age(real_of(row, "age_s")),
                                       age(real_of(row, "idle_s")), bytes_text(number_of(row, "bytes_received")), bytes_text(number_of(row, "bytes_sent")),
                                       milliseconds_text(real_of(row, "rtt_ms")), grouped(number_of(row, "requests")), doing(row)};
        if (wide) for (auto& cell : {std::to_string(number_of(row, "core")), text_of(row, "local"), text_of(row, "protocol"), grouped(number_of(row, "cwnd_bytes")), grouped(number_of(row, "retransmits")),
                                     grouped(number_of(row, "receive_queue_bytes")), grouped(number_of(row, "send_queue_bytes")), text_of(child_of(row, "pair"), "id")}) cells.push_back(cell);
        table.row(std::move(cells));
    }
    if (!table.empty()) c.out << table.text();
    c.out << fmt::format("{} of {} open; {} in TIME-WAIT", matched == rows.size() ? count_of(matched, "connection") : fmt::format("{} shown, {} matched", count_of(rows.size(), "connection"), grouped(matched)),
                         grouped(number_of(*answer, "open")), grouped(number_of(*answer, "time_wait")))
          << (matched > rows.size() ? "; --limit shows more\n" : "\n");
    return code;
}

int connections_show(const Context& c, const std::string& id) {
    const auto answer = c.client.get("/v1/connections/show", {{"id", id}});
    if (!answer) return fail(c, answer.error());
    if (write_data(c, *answer)) return 0;
    const Json& row = *answer;
    const auto n = [&](const char* key) { return number_of(row, key); };
    line(c, "connection", fmt::format("{}  {} {}  core {}", text_of(row, "id"), text_of(row, "role"), text_of(row, "state"), n("core")));
    line(c, "remote", text_of(row, "remote"));
    line(c, "local", text_of(row, "local"));
    line(c, text_of(row, "role") == "upstream" ? "cluster" : "listener", text_of(row, "owner"));
    line(c, "protocol", text_of(row, "protocol"));
    line(c, "age", fmt::format("{}, idle {}", age(real_of(row, "age_s")), age(real_of(row, "idle_s"))));
    line(c, "bytes", fmt::format("received {}, sent {}; waiting: {} to be read here, {} to be acknowledged there", grouped(n("bytes_received")), grouped(n("bytes_sent")),
                                 grouped(n("receive_queue_bytes")), grouped(n("send_queue_bytes"))));
    line(c, "requests", grouped(n("requests")));
    line(c, "now", doing(row));
    const Json& request = child_of(row, "request");
    if (!request.is_null()) {
        line(c, "route", text_of(request, "route"));
        line(c, "to cluster", text_of(request, "cluster"));
        if (number_of(request, "status")) line(c, "status", std::to_string(number_of(request, "status")));
    }
    if (!child_of(row, "pair").is_null()) line(c, "paired with", fmt::format("{} {}", text_of(child_of(row, "pair"), "id"), text_of(child_of(row, "pair"), "remote")));
    print_tcp(c, child_of(row, "tcp"));
    return 0;
}

int connections_close(const Context& c, const std::string& id, bool reset, Duration wait) {
    Filters parameters{{"id", id}};
    if (reset) parameters["reset"] = "1";
    auto answer = c.client.post("/v1/connections/close", parameters);
    if (!answer) return fail(c, answer.error());
    const Instant start = c.now();
    bool ended = false;
    do {
        const auto still = c.client.get("/v1/connections/show", {{"id", id}});
        ended = !still && still.error().exit_code == 1;
        if (!ended) c.sleep(kPoll);
    } while (!ended && c.now() < start + wait);
    const std::string outcome = text_of(*answer, "outcome");
    (*answer)["ended"] = ended;
    if (write_data(c, *answer)) return ended ? 0 : 1;
    const std::string what = outcome == "reset"           ? "reset"
                             : outcome == "closed"        ? "was idle: closed in order"
                             : outcome == "after_request" ? "closes with the request that it carries"
                                                          : "was closing already";
    c.out << fmt::format("{} {}; {}\n", id, what, ended ? "it is gone" : "it is still open: --wait for longer, or --reset it");
    return ended ? 0 : 1;
}

}  // namespace sluice::ctl
