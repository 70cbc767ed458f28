// A whole RouteConfiguration compiled for look-up: host -> exact hash, wildcard suffix, "*"; then path by exact hash, prefix
// index and Hyperscan; candidates ranked by order, so first match wins at a cost that does not grow with the table.
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

/// One core's working memory for look-ups. Prepared on the control thread (RouteTable::prepare_scratch), then that core's alone: it and what
/// it points to take whole cache lines, since each request writes there and the control thread's heap puts cores side by side.
struct alignas(64) Scratch {
    hs_scratch* hyperscan = nullptr;  // nullptr: no table needs it
    char* text = nullptr;             // joined header values, lower-cased paths
    uint32_t text_bytes = 0;
    /// What one shard of header or query regexes said in the request at hand.
    struct Answer {
        uint64_t request = 0, asked = 0, matched = 0;
    };
    Answer* answers = nullptr;
    uint32_t answers_size = 0;
    uint64_t request = 0;             // counts look-ups: tells old answers from new ones

    Scratch() = default;
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch();
    /// Makes this empty scratch serve all that `other` serves; false if memory ran out.
    bool copy_capacity(const Scratch& other);
    bool same_capacity(const Scratch& other) const;
};

/// The longest joined header value that conditions see; a longer one fails its condition. Above any head limit we accept.
inline constexpr uint32_t kScratchTextBytes = 256 * 1024;

struct Found {
    const VirtualHost* virtual_host = nullptr;  // nullptr: no virtual host has this authority
    const Route* route = nullptr;               // nullptr: none of its routes matches
};

/// Virtual hosts that were compiled together, shared by the tables that have them: an edit of one host compiles that one.
struct HostGroup : snapshot::Part {
    std::vector<VirtualHost> virtual_hosts;   // some of them may be in no table any more
};

/// The virtual hosts of a table, in its order.
class VirtualHosts {
 public:
    class Iterator {
     public:
        explicit Iterator(const VirtualHost* const* at) : at_(at) {}
        const VirtualHost& operator*() const { return **at_; }
        Iterator& operator++() { return ++at_, *this; }
        bool operator==(const Iterator&) const = default;

     private:
        const VirtualHost* const* at_;
    };
    explicit VirtualHosts(std::span<const VirtualHost* const> hosts) : hosts_(hosts) {}
    Iterator begin() const { return Iterator(hosts_.data()); }
    Iterator end() const { return Iterator(hosts_.data() + hosts_.size()); }
    size_t size() const { return hosts_.size(); }
    bool empty() const { return hosts_.empty(); }
    const VirtualHost& operator[](size_t i) const { return *hosts_[i]; }

 private:
    std::span<const VirtualHost* const> hosts_;
};

class RouteTable : public snapshot::Part {
 public:
    /// Compiles; on failure says which virtual host and route, and why. Runs on the control thread.
    /// `ignore_port`: Envoy's ignore_port_in_host_matching. Fills in each Route's order, total_weight, matched_prefix_bytes and,
    /// where empty, match_text. Domains: see host_table.h. Paths are matched without query and fragment; regexes in full.
    static Result<std::shared_ptr<const RouteTable>> build(std::string name, std::vector<VirtualHostInput> hosts,
                                                           HeaderOps request_headers, HeaderOps response_headers,
                                                           bool ignore_port = false);
    /// A virtual host of a table to be built: one of the table before as it was compiled, or a new one.
    struct HostSource {
        uint32_t kept = UINT32_MAX;   // its number in the table before; UINT32_MAX: `fresh`
        VirtualHostInput fresh;
    };
    /// The whole table's own settings.
    struct Options {
        std::string name;
        HeaderOps request_headers, response_headers;
        bool ignore_port = false;
    };
    /// The same on top of `before` (nullptr: there is none), whose groups are shared. Costs what is fresh, and a walk over all hosts.
    static Result<std::shared_ptr<const RouteTable>> build(Options options, const RouteTable* before, std::vector<HostSource> hosts);
    /// Of hosts of `before` that did not change, by number: those that had better be compiled anew all the same. Groups must not become
    /// many, nor be mostly of hosts that are gone; and regexes that went without Hyperscan may have their database now.
    static std::vector<bool> worn_out(const RouteTable& before, const std::vector<bool>& unchanged);
    ~RouteTable();
    RouteTable(const RouteTable&) = delete;

    /// Pure but for the scratch; no allocation. `request.path` is canonical.
    Found find(const http::Request& request, Scratch& scratch) const;

    const std::string& name() const;
    VirtualHosts virtual_hosts() const;
    /// What it is compiled in. Each is a part of its own, which carries the ids of its routes.
    std::vector<std::shared_ptr<const HostGroup>> groups() const;
    const HeaderOps& request_headers() const;
    const HeaderOps& response_headers() const;
    /// Grows `scratch` so that it serves this table too; false if memory ran out. Control thread, never on a scratch in use:
    /// the Publisher grows one of its own and gives the cores new ones with the root (snapshot.h).
    bool prepare_scratch(Scratch& scratch) const;
    /// True once Hyperscan databases that this table went without (RE2 serves meanwhile) are compiled: build it anew.
    bool could_adopt() const;
    /// Shards of regexes that still run on RE2 until then.
    uint32_t pending_shards() const;

    struct Impl;

 private:
    explicit RouteTable(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// `random` (64 uniform bits) chooses among weighted clusters; nullptr if the total weight is 0.
const WeightedCluster* choose_cluster(const Route& route, uint64_t random);
/// A match in an operator's words: "prefix /reviews header x-user=~.* query debug=1".
std::string describe(const RouteMatch& match);

}  // namespace sluice::route
