// Bump memory of one stream: headers, rewritten paths, filter state. Chunks come from a per-core pool and go back all at once
// when the arena dies. Never calls destructors; hands out nothing when the pool or the stream's own limit is used up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/limits.h"
#include "base/pool.h"

namespace sluice {

struct ArenaChunk {
    ArenaChunk* next = nullptr;
    alignas(std::max_align_t) std::byte bytes[limits::kArenaChunkBytes - alignof(std::max_align_t)];
    ArenaChunk() {}  // NOLINT: bytes stay uninitialised
};
/// What does not fit into a chunk, such as a 20 KiB cookie that must lie in one piece. Few streams ever need one.
struct LargeArenaChunk {
    LargeArenaChunk* next = nullptr;
    alignas(std::max_align_t) std::byte bytes[limits::kArenaLargeChunkBytes - alignof(std::max_align_t)];
    LargeArenaChunk() {}  // NOLINT: bytes stay uninitialised
};

class ArenaChunkPool : public Pool<ArenaChunk> {
 public:
    explicit ArenaChunkPool(uint32_t capacity) : ArenaChunkPool(capacity, capacity / limits::kArenaChunksPerLarge + 1) {}
    ArenaChunkPool(uint32_t capacity, uint32_t large_capacity) : Pool(capacity), large(large_capacity) {}
    Pool<LargeArenaChunk> large;
};

class Arena {
 public:
    /// Takes no chunk before the first allocation. `limit_bytes` bounds this stream.
    explicit Arena(ArenaChunkPool& chunks, uint32_t limit_bytes = UINT32_MAX) : chunks_(&chunks), limit_(limit_bytes) {}
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena() { reset(); }

    /// nullptr if the pool is empty, the limit is reached, or `size` exceeds max_allocation().
    [[nodiscard]] void* allocate(size_t size, size_t alignment = alignof(std::max_align_t)) {
        if (size > sizeof(ArenaChunk::bytes)) return allocate_large(size);
        size_t at = (used_ + alignment - 1) & ~(alignment - 1);
        if (!head_ || at + size > sizeof(ArenaChunk::bytes)) {
            if (total_ + sizeof(ArenaChunk) > limit_) return nullptr;
            ArenaChunk* chunk = chunks_->take();
            if (!chunk) return nullptr;
            chunk->next = head_;
            head_ = chunk;
            total_ += static_cast<uint32_t>(sizeof(ArenaChunk));
            at = 0;
        }
        used_ = static_cast<uint32_t>(at + size);
        return head_->bytes + at;
    }
    template <typename T, typename... Args>
    [[nodiscard]] T* make(Args&&... args) {
        static_assert(std::is_trivially_destructible_v<T>);
        void* p = allocate(sizeof(T), alignof(T));
        return p ? ::new (p) T(std::forward<Args>(args)...) : nullptr;
    }
    template <typename T>
    [[nodiscard]] T* make_array(size_t n) {
        static_assert(std::is_trivially_destructible_v<T>);
        return static_cast<T*>(allocate(sizeof(T) * n, alignof(T)));
    }
    /// A copy that lives as long as the arena; data() is nullptr on failure (never for success, also when empty).
    [[nodiscard]] std::string_view copy(std::string_view text) {
        auto* p = static_cast<char*>(allocate(text.size() ? text.size() : 1, 1));
        if (!p) return {};
        if (!text.empty()) std::memcpy(p, text.data(), text.size());
        return {p, text.size()};
    }
    /// Concatenation of the parts, same rules as copy().
    [[nodiscard]] std::string_view concat(std::span<const std::string_view> parts) {
        size_t size = 0;
        for (auto part : parts) size += part.size();
        auto* p = static_cast<char*>(allocate(size ? size : 1, 1));
        if (!p) return {};
        char* at = p;
        for (auto part : parts) {
            if (!part.empty()) std::memcpy(at, part.data(), part.size());
            at += part.size();
        }
        return {p, size};
    }
    void reset() {
        while (head_) {
            ArenaChunk* next = head_->next;
            chunks_->give(head_);
            head_ = next;
        }
        while (large_) {
            LargeArenaChunk* next = large_->next;
            chunks_->large.give(large_);
            large_ = next;
        }
        used_ = total_ = 0;
    }
    static constexpr size_t max_allocation() { return sizeof(LargeArenaChunk::bytes); }
    uint32_t bytes() const { return total_; }
    ArenaChunkPool& chunks() const { return *chunks_; }

 private:
    /// One large chunk for this allocation alone: its end is of no use to later ones.
    void* allocate_large(size_t size) {
        if (size > sizeof(LargeArenaChunk::bytes) || total_ + sizeof(LargeArenaChunk) > limit_) return nullptr;
        LargeArenaChunk* chunk = chunks_->large.take();
        if (!chunk) return nullptr;
        chunk->next = large_;
        large_ = chunk;
        total_ += static_cast<uint32_t>(sizeof(LargeArenaChunk));
        return chunk->bytes;
    }

    ArenaChunkPool* chunks_;
    ArenaChunk* head_ = nullptr;
    LargeArenaChunk* large_ = nullptr;
    uint32_t used_ = 0;
    uint32_t total_ = 0;
    uint32_t limit_;
};

}  // namespace sluice
