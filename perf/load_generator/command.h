// The words between perf/load and its generator: a run as one line of text in, what was measured as one line of JSON out.
// In: `run target=10.0.0.1:80 host=a path=/ mode=poisson rate=1000 connections=64 seconds=2 warmup=0.5 seed=1`. Out: a Plan, or
// what is wrong with it. An Outcome as JSON: docs/benchmarking.md names its fields. Owns nothing.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "perf/load_generator/load.h"

namespace sluice::perf {

sluice::Result<Plan> parse_run(std::string_view line, uint32_t connections_max);
std::string to_json(const Plan& plan, const Outcome& outcome);

}  // namespace sluice::perf
