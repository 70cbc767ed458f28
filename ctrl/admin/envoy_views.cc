// /config_dump and /clusters in Envoy's forms (envoy.admin.v3.ConfigDump; the text of Envoy's /clusters), so that tools made
// for Envoy read them. The dump holds what was applied, as it came, but for
// private keys and the like, which read [redacted].
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <iterator>
#include <memory>

#include "ctrl/admin/json.h"
#include "ctrl/admin/redact_resource.h"
#include "ctrl/admin/views.h"

namespace sluice::admin {

namespace {

std::string quoted(const std::string& text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace); }

/// The resource as an Any in JSON: "@type" first. A part that cannot be shown says why instead.
std::string resource_json(const google::protobuf::Message& in) {
    const std::unique_ptr<google::protobuf::Message> copy(in.New());
    copy->CopyFrom(in);
    redact(*copy);
    const google::protobuf::Message& message = *copy;
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;   // as Envoy dumps
    std::string body;
    const auto status = google::protobuf::util::MessageToJsonString(message, &body, options);
    const std::string type = fmt::format("\"@type\":\"type.googleapis.com/{}\"", message.GetDescriptor()->full_name());
    if (!status.ok()) return fmt::format("{{{},\"error\":{}}}", type, quoted(std::string(status.message())));
    return body == "{}" ? fmt::format("{{{}}}", type) : fmt::format("{{{},{}", type, body.substr(1));
}

struct Dump {
    std::string version, updated;

    template <typename Map>
    std::string list(const Map& resources, const char* key, bool listener) const {
        std::string out;
        for (const auto& [name, resource] : resources) {
            if (!out.empty()) out += ',';
            const std::string state = fmt::format("\"version_info\":{},\"{}\":{},\"last_updated\":{}", quoted(version), key,
                                                  resource_json(resource.message()), quoted(updated));
            out += listener ? fmt::format("{{\"name\":{},\"active_state\":{{{}}}}}", quoted(name), state) : fmt::format("{{{}}}", state);
        }
        return "[" + out + "]";
    }
};

}  // namespace

std::string config_dump(const Sources& s) {
    const auto state = state_of(s);
    const xds::ResourceSet none;
    const xds::ResourceSet& r = state.in_force.resources ? *state.in_force.resources : none;
    const Dump dump{state.in_force.content_hash,
                    fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(state.in_force.since)))};
    const auto section = [&](const char* type, const char* list, const std::string& items) {
        return fmt::format("{{\"@type\":\"type.googleapis.com/envoy.admin.v3.{}\",\"version_info\":{},\"{}\":{}}}", type,
                           quoted(dump.version), list, items);
    };
    // EndpointsConfigDump and RoutesConfigDump have no version_info of their own.
    const auto bare = [](const char* type, const char* list, const std::string& items) {
        return fmt::format("{{\"@type\":\"type.googleapis.com/envoy.admin.v3.{}\",\"{}\":{}}}", type, list, items);
    };
    return fmt::format("{{\"configs\":[{},{},{},{},{}]}}\n",
                       section("ClustersConfigDump", "dynamic_active_clusters", dump.list(r.clusters, "cluster", false)),
                       section("ListenersConfigDump", "dynamic_listeners", dump.list(r.listeners, "listener", true)),
                       bare("RoutesConfigDump", "dynamic_route_configs", dump.list(r.routes, "route_config", false)),
                       bare("EndpointsConfigDump", "dynamic_endpoint_configs", dump.list(r.endpoints, "endpoint_config", false)),
                       bare("SecretsConfigDump", "dynamic_active_secrets", dump.list(r.secrets, "secret", true)));
}

std::string clusters_text(const Sources& s) {
    const auto tables = tables_of(s);
    std::string out;
    auto line = [&](const std::string& cluster, std::string_view name, const auto& value) {
        fmt::format_to(std::back_inserter(out), "{}::{}::{}\n", cluster, name, value);
    };
    for (const auto& c : tables->clusters) {
        if (!c) continue;
        line(c->name, "observability_name", c->name);
        line(c->name, "default_priority::max_connections", c->max_connections);
        line(c->name, "default_priority::max_pending_requests", c->max_pending_requests);
        line(c->name, "default_priority::max_requests", c->max_requests);
        line(c->name, "added_via_api", "true");
        if (!c->endpoints) continue;
        for (const auto& endpoint : c->endpoints->endpoints) {
            const auto e = telemetry::summarize_endpoint(s.cores, endpoint.id);
            const std::string host = c->name + "::" + endpoint.address.to_string();
            const uint64_t errors = e.responses_5xx + e.failures;
            line(host, "cx_connect_fail", e.connect_failures);
            line(host, "rq_active", e.active);
            line(host, "rq_error", errors);
            line(host, "rq_success", e.requests > errors + e.active ? e.requests - errors - e.active : 0);
            line(host, "rq_total", e.requests);
            line(host, "health_flags", "healthy");   // no active or outlier checks: every endpoint is eligible
            line(host, "weight", endpoint.weight);
            const size_t a = endpoint.locality.find('/'), b = a == std::string::npos ? a : endpoint.locality.find('/', a + 1);
            line(host, "region", endpoint.locality.substr(0, a));
            line(host, "zone", a == std::string::npos ? "" : endpoint.locality.substr(a + 1, b == std::string::npos ? b : b - a - 1));
            line(host, "sub_zone", b == std::string::npos ? "" : endpoint.locality.substr(b + 1));
            line(host, "priority", static_cast<unsigned>(endpoint.priority));
        }
    }
    return out;
}

}  // namespace sluice::admin
