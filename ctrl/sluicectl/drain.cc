// drain, undrain: of the gateway, or of one endpoint; and waiting until what was under way has ended.
#include <fmt/format.h>

#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

constexpr Duration kPoll = milliseconds(50);

/// Asks `left` until it is 0 or the time is up; says what remains. Exit code.
int wait_until_none(const Context& c, Duration wait, const std::function<Result<uint64_t, Failure>()>& left, const char* what, Json answer, const std::string& done) {
    const Instant end = c.now() + wait;
    uint64_t remaining = 0;
    while (true) {
        const auto now = left();
        if (!now) return fail(c, now.error());
        remaining = *now;
        if (remaining == 0 || c.now() >= end) break;
        c.sleep(kPoll);
    }
    answer["under_way"] = remaining;
    const int code = remaining == 0 || wait.us == 0 ? 0 : 1;
    if (write_data(c, answer)) return code;
    c.out << done;
    if (remaining == 0) c.out << fmt::format("; no {} under way\n", what);
    else c.out << fmt::format("; {} {}{} under way\n", grouped(remaining), what, remaining == 1 ? "" : "s");
    return code;
}

Result<uint64_t, Failure> sum_over(const Context& c, const std::string& path, const std::function<uint64_t(const Json&)>& of_row) {
    const auto rows = c.client.get(path);
    if (!rows) return std::unexpected(rows.error());
    uint64_t total = 0;
    for (const auto& row : *rows) total += of_row(row);
    return total;
}

/// True if `address` (with its port) is the endpoint, or a port of it.
bool is_of(const std::string& address, const std::string& endpoint) {
    if (address == endpoint) return true;
    const std::string host = endpoint.find(':') == std::string::npos ? endpoint : "[" + endpoint + "]";
    return address.starts_with(host + ":");
}

}  // namespace

int drain(const Context& c, bool on, Duration wait) {
    const auto answer = c.client.post(on ? "/drain" : "/undrain");
    if (!answer) return fail(c, answer.error());
    const bool draining = flag_of(*answer, "draining");
    if (draining != on) return fail(c, {1, "the gateway is told to stop: a drain is not taken back any more"});
    if (!on) {
        if (!write_data(c, *answer)) c.out << "serving\n";
        return 0;
    }
    const auto connections = [&] { return sum_over(c, "/v1/listeners", [](const Json& row) { return number_of(row, "connections_active"); }); };
    return wait_until_none(c, wait, connections, "connection", *answer, "draining: open requests go on, new connections are refused");
}

int drain_endpoint(const Context& c, const std::string& endpoint, bool on, bool force, Duration wait) {
    Filters parameters{{"endpoint", endpoint}};
    if (force) parameters["force"] = "1";
    const auto answer = c.client.post(on ? "/drain" : "/undrain", parameters);
    if (!answer) return fail(c, answer.error());
    const std::string name = text_of(*answer, "endpoint");
    const size_t clusters = child_of(*answer, "clusters").size();
    const std::string of = fmt::format("of {} cluster{}", clusters, clusters == 1 ? "" : "s");
    if (!on) {
        if (!write_data(c, *answer)) c.out << fmt::format("{} {} is picked again\n", name, of);
        return 0;
    }
    const auto requests = [&] {
        return sum_over(c, "/v1/endpoints", [&](const Json& row) { return is_of(text_of(row, "address"), name) ? number_of(row, "requests_active") : 0; });
    };
    return wait_until_none(c, wait, requests, "request", *answer, fmt::format("{} {} is picked no more", name, of));
}

}  // namespace sluice::ctl
