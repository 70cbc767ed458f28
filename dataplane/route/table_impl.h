// The parts of a compiled RouteTable, shared by its builder and its look-up. Virtual hosts are compiled in groups that tables share.
// In: filled by build() in table_build.cc. Out: read by find() in route_table.cc.
// Owns everything a look-up touches; immutable once built.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "route/candidates.h"
#include "route/conditions.h"
#include "route/host_table.h"
#include "route/prefix_index.h"
#include "route/regex.h"
#include "route/route_table.h"
#include "route/string_table.h"

namespace sluice::route {

/// How one virtual host finds routes by path. Case-insensitive matches have indexes of their own.
/// One cache line is all that most requests see of it.
struct alignas(64) PathIndex {
    PrefixIndex prefix;                               // values: candidate lists
    uint32_t exact_space = 0;                         // in CompiledHosts::exact
    uint32_t shards_begin = 0, shards_end = 0;        // CompiledHosts::path_shards
    uint32_t first_regex = UINT32_MAX;                // the first order in any of them: no need to look at them before it
    uint32_t lower_bytes = 0;                         // longest text that ignores case; 0 = none does
    bool any_exact = false;
    uint16_t group = 0;                               // of Impl::groups; set in the table's own copies alone
};
static_assert(sizeof(PathIndex) == 64);

/// The same of matches that ignore case.
struct LowerPathIndex {
    PrefixIndex prefix;
    uint32_t exact_space = 0;
};

/// Up to 64 path regexes of one virtual host.
struct PathShard {
    Shard regexes;
    std::vector<uint32_t> lists;  // of each pattern
    uint32_t first_order = 0;
};

/// A group of virtual hosts as compiled: all that a look-up touches once it knows the host.
struct CompiledHosts : HostGroup {
    std::vector<PathIndex> paths;  // of each
    std::vector<LowerPathIndex> lower_paths;
    StringTable exact;             // (space, path) -> candidate list
    StringTable prefixes;
    std::vector<uint32_t> lengths;
    std::vector<PathShard> path_shards;
    CandidateLists lists;
    ConditionSet conditions;
    size_t weight = 0;             // of all its hosts: one for each, and one for each route

    bool could_adopt() const;
    uint32_t pending_shards() const;
};

struct RouteTable::Impl {
    std::string name;
    HeaderOps request_headers, response_headers;
    bool ignore_port = false;

    /// Where a virtual host is compiled.
    struct Place {
        uint32_t group = 0, index = 0, weight = 0;
    };
    std::shared_ptr<const HostTable> hosts;                     // authority -> number of a virtual host
    std::vector<Place> places;                                  // by number
    std::vector<const VirtualHost*> virtual_hosts;              // by number
    std::vector<std::shared_ptr<const CompiledHosts>> groups;   // at least one of `places` in each
    /// Copies of paths by the place of an exact domain in `hosts`: both are asked for at once, where one after the other would be
    /// two cache misses.
    std::unique_ptr<LargeMemory> paths_by_place;

    const CompiledHosts& compiled(const Place& place) const { return *groups[place.group]; }
};

}  // namespace sluice::route
