// What an operator took out of rotation: how it is written, what it would do, and that every revision has it marked.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "ctrl/control/drained_endpoints.h"

namespace sluice::control {
namespace {

using envoy::config::core::v3::HealthStatus;
using Key = DrainedEndpoints::Key;

std::string endpoint(const std::string& address, int port = 9080, const std::string& rest = "") {
    return "lb_endpoints { endpoint { address { socket_address { address: \"" + address + "\" port_value: " + std::to_string(port) + " } } } " + rest + "}";
}

void add(xds::ResourceSet& set, const std::string& cluster, const std::string& endpoints) {
    envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString("cluster_name: \"" + cluster + "\" endpoints { " + endpoints + " }", &assignment));
    set.endpoints[cluster] = std::move(assignment);
}

std::shared_ptr<xds::ResourceSet> world() {
    auto set = std::make_shared<xds::ResourceSet>();
    add(*set, "a", endpoint("10.0.0.1") + endpoint("10.0.0.2"));
    add(*set, "b", endpoint("10.0.0.2") + endpoint("10.0.0.3", 9080, "health_status: UNHEALTHY"));
    add(*set, "c", endpoint("2001:DB8::1", 80) + endpoint("10.0.0.2", 8080));
    envoy::config::cluster::v3::Cluster fixed;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString("name: \"static\" type: STATIC load_assignment { endpoints { " + endpoint("10.0.0.1") + " } }", &fixed));
    set->clusters["static"] = std::move(fixed);
    return set;
}

HealthStatus status_of(const xds::ResourceSet& set, const std::string& cluster, int i) { return set.endpoints.at(cluster)->endpoints(0).lb_endpoints(i).health_status(); }

TEST(DrainedEndpoints, IsWrittenAsPeopleWriteAddresses) {
    EXPECT_EQ(*DrainedEndpoints::parse("10.0.0.21:9080"), (Key{"10.0.0.21", 9080}));
    EXPECT_EQ(*DrainedEndpoints::parse("10.0.0.21"), (Key{"10.0.0.21", 0}));
    EXPECT_EQ(*DrainedEndpoints::parse("[2001:DB8::0:1]:80"), (Key{"2001:db8::1", 80}));
    EXPECT_EQ(*DrainedEndpoints::parse("2001:db8::1"), (Key{"2001:db8::1", 0}));
    EXPECT_EQ((Key{"2001:db8::1", 80}).to_string(), "[2001:db8::1]:80");
    EXPECT_EQ((Key{"10.0.0.1", 0}).to_string(), "10.0.0.1");
    for (const char* wrong : {"", "reviews", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:99999", "10.0.0.1:80x", "[10.0.0.1", "[]:80", ":80", "10.0.0.256:80"})
        EXPECT_FALSE(DrainedEndpoints::parse(wrong)) << wrong;
}

TEST(DrainedEndpoints, MarksItInEveryClusterAndLeavesTheRest) {
    DrainedEndpoints drained;
    const auto plain = world();
    EXPECT_EQ(drained.mark(*plain), nullptr) << "nothing is copied while nothing is drained";
    EXPECT_TRUE(drained.add({"10.0.0.2", 9080}));
    EXPECT_FALSE(drained.add({"10.0.0.2", 9080}));
    EXPECT_TRUE(drained.add({"10.0.0.1", 0}));
    const auto marked = drained.mark(*plain);
    EXPECT_EQ(status_of(*marked, "a", 0), HealthStatus::DRAINING);
    EXPECT_EQ(status_of(*marked, "a", 1), HealthStatus::DRAINING);
    EXPECT_EQ(status_of(*marked, "b", 0), HealthStatus::DRAINING);
    EXPECT_EQ(status_of(*marked, "b", 1), HealthStatus::UNHEALTHY);
    EXPECT_EQ(status_of(*marked, "c", 1), HealthStatus::UNKNOWN) << "another port";
    EXPECT_EQ(marked->clusters.at("static")->load_assignment().endpoints(0).lb_endpoints(0).health_status(), HealthStatus::DRAINING);
    EXPECT_EQ(status_of(*plain, "a", 0), HealthStatus::UNKNOWN) << "what the user wrote stays as it is";

    EXPECT_TRUE(drained.remove({"10.0.0.1", 0}));
    EXPECT_FALSE(drained.remove({"10.0.0.1", 0}));
    EXPECT_EQ(status_of(*drained.mark(*plain), "a", 0), HealthStatus::UNKNOWN);
    EXPECT_TRUE(drained.remove({"10.0.0.2", 0})) << "an address alone is every port of it";
    EXPECT_TRUE(drained.list().empty());
}

TEST(DrainedEndpoints, SaysWhichClustersWouldHaveNoneLeft) {
    DrainedEndpoints drained;
    const auto set = world();
    using Names = std::vector<std::string>;
    EXPECT_EQ(drained.effect_of({"10.0.0.2", 9080}, *set).clusters, (Names{"a", "b"}));
    EXPECT_EQ(drained.effect_of({"10.0.0.2", 9080}, *set).without_any, Names{"b"}) << "the other one of b is unhealthy";
    EXPECT_EQ(drained.effect_of({"10.0.0.2", 0}, *set).clusters, (Names{"a", "b", "c"}));
    EXPECT_EQ(drained.effect_of({"10.0.0.1", 0}, *set).without_any, Names{"static"});
    EXPECT_EQ(drained.effect_of({"2001:db8::1", 80}, *set).clusters, Names{"c"});
    EXPECT_TRUE(drained.effect_of({"10.9.9.9", 0}, *set).clusters.empty());
    drained.add({"10.0.0.1", 0});
    EXPECT_EQ(drained.effect_of({"10.0.0.2", 9080}, *set).without_any, (Names{"a", "b"})) << "what is drained already does not count as left";
}

}  // namespace
}  // namespace sluice::control
