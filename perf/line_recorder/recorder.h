// Which thread touches which cache line. In: every load and store of code compiled with -fsanitize=thread, while its thread records
// (runtime.cc). Out: the lines that one thread wrote and another touched, with the bytes and the code that did it.
// Each thread writes a table of its own, so recording shares nothing; the tables are mapped once and belong to the process.
// Compiled without instrumentation, and without templates where accesses are noted: code shared with instrumented units would call back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::perf {

inline constexpr unsigned kRecordedThreads = 4;
inline constexpr size_t kLineBytes = 64;

/// Where an access is made: the instruction after it, and the one after the call of its function.
struct AccessSite {
    const void* at = nullptr;
    const void* caller = nullptr;
};

/// What one thread did to one line: a bit for each byte, and its first store and load there.
struct LineAccess {
    uintptr_t line = 0;
    uint64_t written = 0, read = 0;
    AccessSite store, load;
};

struct SharedLine {
    unsigned threads[2];
    LineAccess access[2];
    /// The same bytes: true sharing. Else neighbours on one line that have nothing to do with each other.
    bool same_bytes() const {
        return (access[0].written & (access[1].written | access[1].read)) != 0 || (access[1].written & access[0].read) != 0;
    }
};

struct RecordedLines {
    uint64_t written = 0, read_only = 0, accesses = 0;
    uint64_t lost = 0;   // had no room in the table: the record is not whole
};

/// From now on what the calling thread does is `thread`'s. One at a time for each number.
void record_begin(unsigned thread);
void record_end();
/// Forgets everything. Nobody may be recording.
void record_clear();
RecordedLines recorded(unsigned thread);
/// Lines that both read and none wrote: the tables they have in common.
uint64_t lines_read_by_both(unsigned a, unsigned b);
/// By address. Nobody may be recording.
std::vector<SharedLine> shared_lines();

}  // namespace sluice::perf
