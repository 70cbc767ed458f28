// The Internet checksum against the slow definition (RFC 1071): every length to 300, every alignment, chains cut anywhere.
#include "base/checksum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/support/eal.h"

namespace sluice {
namespace {

uint16_t slow(const std::vector<uint8_t>& b) {
    uint32_t sum = 0;
    for (size_t i = 0; i < b.size(); i++) sum += i % 2 == 0 ? static_cast<uint32_t>(b[i]) << 8 : b[i];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return __builtin_bswap16(static_cast<uint16_t>(~sum));
}

std::vector<uint8_t> random_bytes(size_t n, uint32_t seed) {
    std::mt19937 rng(seed);
    std::vector<uint8_t> b(n);
    for (auto& x : b) x = static_cast<uint8_t>(rng());
    return b;
}

TEST(Checksum, EveryLengthAndAlignment) {
    for (size_t n = 0; n < 300; n++) {
        const auto bytes = random_bytes(n, static_cast<uint32_t>(n));
        for (size_t shift = 0; shift < 4; shift++) {
            std::vector<uint8_t> moved(shift);
            moved.insert(moved.end(), bytes.begin(), bytes.end());
            ASSERT_EQ(checksum_finish(checksum_add(moved.data() + shift, n)), slow(bytes)) << n;
        }
    }
}

TEST(Checksum, LargestPacketOfOnesDoesNotOverflow) {
    const std::vector<uint8_t> bytes(65535, 0xff);
    EXPECT_EQ(checksum_finish(checksum_add(bytes.data(), bytes.size())), slow(bytes));
}

TEST(Checksum, ChainsCutAnywhere) {
    const auto bytes = random_bytes(97, 5);
    for (size_t first = 1; first < 96; first++) {
        for (size_t second = 1; first + second < 97; second += 7) {
            Slice a = test::heap_slice(std::span(bytes).first(first));
            Slice b = test::heap_slice(std::span(bytes).subspan(first, second));
            Slice c = test::heap_slice(std::span(bytes).subspan(first + second));
            a.segment()->next = b.segment();
            b.segment()->next = c.segment();
            EXPECT_EQ(checksum_finish(checksum_add_mbuf(a.segment(), 0, 97, 0)), slow(bytes));
            const std::vector<uint8_t> part(bytes.begin() + 10, bytes.begin() + 81);
            EXPECT_EQ(checksum_finish(checksum_add_mbuf(a.segment(), 10, 71, 0)), slow(part)) << first << " " << second;
            a.segment()->next = b.segment()->next = nullptr;
        }
    }
}

TEST(Checksum, PseudoHeaders) {
    const auto v4 = pseudo_header_sum(*IpAddress::parse("192.0.2.1"), *IpAddress::parse("198.51.100.2"), 6, 1234);
    EXPECT_EQ(checksum_finish(v4), slow({192, 0, 2, 1, 198, 51, 100, 2, 0, 6, 0x04, 0xd2}));
    const auto v6 = pseudo_header_sum(*IpAddress::parse("2001:db8::1"), *IpAddress::parse("fe80::2"), 58, 70000);
    EXPECT_EQ(checksum_finish(v6), slow({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xfe, 0x80, 0, 0, 0, 0, 0, 0,
                                         0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x11, 0x70, 0, 0, 0, 58}));
}

}  // namespace
}  // namespace sluice
