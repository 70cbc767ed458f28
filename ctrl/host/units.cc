// Durations and sizes with their units, strictly: what is not understood in full is no value.
// Durations as Go writes them (time.ParseDuration), without sign and fractions; sizes as Kubernetes writes quantities.
#include <charconv>

#include "ctrl/host/gateway_host.h"

namespace sluice::host {

namespace {

struct Unit {
    std::string_view name;
    uint64_t factor;
};
constexpr Unit kDurations[] = {{"us", 1}, {"ms", 1'000}, {"s", 1'000'000}, {"m", 60'000'000}, {"h", 3'600'000'000}};
constexpr Unit kSizes[] = {{"", 1}, {"k", 1'000}, {"M", 1'000'000}, {"G", 1'000'000'000},
                           {"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", uint64_t{1} << 40}};

/// Takes digits, then letters, off `text`: n * factor. Empty if there are none, the unit is not known, or it overflows.
std::optional<uint64_t> take(std::string_view& text, std::span<const Unit> units) {
    uint64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    size_t letters = 0;
    while (letters < text.size() && (text[letters] < '0' || text[letters] > '9')) letters++;
    const std::string_view unit = text.substr(0, letters);
    text.remove_prefix(letters);
    for (const Unit& u : units) {
        uint64_t value;
        if (u.name == unit) return __builtin_mul_overflow(n, u.factor, &value) ? std::nullopt : std::optional(value);
    }
    return std::nullopt;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
    if (text == "0") return microseconds(0);
    if (text.empty()) return std::nullopt;
    uint64_t total = 0, smallest = UINT64_MAX;
    while (!text.empty()) {
        const std::string_view before = text;
        const auto part = take(text, kDurations);
        if (!part || __builtin_add_overflow(total, *part, &total) || total > INT64_MAX) return std::nullopt;
        // Largest unit first, each once: "1m30s", never "30s1m".
        const std::string_view piece = before.substr(0, before.size() - text.size());
        const std::string_view unit = piece.substr(piece.find_first_not_of("0123456789"));
        for (const Unit& u : kDurations) {
            if (u.name != unit) continue;
            if (u.factor >= smallest) return std::nullopt;
            smallest = u.factor;
        }
    }
    return microseconds(static_cast<int64_t>(total));
}

std::optional<uint64_t> parse_size(std::string_view text) {
    const auto size = take(text, kSizes);
    return text.empty() ? size : std::nullopt;
}

}  // namespace sluice::host
