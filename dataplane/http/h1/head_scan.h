// Finds where a head's lines and the head itself end, and refuses bytes that no line may hold, 64 bytes a step.
// In: the bytes so far, from the first on. Out: line ends, or why not. Owns nothing; resumes where it stopped.
// RFC 9112 2.2: lines end in CRLF. A bare CR or LF, NUL and other controls (but HTAB) are refused where they stand.
#pragma once

#include <cstdint>

#include "http/h1/codec.h"

namespace sluice::http::h1 {

struct HeadBounds {
    uint32_t head_bytes;
    uint32_t first_line_bytes;
    uint32_t lines;             // start line and fields
    bool skip_one_empty_line;   // RFC 9112 2.2: before a request line, from clients that end bodies with a CRLF too many
    Error bad_first_line;       // for an empty or unreadable one
};

/// Scans data[scan.scanned, size). `readable` >= size bytes may be loaded. line_ends (may be null) has room for bounds.lines + 1
/// and gets the offset behind each line's LF; the last one is the head's end. The answer depends on the bytes alone, not on cuts.
Status scan_head(HeadScan& scan, const char* data, uint32_t size, uint32_t readable, const HeadBounds& bounds,
                 uint32_t* line_ends);

}  // namespace sluice::http::h1
