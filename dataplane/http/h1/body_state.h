// States of a chunked body, one byte a step (RFC 9112 7.1). Shared by the two files that implement BodyReader.
#pragma once

#include "http/h1/codec.h"

namespace sluice::http::h1 {

enum class BodyReader::State : uint8_t {
    kSize,              // hex digits
    kExtensionName, kExtensionNameRest, kExtensionValue, kExtensionToken, kExtensionQuoted, kExtensionEscaped, kExtensionQuoteEnd,
    kSizeLf,            // behind the CR of a chunk-size line
    kData, kDataCr, kDataLf,
    kTrailerStart,      // first byte of a trailer line, or CR of the final empty line
    kTrailerName, kTrailerSpace, kTrailerValue, kTrailerLf,
    kFinalLf,
};

}  // namespace sluice::http::h1
