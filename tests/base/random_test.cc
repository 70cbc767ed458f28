// SipHash against its published vectors, and the generator's range and repeatability.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "base/rng.h"
#include "base/siphash.h"

namespace sluice {
namespace {

TEST(SipHash, PublishedVectors) {
    // Appendix A of the paper and the first entries of its test vectors: key 00..0f, input 00, 01, 02...
    const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
    std::array<uint8_t, 64> input;
    for (size_t i = 0; i < input.size(); i++) input[i] = static_cast<uint8_t>(i);
    EXPECT_EQ(SipHash24::hash(key, {input.data(), 0}), 0x726fdb47dd0e0e31u);
    EXPECT_EQ(SipHash24::hash(key, {input.data(), 1}), 0x74f839c593dc67fdu);
    EXPECT_EQ(SipHash24::hash(key, {input.data(), 8}), 0x93f5f5799a932462u);
    EXPECT_EQ(SipHash24::hash(key, {input.data(), 15}), 0xa129ca6149be45e5u);
}

TEST(SipHash, WordsEqualBytes) {
    const SipKey key{1, 2};
    std::array<uint8_t, 16> bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    SipHash13 h(key);
    h.word(0x0807060504030201);
    h.word(0x100f0e0d0c0b0a09);
    EXPECT_EQ(h.finish(), SipHash13::hash(key, bytes));
    EXPECT_NE(SipHash13::hash(SipKey{1, 3}, bytes), SipHash13::hash(key, bytes));
}

TEST(Rng, SameSeedSameStreamAndRanges) {
    Rng a(7), b(7), c(8);
    std::set<uint64_t> seen;
    bool differs = false;
    for (int i = 0; i < 1000; i++) {
        const uint64_t x = a.next();
        EXPECT_EQ(x, b.next());
        differs |= x != c.next();
        seen.insert(a.between(3, 7)), b.between(3, 7);
        const double u = a.unit();
        b.unit();
        EXPECT_TRUE(u >= 0 && u < 1);
    }
    EXPECT_TRUE(differs);
    EXPECT_EQ(seen, (std::set<uint64_t>{3, 4, 5, 6, 7}));
}

}  // namespace
}  // namespace sluice
