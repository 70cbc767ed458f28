// Applies configured header changes: removals first, then additions in order (Envoy's HeaderParser).
// In: HeaderOps of a pinned route table, a header list and the stream. Out: the changed list; its new values are views into the
// table or the stream's arena, so the table stays pinned while the list lives.
#pragma once

#include "filter/filter.h"
#include "http/message.h"
#include "route/route.h"

namespace sluice::filter {

/// False if the arena is full.
[[nodiscard]] bool apply_header_ops(const route::HeaderOps& ops, http::HeaderList& headers, StreamContext& context);

}  // namespace sluice::filter
