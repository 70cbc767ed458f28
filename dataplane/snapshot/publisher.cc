// Publishing a snapshot and freeing what no core can reach any more.
// In: snapshots from ctrl/apply. Out: one root pointer for all cores; memory back once it is safe.
// Owns every snapshot and, by slot, every part until it is freed: a part goes when no snapshot and no other part holds it and
// then no core pins it. The order matters: a pin may be taken from a pinned parent, so the parent's end must be seen first.
#include <rte_rcu_qsbr.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <deque>
#include <new>
#include <unordered_set>

#include "snapshot/ids.h"
#include "snapshot/snapshot.h"
#include "telemetry/request_series.h"

namespace sluice::snapshot {
namespace {

static_assert(kDestinationIdsMax <= telemetry::kDestinationIdsMax, "a key of request series has no room for the largest id");
constexpr size_t kIdKinds = static_cast<size_t>(Publisher::IdKind::kCount);

struct QsbrDelete {
    void operator()(rte_rcu_qsbr* qsbr) const { std::free(qsbr); }
};

/// Of the tables of `snapshot` that `other` does not have.
std::vector<std::shared_ptr<const route::HostGroup>> groups_of(const Snapshot& snapshot, const Snapshot* other) {
    std::vector<std::shared_ptr<const route::HostGroup>> out;
    for (const auto& table : snapshot.routes) {
        const bool shared = std::any_of(other->routes.begin(), other->routes.end(), [&](const auto& one) { return one == table; });
        if (shared) continue;
        for (auto& group : table->groups()) out.push_back(std::move(group));
    }
    return out;
}

/// The cores' look-up memory, shared by consecutive snapshots as long as it is large enough for them.
struct ScratchSet {
    std::vector<std::unique_ptr<route::Scratch>> of_core;
};

}  // namespace

struct Publisher::Impl {
    struct Slot {
        std::shared_ptr<const Part> part;
        std::vector<uint32_t> ids[kIdKinds];     // that the part carries
        bool waiting = false;                    // in `retired`
    };
    struct Published {
        std::unique_ptr<const Snapshot> snapshot;
        std::shared_ptr<ScratchSet> scratch;
        std::vector<uint32_t> left;              // slots of its parts that the one after it does not have, once replaced
        uint64_t token = 0;                      // quiescence to wait for, once replaced
    };

    explicit Impl(uint32_t cores_) : cores(cores_) {}

    static std::vector<uint32_t> parts_left(const Snapshot& from, const Snapshot* to);
    bool register_part(const std::shared_ptr<const Part>& part, std::vector<uint32_t> (&&ids)[kIdKinds]);
    bool register_parts(const Snapshot& snapshot, const Snapshot* before);
    bool register_cluster(const std::shared_ptr<const upstream::Cluster>& cluster);
    bool register_group(const std::shared_ptr<const route::HostGroup>& group);
    std::shared_ptr<ScratchSet> scratch_for(const Snapshot& snapshot);
    void retire(Published& old);
    bool free_parts();
    bool pinned(uint32_t slot) const;

    uint32_t cores;
    std::atomic<const Snapshot*> root{nullptr};
    std::unique_ptr<rte_rcu_qsbr, QsbrDelete> qsbr;
    std::vector<std::unique_ptr<CorePins>> pins;
    uint64_t last_token = 0;

    Published current;
    std::deque<Published> old;                   // oldest first
    std::vector<Slot> slots;
    std::vector<uint32_t> free_slots;
    std::vector<uint32_t> retired;               // slots of parts that only pins or other retired parts may still hold
    std::vector<IdTable> ids;
    route::Scratch prototype;                    // as large as any table needed so far
};

Publisher::Publisher(uint32_t cores) : impl_(std::make_unique<Impl>(cores)) {
    assert(cores > 0 && cores <= limits::kCoresMax);
    const size_t bytes = rte_rcu_qsbr_get_memsize(cores);
    impl_->qsbr.reset(static_cast<rte_rcu_qsbr*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(bytes))));
    if (!impl_->qsbr) std::abort();  // at start: nothing runs yet
    rte_rcu_qsbr_init(impl_->qsbr.get(), cores);
    for (uint32_t core = 0; core < cores; core++) impl_->pins.push_back(std::make_unique<CorePins>());
    for (uint32_t limit : {kClusterIdsMax, kEndpointIdsMax, kListenerIdsMax, kRouteIdsMax, kDestinationIdsMax, kChainIdsMax, kClientContextIdsMax}) impl_->ids.emplace_back(limit);
}

Publisher::~Publisher() = default;

Reader Publisher::reader(uint32_t core) {
    assert(core < impl_->cores);
    Reader reader;
    reader.root_ = &impl_->root;
    reader.qsbr_ = impl_->qsbr.get();
    reader.pins_ = impl_->pins[core].get();
    reader.core_ = core;
    rte_rcu_qsbr_thread_register(reader.qsbr_, core);
    reader.online();
    return reader;
}

const Snapshot* Publisher::current() const { return impl_->current.snapshot.get(); }

