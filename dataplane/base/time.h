// Points in time and lengths of time, in microseconds. Protocol code never reads a clock: it is handed an Instant.
// The epoch of an Instant is arbitrary but fixed for the life of a worker (or of a simulation); it never goes back.
#pragma once

#include <compare>
#include <cstdint>

namespace sluice {

struct Duration {
    int64_t us = 0;
    friend constexpr auto operator<=>(Duration, Duration) = default;
    constexpr Duration operator+(Duration d) const { return {us + d.us}; }
    constexpr Duration operator-(Duration d) const { return {us - d.us}; }
    constexpr Duration operator*(int64_t n) const { return {us * n}; }
    constexpr Duration operator/(int64_t n) const { return {us / n}; }
};
constexpr Duration microseconds(int64_t n) { return {n}; }
constexpr Duration milliseconds(int64_t n) { return {n * 1000}; }
constexpr Duration seconds(int64_t n) { return {n * 1'000'000}; }

struct Instant {
    uint64_t us = 0;
    friend constexpr auto operator<=>(Instant, Instant) = default;
    constexpr Instant operator+(Duration d) const { return {us + static_cast<uint64_t>(d.us)}; }
    constexpr Instant operator-(Duration d) const { return {us - static_cast<uint64_t>(d.us)}; }
    constexpr Duration operator-(Instant i) const { return {static_cast<int64_t>(us - i.us)}; }
    /// "No deadline": later than every real Instant.
    static constexpr Instant never() { return {UINT64_MAX}; }
};

}  // namespace sluice
