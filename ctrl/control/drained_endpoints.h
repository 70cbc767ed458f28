// Endpoints that an operator took out of rotation while the gateway runs, whatever the mesh config says of them.
// In: addresses, and the resources of a revision. Out: the same resources with those endpoints marked DRAINING (xDS
// health_status), which ctrl/apply leaves out of every pick; their connections end with the requests they carry.
// Kept over revisions, not over a restart. The control thread's own; list() may be asked by any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/xds/resources.h"

namespace sluice::control {

class DrainedEndpoints {
 public:
    struct Key {
        std::string address;   // canonical: 10.0.0.21, 2001:db8::1
        uint16_t port = 0;     // 0: every port of the address

        auto operator<=>(const Key&) const = default;
        std::string to_string() const;
    };
    /// "10.0.0.21:9080", "[2001:db8::1]:9080", "10.0.0.21", "2001:db8::1". The error says how an endpoint is written.
    static std::expected<Key, std::string> parse(std::string_view text);

    /// What marking (or freeing) an endpoint would do, by the resources in force.
    struct Effect {
        std::vector<std::string> clusters;      // that have it
        std::vector<std::string> without_any;   // of these, which would have no endpoint left
    };
    Effect effect_of(const Key& key, const xds::ResourceSet& resources) const;

    /// True if that changed anything.
    bool add(const Key& key);
    /// Also every port of it, if the key has none.
    bool remove(const Key& key);
    std::vector<Key> list() const;

    /// A marked copy; null while nothing is drained.
    std::unique_ptr<const xds::ResourceSet> mark(const xds::ResourceSet& resources) const;

 private:
    bool has(const Key& endpoint) const;
    mutable std::mutex mutex_;
    std::vector<Key> keys_;   // sorted
};

}  // namespace sluice::control
