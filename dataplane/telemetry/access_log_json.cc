// Keys in a fixed order, so that lines compare. In: an entry. Out: the object and a newline (JSON Lines).
// Key names are those of Istio's default JSON access log; `reason`, `listener`, `attempts` and `core` are ours.
#include "telemetry/access_log_json.h"

#include <fmt/format.h>

#include <iterator>

#include "telemetry/access_log_format.h"
#include "telemetry/access_log_op.h"
#include "telemetry/access_log_time.h"

namespace sluice::telemetry {

namespace {

class Object {
 public:
    explicit Object(std::string& out) : out_(out) { out_ += '{'; }
    void text(std::string_view key, std::string_view value) {
        name(key);
        if (value.empty()) {
            out_ += "null";
            return;
        }
        out_ += '"';
        append_escaped_json(value, out_);
        out_ += '"';
    }
    void number(std::string_view key, uint64_t value) {
        name(key);
        fmt::format_to(std::back_inserter(out_), "{}", value);
    }
    /// Whole milliseconds; UINT64_MAX: null.
    void ms(std::string_view key, uint64_t us) {
        if (us == UINT64_MAX) text(key, {});
        else number(key, us / 1000);
    }
    void address(std::string_view key, const SocketAddress& address) {
        text(key, address.port == 0 ? std::string() : address.to_string());
    }
    void end() { out_ += "}\n"; }

 private:
    void name(std::string_view key) {
        if (!first_) out_ += ',';
        first_ = false;
        out_ += '"';
        out_ += key;
        out_ += "\":";
    }
    std::string& out_;
    bool first_ = true;
};

}  // namespace

void append_json_line(const AccessLogEntry& e, std::string& out) {
    Object o(out);
    std::string start_time;
    append_time(kDefaultTimeFormat, e.start_unix_us, start_time);
    o.text("start_time", start_time);
    o.text("method", e.method);
    o.text("path", path_before_rewrite(e));
    o.text("protocol", protocol_text(e.version));
    o.number("response_code", e.status);
    o.text("response_flags", response_flags(e.flags));
    o.text("response_code_details", e.details);
    o.text("reason", e.reason);
    o.number("bytes_received", e.bytes_received);
    o.number("bytes_sent", e.bytes_sent);
    o.ms("duration", e.duration_us);
    o.ms("upstream_service_time", e.upstream_response_us);
    o.text("x_forwarded_for", e.forwarded_for);
    o.text("user_agent", e.user_agent);
    o.text("request_id", e.request_id);
    o.text("authority", e.authority);
    o.address("upstream_host", e.upstream_remote);
    o.text("upstream_cluster", e.cluster);
    o.address("upstream_local_address", e.upstream_local);
    o.address("downstream_local_address", e.downstream_local);
    o.address("downstream_remote_address", e.downstream_remote);
    o.text("route_name", e.route_name);
    o.text("listener", e.listener);
    o.number("attempts", e.attempts);
    o.number("core", e.core);
    o.end();
}

}  // namespace sluice::telemetry
