// The difference of two texts as `diff -u` writes it.
// In: two texts. Out: hunks with three lines around each change; empty where they are the same. Pure.
// E. W. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), with a bound: texts that have little in common are
// shown as one replaced by the other.
#pragma once

#include <string>
#include <string_view>

namespace sluice::ctl {

/// An empty name is /dev/null: the file is not there on that side.
std::string unified_diff(std::string_view from, std::string_view to, const std::string& from_name, const std::string& to_name);

}  // namespace sluice::ctl
