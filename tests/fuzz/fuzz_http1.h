// What the two HTTP/1 fuzzers share: options from a byte, and the comparison of one stream cut in many ways.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/http/h1_driver.h"
#include "tests/support/eal.h"

namespace fuzz {

[[noreturn]] inline void fail(const char* what, std::string_view a, std::string_view b) {
    std::fprintf(stderr, "%s:\n--- one\n%.*s\n--- other\n%.*s\n", what, static_cast<int>(a.size()), a.data(), static_cast<int>(b.size()), b.data());
    std::abort();
}

inline sluice::http::h1::test::Play options(uint8_t byte) {
    using sluice::http::PathOptions;
    sluice::http::h1::test::Play play;
    play.path.normalize = (byte & 1) == 0;
    play.path.merge_slashes = (byte & 2) != 0;
    play.path.escaped_slashes = static_cast<PathOptions::EscapedSlashes>((byte >> 2 & 3) % 3);
    play.keep_trailers = (byte & 16) == 0;
    play.follow_closed = (byte & 32) != 0;
    play.until_close = (byte & 64) == 0;
    if (byte & 128) play.limits = {.header_bytes = 200, .headers = 5, .target_bytes = 50, .trailer_bytes = 40};
    return play;
}

template <typename Read>
void check_cuts(Read read, std::string_view bytes, sluice::http::h1::test::Play play, uint8_t seed_byte) {
    namespace test = sluice::http::h1::test;
    sluice::test::test_eal();
    const std::string whole = read(bytes, {}, play);
    if (whole.find("WRONG") != whole.npos || whole.find("BYTES LEFT") != whole.npos || whole.find("NOT DONE") != whole.npos)
        fail("a broken promise", whole, "");
    uint64_t seed = seed_byte;
    const auto check = [&](std::span<const size_t> cuts) {
        const std::string cut = read(bytes, cuts, play);
        if (cut != whole) fail("cut and whole differ", whole, cut);
    };
    check(test::cut_at_random(bytes.size(), seed));
    play.body_step = 1 + seed_byte % 7;
    check(test::cut_at_random(bytes.size(), seed));
    check(test::cut_every(bytes.size(), bytes.size() > 4096 ? 61 : 1));
}

}  // namespace fuzz
