// The one alias for "a value, or what the user wrote wrong".
#pragma once

#include <expected>
#include <string>

namespace sluice {

template <typename T, typename E = std::string>
using Result = std::expected<T, E>;

using std::unexpected;

}  // namespace sluice
