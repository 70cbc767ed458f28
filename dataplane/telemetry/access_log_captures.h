// Which headers a log wants beside the fixed fields of a record: made with the formats, read by workers when they push.
// In: names as formats have them. Out: places of their values in AccessLogEntry::captured. Immutable once its set is built.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/header_names.h"
#include "telemetry/access_log.h"

namespace sluice::telemetry {

struct AccessLogCaptures {
    enum class From : uint8_t { kRequest, kResponse, kResponseTrailers };
    struct Header {
        From from;
        std::string name;      // lower case
        http::HeaderId id;     // kOther: compared by name
        bool operator==(const Header&) const = default;
    };
    std::vector<Header> headers;

    /// The header's place, new or as before; nothing when kCapturedHeadersMax are asked for already.
    std::optional<uint16_t> place_of(From from, std::string_view name);
};

}  // namespace sluice::telemetry
