// Bytes that stay where the NIC (or a writer) put them. A Slice is (mbuf segment, offset, length) and owns one reference of
// that segment; moving it hands the reference on. A SliceQueue is a byte stream made of slices, with one owner; its list
// nodes come from a per-core pool. Both are single-core objects.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "base/pool.h"

namespace sluice {

class Slice {
 public:
    Slice() = default;
    /// Takes over one reference of `segment` (a single mbuf; `next` is not followed).
    Slice(rte_mbuf* segment, uint32_t offset, uint32_t length) : segment_(segment), offset_(offset), length_(length) {}
    Slice(Slice&& o) noexcept
        : segment_(std::exchange(o.segment_, nullptr)), offset_(o.offset_), length_(std::exchange(o.length_, 0)) {}
    Slice& operator=(Slice&& o) noexcept {
        if (this != &o) {
            reset();
            segment_ = std::exchange(o.segment_, nullptr);
            offset_ = o.offset_;
            length_ = std::exchange(o.length_, 0);
        }
        return *this;
    }
    ~Slice() { reset(); }

    void reset() {
        if (segment_) rte_pktmbuf_free_seg(std::exchange(segment_, nullptr));
        length_ = 0;
    }
    /// A second Slice over part of the same bytes; adds a reference.
    Slice share(uint32_t offset, uint32_t length) const {
        rte_mbuf_refcnt_update(segment_, 1);
        return Slice(segment_, offset_ + offset, length);
    }
    Slice share() const { return share(0, length_); }

    /// offset() counts from the segment's buf_addr, not from its data_off.
    uint8_t* data() const { return static_cast<uint8_t*>(segment_->buf_addr) + offset_; }
    uint32_t size() const { return length_; }
    bool empty() const { return length_ == 0; }
    uint32_t offset() const { return offset_; }
    rte_mbuf* segment() const { return segment_; }
    std::span<const uint8_t> span() const { return {data(), length_}; }
    void remove_prefix(uint32_t n) { offset_ += n, length_ -= n; }
    void truncate(uint32_t n) { length_ = n; }
    void extend(uint32_t n) { length_ += n; }
    /// Memory this slice keeps from the pool, the mbuf's true size: what limits charge (DESIGN.md, Memory and bytes).
    uint32_t charge() const { return segment_ ? segment_->buf_len + uint32_t{sizeof(rte_mbuf)} : 0; }

 private:
    rte_mbuf* segment_ = nullptr;
    uint32_t offset_ = 0;
    uint32_t length_ = 0;
};

struct SliceNode {
    Slice slice;
    SliceNode* next = nullptr;
};
using SliceNodePool = Pool<SliceNode>;

class SliceQueue {
 public:
    explicit SliceQueue(SliceNodePool& nodes) : nodes_(&nodes) {}
    SliceQueue(SliceQueue&& o) noexcept
        : nodes_(o.nodes_), head_(std::exchange(o.head_, nullptr)), tail_(std::exchange(o.tail_, nullptr)),
          bytes_(std::exchange(o.bytes_, 0)), count_(std::exchange(o.count_, 0)), charge_(std::exchange(o.charge_, 0)) {}
    SliceQueue& operator=(SliceQueue&&) = delete;
    ~SliceQueue() { clear(); }

    /// False if the node pool is empty; `slice` is then untouched.
    [[nodiscard]] bool push_back(Slice&& slice) {
        SliceNode* node = nodes_->take();
        if (!node) return false;
        bytes_ += slice.size();
        charge_ += slice.charge();
        count_++;
        node->slice = std::move(slice);
        (tail_ ? tail_->next : head_) = node;
        tail_ = node;
        return true;
    }
    /// Copies `bytes` behind the last slice where that slice is the only user of its mbuf and has room, so that sparse
    /// segments share one buffer. False if it cannot; then nothing changed.
    [[nodiscard]] bool append_copy(std::span<const uint8_t> bytes) {
        if (!tail_ || bytes.size() > tail_room()) return false;
        Slice& last = tail_->slice;
        std::memcpy(last.data() + last.size(), bytes.data(), bytes.size());
        last.extend(static_cast<uint32_t>(bytes.size()));
        bytes_ += static_cast<uint32_t>(bytes.size());
        return true;
    }
    /// Bytes that append_copy() takes now.
    uint32_t tail_room() const {
        if (!tail_) return 0;
        const Slice& last = tail_->slice;
        const rte_mbuf* m = last.segment();
        if (!m || !RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1) return 0;
        return m->buf_len - (last.offset() + last.size());
    }
    /// Moves everything of `other` (same node pool) to this queue's end; O(1).
    void append(SliceQueue&& other) {
        if (!other.head_) return;
        (tail_ ? tail_->next : head_) = other.head_;
        tail_ = other.tail_;
        bytes_ += other.bytes_, count_ += other.count_, charge_ += other.charge_;
        other.head_ = other.tail_ = nullptr;
        other.bytes_ = 0, other.count_ = 0, other.charge_ = 0;
    }
    /// Precondition: not empty.
    Slice pop_front() {
        SliceNode* node = head_;
        head_ = node->next;
        if (!head_) tail_ = nullptr;
        Slice slice = std::move(node->slice);
        nodes_->give(node);
        bytes_ -= slice.size(), charge_ -= slice.charge(), count_--;
        return slice;
    }
    /// Drops the first n bytes (n <= bytes()).
    void consume(uint64_t n);
    /// Moves the first n bytes (n <= bytes()) to the end of `to`; a slice cut in two is shared. False if the node pool is
    /// empty: what had been moved by then stays moved.
    [[nodiscard]] bool split_to(uint64_t n, SliceQueue& to);
    /// Copies up to out.size() bytes from stream offset `from`; returns how many.
    uint64_t peek(uint64_t from, std::span<uint8_t> out) const;
    void clear() {
        while (head_) pop_front();
    }

    uint64_t bytes() const { return bytes_; }
    bool empty() const { return bytes_ == 0; }
    uint32_t count() const { return count_; }
    uint64_t charge() const { return charge_; }
    const Slice& front() const { return head_->slice; }
    /// For iterating: first node or nullptr; follow `next`.
    const SliceNode* head() const { return head_; }
    SliceNodePool& nodes() const { return *nodes_; }

 private:
    SliceNodePool* nodes_;
    SliceNode* head_ = nullptr;
    SliceNode* tail_ = nullptr;
    uint32_t bytes_ = 0;  // 32 bits: every queue has a limit far below, and a connection holds two of these
    uint32_t count_ = 0;
    uint32_t charge_ = 0;
};

}  // namespace sluice
