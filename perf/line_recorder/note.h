// Between the compiler's calls (runtime.cc) and the tables (recorder.cc): the record of the calling thread, and how an access is noted.
// In: address, size, load or store, who calls. Out: nothing. A thread that does not record has no record. Nothing allocates here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "perf/line_recorder/recorder.h"

namespace sluice::perf {

inline constexpr uint32_t kCallsMax = 256;

struct ThreadRecord {
    LineAccess* table = nullptr;
    size_t lines = 0;
    uint64_t accesses = 0, lost = 0;
    uint32_t depth = 0;                  // may pass kCallsMax: then callers are not known
    const void* calls[kCallsMax] = {};   // return addresses of the functions that are running
};

extern __thread ThreadRecord* recording;

void note_access(ThreadRecord& record, uintptr_t address, size_t bytes, bool store, const void* at);

inline void note(const volatile void* address, size_t bytes, bool store, const void* at) {
    if (ThreadRecord* record = recording) note_access(*record, reinterpret_cast<uintptr_t>(address), bytes, store, at);
}

}  // namespace sluice::perf
