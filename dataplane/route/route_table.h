// A whole RouteConfiguration compiled for look-up: host -> exact hash, wildcard suffix, "*"; then path by exact hash, prefix
// radix tree and Hyperscan; candidates ranked by order, so first match wins at a cost that does not grow with the table.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "route/route.h"
#include "snapshot/part.h"

struct hs_scratch;

namespace sluice::route {

/// One string condition on a header, query parameter, method, or the authority.
struct StringMatch {
    enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex, kPresent } kind = Kind::kPresent;
    std::string text;
    bool ignore_case = false, invert = false;
    bool missing_as_empty = false;   // treat_missing_header_as_empty
};

/// The match of one route, as apply hands it to the builder (route.v3.RouteMatch).
struct RouteMatch {
    enum class Path : uint8_t { kPrefix, kExact, kSegmentPrefix, kRegex } path = Path::kPrefix;
    std::string path_text;
    bool ignore_case = false;
    struct Named {
        std::string name;            // ":method" and ":authority" are names too
        StringMatch match;
    };
    std::vector<Named> headers, query;
};

struct VirtualHostInput {
    VirtualHost virtual_host;        // routes[i] belongs to matches[i]
    std::vector<RouteMatch> matches;
};

/// One core's working memory for look-ups (Hyperscan scratch). Prepared on the control thread, see RouteTable::prepare_scratch.
struct Scratch {
    hs_scratch* hyperscan = nullptr;
    ~Scratch();
};

struct Found {
    const VirtualHost* virtual_host = nullptr;  // nullptr: no virtual host has this authority
    const Route* route = nullptr;               // nullptr: none of its routes matches
};

class RouteTable : public snapshot::Part {
 public:
    /// Compiles; on failure says which virtual host and route, and why. Runs on the control thread.
    static Result<std::shared_ptr<const RouteTable>> build(std::string name, std::vector<VirtualHostInput> hosts,
                                                           HeaderOps request_headers, HeaderOps response_headers);
    ~RouteTable();
    RouteTable(const RouteTable&) = delete;

    /// Pure; no allocation. `request.path` is canonical. The arena serves joined header values only.
    Found find(const http::Request& request, Scratch& scratch) const;

    const std::string& name() const;
    std::span<const VirtualHost> virtual_hosts() const;
    const HeaderOps& request_headers() const;
    const HeaderOps& response_headers() const;
    /// Grows `scratch` so that it serves this table too. Control thread, before the table is published to that core; hence
    /// each core has two and the Publisher swaps them with the root (snapshot.h).
    bool prepare_scratch(Scratch& scratch) const;

    struct Impl;

 private:
    explicit RouteTable(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// `random` chooses among weighted clusters; nullptr if the total weight is 0.
const WeightedCluster* choose_cluster(const Route& route, uint64_t random);

}  // namespace sluice::route
