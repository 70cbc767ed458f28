// One pass of AVX2 compares: masks of CR, LF and controls for 64 bytes, then a step per line.
#include "http/h1/head_scan.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace sluice::http::h1 {
namespace {

constexpr uint32_t kBlock = 64;

struct Masks {
    uint64_t cr, lf, control;   // control: below 0x20 but HTAB, and 0x7f; CR and LF are in it
};

inline uint64_t both(__m256i low, __m256i high) {
    return static_cast<uint32_t>(_mm256_movemask_epi8(low)) |
           static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(high))) << 32;
}

inline __m256i controls(__m256i v) {
    const __m256i below_space = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
    const __m256i allowed = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t'));
    const __m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
    return _mm256_or_si256(_mm256_andnot_si256(allowed, below_space), del);
}

inline Masks classify(const char* p) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
    const __m256i cr = _mm256_set1_epi8('\r'), lf = _mm256_set1_epi8('\n');
    return {both(_mm256_cmpeq_epi8(low, cr), _mm256_cmpeq_epi8(high, cr)),
            both(_mm256_cmpeq_epi8(low, lf), _mm256_cmpeq_epi8(high, lf)), both(controls(low), controls(high))};
}

Error error_at(const HeadScan& scan, const char* data, uint32_t at, const HeadBounds& bounds) {
    const bool after_cr = at > 0 && data[at - 1] == '\r';
    if (after_cr && data[at] != '\n') return Error::kBareCr;
    if (data[at] == '\n') return Error::kBareLf;
    if (data[at] == 0) return Error::kNul;
    return scan.lines == 0 ? bounds.bad_first_line : Error::kBadHeaderValue;
}

// Takes the lines that end at the bits of `ends` (offsets from `base`). kDone at the empty line.
Status take_lines(HeadScan& scan, uint64_t ends, uint32_t base, const HeadBounds& bounds, uint32_t* line_ends) {
    for (; ends; ends &= ends - 1) {
        const uint32_t end = base + static_cast<uint32_t>(__builtin_ctzll(ends)) + 1;
        const bool empty = end - scan.line_start == 2;
        if (empty && scan.lines == 0) {
            if (!bounds.skip_one_empty_line || scan.begin != 0) {
                scan.error = bounds.bad_first_line;
                return Status::kError;
            }
            scan.begin = scan.line_start = end;
            continue;
        }
        if (!empty && scan.lines == bounds.lines) {
            scan.error = Error::kTooManyHeaders;
            return Status::kError;
        }
        if (line_ends) line_ends[scan.lines] = end;
        scan.lines++;
        scan.line_start = end;
        if (empty) {
            scan.scanned = end;
            return Status::kDone;
        }
    }
    return Status::kNeedMore;
}

}  // namespace

Status scan_head(HeadScan& scan, const char* data, uint32_t size, uint32_t readable, const HeadBounds& bounds,
                 uint32_t* line_ends) {
    for (;;) {
        // The first line has a bound of its own: a target without end is refused before the head's bound is reached.
        uint32_t bound = bounds.head_bytes;
        if (scan.lines == 0) bound = std::min(bound, scan.begin + bounds.first_line_bytes);
        const uint32_t stop = std::min(size, bound);
        if (scan.scanned >= stop) {
            if (scan.scanned < bound) return Status::kNeedMore;
            scan.error = bound == bounds.head_bytes ? Error::kHeadersTooLarge : Error::kTargetTooLong;
            return Status::kError;
        }
        const uint32_t at = scan.scanned;
        const uint32_t n = std::min(kBlock, stop - at);
        Masks masks;
        if (readable - at >= kBlock) {
            masks = classify(data + at);
        } else {
            alignas(32) char tail[kBlock] = {};
            std::memcpy(tail, data + at, n);
            masks = classify(tail);
        }
        const uint64_t valid = n == kBlock ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
        const uint64_t after_cr = masks.cr << 1 | (scan.after_cr ? 1 : 0);
        uint64_t ends = masks.lf & after_cr & valid;
        const uint64_t bad = ((masks.control & ~masks.cr & ~ends) | (after_cr & ~masks.lf)) & valid;
        if (bad) ends &= (bad & -bad) - 1;
        scan.scanned = at + n;
        scan.after_cr = (masks.cr >> (n - 1) & 1) != 0;
        const Status status = take_lines(scan, ends, at, bounds, line_ends);
        if (status != Status::kNeedMore) return status;
        if (bad) {
            scan.error = error_at(scan, data, at + static_cast<uint32_t>(__builtin_ctzll(bad)), bounds);
            return Status::kError;
        }
    }
}

}  // namespace sluice::http::h1
