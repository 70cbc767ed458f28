// Cutting, copying and dropping parts of a SliceQueue.
#include "base/slice.h"

#include <algorithm>

namespace sluice {

void SliceQueue::consume(uint64_t n) {
    while (n > 0) {
        Slice& first = head_->slice;
        if (n < first.size()) {
            first.remove_prefix(static_cast<uint32_t>(n));
            bytes_ -= static_cast<uint32_t>(n);
            return;
        }
        n -= first.size();
        pop_front();
    }
    while (head_ && head_->slice.empty()) pop_front();
}

bool SliceQueue::split_to(uint64_t n, SliceQueue& to) {
    while (n > 0) {
        Slice& first = head_->slice;
        if (n < first.size()) {
            const auto part = static_cast<uint32_t>(n);
            if (!to.push_back(first.share(0, part))) return false;
            first.remove_prefix(part);
            bytes_ -= part;
            return true;
        }
        SliceNode* node = head_;
        head_ = node->next;
        if (!head_) tail_ = nullptr;
        const uint32_t size = node->slice.size();
        const uint32_t charge = node->slice.charge();
        bytes_ -= size, charge_ -= charge, count_--;
        node->next = nullptr;
        (to.tail_ ? to.tail_->next : to.head_) = node;
        to.tail_ = node;
        to.bytes_ += size, to.charge_ += charge, to.count_++;
        n -= size;
    }
    return true;
}

uint64_t SliceQueue::peek(uint64_t from, std::span<uint8_t> out) const {
    uint64_t copied = 0;
    for (const SliceNode* node = head_; node && copied < out.size(); node = node->next) {
        const uint64_t size = node->slice.size();
        if (from >= size) {
            from -= size;
            continue;
        }
        const uint64_t n = std::min<uint64_t>(size - from, out.size() - copied);
        std::memcpy(out.data() + copied, node->slice.data() + from, n);
        copied += n;
        from = 0;
    }
    return copied;
}

}  // namespace sluice
