// What a route look-up should answer, written down as plainly as can be: a walk over all hosts and routes, with RE2.
// In: the same inputs as RouteTable::build. Out: indices of virtual host and route. The oracle of differential_test.cc.
// Envoy route.v3, read from its documentation; shares no code with the table.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "route/route_table.h"

namespace sluice::route::test {

/// (virtual host, route), -1 = none.
std::pair<int, int> reference_find(const std::vector<VirtualHostInput>& hosts, const http::Request& request, bool ignore_port);
bool reference_matches(const RouteMatch& match, const http::Request& request);

}  // namespace sluice::route::test
