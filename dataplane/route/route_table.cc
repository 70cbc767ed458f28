// The look-up: authority -> virtual host -> candidates by exact path, prefix and regex -> the first in the user's order.
// In: a request with canonical path. Out: virtual host and route, views into the table.
// Works in the core's scratch; allocates nothing unless a regex had to stay on RE2.
// Envoy route.v3.RouteMatch semantics.
#include "route/route_table.h"

#include <hs/hs.h>

#include <algorithm>
#include <memory>
#include <new>
#include <type_traits>

#include "route/table_impl.h"
#include "route/text.h"

namespace sluice::route {

RouteTable::RouteTable(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RouteTable::~RouteTable() = default;

const std::string& RouteTable::name() const { return impl_->name; }
VirtualHosts RouteTable::virtual_hosts() const { return VirtualHosts(impl_->virtual_hosts); }
std::vector<std::shared_ptr<const HostGroup>> RouteTable::groups() const { return {impl_->groups.begin(), impl_->groups.end()}; }
const HeaderOps& RouteTable::request_headers() const { return impl_->request_headers; }
const HeaderOps& RouteTable::response_headers() const { return impl_->response_headers; }

namespace {

/// Lists that an exact path and its prefixes lead to. `path` as received or, for matches that ignore case, in lower case.
struct Hits {
    uint32_t exact = StringTable::kNone, prefix = StringTable::kNone;
};

Hits hits(const CompiledHosts& table, uint32_t exact_space, const PrefixIndex& prefix, bool any_exact, std::string_view path) {
    Hits found;
    if (any_exact) found.exact = table.exact.find(exact_space, path);
    if (!prefix.empty()) found.prefix = prefix.find(table.prefixes, table.lengths, path);
    return found;
}

void prefetch_lines(const void* object, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(static_cast<const char*>(object) + at);
}

/// Whole cache lines of the heap, so that nobody else writes beside; nullptr if memory ran out.
template <typename T>
T* new_lines(size_t count) {
    constexpr size_t kLine = alignof(Scratch);
    static_assert(std::is_trivially_destructible_v<T>);
    auto* memory = static_cast<T*>(::operator new((count * sizeof(T) + kLine - 1) / kLine * kLine, std::align_val_t{kLine}, std::nothrow));
    if (memory) std::uninitialized_default_construct_n(memory, count);
    return memory;
}
void delete_lines(void* memory) { ::operator delete(memory, std::align_val_t{alignof(Scratch)}); }

bool prepare_for(const CompiledHosts& group, Scratch& scratch) {
    const auto& shards = group.conditions.shards();
    if (shards.size() > scratch.answers_size) {
        delete_lines(scratch.answers);
        scratch.answers_size = 0;
        scratch.answers = new_lines<Scratch::Answer>(shards.size());
        if (!scratch.answers) return false;
        scratch.answers_size = static_cast<uint32_t>(shards.size());
    }
    const auto grow = [&](const Shard& shard) {
        return !shard.database() || hs_alloc_scratch(shard.database(), &scratch.hyperscan) == HS_SUCCESS;
    };
    return std::all_of(shards.begin(), shards.end(), grow) &&
           std::all_of(group.path_shards.begin(), group.path_shards.end(), [&](const PathShard& shard) { return grow(shard.regexes); });
}

}  // namespace

Found RouteTable::find(const http::Request& request, Scratch& scratch) const {
    const auto* by_place = impl_->paths_by_place ? static_cast<const PathIndex*>(impl_->paths_by_place->data()) : nullptr;
    const auto [host, place] = impl_->hosts->find(request.authority, by_place);
    if (host == StringTable::kNone) return {};
    const VirtualHost& virtual_host = *impl_->virtual_hosts[host];
    __builtin_prefetch(&virtual_host.routes);   // needed at the end
    const bool exact_domain = by_place && place != StringTable::kNowhere;
    const CompiledHosts& table = *impl_->groups[exact_domain ? by_place[place].group : impl_->places[host].group];
    const PathIndex& index = exact_domain ? by_place[place] : table.paths[impl_->places[host].index];
    if (index.shards_begin != index.shards_end) prefetch_lines(&table.path_shards[index.shards_begin], sizeof(PathShard));
    const std::string_view path = without_query(request.path);
    scratch.request++;

    uint32_t best = CandidateLists::kNone;
    const Hits plain = hits(table, index.exact_space, index.prefix, index.any_exact, path);
    table.lists.find(plain.exact, table.conditions, request, scratch, best);
    table.lists.find(plain.prefix, table.conditions, request, scratch, best);

    if (index.lower_bytes != 0) {
        // One byte more than the longest text, so that a longer path is not taken for an equal one.
        const size_t size = std::min<size_t>({path.size(), index.lower_bytes + 1, scratch.text_bytes});
        to_lower(path.substr(0, size), scratch.text);
        const LowerPathIndex& lower_index = table.lower_paths[impl_->places[host].index];
        const Hits lower = hits(table, lower_index.exact_space, lower_index.prefix, true, {scratch.text, size});
        table.lists.find(lower.exact, table.conditions, request, scratch, best);
        table.lists.find(lower.prefix, table.conditions, request, scratch, best);
    }

    for (uint32_t i = index.shards_begin; i < index.shards_end && index.first_regex < best; i++) {
        const PathShard& shard = table.path_shards[i];
        if (shard.first_order >= best) continue;
        uint64_t wanted = 0;  // those that could still be first
        for (uint32_t bit = 0; bit < shard.lists.size(); bit++) {
            if (table.lists.first_order(shard.lists[bit]) < best) wanted |= uint64_t{1} << bit;
        }
        for (uint64_t left = shard.regexes.match(path, wanted, scratch.hyperscan); left; left &= left - 1) {
            const auto bit = static_cast<uint32_t>(__builtin_ctzll(left));
            table.lists.find(shard.lists[bit], table.conditions, request, scratch, best);
        }
    }
    return {&virtual_host, best == CandidateLists::kNone ? nullptr : &virtual_host.routes[best]};
}

bool RouteTable::prepare_scratch(Scratch& scratch) const {
    if (!scratch.text) {
        scratch.text = new_lines<char>(kScratchTextBytes);
        if (!scratch.text) return false;
        scratch.text_bytes = kScratchTextBytes;
    }
    return std::all_of(impl_->groups.begin(), impl_->groups.end(), [&](const auto& group) { return prepare_for(*group, scratch); });
}

bool CompiledHosts::could_adopt() const {
    const auto& shards = conditions.shards();
    return std::any_of(shards.begin(), shards.end(), [](const Shard& shard) { return shard.could_adopt(); }) ||
           std::any_of(path_shards.begin(), path_shards.end(), [](const PathShard& shard) { return shard.regexes.could_adopt(); });
}

uint32_t CompiledHosts::pending_shards() const {
    const auto& shards = conditions.shards();
    return static_cast<uint32_t>(std::count_if(shards.begin(), shards.end(), [](const Shard& shard) { return shard.pending(); }) +
                                 std::count_if(path_shards.begin(), path_shards.end(), [](const PathShard& shard) { return shard.regexes.pending(); }));
}

bool RouteTable::could_adopt() const {
    return std::any_of(impl_->groups.begin(), impl_->groups.end(), [](const auto& group) { return group->could_adopt(); });
}

uint32_t RouteTable::pending_shards() const {
    uint32_t n = 0;
    for (const auto& group : impl_->groups) n += group->pending_shards();
    return n;
}

Scratch::~Scratch() {
    hs_free_scratch(hyperscan);
    delete_lines(text);
    delete_lines(answers);
}

bool Scratch::copy_capacity(const Scratch& other) {
    if (other.hyperscan && hs_clone_scratch(other.hyperscan, &hyperscan) != HS_SUCCESS) return false;
    if (other.text_bytes) {
        text = new_lines<char>(other.text_bytes);
        if (!text) return false;
        text_bytes = other.text_bytes;
    }
    if (other.answers_size) {
        answers = new_lines<Answer>(other.answers_size);
        if (!answers) return false;
        answers_size = other.answers_size;
    }
    return true;
}

bool Scratch::same_capacity(const Scratch& other) const {
    const auto size = [](hs_scratch* scratch) {
        size_t bytes = 0;
        if (scratch) hs_scratch_size(scratch, &bytes);
        return bytes;
    };
    return size(hyperscan) == size(other.hyperscan) && text_bytes == other.text_bytes && answers_size == other.answers_size;
}

const WeightedCluster* choose_cluster(const Route& route, uint64_t random) {
    if (route.clusters.size() == 1 && route.total_weight != 0) return &route.clusters.front();
    // The high half of random * total is uniform below total, without a division.
    uint64_t at = static_cast<uint64_t>((static_cast<unsigned __int128>(random) * route.total_weight) >> 64);
    for (const WeightedCluster& cluster : route.clusters) {
        if (at < cluster.weight) return &cluster;
        at -= cluster.weight;
    }
    return nullptr;
}

}  // namespace sluice::route
