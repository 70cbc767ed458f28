// Findings across objects: who is missing, who is doubled, who is alone.
// In: objects. Out: codes and fields.
// Each case has a twin that must bring nothing.
#include <gtest/gtest.h>

#include "tests/ctrl/model/mesh_text.h"

namespace sluice::model {
namespace {

using namespace test;

constexpr char kOk[] = "  - directResponse: {status: 200}\n";

TEST(Conflicts, HostsThatNoServerTakes) {
    const std::string two = gateway("edge", "shop.example, \"*.shop.example\"");
    EXPECT_EQ(codes_of(two + virtual_service("a", kOk, "shop.example, a.shop.example, a.b.shop.example, \"*.b.shop.example\"")), "");
    EXPECT_EQ(codes_of(two + virtual_service("a", kOk, "\"*\"")), "");
    EXPECT_EQ(codes_of(two + virtual_service("a", kOk, "\"*.example\"")), "");
    EXPECT_EQ(codes_of(two + virtual_service("a", kOk, "SHOP.example")), "");
    EXPECT_EQ(codes_of(two + virtual_service("a", kOk, "shop.example, other.example")), "SLC0125 spec.hosts[1]\n");
    EXPECT_EQ(codes_of(two + virtual_service("a", kOk, "\"*.other.example\"")), "SLC0125 spec.hosts[0]\n");
    // Hosts of two Gateways: each needs one only.
    EXPECT_EQ(codes_of(gateway("edge", "a.example") + gateway("inner", "b.example", "81") + virtual_service("a", kOk, "a.example, b.example", "edge, inner")), "");
}

TEST(Conflicts, HostsOfSidecarsAreNotTheGateways) {
    const std::string edge = gateway("edge", "shop.example");
    EXPECT_EQ(codes_of(edge + virtual_service("a", kOk, "shop.example, ratings", "edge, mesh")), "");
    EXPECT_EQ(codes_of(edge + virtual_service("a", kOk, "ratings", "mesh")), "SLC0133 metadata.name\nSLC0126 spec.gateways\n");
    EXPECT_EQ(codes_of(edge + virtual_service("a", kOk, "ratings", "")), "SLC0133 metadata.name\nSLC0126 spec\n");
    EXPECT_EQ(codes_of(edge + virtual_service("a", kOk, "ratings", "edge, mesh")), "SLC0125 spec.hosts[0]\n");
}

TEST(Conflicts, NamespacesOfAServersHosts) {
    const auto with = [](const std::string& host) {
        return codes_of(object("Gateway", "edge", "  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"" + host + "\"]}]\n", "infra") +
                        virtual_service("a", kOk, "shop.example", "infra/edge"));
    };
    EXPECT_EQ(with("shop/*"), "");
    EXPECT_EQ(with("*/shop.example"), "");
    EXPECT_EQ(with("other/*"), "SLC0125 spec.hosts[0]\n");
    EXPECT_EQ(with("./*"), "SLC0125 spec.hosts[0]\n");
}

TEST(Conflicts, AGatewayOfAnotherNamespaceIsGuessed) {
    const auto all = findings_of(object("Gateway", "edge", "  servers: [{port: {number: 80, protocol: HTTP}, hosts: [\"*\"]}]\n", "infra") + virtual_service("a", kOk));
    ASSERT_EQ(all.size(), 2u) << render(all, 1);
    EXPECT_EQ(all[1].code, "SLC0110");
    EXPECT_EQ(all[1].cure, "did you mean `infra/edge`?");
}

TEST(Conflicts, TwoServersOfOneHost) {
    const std::string routes = virtual_service("a", kOk, "shop.example", "edge, second");
    EXPECT_EQ(codes_of(gateway() + gateway("second") + routes, "SLC0128"), "SLC0128 spec.servers[0].hosts[0]\n");
    EXPECT_EQ(codes_of(gateway() + gateway("second", "shop.example") + routes, "SLC0128"), "");
    EXPECT_EQ(codes_of(gateway() + gateway("second", "\"*\"", "81") + routes, "SLC0128"), "");
    EXPECT_EQ(codes_of(gateway("edge", "a.example, A.example") + virtual_service("a", kOk, "a.example"), "SLC0128"), "SLC0128 spec.servers[0].hosts[1]\n");
    // Selectors that no gateway can satisfy both.
    const std::string egress = object("Gateway", "egress", "  selector: {istio: egressgateway}\n  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]\n");
    EXPECT_EQ(codes_of(gateway() + egress + routes, "SLC0128"), "");
}

TEST(Conflicts, PortNamesOfAGateway) {
    const std::string twice = object("Gateway", "edge", "  servers:\n  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example]}\n"
                                                        "  - {port: {number: 81, name: http, protocol: HTTP}, hosts: [a.example]}\n");
    EXPECT_EQ(codes_of(twice + virtual_service("a", kOk, "a.example")), "SLC0107 spec.servers[1].port.name\n");
}

TEST(Conflicts, SubsetsThatNobodyNamesOrServes) {
    const std::string base = gateway() + service("ratings", "{address: 10.0.0.1, labels: {version: v1}}");
    const std::string rule = object("DestinationRule", "ratings", "  host: ratings\n  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]\n");
    const auto to = [](const std::string& name, const std::string& subset) {
        return virtual_service(name, "  - route: [{destination: {host: ratings, subset: " + subset + "}}]\n", name + ".example");
    };
    EXPECT_EQ(codes_of(base + rule + to("a", "v1") + to("b", "v1")), "SLC0129 spec.subsets[1].name\nSLC0132 spec.subsets[1].labels\n");
    EXPECT_EQ(codes_of(base + rule + to("a", "v1") + to("b", "v2")), "SLC0132 spec.subsets[1].labels\n");
}

TEST(Conflicts, RulesForHosts) {
    const std::string base = gateway() + service("ratings") + virtual_service("a", "  - route: [{destination: {host: ratings}}]\n");
    EXPECT_EQ(codes_of(base + object("DestinationRule", "r", "  host: ratings\n")), "");
    EXPECT_EQ(codes_of(base + object("DestinationRule", "r", "  host: \"*.cluster.local\"\n")), "");
    EXPECT_EQ(codes_of(base + object("DestinationRule", "r", "  host: \"*.example\"\n")), "SLC0123 spec.host\n");
    const auto all = findings_of(base + object("DestinationRule", "r", "  host: rating\n"));
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].cure, "did you mean `ratings.shop.svc.cluster.local`?");
}

