// The table of filters: those built in, and those registered before the first snapshot.
// In: factories with static life. Out: look-ups by type URL. Registration is for start-up, one thread.
#include "filter/registry.h"

#include <array>
#include <cassert>

#include "filter/router.h"

namespace sluice::filter {
namespace {

constexpr size_t kFactoriesMax = 64;

struct Registry {
    std::array<const Factory*, kFactoriesMax> items{};
    size_t size = 0;
    Registry() { items[size++] = &router_factory(); }
};

Registry& registry() {
    static Registry instance;
    return instance;
}

}  // namespace

std::span<const Factory* const> factories() { return {registry().items.data(), registry().size}; }

const Factory* find_factory(std::string_view type_url) {
    for (const Factory* factory : factories()) {
        if (factory->type_url == type_url) return factory;
    }
    return nullptr;
}

void register_factory(const Factory* factory) {
    if (find_factory(factory->type_url)) return;
    Registry& r = registry();
    assert(r.size < kFactoriesMax);
    r.items[r.size++] = factory;
}

}  // namespace sluice::filter
