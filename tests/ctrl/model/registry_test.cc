// Services, the rules that apply to them, and their endpoints.
// In: YAML. Out: look-ups.
// Each test reads a small mesh of its own.
// Istio's precedence of DestinationRules and WorkloadEntry selection.
#include "ctrl/model/registry.h"

#include <gtest/gtest.h>

#include "ctrl/model/object_reader.h"

namespace sluice::model {
namespace {

MeshConfig read(const std::string& yaml) {
    MeshConfig mesh;
    std::vector<Diagnostic> out;
    read_objects(yaml::parse("mesh/a.yaml", yaml, out), mesh, out);
    EXPECT_TRUE(out.empty()) << render(out, 1);
    return mesh;
}

std::string rule(const std::string& name, const std::string& ns, const std::string& host,
                 const std::string& more = "") {
    return "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " + name +
           ", namespace: " + ns + "}\nspec: {host: '" + host + "'" + more + "}\n";
}

constexpr char kService[] = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [Reviews.shop.svc.cluster.local]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 9080}, {number: 81, name: alt, protocol: HTTP}]
  resolution: STATIC
  endpoints:
  - {address: 10.0.0.1, labels: {version: v1}, locality: eu/a}
  - {address: 10.0.0.2, ports: {http: 7000}, weight: 5}
)";

std::string rule_name(const MeshConfig& mesh, const std::string& proxy_ns, const Labels& labels = {}) {
    const Registry registry(mesh);
    const auto* found = registry.rule_for(*registry.find("reviews.shop.svc.cluster.local"), {proxy_ns, labels});
    return found ? found->key() : "none";
}

TEST(Registry, FindsServicesInLowerCase) {
    const MeshConfig mesh = read(kService);
    const Registry registry(mesh);
    ASSERT_NE(registry.find("reviews.shop.svc.cluster.local"), nullptr);
    EXPECT_EQ(registry.find("reviews"), nullptr);
}

TEST(Registry, AnEndpointsPortIsItsOwnThenTheTargetThenTheServices) {
    const MeshConfig mesh = read(kService);
    const Registry registry(mesh);
    const Service& service = *registry.find("reviews.shop.svc.cluster.local");
    const auto http = endpoints_of(mesh, service, *service.port(80));
    ASSERT_EQ(http.size(), 2u);
    EXPECT_EQ(http[0].port, 9080u);
    EXPECT_EQ(http[1].port, 7000u);
    EXPECT_EQ(http[0].weight, 1u);
    EXPECT_EQ(http[1].weight, 5u);
    EXPECT_EQ(endpoints_of(mesh, service, *service.port(81))[0].port, 81u);
    EXPECT_EQ(service.port(82), nullptr);
}

TEST(Registry, NearestNamespaceRules) {
    const std::string at_service = rule("s", "shop", "reviews");
    const std::string at_client = rule("c", "edge", "reviews.shop.svc.cluster.local");
    const std::string at_root = rule("r", "istio-system", "*.svc.cluster.local");
    const std::string elsewhere = rule("e", "other", "reviews.shop.svc.cluster.local");
    EXPECT_EQ(rule_name(read(kService + elsewhere), "edge"), "none");
    EXPECT_EQ(rule_name(read(kService + at_root), "edge"), "istio-system/r");
    EXPECT_EQ(rule_name(read(kService + at_root + at_service), "edge"), "shop/s");
    EXPECT_EQ(rule_name(read(kService + at_root + at_service + at_client), "edge"), "edge/c");
    EXPECT_EQ(rule_name(read(kService + at_root + at_service), "istio-system"), "shop/s")
        << "a gateway in the root namespace";
}

TEST(Registry, TheExactHostBeatsAWildcardAndALongOneAShortOne) {
    const std::string exact = rule("exact", "shop", "reviews");
    const std::string wide = rule("wide", "shop", "*.cluster.local");
    const std::string narrow = rule("narrow", "shop", "*.shop.svc.cluster.local");
    EXPECT_EQ(rule_name(read(kService + wide + narrow), "edge"), "shop/narrow");
    EXPECT_EQ(rule_name(read(kService + narrow + wide), "edge"), "shop/narrow");
    EXPECT_EQ(rule_name(read(kService + narrow + exact + wide), "edge"), "shop/exact");
}

TEST(Registry, ARuleNotExportedDoesNotApply) {
    EXPECT_EQ(rule_name(read(kService + rule("s", "shop", "reviews", ", exportTo: ['.']")), "edge"), "none");
    EXPECT_EQ(rule_name(read(kService + rule("s", "shop", "reviews", ", exportTo: ['.']")), "shop"), "shop/s");
    EXPECT_EQ(rule_name(read(kService + rule("s", "shop", "reviews", ", exportTo: [edge]")), "edge"), "shop/s");
}

TEST(Registry, ARuleForChosenWorkloadsIsForThemInTheirNamespaceOnly) {
    const std::string chosen = rule("chosen", "edge", "reviews.shop.svc.cluster.local",
                                    ", workloadSelector: {matchLabels: {app: gw, zone: a}}");
    const std::string all = rule("all", "edge", "reviews.shop.svc.cluster.local");
    const Labels labels = {{"app", "gw"}, {"zone", "a"}, {"more", "x"}};
    EXPECT_EQ(rule_name(read(kService + chosen + all), "edge", labels), "edge/chosen");
    EXPECT_EQ(rule_name(read(kService + all + chosen), "edge", labels), "edge/chosen");
    EXPECT_EQ(rule_name(read(kService + all + chosen), "edge", {{"app", "gw"}}), "edge/all");
    EXPECT_EQ(rule_name(read(kService + chosen), "edge"), "none");
    const std::string at_service = rule("s", "shop", "reviews", ", workloadSelector: {matchLabels: {app: gw}}");
    EXPECT_EQ(rule_name(read(kService + at_service), "edge", labels), "none");
}

TEST(Registry, WorkloadsAreSelectedByLabelsInTheServicesNamespace) {
    const MeshConfig mesh = read(R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vm, namespace: shop}
spec:
  hosts: [vm.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  workloadSelector: {labels: {app: vm}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: one, namespace: shop}
spec: {address: 10.0.0.1, labels: {app: vm}, ports: {http: 8080}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: two, namespace: shop, labels: {app: vm, version: v9}}
spec: {address: 10.0.0.2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: other-label, namespace: shop}
spec: {address: 10.0.0.3, labels: {app: web}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: other-namespace, namespace: bank}
spec: {address: 10.0.0.4, labels: {app: vm}}
)");
    const Registry registry(mesh);
    const Service& service = *registry.find("vm.example");
    const auto found = endpoints_of(mesh, service, *service.port(80));
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].address, "10.0.0.1");
    EXPECT_EQ(found[0].port, 8080u);
    EXPECT_EQ(found[1].address, "10.0.0.2");
    EXPECT_EQ(found[1].labels.at("version"), "v2") << "the spec's labels win";
}

}  // namespace
}  // namespace sluice::model
