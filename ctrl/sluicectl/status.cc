// status and config show: what is in force, what was refused and where, who is down. Degraded is exit code 1.
#include <fmt/format.h>

#include <algorithm>

#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/findings.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

/// mesh/reviews.yaml:14 `wieght`: the first error, as short as it can be.
std::string first_error(const Json& diagnostics) {
    for (const auto& json : diagnostics) {
        const Diagnostic d = diagnostic_of(json);
        if (d.severity != Severity::kError) continue;
        std::string out = d.line ? fmt::format("{}:{}", d.file, d.line) : d.file;
        const size_t dot = d.field.rfind('.');
        const std::string leaf = dot == std::string::npos ? d.field : d.field.substr(dot + 1);
        const std::string what = leaf.empty() ? d.message : "`" + leaf + "` " + d.message;
        return out + (out.empty() ? "" : " ") + what;
    }
    return "";
}

std::string more(size_t n) { return n > 1 ? fmt::format(" (and {} more)", n - 1) : ""; }

void print_config(const Context& c, const Json& config) {
    if (const std::string error = text_of(config, "state_directory_error"); !error.empty()) c.out << "state   " << printable(error) << "\n";
    if (flag_of(config, "serving_last_good")) c.out << "config  SERVING THE LAST GOOD REVISION, of before the restart: the mesh directory is refused\n";
    const Json& refused = child_of(config, "refused");
    if (refused.is_null()) return;
    const Json& in_force = child_of(config, "in_force");
    const Json& diagnostics = child_of(refused, "diagnostics");
    c.out << fmt::format("config  REVISION {} REJECTED {}{}; {}\n", number_of(refused, "revision"), first_error(diagnostics), more(diagnostics.size()),
                         in_force.is_null() ? "nothing is in force" : fmt::format("{} stays in force", number_of(in_force, "revision")));
}

void print_head(const Context& c, const Json& s) {
    const Json& in_force = child_of(child_of(s, "config"), "in_force");
    std::string line = fmt::format("{}  {}", text_of(s, "node"), text_of(s, "state"));
    if (!in_force.is_null()) {
        line += fmt::format(" revision {} ({}, {} ago)", number_of(in_force, "revision"), text_of(in_force, "hash").substr(0, 8), age(real_of(in_force, "age_s")));
        if (!flag_of(in_force, "live_everywhere")) line += ", not on every core yet";
    }
    c.out << line << "  up " << age(real_of(s, "uptime_s")) << "\n";
}

void print_backends(const Context& c, const Json& backends) {
    if (number_of(backends, "total") == 0) return;
    std::string line = fmt::format("backend {}/{} up", number_of(backends, "up"), number_of(backends, "total"));
    std::vector<std::string> words;
    for (const auto& d : child_of(backends, "down"))
        words.push_back(fmt::format("{} {} down {} ({})", text_of(d, "host"), text_of(d, "address"), age(real_of(d, "down_s")), text_of(d, "reason")));
    for (const auto& e : child_of(backends, "left_out"))
        words.push_back(fmt::format("{} {} {}{}", text_of(e, "host"), text_of(e, "address"), text_of(e, "state"), flag_of(e, "by_operator") ? " (by an operator)" : ""));
    const size_t most = c.form == Form::kWide ? words.size() : 5;
    for (size_t i = 0; i < std::min(most, words.size()); i++) line += "; " + words[i];
    if (words.size() > most) line += fmt::format("; and {} more", words.size() - most);
    c.out << line << "\n";
}

bool degraded(const Json& s) {
    return text_of(s, "state") != "serving" || !child_of(child_of(s, "config"), "refused").is_null() || !child_of(child_of(s, "backends"), "down").empty() ||
           flag_of(child_of(s, "config"), "serving_last_good") || !text_of(child_of(s, "config"), "state_directory_error").empty() ||
           !child_of(child_of(s, "tls"), "secrets_refused").empty();
}

void print_tls(const Context& c, const Json& tls) {
    for (const auto& secret : child_of(tls, "secrets_refused"))
        c.out << fmt::format("secret  {} REFUSED: {}; {}\n", text_of(secret, "name"), text_of(secret, "refused"),
                             flag_of(secret, "old_in_force") ? "the one before stays in force" : "what needs it is closed");
    if (const std::string log = text_of(tls, "key_log"); !log.empty()) c.out << fmt::format("tls     KEYS ARE LOGGED to {}: whoever reads it can read all traffic\n", log);
}

}  // namespace

