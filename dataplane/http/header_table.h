// The table behind HeaderId: canonical names, and a perfect hash over length and three bytes found at compile time.
// In: header names as text. Out: ids. Owns nothing but constants. Only for the files that must have the look-up inline.
#pragma once

#include <immintrin.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "http/header_names.h"

namespace sluice::http::header_table {

inline constexpr size_t kCount = static_cast<size_t>(HeaderId::kCount);
inline constexpr size_t kLongestName = 32;

inline constexpr std::array<std::string_view, kCount> kNames = {
    "", "accept", "accept-encoding", "authorization", "cache-control", "connection", "content-encoding", "content-length",
    "content-type", "cookie", "date", "expect", "forwarded", "host", "keep-alive", "location", "origin",
    "proxy-authenticate", "proxy-authorization", "proxy-connection", "range", "referer", "retry-after", "server",
    "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via", "x-envoy-attempt-count",
    "x-envoy-decorator-operation", "x-envoy-expected-rq-timeout-ms", "x-envoy-external-address", "x-envoy-internal",
    "x-envoy-original-path", "x-envoy-upstream-service-time", "x-forwarded-client-cert", "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-request-id", "traceparent", "tracestate"};

// Shortest name is "te": name[length - 2] exists for every length that is hashed.
constexpr uint32_t hash_key(const char* name, size_t length) {
    const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(name[i]) | 0x20); };
    return byte(0) | byte(length - 2) << 8 | byte(length / 2) << 16 | static_cast<uint32_t>(length) << 24;
}

constexpr uint32_t slot_of(uint32_t key, uint32_t multiplier) { return (key * multiplier) >> 24; }

constexpr uint32_t find_multiplier() {
    uint32_t multiplier = 0x9e3779b1;
    for (int attempt = 0; attempt < 20000; attempt++, multiplier = multiplier * 1664525 + 1013904223) {
        std::array<bool, 256> taken{};
        bool unique = true;
        for (size_t id = 1; id < kCount && unique; id++) {
            bool& slot = taken[slot_of(hash_key(kNames[id].data(), kNames[id].size()), multiplier | 1)];
            unique = !slot;
            slot = true;
        }
        if (unique) return multiplier | 1;
    }
    return 0;
}
inline constexpr uint32_t kMultiplier = find_multiplier();
static_assert(kMultiplier != 0, "two names share length and all hashed bytes");

struct Entry {
    alignas(32) char name[kLongestName];
    uint32_t length_mask;  // one bit for each byte of the name
    uint32_t length;
    HeaderId id;
};

constexpr std::array<Entry, 256> make_entries() {
    std::array<Entry, 256> entries{};
    for (auto& entry : entries) entry = {{}, 0, 0, HeaderId::kOther};
    for (size_t id = 1; id < kCount; id++) {
        Entry& entry = entries[slot_of(hash_key(kNames[id].data(), kNames[id].size()), kMultiplier)];
        for (size_t i = 0; i < kNames[id].size(); i++) entry.name[i] = kNames[id][i];
        entry.length = static_cast<uint32_t>(kNames[id].size());
        entry.length_mask = static_cast<uint32_t>((uint64_t{1} << kNames[id].size()) - 1);
        entry.id = static_cast<HeaderId>(id);
    }
    return entries;
}
inline constexpr std::array<Entry, 256> kEntries = make_entries();

/// header_id() for a name known to be a token (RFC 9110 5.6.2) at whose start 32 bytes are readable.
inline HeaderId header_id_of_padded_token(const char* name, uint32_t length) {
    if (length - 2 > kLongestName - 2) return HeaderId::kOther;
    const Entry& entry = kEntries[slot_of(hash_key(name, length), kMultiplier)];
    if (entry.length != length) return HeaderId::kOther;
    // Setting bit 5 lowers letters. Of the characters in our names only "-" could be forged by it, from CR: no token character.
    const __m256i text = _mm256_or_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(name)), _mm256_set1_epi8(0x20));
    const __m256i canonical = _mm256_load_si256(reinterpret_cast<const __m256i*>(entry.name));
    const auto same = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(text, canonical)));
    return (~same & entry.length_mask) == 0 ? entry.id : HeaderId::kOther;
}

}  // namespace sluice::http::header_table
