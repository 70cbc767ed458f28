// The gateway's configuration over time: each change of the mesh directory becomes a revision that is either in force on every
// core or refused whole. In: a way to load resources, a way to put them in force. Out: the state that operators see, and a record
// of each revision for the history; at a start with a broken directory, the last good revision of that history is served.
// The control thread calls start(), load_and_apply() and tick(); any thread may ask for state(). Owns copies of all it shows.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/control/history.h"
#include "ctrl/model/diagnostic.h"
#include "ctrl/source/files.h"
#include "ctrl/xds/resources.h"

namespace sluice::control {

/// What one reading of the mesh directory gave.
struct Loaded {
    std::shared_ptr<const xds::ResourceSet> resources;
    std::string content_hash;            // hex, of the files
    std::vector<Diagnostic> warnings;
    size_t files = 0;
    source::FileSetPtr content = {};
    std::set<std::string> certificate_files = {};   // beside them
    std::string certificate_mark = {};   // of those, as they were read
};

/// Why a revision is refused, for those who count.
enum class Cause : uint8_t { kUnreadable, kInvalid, kNotBuilt, kNoRoom };
inline constexpr std::array<std::string_view, 4> kCauses{"unreadable", "invalid", "not_built", "no_room"};

struct Refused {
    uint64_t revision = 0;
    std::string content_hash;
    std::vector<Diagnostic> diagnostics;
    size_t files = 0;
    std::chrono::system_clock::time_point since;
    Cause cause = Cause::kInvalid;
    source::FileSetPtr content = {};
};

struct InForce {
    uint64_t revision = 0;               // 0: none yet
    std::string content_hash;
    std::shared_ptr<const xds::ResourceSet> resources;
    std::vector<Diagnostic> warnings;
    std::chrono::system_clock::time_point since;
    bool live_everywhere = false;        // every core has loaded it
    std::chrono::microseconds build_time{}, time_to_live{};  // edit seen -> published; edit seen -> live on all cores
    source::FileSetPtr content = {};
    std::set<std::string> certificate_files = {};
    std::string certificate_mark = {};
};

struct State {
    InForce in_force;
    std::optional<Refused> refused;      // the newest edit, if it was refused
    uint64_t applied_total = 0, refused_total = 0;
    std::array<uint64_t, kCauses.size()> refused_by_cause{};
    bool serving_last_good = false;      // since the start: the directory is refused, what is served is of the state directory
    History::Health history;             // filled by who asks for both
};

/// How a revision came to be.
struct Edit {
    Origin origin = Origin::kEdit;
    std::string by = {};
    uint64_t rolled_back_to = 0;
};

class Revisions {
 public:
    using Load = std::function<std::expected<Loaded, Refused>()>;
    using LoadFiles = std::function<std::expected<Loaded, Refused>(source::FileSetPtr)>;
    /// Builds and publishes; an error is what could not be put in force, in the user's words.
    using Apply = std::function<std::expected<void, std::vector<Diagnostic>>(const xds::ResourceSet&, uint64_t revision,
                                                                               const std::string& content_hash)>;
    using LiveEverywhere = std::function<bool()>;
    using Level = control::Level;
    using Log = control::Log;

    Revisions(Load load, Apply apply, LiveEverywhere live_everywhere, Log log);

    /// Every revision is recorded there from now on; `mesh_directory` says whose they are.
    void record_in(History& history, std::string mesh_directory);
    /// An edit that is refused is told only after so long without another: files that are written one after another may be
    /// wrong together until the last is there. What is good is in force at once.
    void set_patience(std::chrono::milliseconds patience) { patience_ = patience; }

    enum class Outcome { kApplied, kUnchanged, kRefused, kHeld };
    /// The first reading. Files that the newest good record holds are that revision still; if they are refused, the newest good
    /// revision that can be put in force is served instead.
    Outcome start(std::chrono::steady_clock::time_point seen, const LoadFiles& load_files);
    /// Reads, builds, publishes. `seen` is when the edit was noticed. A refused revision leaves what is in force untouched.
    Outcome load_and_apply(std::chrono::steady_clock::time_point seen, const Edit& edit = {});
    /// Files of certificates changed: the revision in force again, with what they hold now, whatever the directory holds meanwhile. What
    /// is wrong is logged, and what was in force stays.
    Outcome refresh(const LoadFiles& load_files);
    /// Notices that the newest revision is live on every core, and says so once. True while one is still on its way.
    bool tick();
    /// A refusal waits to be told.
    bool holding() const { return held_.has_value(); }
    State state() const;

 private:
    struct Held {
        Refused refused;
        Edit edit;
        std::chrono::steady_clock::time_point until;
    };
    Outcome put_in_force(Loaded loaded, uint64_t revision, std::chrono::steady_clock::time_point seen, const Edit& edit,
                         const std::optional<Record>& known);
    Outcome refuse(Refused refused, const Edit& edit);
    bool unchanged(const Loaded& loaded);
    bool told_before(const Refused& refused) const;
    bool serve_last_good(std::chrono::steady_clock::time_point seen, const LoadFiles& load_files);
    std::vector<Record> good_records() const;
    uint64_t next_revision() const;
    Record record_of(const Edit& edit, const source::FileSetPtr& content) const;

    const Load load_;
    const Apply apply_;
    const LiveEverywhere live_everywhere_;
    const Log log_;
    History* history_ = nullptr;
    std::string mesh_directory_;
    std::chrono::milliseconds patience_{0};
    std::optional<Held> held_;
    std::chrono::steady_clock::time_point seen_;
    uint64_t last_revision_ = 0;
    mutable std::mutex mutex_;           // guards state_ only; never held while loading
    State state_;
};

}  // namespace sluice::control
