// Names as operators read them, and which Host header may reach the loopback endpoint.
#include "ctrl/admin/names.h"

#include <gtest/gtest.h>

#include "ctrl/admin/server.h"

namespace sluice::admin {
namespace {

TEST(ClusterName, IstiosAndOthers) {
    const auto n = split_cluster_name("outbound|9080|v1|reviews.shop.svc.cluster.local");
    EXPECT_EQ(n.port, "9080");
    EXPECT_EQ(n.subset, "v1");
    EXPECT_EQ(n.host, "reviews.shop.svc.cluster.local");
    EXPECT_EQ(split_cluster_name("outbound|80||x.example").subset, "");
    EXPECT_EQ(split_cluster_name("BlackHoleCluster").host, "BlackHoleCluster");
    EXPECT_EQ(short_host("reviews.shop.svc.cluster.local", true), "reviews.shop");
    EXPECT_EQ(short_host("reviews.shop.svc", false), "reviews");
    EXPECT_EQ(short_host("api.example.com", false), "api.example.com");
    EXPECT_EQ(short_host("a.svcs.example", false), "a.svcs.example");
}

TEST(RouteTarget, EachAction) {
    route::Route r;
    r.clusters.push_back({.cluster_id = 0, .cluster_name = "outbound|9080||ratings.shop.svc.cluster.local"});
    EXPECT_EQ(route_target(r), "ratings");
    r.clusters = {};
    r.clusters.resize(3);
    r.clusters[0] = {.cluster_id = 0, .cluster_name = "outbound|80|v1|a.b.svc.cluster.local", .weight = 1};
    r.clusters[1] = {.cluster_id = 0, .cluster_name = "outbound|80|v2|a.b.svc.cluster.local", .weight = 1};
    r.clusters[2] = {.cluster_id = UINT32_MAX, .cluster_name = "outbound|80||c.example", .weight = 1};
    EXPECT_EQ(route_target(r), "a v1 33% v2 33% c.example 33% (unknown cluster)");
    r.action = route::Route::Action::kDirectResponse;
    r.direct.status = 418;
    EXPECT_EQ(route_target(r), "direct 418");
    r.action = route::Route::Action::kRedirect;
    r.redirect = {.status = 308, .https = true};
    EXPECT_EQ(route_target(r), "redirect 308 https://HOST");
    r.redirect = {.status = 301, .path = "/new"};
    EXPECT_EQ(route_target(r), "redirect 301 /new");
}

TEST(DomainMatch, ExactThenLongestSuffixThenAny) {
    EXPECT_GT(domain_match("shop.example", "Shop.Example"), domain_match("*.example", "shop.example"));
    EXPECT_GT(domain_match("*.b.example", "a.b.example"), domain_match("*.example", "a.b.example"));
    EXPECT_GT(domain_match("*.example", "a.example"), domain_match("*", "a.example"));
    EXPECT_GT(domain_match("*", "x"), 0u);
    EXPECT_EQ(domain_match("*.example", "example"), 0u);
    EXPECT_EQ(domain_match("other", "x"), 0u);
    EXPECT_GT(domain_match("shop.example:80", "shop.example"), 0u);
    EXPECT_EQ(domain_match("shop.example:80", "shop.example:81"), 0u);
}

TEST(HostHeader, OnlyLoopbackNames) {
    for (const char* host : {"localhost", "localhost:15000", "127.0.0.1", "127.0.0.1:15000", "127.9.9.9:1", "[::1]", "[::1]:15000"})
        EXPECT_TRUE(is_local_host_header(host)) << host;
    for (const char* host : {"", "evil.example", "evil.example:15000", "localhost.evil.example", "192.0.2.1", "[::2]:1", "[::1", "127.0.0.1.evil.example"})
        EXPECT_FALSE(is_local_host_header(host)) << host;
}

}  // namespace
}  // namespace sluice::admin
