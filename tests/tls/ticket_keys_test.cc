// Rotation of ticket keys.
#include "tls/ticket_keys.h"

#include <gtest/gtest.h>

namespace sluice::tls {
namespace {

TEST(TicketKeys, NoneAtFirst) {
    const TicketKeys keys;
    TicketKeys::Key key;
    EXPECT_FALSE(keys.sealing_key(key));
}

TEST(TicketKeys, TheNewestSealsAndOlderOnesOpenUntilTheyAreTooOld) {
    TicketKeys keys(100, 8);
    keys.rotate(1000);
    TicketKeys::Key first, second, found;
    ASSERT_TRUE(keys.sealing_key(first));
    bool renew = true;
    ASSERT_TRUE(keys.opening_key(first.name.data(), found, &renew, 5000)) << "the newest never grows old by itself";
    EXPECT_FALSE(renew);
    keys.rotate(2000);
    ASSERT_TRUE(keys.sealing_key(second));
    EXPECT_NE(first.name, second.name);
    EXPECT_NE(first.aes, second.aes);
    EXPECT_NE(first.hmac, second.hmac);
    ASSERT_TRUE(keys.opening_key(first.name.data(), found, &renew, 2099));
    EXPECT_TRUE(renew);
    EXPECT_EQ(found.aes, first.aes);
    EXPECT_FALSE(keys.opening_key(first.name.data(), found, &renew, 2100));
    ASSERT_TRUE(keys.opening_key(second.name.data(), found, &renew, 2100));
    EXPECT_FALSE(renew);
}

TEST(TicketKeys, AtMostSoMany) {
    TicketKeys keys(1 << 20, 3);
    std::vector<TicketKeys::Key> made(5);
    for (int i = 0; i < 5; i++) {
        keys.rotate(i);
        ASSERT_TRUE(keys.sealing_key(made[i]));
    }
    TicketKeys::Key found;
    bool renew;
    for (int i = 0; i < 5; i++) EXPECT_EQ(keys.opening_key(made[i].name.data(), found, &renew, 10), i >= 2) << i;
}

TEST(TicketKeys, KeysFromOutsideReplaceAll) {
    TicketKeys keys(100, 2);
    keys.rotate(1);
    TicketKeys::Key own, found;
    ASSERT_TRUE(keys.sealing_key(own));
    std::vector<TicketKeys::Key> outside(3);
    for (uint8_t i = 0; i < 3; i++) outside[i].name.fill(i);
    keys.set(outside);
    bool renew = false;
    EXPECT_FALSE(keys.opening_key(own.name.data(), found, &renew, 2));
    ASSERT_TRUE(keys.sealing_key(found));
    EXPECT_EQ(found.name[0], 0);
    EXPECT_TRUE(keys.opening_key(outside[1].name.data(), found, &renew, 1'000'000)) << "no time is known, so it does not grow old";
    EXPECT_TRUE(renew);
    EXPECT_FALSE(keys.opening_key(outside[2].name.data(), found, &renew, 2)) << "beyond keys_max";
}

}  // namespace
}  // namespace sluice::tls
