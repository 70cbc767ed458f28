// Contexts whose last reference is gone, put aside until a thread with time frees them: SSL_CTX_free takes a millisecond and more, and a
// worker may be the last to hold one. In: a context of any thread, by the deleter of its shared_ptr. Out: freed by
// free_retired_contexts(). A stack of links within the contexts: putting aside allocates nothing, locks nothing and never fails.
#pragma once

#include <memory>
#include <utility>

namespace sluice::tls {

/// Base of what is put aside.
class RetiredContext {
 public:
    virtual ~RetiredContext() = default;

 private:
    friend void retire(RetiredContext* context);
    friend uint32_t free_retired_contexts();
    RetiredContext* next_ = nullptr;
};

/// Any thread, once for each context; whoever calls has no use for it any more.
void retire(RetiredContext* context);

/// A context that is retired when its last reference goes.
template <typename Context, typename... Arguments>
std::shared_ptr<Context> make_context(Arguments&&... arguments) {
    return std::shared_ptr<Context>(new Context(std::forward<Arguments>(arguments)...), [](Context* context) { retire(context); });
}

}  // namespace sluice::tls
