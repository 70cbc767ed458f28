// What cores counted, gathered for the management endpoint: read while they go on counting, each counter whole.
// In: a worker. Out: its share added to a sum. Any thread.
#pragma once

#include "ctrl/admin/sources.h"
#include "worker/worker.h"

namespace sluice::gateway {

/// All but what the proxy counts.
void add_drops(const worker::Worker& worker, admin::CoreDrops& into);

}  // namespace sluice::gateway
