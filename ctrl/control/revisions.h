// The gateway's configuration over time: each change of the mesh directory becomes a revision that is either in force on every
// core or refused whole. In: a way to load resources, a way to put them in force. Out: the state that operators see.
// The control thread calls load_and_apply() and tick(); any thread may ask for state(). Owns its copies of everything it shows.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ctrl/model/diagnostic.h"
#include "ctrl/xds/resources.h"

namespace sluice::control {

/// What one reading of the mesh directory gave.
struct Loaded {
    std::shared_ptr<const xds::ResourceSet> resources;
    std::string content_hash;            // hex, of the files
    std::vector<Diagnostic> warnings;
    size_t files = 0;
};

struct Refused {
    uint64_t revision = 0;
    std::string content_hash;
    std::vector<Diagnostic> diagnostics;
    size_t files = 0;
    std::chrono::system_clock::time_point since;
};

struct InForce {
    uint64_t revision = 0;               // 0: none yet
    std::string content_hash;
    std::shared_ptr<const xds::ResourceSet> resources;
    std::vector<Diagnostic> warnings;
    std::chrono::system_clock::time_point since;
    bool live_everywhere = false;        // every core has loaded it
    std::chrono::microseconds build_time{}, time_to_live{};  // edit seen -> published; edit seen -> live on all cores
};

struct State {
    InForce in_force;
    std::optional<Refused> refused;      // the newest edit, if it was refused
    uint64_t applied_total = 0, refused_total = 0;
};

class Revisions {
 public:
    using Load = std::function<std::expected<Loaded, Refused>()>;
    /// Builds and publishes; an error is what could not be put in force, in the user's words.
    using Apply = std::function<std::expected<void, std::vector<Diagnostic>>(const xds::ResourceSet&, uint64_t revision,
                                                                               const std::string& content_hash)>;
    using LiveEverywhere = std::function<bool()>;
    enum class Level { kInfo, kWarning, kError };
    using Log = std::function<void(Level level, const std::string& text)>;

    Revisions(Load load, Apply apply, LiveEverywhere live_everywhere, Log log);

    enum class Outcome { kApplied, kUnchanged, kRefused };
    /// Reads, builds, publishes. `seen` is when the edit was noticed. A refused revision leaves what is in force untouched.
    Outcome load_and_apply(std::chrono::steady_clock::time_point seen);
    /// Notices that the newest revision is live on every core, and says so once. True while one is still on its way.
    bool tick();
    State state() const;

 private:
    Outcome refuse(Refused refused);

    const Load load_;
    const Apply apply_;
    const LiveEverywhere live_everywhere_;
    const Log log_;
    std::chrono::steady_clock::time_point seen_;
    uint64_t next_revision_ = 1;
    mutable std::mutex mutex_;           // guards state_ only; never held while loading
    State state_;
};

}  // namespace sluice::control
