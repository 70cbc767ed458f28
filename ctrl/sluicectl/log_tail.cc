// log tail: the last requests and those that follow, one a line, as the gateway tells them. What fell out because this reader
// was slow is told in its place.
#include <fmt/format.h>

#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

std::string of(const Json& record, const char* key, const char* none = "-") {
    const std::string text = text_of(record, key);
    return text.empty() ? none : text;
}

/// 06:12:01.123 503 UF GET shop.example/reviews/7 -> 10.0.0.21:9080 3.1ms  upstream connection refused by ...
std::string line(const Json& r) {
    const std::string time = text_of(r, "time");
    std::string text = fmt::format("{} {} {} {} {}{} -> {} {:.1f}ms", time.size() > 12 ? time.substr(11, 12) : time, number_of(r, "status"), of(r, "flags"), of(r, "method"),
                                   of(r, "host", ""), of(r, "path"), of(r, "upstream"), real_of(r, "duration_ms"));
    const std::string reason = text_of(r, "reason"), details = text_of(r, "details");
    if (!reason.empty()) text += "  " + reason;
    else if (!text_of(r, "flags").empty() && !details.empty()) text += "  " + details;
    return text;
}

std::string wide(const Json& r) {
    std::string text;
    for (const char* key : {"client", "listener", "route", "cluster", "details", "request_id", "user_agent"})
        if (const std::string value = text_of(r, key); !value.empty()) text += fmt::format("  {}={}", key, value);
    return text + fmt::format("  attempts={} received={} sent={}", number_of(r, "attempts"), number_of(r, "bytes_received"), number_of(r, "bytes_sent"));
}

void print(const Context& c, const Json& record) {
    if (c.form == Form::kJson) c.out << record.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
    else if (c.form == Form::kYaml) c.out << "---\n" << to_yaml(record);
    else if (record.contains("lost")) c.out << fmt::format("... {} lost: this reader is too slow for them\n", count_of(number_of(record, "lost"), "line"));
    else c.out << line(record) << (c.form == Form::kWide ? wide(record) : "") << "\n";
}

}  // namespace

int log_tail(const Context& c, const Filters& filters) {
    std::string rest;
    bool understood = true;
    const auto done = c.client.stream("/v1/log/tail", {filters.begin(), filters.end()}, [&](std::string_view piece) {
        rest += piece;
        size_t at = 0;
        for (size_t end; (end = rest.find('\n', at)) != std::string::npos; at = end + 1) {
            if (end == at) continue;   // the gateway asks whether we are still there
            const Json record = Json::parse(rest.begin() + static_cast<ptrdiff_t>(at), rest.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
            understood &= record.is_object();
            if (record.is_object()) print(c, record);
        }
        rest.erase(0, at);
        return understood && static_cast<bool>(c.out.flush());
    });
    if (!done) return fail(c, done.error());
    if (!understood) return fail(c, {2, "a line of the gateway's answer is not understood: is it of another version?"});
    return 0;
}

}  // namespace sluice::ctl
