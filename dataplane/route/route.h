// What a matched request is to do: the compiled form of an xDS Route. Immutable; owned by its RouteTable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "filter/registry.h"
#include "http/message.h"

namespace re2 {
class RE2;
}

namespace sluice::route {

/// Header changes in Envoy's order: remove, then set/append (core.v3.HeaderValueOption). Values may hold %FORMAT% operators:
/// split at build time; only those listed in docs are accepted, others refused by apply.
struct HeaderOps {
    enum class Append : uint8_t { kAppendIfExistsOrAdd, kOverwriteIfExistsOrAdd, kAddIfAbsent, kOverwriteIfExists };
    struct Add {
        std::string name, value;
        Append append = Append::kAppendIfExistsOrAdd;
    };
    std::vector<std::string> remove;
    std::vector<Add> add;
    bool empty() const { return remove.empty() && add.empty(); }
};

struct WeightedCluster {
    uint32_t cluster_id = 0;       // index into Snapshot::clusters; UINT32_MAX = unknown cluster (503 NC)
    std::string cluster_name;
    uint32_t weight = 1;
    std::string host_rewrite;      // empty = none
    HeaderOps request_headers, response_headers;
};

struct Rewrite {
    enum class Path : uint8_t { kNone, kPrefix, kFull, kRegex } path = Path::kNone;
    std::string text;              // replacement of the matched prefix, of the whole path, or the regex substitution
    std::shared_ptr<const re2::RE2> regex;
    std::string host;              // host_rewrite_literal, empty = none
};

struct Redirect {
    uint16_t status = 301;
    std::string scheme, host, path, prefix_rewrite;  // empty = keep
    std::optional<uint16_t> port;
    bool https = false, strip_query = false;
    std::shared_ptr<const re2::RE2> regex;
    std::string regex_substitution;
};

struct DirectResponse {
    uint16_t status = 200;
    std::string body;
};

struct Route {
    enum class Action : uint8_t { kForward, kRedirect, kDirectResponse } action = Action::kForward;
    std::string name;
    std::string source, object;            // where the user wrote it
    std::string match_text;                // for operators: "prefix /reviews header x-user=~.*"
    uint32_t stat_id = 0;                  // index into each core's hit counters; stable while the route is unchanged
    uint32_t order = 0;                    // position in its virtual host
    uint32_t matched_prefix_bytes = 0;     // for prefix rewrites and redirects; regex: UINT32_MAX, the whole path
    std::vector<WeightedCluster> clusters;
    uint32_t total_weight = 0;
    std::optional<Duration> timeout;       // whole response; unset = Envoy's 15 s; 0 = none
    std::optional<Duration> idle_timeout;
    Rewrite rewrite;
    Redirect redirect;
    DirectResponse direct;
    HeaderOps request_headers, response_headers;
    std::vector<std::shared_ptr<const filter::Config>> per_filter;  // by position in the chain; may be empty or hold nulls
};

struct VirtualHost {
    std::string name;
    std::vector<std::string> domains;
    std::string source, object;
    HeaderOps request_headers, response_headers;
    enum class RequireTls : uint8_t { kNone, kExternalOnly, kAll } require_tls = RequireTls::kNone;
    std::vector<Route> routes;             // in the user's order
};

}  // namespace sluice::route
