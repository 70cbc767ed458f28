// What sluicectl top shows, made of two looks at the counters: rates, latencies of that interval, what is busiest. In: two
// answers of /v1/top. Out: one object (what -o json prints), and that object as lines of a screen. Pure.
#pragma once

#include <string>
#include <vector>

#include "ctrl/sluicectl/client.h"

namespace sluice::ctl {

/// How many clusters and routes are kept.
inline constexpr size_t kBusiest = 10;

Json top_view(const Json& before, const Json& after);
/// At most `rows` lines of at most `columns` characters.
std::vector<std::string> top_screen(const Json& view, size_t columns, size_t rows);
/// One line, for a log.
std::string top_line(const Json& view);

}  // namespace sluice::ctl
