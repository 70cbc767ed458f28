// Edits applied one after another, each build on top of the one before, give what a build from nothing gives; and what an edit did
// not touch is the same part as before. Random edits, seeded: SLUICE_SEED=N repeats a run.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <sstream>

#include "base/rng.h"
#include "tests/ctrl/apply/support.h"

namespace sluice::apply::test {
namespace {

uint64_t seed_of_run() {
    const char* given = std::getenv("SLUICE_SEED");
    return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

void describe(std::ostream& out, const snapshot::Snapshot& snapshot, const upstream::Cluster& cluster) {
    out << "cluster " << cluster.name << " policy " << static_cast<int>(cluster.policy) << " max " << cluster.max_connections << " timeout "
        << cluster.connect_timeout.us << " service " << cluster.destination.service << " source " << cluster.source << '\n';
    EXPECT_EQ(snapshot.clusters[cluster.id].get(), &cluster);
    for (const auto& endpoint : cluster.endpoints->endpoints)
        out << "  " << endpoint.address.to_string() << " weight " << endpoint.weight << " priority " << int{endpoint.priority} << ' ' << endpoint.locality << '\n';
    for (const auto& endpoint : cluster.endpoints->left_out) out << "  left out " << endpoint.address.to_string() << '\n';
}

/// Everything a request or an operator can tell two snapshots apart by, without ids.
std::string text_of(const snapshot::Snapshot& snapshot) {
    std::map<std::string, std::string> clusters;
    for (const auto& cluster : snapshot.clusters) {
        if (!cluster) continue;
        std::ostringstream text;
        describe(text, snapshot, *cluster);
        clusters[cluster->name] = text.str();
    }
    std::ostringstream out;
    for (const auto& [name, text] : clusters) out << text;
    for (const auto& table : snapshot.routes) {
        out << "table " << table->name() << '\n';
        for (const auto& host : table->virtual_hosts()) {
            out << " host " << host.name;
            for (const auto& domain : host.domains) out << ' ' << domain;
            out << '\n';
            for (const auto& route : host.routes) {
                out << "  " << route.match_text;
                for (const auto& to : route.clusters) {
                    const auto* cluster = to.cluster_id < snapshot.clusters.size() ? snapshot.clusters[to.cluster_id].get() : nullptr;
                    EXPECT_TRUE(!cluster || cluster->name == to.cluster_name) << to.cluster_name << " leads to " << cluster->name;
                    EXPECT_EQ(cluster == nullptr, !clusters.contains(to.cluster_name)) << to.cluster_name;
                    out << ' ' << to.cluster_name << (cluster ? "" : " (unknown)");
                }
                out << '\n';
            }
        }
    }
    for (const auto& listener : snapshot.listeners) {
        const auto* table = snapshot.chains.at(listener->chains.at(0).id).routes;
        out << "listener " << listener->name << ' ' << listener->address.to_string() << " source " << listener->source << " routes "
            << (table ? table->name() : "none") << '\n';
    }
    return out.str();
}

class Editor {
 public:
    Editor(World& world, Rng& rng) : world_(world), rng_(rng) {
        for (int i = 0; i < 6; i++) put_cluster(name());
        put_routes("http.80");
        world_.listener(listener_text());
    }
    /// One edit, small or large, at times none at all, at times a wrong one.
    void edit() {
        switch (rng_.below(12)) {
            case 0: return put_cluster(name());
            case 1: return erase(world_.resources.clusters);
            case 2: case 3: case 4: return put_endpoints(name());
            case 5: return erase(world_.resources.endpoints);
            case 6: return put_routes(rng_.chance(0.8) ? "http.80" : "http.81");
            case 7: return erase(world_.resources.routes);
            case 8: return world_.listener(listener_text("", rng_.chance(0.5) ? "" : R"(metadata { filter_metadata { key: "sluice" value { fields { key: "source" value { string_value: "mesh/b.yaml:9" } } } } })"));
            case 9: return put_static(name());
            case 10: return copy_all();
            default: return put_wrong();
        }
    }

 private:
    std::string name() { return std::string(1, static_cast<char>('a' + rng_.below(12))); }
    std::string endpoints() {
        std::string text;
        for (uint64_t n = rng_.below(5), i = 0; i < n; i++)
            text += endpoint_text("10.0.0." + std::to_string(rng_.between(1, 40)) , static_cast<int>(8000 + i),
                                  rng_.chance(0.3) ? "load_balancing_weight { value: 3 }" : rng_.chance(0.2) ? "health_status: DRAINING" : "");
        return "endpoints { " + text + (rng_.chance(0.3) ? R"(locality { region: "eu" zone: "1" } )" : "") + "}";
    }
    void put_cluster(const std::string& n) {
        world_.cluster(cluster_text(n, rng_.chance(0.5) ? "lb_policy: RANDOM" : rng_.chance(0.3) ? "connect_timeout { seconds: 3 }" : ""));
    }
    void put_static(const std::string& n) {
        world_.cluster("name: \"" + n + "\" type: STATIC " + (rng_.chance(0.7) ? "load_assignment { cluster_name: \"" + n + "\" " + endpoints() + " }" : ""));
    }
    void put_endpoints(const std::string& n) { world_.endpoints("cluster_name: \"" + n + "\" " + endpoints()); }
    void put_routes(const std::string& n) {
        // A few hosts of many, so that most stay: from all that there are, one is made, changed or removed.
        auto& hosts = hosts_[n];
        const std::string host = rng_.chance(0.3) ? "*" : name() + ".example";
        std::string routes;
        for (uint64_t i = 0, count = rng_.between(1, 4); i < count; i++)
            routes += "routes { match { prefix: \"/" + name() + "\" } route { cluster: \"" + name() + "\" } } ";
        if (rng_.chance(0.1)) routes += "routes { match { safe_regex { regex: \"/" + name() + ".*\" } } route { cluster: \"" + name() + "\" } } ";
        if (rng_.chance(0.2)) hosts.erase(host);
        else hosts[host] = "virtual_hosts { name: \"" + host + "\" domains: \"" + host + "\" " + routes + "} ";
        std::string all;
        for (const auto& [key, text] : hosts) all += text;
        world_.routes("name: \"" + n + "\" " + all + "validate_clusters {}");
    }
    void put_wrong() {
        if (rng_.chance(0.5)) world_.cluster(cluster_text(name(), "lb_policy: MAGLEV"));
        else put_endpoints(name()), world_.resources.endpoints.own().begin()->second.edit([](auto& e) { e.add_endpoints()->set_priority(1000); });
    }
    /// The same content in new messages.
    void copy_all() {
        const auto copy = [](auto& resources) {
            for (auto& [name, resource] : resources.own()) resource.edit([](auto&) {});
        };
        copy(world_.resources.clusters), copy(world_.resources.endpoints), copy(world_.resources.routes), copy(world_.resources.listeners);
    }
    template <typename Map>
    void erase(Map& map) {
        if (map.empty()) return;
        map.erase(std::next(map.begin(), static_cast<long>(rng_.below(map.size())))->first);
    }

    World& world_;
    Rng& rng_;
    std::map<std::string, std::map<std::string, std::string>> hosts_;   // by table
};

TEST(Incremental, RandomEditsGiveWhatABuildFromNothingGives) {
    const uint64_t seed = seed_of_run();
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed) + " ctrl_apply_test --gtest_filter=Incremental.*");
    Rng rng(seed);
    int applied = 0, refused = 0;
    for (int round = 0; round < 20; round++) {
        World world;
        Editor editor(world, rng);
        for (int step = 0; step < 60; step++) {
            const xds::ResourceSet before = world.resources;
            for (uint64_t edits = rng.between(0, 3); edits > 0; edits--) editor.edit();
            const Refusals refusals = world.apply();
            snapshot::Publisher aside(1);
            const auto whole = build(world.resources, nullptr, aside, 1, "v");
            if (!refusals.empty()) {
                refused++;
                ASSERT_FALSE(whole) << "step " << step << ": refused on top of the one before, not alone";
                Refusals alone;
                for (const Nack& nack : whole.error()) alone.push_back(nack.field + ": " + nack.message);
                ASSERT_EQ(refusals, alone);
                world.resources = before;
                continue;
            }
            applied++;
            ASSERT_TRUE(whole) << "step " << step << ": " << whole.error().front().message;
            ASSERT_EQ(text_of(world.now()), text_of(**whole)) << "step " << step;
        }
    }
    EXPECT_GT(applied, 100);
    EXPECT_GT(refused, 10);
}

TEST(Incremental, WhatAnEditDidNotTouchIsTheSamePart) {
    World world;
    for (const char* name : {"a", "b", "c", "d"}) {
        world.cluster(cluster_text(name));
        world.endpoints("cluster_name: \"" + std::string(name) + "\" endpoints { " + endpoint_text("10.0.0.1") + "}");
    }
    world.routes(routes_text("routes { match { prefix: \"/\" } route { cluster: \"a\" } } routes { match { prefix: \"/late\" } route { cluster: \"late\" } }", "validate_clusters {}"));
    world.listener(listener_text());
    ASSERT_EQ(world.apply(), Refusals{});
    const auto part = [&](const char* name) { return world.find_cluster(name); };
    const auto *a = part("a"), *b = part("b"), *d = part("d");
    const auto* table = world.now().routes[0].get();

    world.endpoints("cluster_name: \"b\" endpoints { " + endpoint_text("10.0.0.2") + "}");
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_EQ(part("a"), a);
    EXPECT_NE(part("b"), b);
    EXPECT_EQ(part("d"), d);
    EXPECT_EQ(world.now().routes[0].get(), table);

    world.cluster(cluster_text("bb"));   // between two others; no route is for it
    world.resources.clusters.erase("c");
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_EQ(part("a"), a);
    EXPECT_EQ(part("c"), nullptr);
    EXPECT_EQ(part("d"), d);
    EXPECT_EQ(world.now().routes[0].get(), table) << "neither of the two is named by a route";

    world.cluster(cluster_text("late"));
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_NE(world.now().routes[0].get(), table) << "a route waited for it";
    const auto* found = world.now().routes[0].get();
    world.resources.clusters.erase("a");
    ASSERT_EQ(world.apply(), Refusals{});
    EXPECT_NE(world.now().routes[0].get(), found) << "a route's cluster went";
}

TEST(Incremental, AClusterUnderAnotherNameIsRefused) {
    World world;
    world.cluster(cluster_text("a"));
    world.resources.clusters["b"] = world.resources.clusters["a"];
    EXPECT_EQ(world.apply(), Refusals{"name: is not the resource's name"});
}

}  // namespace
}  // namespace sluice::apply::test
