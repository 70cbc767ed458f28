// Insertion into and removal from the out-of-order queue. A segment fills only gaps: bytes already held are kept.
// In and out: see reassembly.h. Slices move in whole where they fit; cut ones are shared, small ones copied together.
// RFC 9293 3.10.7.4 (seventh), RFC 2018 4.
#include "tcp/reassembly.h"

#include <algorithm>

namespace sluice::tcp {

uint64_t Reassembly::charge() const {
    uint64_t sum = 0;
    for (const Run* run = head_; run; run = run->next) sum += run->bytes.charge();
    return sum;
}

bool Reassembly::insert(Seq seq, SliceQueue&& bytes, RunPool& pool, uint64_t charge_max,
                        SackBlock& known) {
    known = {};
    if (charge() + bytes.charge() > charge_max) return false;
    Run* before = nullptr;  // the last run that starts at or before seq
    for (Run* run = head_; run && run->start.at_or_before(seq); run = run->next) before = run;
    touches_++;
    while (!bytes.empty()) {
        const auto length = static_cast<uint32_t>(bytes.bytes());
        if (before && seq.before(before->end)) {  // held already: keep the old bytes
            const uint32_t held = std::min(length, before->end - seq);
            bytes.consume(held);
            if (known.start == known.end) known = {seq, seq + held};
            seq = seq + held;
            before->touched = touches_;
            continue;
        }
        const Run* after = before ? before->next : head_;
        const uint32_t room = after ? std::min(length, after->start - seq) : length;
        if (room > 0 && !add_piece(before, seq, room, bytes, pool)) return false;
        seq = seq + room;
        // The gap to the next run is closed: they become one.
        if (Run* next = before->next; next && next->start == before->end) {
            before->bytes.append(std::move(next->bytes));
            before->end = next->end;
            before->next = next->next;
            pool.give(next);
            runs_--;
        }
    }
    return true;
}

/// Puts `length` bytes at `at` behind run `before`, or into a new run after it; `before` is then the run that holds them.
bool Reassembly::add_piece(Run*& before, Seq at, uint32_t length, SliceQueue& bytes, RunPool& pool) {
    Run* run = before && before->end == at ? before : nullptr;
    Run* fresh = nullptr;
    if (!run) {
        if (runs_ >= kRunsMax || !(fresh = pool.take(bytes.nodes(), at))) return false;
        run = fresh;
    }
    const uint64_t had = run->bytes.bytes();
    bool whole = true;
    if (bytes.count() == 1 && bytes.bytes() == length && run->bytes.append_copy(bytes.front().span())) bytes.clear();
    else whole = bytes.split_to(length, run->bytes);
    run->end = run->end + static_cast<uint32_t>(run->bytes.bytes() - had);
    run->touched = touches_;
    if (fresh) {
        if (fresh->bytes.empty()) {
            pool.give(fresh);
            return false;
        }
        fresh->next = before ? before->next : head_;
        (before ? before->next : head_) = fresh;
        runs_++;
        before = fresh;
    }
    return whole;
}

uint32_t Reassembly::take(Seq next, SliceQueue& out, RunPool& pool) {
    uint32_t taken = 0;
    while (head_ && head_->start.at_or_before(next)) {
        Run* run = head_;
        if (run->end.after(next)) {
            run->bytes.consume(next - run->start);  // the part that came in order meanwhile
            taken += run->end - next;
            next = run->end;
            out.append(std::move(run->bytes));
        }
        head_ = run->next;
        pool.give(run);
        runs_--;
    }
    return taken;
}

unsigned Reassembly::sack_blocks(std::span<SackBlock> out) const {
    std::array<const Run*, 4> best{};
    const auto want = static_cast<unsigned>(std::min(out.size(), best.size()));
    unsigned count = 0;
    for (const Run* run = head_; run; run = run->next) {
        unsigned at = count;
        while (at > 0 && best[at - 1]->touched < run->touched) at--;
        if (at >= want) continue;
        if (count < want) count++;
        for (unsigned i = count - 1; i > at; i--) best[i] = best[i - 1];
        best[at] = run;
    }
    for (unsigned i = 0; i < count; i++) out[i] = {best[i]->start, best[i]->end};
    return count;
}

Seq Reassembly::highest() const {
    const Run* run = head_;
    while (run->next) run = run->next;
    return run->end;
}

void Reassembly::clear(RunPool& pool) {
    while (head_) {
        Run* run = head_;
        head_ = run->next;
        pool.give(run);
    }
    runs_ = 0;
}

}  // namespace sluice::tcp
