// The filter chain's registry: Envoy type URL -> factory. Config objects are made by ctrl/apply from typed_config (it knows
// protobuf; the data plane does not), belong to the Snapshot, and are immutable. A filter's instance lives in a stream's arena.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"

namespace sluice::filter {

class StreamFilter;  // filter/filter.h

/// Immutable configuration of one filter, or of one filter for one route (typed_per_filter_config).
class Config {
 public:
    virtual ~Config() = default;
};

struct Factory {
    std::string_view type_url;  // type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
    std::string_view name;      // envoy.filters.http.router
    bool terminal = false;      // must be last in the chain (the router)
    /// An instance in the arena, or nullptr if it is full. Its destructor is never called; on_destroy() is.
    StreamFilter* (*create)(const Config* config, Arena& arena) = nullptr;
};

/// All filters built into this binary; extended by register_factory() before the first snapshot (tests do).
std::span<const Factory* const> factories();
const Factory* find_factory(std::string_view type_url);
void register_factory(const Factory* factory);

/// One filter in a listener's chain, in order.
struct ChainEntry {
    const Factory* factory = nullptr;
    std::string name;                        // as in the HCM's http_filters
    std::shared_ptr<const Config> config;
};
using Chain = std::vector<ChainEntry>;

}  // namespace sluice::filter
