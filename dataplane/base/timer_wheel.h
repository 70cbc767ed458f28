// Timers of one core: a hierarchical wheel, arm, move, cancel and fire in O(1), the next deadline in O(levels).
// In: nodes embedded in the objects that wait, and an Instant. Out: a callback for each node that is due, never early.
// The wheel links nodes and owns none; a node must be cancelled before it dies. Varghese and Lauck, SOSP 1987.
//
// Six levels of 64 slots. A node lies on the level of the highest base-64 digit in which its tick differs from the
// present one, so all of a level fires before anything of the level above, and no slot ever wraps.
#pragma once

#include <bit>
#include <cassert>
#include <cstdint>

#include "base/time.h"

namespace sluice {

struct TimerNode {
    TimerNode() = default;
    TimerNode(const TimerNode&) = delete;
    TimerNode& operator=(const TimerNode&) = delete;
    bool armed() const { return link_ != nullptr; }
    /// When it fires: what was asked for, up to a tick later. Meaningful while armed.
    Instant at() const { return {tick_ << 7}; }

 private:
    friend class TimerWheel;
    TimerNode* next_ = nullptr;
    TimerNode** link_ = nullptr;  // what points at this node
    uint64_t tick_ = 0;
};

class TimerWheel {
 public:
    static constexpr unsigned kTickBits = 7;  // a tick is 128 us: RACK's and delayed ACK's timers stay meaningful in a LAN
    static constexpr Duration kTick{1 << kTickBits};

    explicit TimerWheel(Instant start = {}) : now_(start.us >> kTickBits) {}
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;

    /// Fires `node` at the first tick not before `at`; in the past means the next tick. Moves it if it was armed.
    void arm(TimerNode& node, Instant at) {
        cancel(node);
        if (at == Instant::never()) return;
        uint64_t tick = at.us >= UINT64_MAX - kTick.us ? at.us >> kTickBits : (at.us + (kTick.us - 1)) >> kTickBits;
        if (tick <= now_) tick = now_ + 1;
        node.tick_ = tick;
        insert(node);
        armed_++;
    }
    void cancel(TimerNode& node) {
        if (!node.link_) return;
        unlink(node);
        armed_--;
    }
    /// Calls expired(TimerNode&) for each node due at `now`, in the order of their ticks. The callback may arm and
    /// cancel any node, also the one it was called with (which is no longer armed).
    template <typename Expired>
    void advance(Instant now, Expired&& expired) {
        const uint64_t target = now.us >> kTickBits;
        while (armed_ > 0) {
            const unsigned level = lowest_level();
            const unsigned slot = static_cast<unsigned>(std::countr_zero(occupied_[level]));
            const uint64_t start = slot_start(level, slot);
            if (start > target) break;
            now_ = start;
            if (level > 0) cascade(level, slot);
            else fire(slot, expired);
        }
        if (target > now_) now_ = target;
    }
    /// No node fires before this; never() when none is armed. Far deadlines are reported early (by at most 1/64 of the
    /// way): the caller just asks again then.
    Instant next() const {
        if (armed_ == 0) return Instant::never();
        const unsigned level = lowest_level();
        return {slot_start(level, static_cast<unsigned>(std::countr_zero(occupied_[level]))) << kTickBits};
    }
    uint32_t armed() const { return armed_; }

 private:
    static constexpr unsigned kDigitBits = 6, kSlots = 1 << kDigitBits;
    static constexpr unsigned kLevels = 10;  // 10 digits hold every 57-bit tick: no deadline is out of reach

    unsigned lowest_level() const {
        unsigned level = 0;
        while (occupied_[level] == 0) level++;
        return level;
    }
    /// First tick of a slot: the present time with the digits below `level` cleared and that digit set.
    uint64_t slot_start(unsigned level, unsigned slot) const {
        const unsigned shift = level * kDigitBits;
        const uint64_t above = shift + kDigitBits >= 64 ? 0 : now_ >> (shift + kDigitBits) << (shift + kDigitBits);
        return above | static_cast<uint64_t>(slot) << shift;
    }
    void insert(TimerNode& node) {
        const uint64_t differs = node.tick_ ^ now_;
        const unsigned level = differs ? static_cast<unsigned>(63 - std::countl_zero(differs)) / kDigitBits : 0;
        const unsigned slot = static_cast<unsigned>(node.tick_ >> (level * kDigitBits)) & (kSlots - 1);
        TimerNode*& head = slots_[level][slot];
        node.next_ = head;
        node.link_ = &head;
        if (head) head->link_ = &node.next_;
        head = &node;
        occupied_[level] |= uint64_t{1} << slot;
    }
    void unlink(TimerNode& node) {
        *node.link_ = node.next_;
        if (node.next_) node.next_->link_ = node.link_;
        else clear_bit_if_empty(node.link_);
        node.next_ = nullptr;
        node.link_ = nullptr;
    }
    void clear_bit_if_empty(TimerNode** link) {
        TimerNode** const first = &slots_[0][0];
        if (link < first || link >= first + kLevels * kSlots || *link) return;
        const auto index = static_cast<unsigned>(link - first);
        occupied_[index / kSlots] &= ~(uint64_t{1} << index % kSlots);
    }
    void cascade(unsigned level, unsigned slot) {
        TimerNode* node = slots_[level][slot];
        slots_[level][slot] = nullptr;
        occupied_[level] &= ~(uint64_t{1} << slot);
        while (node) {
            TimerNode* const next = node->next_;
            insert(*node);
            node = next;
        }
    }
    template <typename Expired>
    void fire(unsigned slot, Expired& expired) {
        while (TimerNode* node = slots_[0][slot]) {
            cancel(*node);
            expired(*node);  // whatever it arms lies after now_, so not in this slot
        }
    }

    uint64_t now_;  // in ticks
    uint32_t armed_ = 0;
    uint64_t occupied_[kLevels]{};
    TimerNode* slots_[kLevels][kSlots]{};
};

}  // namespace sluice
