// Memory that runs out, by a seed: in some steps a stack's pools lend a few objects more and then none.
// In: how often. Out: steps in which it happened. The pools are the stack's own and are empty as pools are: no code of theirs is
// told that it is a test. Owns nothing.
#pragma once

#include "base/rng.h"
#include "base/slice.h"
#include "tcp/stack.h"
#include "tests/harness/memory.h"

namespace sluice::harness {

struct FaultConfig {
    uint32_t objects_fail_every = 0, mbufs_fail_every = 0;  // 0: never
    uint64_t seed = 0;
};

class Faults {
 public:
    Faults(const FaultConfig& config, PacketMemory& memory, SliceNodePool& nodes, tcp::Stack& stack);
    uint64_t happened() const { return happened_; }

    /// One step of the stack.
    class Step {
     public:
        explicit Step(Faults& faults) : faults_(faults) {
            if (faults_.any_) faults_.begin();
        }
        ~Step() {
            if (faults_.any_) faults_.end();
        }
        Step(const Step&) = delete;
        Step& operator=(const Step&) = delete;

     private:
        Faults& faults_;
    };

 private:
    void begin();
    void end();
    bool due(uint32_t every, uint32_t& left);
    template <typename Do>
    void each_pool(Do&& what);

    const FaultConfig config_;
    const bool any_;
    PacketMemory& memory_;
    SliceNodePool& nodes_;
    tcp::Stack& stack_;
    Rng random_;
    uint32_t objects_left_ = 1, mbufs_left_ = 1;  // steps until the next
    bool objects_withheld_ = false;
    uint64_t happened_ = 0;
};

}  // namespace sluice::harness
