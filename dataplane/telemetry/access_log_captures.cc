// A handful of names, compared one by one while formats are read. In: names of any case. Out: places.
#include "telemetry/access_log_captures.h"

#include <algorithm>

namespace sluice::telemetry {

std::optional<uint16_t> AccessLogCaptures::place_of(From from, std::string_view name) {
    Header wanted{from, std::string(name), http::header_id(name)};
    std::transform(wanted.name.begin(), wanted.name.end(), wanted.name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const auto known = std::find(headers.begin(), headers.end(), wanted);
    const auto place = static_cast<uint16_t>(known - headers.begin());
    if (known != headers.end()) return place;
    if (headers.size() == kCapturedHeadersMax) return std::nullopt;
    headers.push_back(std::move(wanted));
    return place;
}

}  // namespace sluice::telemetry