uint32_t Publisher::id_of(IdKind kind, std::string_view key) { return impl_->ids[static_cast<size_t>(kind)].id_of(key); }
void Publisher::on_id_reuse(IdKind kind, std::function<void(uint32_t)> handler) {
    impl_->ids[static_cast<size_t>(kind)].on_reuse(std::move(handler));
}
uint32_t Publisher::find_id(IdKind kind, std::string_view key) const { return impl_->ids[static_cast<size_t>(kind)].find(key); }
uint32_t Publisher::ids_end(IdKind kind) const { return impl_->ids[static_cast<size_t>(kind)].end(); }

/// Slots of the registered parts of `from` that `to` does not have in their place. A part that `to` has elsewhere may be among
/// them: it goes when nothing holds it any more. Clusters are compared by pointer, place by place: 100,000 that did not change
/// are not touched.
std::vector<uint32_t> Publisher::Impl::parts_left(const Snapshot& from, const Snapshot* to) {
    std::vector<uint32_t> left;
    const auto leave = [&](const Part& part) {
        if (part.slot != UINT32_MAX) left.push_back(part.slot);
    };
    const auto leave_missing = [&](const auto& parts, const auto& others) {
        std::unordered_set<const Part*> kept;
        for (const auto& part : others) kept.insert(part.get());
        for (const auto& part : parts)
            if (!kept.contains(part.get())) leave(*part);
    };
    static const Snapshot kNothing;
    const Snapshot& next = to ? *to : kNothing;
    leave_missing(from.listeners, next.listeners);
    leave_missing(from.routes, next.routes);
    leave_missing(groups_of(from, &next), groups_of(next, &from));
    for (size_t i = 0; i < from.clusters.size(); i++) {
        const auto* cluster = from.clusters[i].get();
        const auto* other = i < next.clusters.size() ? next.clusters[i].get() : nullptr;
        if (!cluster || cluster == other) continue;
        leave(*cluster);
        if (cluster->endpoints && (!other || other->endpoints != cluster->endpoints)) leave(*cluster->endpoints);
    }
    return left;
}

bool Publisher::Impl::register_part(const std::shared_ptr<const Part>& part, std::vector<uint32_t> (&&carried)[kIdKinds]) {
    uint32_t slot = 0;
    if (!free_slots.empty()) {
        slot = free_slots.back();
        free_slots.pop_back();
    } else if (slots.size() < kPartsMax) {
        slot = static_cast<uint32_t>(slots.size());
        slots.emplace_back();
    } else {
        return false;
    }
    part->slot = slot;
    Slot& entry = slots[slot];
    entry.part = part;
    entry.waiting = false;
    for (size_t kind = 0; kind < kIdKinds; kind++) {
        entry.ids[kind] = std::move(carried[kind]);
        // Ids that no id_of() gave (UINT32_MAX for an unknown cluster, parts made by hand) are nobody's to keep.
        std::erase_if(entry.ids[kind], [&](uint32_t id) { return id >= ids[kind].end(); });
        for (uint32_t id : entry.ids[kind]) ids[kind].hold(id);
    }
    return true;
}

constexpr auto kCluster = static_cast<size_t>(Publisher::IdKind::kCluster), kEndpoint = static_cast<size_t>(Publisher::IdKind::kEndpoint),
               kListener = static_cast<size_t>(Publisher::IdKind::kListener), kRoute = static_cast<size_t>(Publisher::IdKind::kRoute),
               kDestination = static_cast<size_t>(Publisher::IdKind::kDestination), kChain = static_cast<size_t>(Publisher::IdKind::kChain),
               kClientContext = static_cast<size_t>(Publisher::IdKind::kClientContext);

bool Publisher::Impl::register_cluster(const std::shared_ptr<const upstream::Cluster>& cluster) {
    if (cluster->slot == UINT32_MAX) {
        std::vector<uint32_t> carried[kIdKinds];
        carried[kCluster] = {cluster->id};
        carried[kDestination] = {cluster->destination.id};
        for (const auto& socket : cluster->transport_sockets) carried[kClientContext].push_back(socket.context_id);
        if (!register_part(cluster, std::move(carried))) return false;
    }
    const auto& endpoints = cluster->endpoints;
    if (!endpoints || endpoints->slot != UINT32_MAX) return true;
    std::vector<uint32_t> carried[kIdKinds];
    for (const auto& endpoint : endpoints->endpoints) carried[kEndpoint].push_back(endpoint.id);
    for (const auto& endpoint : endpoints->left_out) carried[kEndpoint].push_back(endpoint.id);
    for (const auto& destination : endpoints->destinations) carried[kDestination].push_back(destination.id);
    return register_part(endpoints, std::move(carried));
}

/// Virtual hosts that were compiled together.
bool Publisher::Impl::register_group(const std::shared_ptr<const route::HostGroup>& group) {
    std::vector<uint32_t> carried[kIdKinds];
    for (const auto& host : group->virtual_hosts) {
        for (const auto& route : host.routes) {
            carried[kRoute].push_back(route.stat_id);
            // A table looks clusters up by id in whatever root is current: the ids it names stay theirs while it lives.
            for (const auto& cluster : route.clusters) carried[kCluster].push_back(cluster.cluster_id);
        }
    }
    return register_part(group, std::move(carried));
}

