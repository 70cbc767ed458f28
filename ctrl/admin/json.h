// Small helpers shared by the JSON views: ordered objects, safe dumping, ages.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "ctrl/admin/sources.h"

namespace sluice::admin {

using Json = nlohmann::ordered_json;   // keys stay in the order that people read

/// Bytes that are not UTF-8 become U+FFFD: names come from peers and files.
inline std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

inline double seconds_since(std::chrono::system_clock::time_point then) {
    return std::max(0.0, std::chrono::duration<double>(std::chrono::system_clock::now() - then).count());
}
inline uint64_t unix_us_now() {
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

inline std::vector<PortState> ports_of(const Sources& s) { return s.ports ? s.ports() : std::vector<PortState>{}; }
inline std::shared_ptr<const Tables> tables_of(const Sources& s) { return s.tables ? s.tables() : std::make_shared<const Tables>(); }
inline control::State state_of(const Sources& s) { return s.config ? s.config() : control::State{}; }

/// Whether a filter parameter names this port; an empty one names all.
inline bool port_is(const std::string& wanted, uint64_t port) { return wanted.empty() || wanted == std::to_string(port); }

}  // namespace sluice::admin
