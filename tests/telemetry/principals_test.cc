// Pairs of principals: found again, bounded, freed when nobody has them, and right when cores meet while the control thread frees.
#include "telemetry/principals.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "telemetry/core_stats.h"
#include "tests/telemetry/entry.h"

namespace sluice::telemetry {
namespace {

std::string workload(uint32_t i) { return "spiffe://cluster.local/ns/shop/sa/w" + std::to_string(i); }
constexpr std::string_view kGateway = "spiffe://cluster.local/ns/istio-system/sa/edge";
const auto kNobody = [](Principals::Marks&) {};

TEST(Principals, APairIsOneNumberForAllCores) {
    Principals table;
    PrincipalUses a, b;
    const PrincipalsId id = table.take({kGateway, workload(1)}, a);
    EXPECT_NE(id, kNoPrincipals);
    EXPECT_EQ(table.take({kGateway, workload(1)}, b), id);
    EXPECT_NE(table.take({"", workload(1)}, a), id);
    EXPECT_NE(table.take({kGateway, ""}, a), id);
    EXPECT_NE(table.take({workload(1), std::string(kGateway)}, a), id) << "who is who counts";
    EXPECT_EQ(table.names(id).source, kGateway);
    EXPECT_EQ(table.names(id).destination, workload(1));
    EXPECT_EQ(table.used(), 4u);
}

TEST(Principals, NobodyIsNoPairAndWhatIsTooLongIsOther) {
    Principals table;
    PrincipalUses uses;
    EXPECT_EQ(table.take({"", ""}, uses), kNoPrincipals);
    EXPECT_EQ(table.take({kGateway, std::string(Principals::kBytesMax - kGateway.size() + 1, 'x')}, uses), kOtherPrincipals);
    EXPECT_NE(table.take({kGateway, std::string(Principals::kBytesMax - kGateway.size(), 'x')}, uses), kOtherPrincipals);
    EXPECT_EQ(table.names(kOtherPrincipals).destination, "");
    uses.drop(kOtherPrincipals);   // counted nowhere
    uses.drop(kNoPrincipals);
    EXPECT_EQ(table.used(), 1u);
}

/// A backend that shows another identity on each of its connections.
TEST(Principals, MillionsOfIdentitiesTakeNoMoreRoom) {
    RequestSeries series;
    CoreStats stats({}, &series);
    const PrincipalUses* cores[] = {&stats.principal_uses()};
    const PrincipalsId kept = stats.take_principals({kGateway, "spiffe://cluster.local/ns/shop/sa/honest"});
    uint32_t other = 0;
    for (uint32_t i = 0; i < 300'000; i++) {
        const PrincipalsId id = stats.take_principals({kGateway, workload(i)});
        other += id == kOtherPrincipals;
        stats.add_request({.destination = 7, .status = 200, .principals = id}, 1, 1, 1);
        stats.principal_uses().drop(id);
        if (i % 1000 == 999) series.collect_principals(cores);
        ASSERT_LE(series.principals().used(), Principals::kMax);
    }
    EXPECT_EQ(stats.other_principals.get(), other);
    EXPECT_EQ(other, 0u) << "who left made room";
    EXPECT_LE(series.used(), kSeriesOfDestination + 1);
    EXPECT_EQ(stats.take_principals({kGateway, "spiffe://cluster.local/ns/shop/sa/honest"}), kept) << "who stayed has the same number";
}

TEST(Principals, BeyondTheTableThereIsOneOther) {
    Principals table;
    PrincipalUses uses;
    const PrincipalUses* cores[] = {&uses};
    std::vector<PrincipalsId> ids;
    for (uint32_t i = 0; i < Principals::kMax; i++) ids.push_back(table.take({kGateway, workload(i)}, uses));
    EXPECT_EQ(std::set<PrincipalsId>(ids.begin(), ids.end()).size(), Principals::kMax);
    EXPECT_EQ(table.take({kGateway, workload(Principals::kMax)}, uses), kOtherPrincipals);
    EXPECT_EQ(table.take({kGateway, workload(5)}, uses), ids[5]) << "those that are there are found";
    uses.drop(ids[5]);
    EXPECT_EQ(table.collect(cores, kNobody), 0u) << "all have connections";
    uses.drop(ids[5]);
    EXPECT_EQ(table.collect(cores, [&](auto& marks) { marks[ids[5]] = true; }), 0u) << "a combination names it";
    EXPECT_EQ(table.names(ids[5]).destination, workload(5));
    EXPECT_EQ(table.collect(cores, kNobody), 1u);
    EXPECT_EQ(table.names(ids[5]).destination, "");
    EXPECT_NE(table.take({kGateway, workload(Principals::kMax)}, uses), kOtherPrincipals);
}

TEST(Principals, NothingGoesWhileSomebodyReads) {
    Principals table;
    PrincipalUses uses;
    const PrincipalUses* cores[] = {&uses};
    for (uint32_t i = 0; i < Principals::kMax; i++) uses.drop(table.take({kGateway, workload(i)}, uses));
    {
        const auto reading = table.reading();
        EXPECT_EQ(table.collect(cores, kNobody), 0u);
    }
    EXPECT_EQ(table.collect(cores, kNobody), Principals::kMax);
    EXPECT_EQ(table.used(), 0u);
}

TEST(Principals, AUseEndsWithItsOwner) {
    Principals table;
    PrincipalUses uses;
    const PrincipalsId id = table.take({kGateway, workload(1)}, uses);
    {
        PrincipalUse one, two;
        one.share(uses, id);
        two.share(uses, id);
        two.share(uses, id);
        EXPECT_EQ(uses.of_place(id - 1u), 3u);
    }
    EXPECT_EQ(uses.of_place(id - 1u), 1u);
}

/// What a number means never changes while a core has a use of it, whatever comes and goes beside it.
TEST(Principals, CoresMeetWhileTheControlThreadFrees) {
    const uint64_t seed = test::seed();
    constexpr uint32_t kCores = 3, kEach = 60'000, kKinds = 6000;
    Principals table;
    std::vector<std::unique_ptr<PrincipalUses>> uses;
    std::vector<const PrincipalUses*> cores;
    for (uint32_t i = 0; i < kCores; i++) cores.push_back(uses.emplace_back(std::make_unique<PrincipalUses>()).get());
    std::atomic<uint32_t> running{kCores}, wrong{0}, others{0};
    std::vector<std::thread> threads;
    for (uint32_t core = 0; core < kCores; core++) {
        threads.emplace_back([&, core] {
            std::mt19937_64 random(seed + core);
            std::vector<std::pair<PrincipalsId, uint32_t>> held;
            for (uint32_t i = 0; i < kEach; i++) {
                const auto which = static_cast<uint32_t>(random() % kKinds);
                const PrincipalsId id = table.take({kGateway, workload(which)}, *uses[core]);
                if (id == kOtherPrincipals) others++;
                else held.emplace_back(id, which);
                if (held.size() < 8) continue;
                const size_t gone = random() % held.size();
                wrong += table.names(held[gone].first).destination != workload(held[gone].second);
                uses[core]->drop(held[gone].first);
                held.erase(held.begin() + static_cast<std::ptrdiff_t>(gone));
            }
            for (const auto& [id, which] : held) uses[core]->drop(id);
            running--;
        });
    }
    uint32_t freed = 0;
    while (running > 0) freed += table.collect(cores, kNobody);
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0u) << "seed " << seed;
    EXPECT_GT(freed, 0u) << "seed " << seed;
    while (table.used() >= Principals::kMax / 2) table.collect(cores, kNobody);
    for (uint32_t place = 0; place < Principals::kPlaces; place++)
        for (const auto* core : cores) ASSERT_EQ(core->of_place(place), 0u) << "seed " << seed;
}

}  // namespace
}  // namespace sluice::telemetry