/// `before` has its parts registered; nullptr: nothing is in force.
bool Publisher::Impl::register_parts(const Snapshot& snapshot, const Snapshot* before) {
    for (const auto& listener : snapshot.listeners) {
        std::vector<uint32_t> carried[kIdKinds];
        if (listener->slot != UINT32_MAX) continue;
        carried[kListener] = {listener->id};
        for (const auto& chain : listener->chains) carried[kChain].push_back(chain.id);
        if (!register_part(listener, std::move(carried))) return false;
    }
    for (const auto& table : snapshot.routes) {
        if (table->slot != UINT32_MAX) continue;
        for (const auto& group : table->groups())
            if (group->slot == UINT32_MAX && !register_group(group)) return false;
        if (!register_part(table, {})) return false;
    }
    for (size_t i = 0; i < snapshot.clusters.size(); i++) {
        const auto& cluster = snapshot.clusters[i];
        if (!cluster || (before && i < before->clusters.size() && before->clusters[i] == cluster)) continue;
        if (!register_cluster(cluster)) return false;
    }
    return true;
}

std::shared_ptr<ScratchSet> Publisher::Impl::scratch_for(const Snapshot& snapshot) {
    for (const auto& table : snapshot.routes) {
        if (!table->prepare_scratch(prototype)) return nullptr;
    }
    if (current.scratch && current.scratch->of_core.front()->same_capacity(prototype)) return current.scratch;
    auto set = std::make_shared<ScratchSet>();
    for (uint32_t core = 0; core < cores; core++) {
        set->of_core.push_back(std::make_unique<route::Scratch>());
        if (!set->of_core.back()->copy_capacity(prototype)) return nullptr;
    }
    return set;
}

bool Publisher::publish(std::unique_ptr<Snapshot> snapshot) {
    Impl& impl = *impl_;
    auto scratch = impl.scratch_for(*snapshot);
    if (!scratch) return false;
    for (uint32_t core = 0; core < impl.cores; core++) snapshot->scratch[core] = scratch->of_core[core].get();
    const Snapshot* const before = impl.current.snapshot.get();
    if (!impl.register_parts(*snapshot, before)) {
        // What was registered is retired with the snapshot that never was in force.
        std::vector<uint32_t> left = Impl::parts_left(*snapshot, before);
        Impl::Published never{std::move(snapshot), std::move(scratch), std::move(left), 0};
        impl.retire(never);
        return false;
    }
    if (before) impl.current.left = Impl::parts_left(*before, snapshot.get());
    for (IdTable& table : impl.ids) table.next_round();

    impl.root.store(snapshot.get(), std::memory_order_release);
    impl.last_token = rte_rcu_qsbr_start(impl.qsbr.get());
    if (impl.current.snapshot) {
        impl.current.token = impl.last_token;
        impl.old.push_back(std::move(impl.current));
    }
    impl.current = {std::move(snapshot), std::move(scratch), {}, 0};
    return true;
}

bool Publisher::live_everywhere() { return rte_rcu_qsbr_check(impl_->qsbr.get(), impl_->last_token, false) == 1; }

Publisher::Waiting Publisher::reclaim() {
    Impl& impl = *impl_;
    bool freed = false;
    while (!impl.old.empty() && rte_rcu_qsbr_check(impl.qsbr.get(), impl.old.front().token, false) == 1) {
        impl.retire(impl.old.front());
        impl.old.pop_front();
        freed = true;
    }
    if (impl.free_parts()) freed = true;
    if (freed) {
        for (IdTable& table : impl.ids) table.sweep();
    }
    return {static_cast<uint32_t>(impl.old.size()), static_cast<uint32_t>(impl.retired.size())};
}

/// No core can reach the snapshot: parts that no later one has wait for their pins alone.
void Publisher::Impl::retire(Published& gone) {
    for (const uint32_t number : gone.left) {
        Slot& slot = slots[number];
        if (slot.waiting) continue;
        slot.waiting = true;
        retired.push_back(number);
    }
    gone.snapshot.reset();
}

bool Publisher::Impl::pinned(uint32_t slot) const {
    for (const auto& core : pins) {
        if (core->count(slot) != 0) return true;
    }
    return false;
}

bool Publisher::Impl::free_parts() {
    bool freed_any = false;
    for (bool again = true; again;) {  // freeing a parent may leave its child to us alone
        again = false;
        std::erase_if(retired, [&](uint32_t number) {
            Slot& slot = slots[number];
            // First that nothing else holds it, then the pins: a pin taken from a parent is seen once the parent's end is.
            if (slot.part.use_count() != 1 || pinned(number)) return false;
            for (size_t kind = 0; kind < kIdKinds; kind++) {
                for (uint32_t id : slot.ids[kind]) ids[kind].release(id);
                slot.ids[kind] = {};
            }
            slot.part.reset();
            slot.waiting = false;
            free_slots.push_back(number);
            again = freed_any = true;
            return true;
        });
    }
    return freed_any;
}

}  // namespace sluice::snapshot
