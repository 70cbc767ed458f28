// An answer that goes on until its asker leaves or it ends: log tail, capture. In: calls on the thread that serves it.
// Out: bytes. Made by a handler, owned by the server; its destructor ends what it stands for.
#pragma once

#include <string>

namespace sluice::admin {

class Stream {
 public:
    virtual ~Stream() = default;
    /// Appends what has come, waiting at most about a tenth of a second. False: this was the end. What it appends to a stream that
    /// has nothing to say for a second (see Server) must be harmless between two pieces.
    virtual bool next(std::string& out) = 0;
    /// Sent when nothing came for a second, so that an asker who has left is noticed; empty: nothing can be sent in between.
    virtual std::string keep_alive() const { return {}; }
};

}  // namespace sluice::admin
