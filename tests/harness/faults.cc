// Which step, and how much is left in it (see faults.h).
#include "tests/harness/faults.h"

#include "tcp/stack_impl.h"

namespace sluice::harness {

namespace {
constexpr uint64_t kLeftMax = 4;  // objects of each pool that a bad step still finds
}  // namespace

Faults::Faults(const FaultConfig& config, PacketMemory& memory, SliceNodePool& nodes, tcp::Stack& stack)
    : config_(config), any_(config.objects_fail_every != 0 || config.mbufs_fail_every != 0), memory_(memory), nodes_(nodes),
      stack_(stack), random_(config.seed) {}

/// Every Nth on average: a fixed step could fall into step with what is tried again, and starve it for ever.
bool Faults::due(uint32_t every, uint32_t& left) {
    if (every == 0 || --left > 0) return false;
    left = static_cast<uint32_t>(random_.between(1, 2 * uint64_t{every}));
    happened_++;
    return true;
}

/// Not that of TIME-WAIT entries: it is as large as the connections' own, and a full one gives up its oldest.
template <typename Do>
void Faults::each_pool(Do&& what) {
    tcp::Stack::Impl& s = stack_.inside();
    what(nodes_);
    what(s.tcbs);
    what(s.runs);
    what(s.records);
}

void Faults::begin() {
    if (due(config_.mbufs_fail_every, mbufs_left_)) memory_.withhold(static_cast<uint32_t>(random_.below(kLeftMax)));
    if (!due(config_.objects_fail_every, objects_left_)) return;
    objects_withheld_ = true;
    each_pool([&](auto& pool) { pool.withhold(static_cast<uint32_t>(random_.below(kLeftMax))); });
}

void Faults::end() {
    memory_.give_back();
    if (!std::exchange(objects_withheld_, false)) return;
    each_pool([](auto& pool) { pool.restore(); });
}

}  // namespace sluice::harness
