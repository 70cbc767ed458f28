// Contexts put aside (see retired_context.h).
#include "tls/retired_context.h"

#include <atomic>

#include "tls/context.h"

namespace sluice::tls {

namespace {

std::atomic<RetiredContext*> retired{nullptr};   // whoever frees takes all of them, so no link is read that another thread may free

}  // namespace

void retire(RetiredContext* context) {
    context->next_ = retired.load(std::memory_order_relaxed);
    while (!retired.compare_exchange_weak(context->next_, context, std::memory_order_release, std::memory_order_relaxed)) {
    }
}

uint32_t free_retired_contexts() {
    if (!retired.load(std::memory_order_relaxed)) return 0;
    uint32_t freed = 0;
    RetiredContext* context = retired.exchange(nullptr, std::memory_order_acquire);
    while (context) {
        delete std::exchange(context, context->next_);
        freed++;
    }
    return freed;
}

}  // namespace sluice::tls
