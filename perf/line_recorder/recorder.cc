// The tables of lines (see recorder.h): open addressing by line, linear probing, no deletion.
#include "perf/line_recorder/recorder.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "perf/line_recorder/note.h"

namespace sluice::perf {

namespace {
constexpr size_t kTableLines = size_t{1} << 22, kTableFull = kTableLines / 4 * 3;

LineAccess* tables[kRecordedThreads];
ThreadRecord records[kRecordedThreads];

LineAccess* find(ThreadRecord& record, uintptr_t line) {
    size_t at = (line * 0x9e3779b97f4a7c15u) >> 42;   // 22 bits
    for (;; at = (at + 1) & (kTableLines - 1)) {
        LineAccess& entry = record.table[at];
        if (entry.line == line) return &entry;
        if (entry.line != 0) continue;
        if (record.lines == kTableFull) return nullptr;
        record.lines++;
        entry.line = line;
        return &entry;
    }
}
}  // namespace

__thread ThreadRecord* recording = nullptr;

void note_access(ThreadRecord& record, uintptr_t address, size_t bytes, bool store, const void* at) {
    record.accesses++;
    const AccessSite site{at, record.depth != 0 && record.depth <= kCallsMax ? record.calls[record.depth - 1] : nullptr};
    while (bytes != 0) {
        const uintptr_t line = address & ~uintptr_t{kLineBytes - 1};
        const size_t offset = address - line, here = bytes < kLineBytes - offset ? bytes : kLineBytes - offset;
        const uint64_t mask = (here == kLineBytes ? ~uint64_t{0} : (uint64_t{1} << here) - 1) << offset;
        if (LineAccess* entry = find(record, line)) {
            uint64_t& bits = store ? entry->written : entry->read;
            if (bits == 0) (store ? entry->store : entry->load) = site;
            bits |= mask;
        } else {
            record.lost++;
        }
        address += here;
        bytes -= here;
    }
}

void record_begin(unsigned thread) {
    if (thread >= kRecordedThreads) std::abort();
    if (!tables[thread]) {
        void* memory = mmap(nullptr, kTableLines * sizeof(LineAccess), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) std::fprintf(stderr, "line_sharing: no memory for a table\n"), std::exit(2);
        tables[thread] = records[thread].table = static_cast<LineAccess*>(memory);
    }
    records[thread].depth = 0;
    recording = &records[thread];
}

void record_end() { recording = nullptr; }

void record_clear() {
    for (unsigned t = 0; t < kRecordedThreads; t++) {
        if (tables[t]) madvise(tables[t], kTableLines * sizeof(LineAccess), MADV_DONTNEED);   // reads as zeros again
        records[t] = ThreadRecord{};
        records[t].table = tables[t];
    }
}

RecordedLines recorded(unsigned thread) {
    RecordedLines sum;
    sum.accesses = records[thread].accesses;
    sum.lost = records[thread].lost;
    for (size_t i = 0; tables[thread] && i < kTableLines; i++) {
        const LineAccess& entry = tables[thread][i];
        if (entry.line != 0) (entry.written != 0 ? sum.written : sum.read_only)++;
    }
    return sum;
}

namespace {
/// Each line that is in both tables.
template <typename Use>
void for_each_common(unsigned a, unsigned b, Use use) {
    if (!tables[a] || !tables[b]) return;
    for (size_t i = 0; i < kTableLines; i++) {
        const LineAccess& one = tables[a][i];
        if (one.line == 0) continue;
        const size_t lines = records[b].lines;
        LineAccess* other = find(records[b], one.line);
        if (records[b].lines != lines) {   // was not there: it is taken out again
            records[b].lines = lines;
            *other = {};
        } else if (other) {
            use(one, *other);
        }
    }
}
}  // namespace

uint64_t lines_read_by_both(unsigned a, unsigned b) {
    uint64_t lines = 0;
    for_each_common(a, b, [&](const LineAccess& one, const LineAccess& other) { lines += (one.written | other.written) == 0; });
    return lines;
}

std::vector<SharedLine> shared_lines() {
    std::vector<SharedLine> found;
    for (unsigned a = 0; a < kRecordedThreads; a++)
        for (unsigned b = a + 1; b < kRecordedThreads; b++)
            for_each_common(a, b, [&](const LineAccess& one, const LineAccess& other) {
                if ((one.written | other.written) != 0) found.push_back({{a, b}, {one, other}});
            });
    std::sort(found.begin(), found.end(), [](const SharedLine& x, const SharedLine& y) { return x.access[0].line < y.access[0].line; });
    return found;
}

}  // namespace sluice::perf
