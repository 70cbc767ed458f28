// Large memory: zeroed and aligned on either side of its limits, given back at the end; pools on it hand out every object.
#include "base/large_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "base/pool.h"

namespace sluice {
namespace {

class LargeMemoryOf : public testing::TestWithParam<size_t> {};

TEST_P(LargeMemoryOf, IsZeroedAlignedAndWritable) {
    const size_t bytes = GetParam();
    for (int round = 0; round < 2; round++) {  // what the first round wrote must not be seen by the second
        LargeMemory memory(bytes);
        auto* data = static_cast<uint8_t*>(memory.data());
        ASSERT_NE(data, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % (bytes >= LargeMemory::kHugeBytesMin ? 2u << 20 : LargeMemory::kAlignment), 0u);
        for (size_t at = 0; at < bytes; at += 509) ASSERT_EQ(data[at], 0) << "at " << at;
        EXPECT_TRUE(bytes == 0 || data[bytes - 1] == 0);
        std::memset(data, 0xa5, bytes);
    }
}
INSTANTIATE_TEST_SUITE_P(Sizes, LargeMemoryOf,
                         testing::Values(0, 1, 64, 65535, 65536, 65537, LargeMemory::kHugeBytesMin - 1, LargeMemory::kHugeBytesMin,
                                         LargeMemory::kHugeBytesMin + 4097));

TEST(PoolOnLargeMemory, HandsOutEveryObjectOnce) {
    struct alignas(64) Object {
        uint64_t number = 7;
        char rest[500];
    };
    Pool<Object> pool(20'000);  // 10 MiB
    std::set<Object*> lent;
    while (Object* o = pool.take()) {
        ASSERT_EQ(o->number, 7u);
        o->number = lent.size();
        ASSERT_TRUE(lent.insert(o).second);
    }
    EXPECT_EQ(lent.size(), 20'000u);
    for (Object* o : lent) pool.give(o);
    EXPECT_EQ(pool.in_use(), 0u);
}

}  // namespace
}  // namespace sluice