TEST(Conflicts, WeightsThatAreNoPercentages) {
    const auto with = [](const std::string& first, const std::string& second) {
        return codes_of(gateway() + service("a") + service("b") +
                        virtual_service("a", "  - route:\n    - {destination: {host: a}" + first + "}\n    - {destination: {host: b}" + second + "}\n"));
    };
    EXPECT_EQ(with(", weight: 90", ", weight: 10"), "");
    EXPECT_EQ(with(", weight: 100", ", weight: 0"), "");
    EXPECT_EQ(with(", weight: 3", ", weight: 1"), "SLC0130 spec.http[0].route\n");
    EXPECT_EQ(with(", weight: 100", ""), "SLC0130 spec.http[0].route[1]\n");
}

TEST(Conflicts, AServiceOfKubernetesExplainsTheUnknownHost) {
    const std::string text = "apiVersion: v1\nkind: Service\nmetadata: {name: ratings, namespace: shop}\nspec: {}\n" + gateway() +
                             virtual_service("a", "  - route: [{destination: {host: ratings}}]\n");
    const auto all = findings_of(text);
    ASSERT_EQ(all.size(), 2u) << render(all, 1);
    EXPECT_EQ(all[0].code, "SLC0122");
    EXPECT_EQ(all[0].severity, Severity::kInfo);
    EXPECT_EQ(all[1].code, "SLC0108");
    EXPECT_EQ(all[1].cure, "the Service in m.yaml:1 is passed over: write a ServiceEntry with resolution: STATIC");
}

TEST(Conflicts, ItemsOfAListAreObjects) {
    const std::string list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: networking.istio.io/v1\n  kind: VirtualService\n  metadata: {name: a, namespace: shop}\n"
                             "  spec:\n    hosts: [shop.example]\n    gateways: [egde]\n    http: [{directResponse: {status: 200}}]\n";
    const auto all = findings_of(list + gateway());
    ASSERT_FALSE(all.empty());
    EXPECT_EQ(all[0].code, "SLC0110");
    EXPECT_EQ(all[0].line, 9);
    EXPECT_EQ(all[0].field, "spec.gateways[0]");
}

TEST(Conflicts, AreBounded) {
    std::string text = gateway();
    for (int i = 0; i < 1000; ++i) text += object("DestinationRule", "r" + std::to_string(i), "  host: nobody" + std::to_string(i) + "\n");
    EXPECT_EQ(findings_of(text).size(), room_for(Severity::kWarning));
}

}  // namespace
}  // namespace sluice::model
