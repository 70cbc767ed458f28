// What code compiled with -fsanitize=thread calls, in place of ThreadSanitizer's own runtime: each access is noted, atomics are done.
// In: the compiler's calls, and memcpy, memmove, memset and memcmp (by the linker's --wrap). Out: notes in the calling thread's record.
// The interface is LLVM's tsan_interface.h and tsan_interface_atomic.h, as g++ 12 calls it. Owns nothing.
#include "perf/line_recorder/note.h"

using sluice::perf::kCallsMax;
using sluice::perf::note;
using sluice::perf::recording;

#define HERE __builtin_return_address(0)
#define ACCESS(bytes)                                                                               \
    void __tsan_read##bytes(void* p) { note(p, bytes, false, HERE); }                               \
    void __tsan_write##bytes(void* p) { note(p, bytes, true, HERE); }                               \
    void __tsan_unaligned_read##bytes(void* p) { note(p, bytes, false, HERE); }                     \
    void __tsan_unaligned_write##bytes(void* p) { note(p, bytes, true, HERE); }

// An atomic that may change its line is a store, also when it leaves the value as it was: the core must own the line to try.
#define UPDATE(bits, type, name)                                                                    \
    type __tsan_atomic##bits##_fetch_##name(volatile type* p, type value, int) {                    \
        note(p, sizeof(type), true, HERE);                                                          \
        return __atomic_fetch_##name(p, value, __ATOMIC_SEQ_CST);                                   \
    }
#define EXCHANGE(bits, type, kind, weak)                                                            \
    int __tsan_atomic##bits##_compare_exchange_##kind(volatile type* p, type* expected, type value, int, int) { \
        note(p, sizeof(type), true, HERE);                                                          \
        return __atomic_compare_exchange_n(p, expected, value, weak, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
    }
#define ATOMICS(bits, type)                                                                         \
    type __tsan_atomic##bits##_load(const volatile type* p, int) {                                  \
        note(p, sizeof(type), false, HERE);                                                         \
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                \
    }                                                                                               \
    void __tsan_atomic##bits##_store(volatile type* p, type value, int) {                           \
        note(p, sizeof(type), true, HERE);                                                          \
        __atomic_store_n(p, value, __ATOMIC_SEQ_CST);                                               \
    }                                                                                               \
    type __tsan_atomic##bits##_exchange(volatile type* p, type value, int) {                        \
        note(p, sizeof(type), true, HERE);                                                          \
        return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);                                     \
    }                                                                                               \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type* p, type expected, type value, int, int) { \
        note(p, sizeof(type), true, HERE);                                                          \
        __atomic_compare_exchange_n(p, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        return expected;                                                                            \
    }                                                                                               \
    EXCHANGE(bits, type, strong, false)                                                             \
    EXCHANGE(bits, type, weak, true)                                                                \
    UPDATE(bits, type, add)                                                                         \
    UPDATE(bits, type, sub)                                                                         \
    UPDATE(bits, type, and)                                                                         \
    UPDATE(bits, type, or)                                                                          \
    UPDATE(bits, type, xor)                                                                         \
    UPDATE(bits, type, nand)

extern "C" {

void __tsan_init() {}

void __tsan_func_entry(void* caller) {
    if (auto* record = recording) {
        if (record->depth < kCallsMax) record->calls[record->depth] = caller;
        record->depth++;
    }
}
void __tsan_func_exit() {
    if (auto* record = recording; record && record->depth != 0) record->depth--;   // those entered before recording are not known
}

ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
void __tsan_read_range(void* p, size_t bytes) { note(p, bytes, false, HERE); }
void __tsan_write_range(void* p, size_t bytes) { note(p, bytes, true, HERE); }
void __tsan_vptr_read(void** p) { note(p, sizeof *p, false, HERE); }
void __tsan_vptr_update(void** p, void*) { note(p, sizeof *p, true, HERE); }

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

void* __real_memcpy(void*, const void*, size_t);
void* __real_memmove(void*, const void*, size_t);
void* __real_memset(void*, int, size_t);
int __real_memcmp(const void*, const void*, size_t);

void* __wrap_memcpy(void* to, const void* from, size_t bytes) {
    note(from, bytes, false, HERE);
    note(to, bytes, true, HERE);
    return __real_memcpy(to, from, bytes);
}
void* __wrap_memmove(void* to, const void* from, size_t bytes) {
    note(from, bytes, false, HERE);
    note(to, bytes, true, HERE);
    return __real_memmove(to, from, bytes);
}
void* __wrap_memset(void* to, int value, size_t bytes) {
    note(to, bytes, true, HERE);
    return __real_memset(to, value, bytes);
}
int __wrap_memcmp(const void* a, const void* b, size_t bytes) {
    note(a, bytes, false, HERE);
    note(b, bytes, false, HERE);
    return __real_memcmp(a, b, bytes);
}

}  // extern "C"