int fail(const Context& context, const Failure& failure) {
    context.err << "sluicectl: " << printable(failure.message) << "\n";
    return failure.exit_code;
}

bool write_data(const Context& context, const Json& json) {
    if (context.form == Form::kJson) context.out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    else if (context.form == Form::kYaml) context.out << to_yaml(json);
    return context.form == Form::kJson || context.form == Form::kYaml;
}

int status(const Context& c) {
    const auto s = c.client.get("/v1/status");
    if (!s) return fail(c, s.error());
    const int code = degraded(*s) ? 1 : 0;
    if (write_data(c, *s)) return code;
    print_head(c, *s);
    print_config(c, child_of(*s, "config"));
    for (const auto& p : child_of(*s, "ports")) {
        const std::string gigabits = speed(number_of(p, "speed_mbps"));
        const std::string exception = text_of(p, "exception");
        c.out << fmt::format("port    {}{}{} {}  drops {}{}{}\n", text_of(p, "name"), gigabits.empty() ? "" : " ", gigabits,
                             count_of(number_of(p, "queues"), "queue"), grouped(number_of(p, "rx_dropped") + number_of(p, "tx_dropped")),
                             exception.empty() ? "" : fmt::format("  kernel by {}", exception), flag_of(p, "link_up") ? "" : "  LINK DOWN");
        for (const auto& conflict : child_of(p, "conflicts")) c.out << fmt::format("        ADDRESS CONFLICT: {}\n", conflict.get<std::string>());
    }
    std::string last;   // one listener on several addresses of a port is one line
    for (const auto& l : child_of(*s, "listeners")) {
        const auto line = fmt::format("listen  {} {}  {}  {}\n", text_of(l, "place"), text_of(l, "protocol"), text_of(l, "object"), count_of(number_of(l, "routes"), "route"));
        if (line != last) c.out << line;
        last = line;
    }
    print_backends(c, child_of(*s, "backends"));
    print_tls(c, child_of(*s, "tls"));
    if (const Json& process = child_of(*s, "process"); !process.is_null() && c.form == Form::kWide) {
        std::string capabilities;
        for (const auto& name : child_of(process, "capabilities")) capabilities += " " + name.get<std::string>();
        c.out << fmt::format("process running as {}  seccomp {}  capabilities{}  core dumps {}\n", text_of(process, "user"), text_of(process, "seccomp"),
                             capabilities.empty() ? " none" : capabilities, flag_of(process, "core_dumps") ? "on" : "off");
    }
    const Json& log = child_of(*s, "access_log");
    if (const uint64_t lost = number_of(log, "dropped") + number_of(log, "write_failed"))
        c.out << fmt::format("log     {}: {} lost\n", text_of(log, "path"), count_of(lost, "line"));
    return code;
}

int config_show(const Context& c) {
    const auto config = c.client.get("/v1/config");
    if (!config) return fail(c, config.error());
    const Json& in_force = child_of(*config, "in_force");
    const Json& refused = child_of(*config, "refused");
    const int code = refused.is_null() && !in_force.is_null() ? 0 : 1;
    if (write_data(c, *config)) return code;
    if (in_force.is_null()) {
        c.out << "nothing is in force yet\n";
    } else {
        const bool live = flag_of(in_force, "live_everywhere");
        c.out << fmt::format("revision {}  {}  {} ago  {}\n", number_of(in_force, "revision"), text_of(in_force, "hash"), age(real_of(in_force, "age_s")),
                             live ? fmt::format("live on all cores after {:.1f} ms", real_of(in_force, "time_to_live_ms")) : "not on every core yet");
        for (const auto& d : child_of(in_force, "warnings")) c.out << render(diagnostic_of(d));
    }
    if (!refused.is_null()) {
        c.out << fmt::format("revision {}  REJECTED {} ago\n", number_of(refused, "revision"), age(real_of(refused, "age_s")));
        for (const auto& d : child_of(refused, "diagnostics")) c.out << render(diagnostic_of(d));
    }
    return code;
}

}  // namespace sluice::ctl
