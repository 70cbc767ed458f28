// Typed messages out of trees: values of every kind, durations, names.
// In: YAML. Out: messages.
// Mistakes are bad_yaml_test's.
// proto3's JSON mapping with Go's durations.
#include <gtest/gtest.h>

#include "ctrl/model/message_reader.h"
#include "ctrl/model/mesh_config.h"
#include "ctrl/model/names.h"
#include "ctrl/model/object_reader.h"

namespace sluice::model {
namespace {

using namespace std::chrono_literals;

TEST(Duration, ReadsWhatGoWrites) {
    EXPECT_EQ(parse_duration("5s"), 5s);
    EXPECT_EQ(parse_duration("0s"), 0s);
    EXPECT_EQ(parse_duration("0"), 0s);
    EXPECT_EQ(parse_duration("1.5s"), 1500ms);
    EXPECT_EQ(parse_duration("100ms"), 100ms);
    EXPECT_EQ(parse_duration("1h30m"), 90min);
    EXPECT_EQ(parse_duration("1m0.5s"), 60500ms);
    EXPECT_EQ(parse_duration("250us"), 250us);
    EXPECT_EQ(parse_duration("7ns"), 7ns);
}

TEST(Duration, RefusesTheRest) {
    for (const char* text : {"", "5", "s", "5 s", "-1s", "1s ", "1e3s", "5sec", "1.2.3s", ".s", "1000h",
                             "99999999999999999999h", "infs", "nans", "0x5s", "1d"})
        EXPECT_EQ(parse_duration(text), std::nullopt) << text;
}

TEST(Names, HostsAreNamesOrWildcards) {
    for (const char* good : {"a", "shop.example", "a-b.c", "10.0.0.1", "::1", "a_b.c", "Shop.Example"})
        EXPECT_EQ(wrong_host(good, false), std::nullopt) << good;
    for (const char* bad : {"", "a..b", ".a", "a.", "-a.b", "a b", "a:80", "a/b", "http://a", "*", "*.a", "a.*"})
        EXPECT_NE(wrong_host(bad, false), std::nullopt) << bad;
    EXPECT_EQ(wrong_host("*", true), std::nullopt);
    EXPECT_EQ(wrong_host("*.a.b", true), std::nullopt);
    EXPECT_NE(wrong_host("*a.b", true), std::nullopt);
    EXPECT_NE(wrong_host(std::string(64, 'a'), true), std::nullopt);
    EXPECT_NE(wrong_host(std::string(126, 'a') + "." + std::string(127, 'b'), true), std::nullopt);
}

TEST(Names, WildcardsCoverWhatTheyStandFor) {
    EXPECT_TRUE(covers("*", "a.b"));
    EXPECT_TRUE(covers("*", "*.b"));
    EXPECT_TRUE(covers("*.b", "a.b"));
    EXPECT_TRUE(covers("*.b", "x.a.b"));
    EXPECT_TRUE(covers("*.b", "*.a.b"));
    EXPECT_TRUE(covers("*.b", "*.b"));
    EXPECT_TRUE(covers("a.b", "a.b"));
    EXPECT_FALSE(covers("*.b", "b"));
    EXPECT_FALSE(covers("*.b", "ab"));
    EXPECT_FALSE(covers("*.b", "*"));
    EXPECT_FALSE(covers("*.a.b", "*.b"));
    EXPECT_FALSE(covers("a.b", "*.b"));
}

TEST(Names, ShortNamesAreCompletedWithTheNamespace) {
    EXPECT_EQ(full_host("reviews", "shop"), "reviews.shop.svc.cluster.local");
    EXPECT_EQ(full_host("Reviews.Shop", "other"), "reviews.shop");
    EXPECT_EQ(full_host("*", "shop"), "*");
}

// A mesh of one file; fails the test when something is wrong with it.
MeshConfig read(const std::string& yaml) {
    MeshConfig mesh;
    std::vector<Diagnostic> out;
    read_objects(yaml::parse("mesh/a.yaml", yaml, out), mesh, out);
    EXPECT_TRUE(out.empty()) << render(out, 1);
    return mesh;
}

TEST(Objects, AreReadInAllThreeVersions) {
    for (const char* version : {"v1", "v1beta1", "v1alpha3"}) {
        const MeshConfig mesh = read(std::string("apiVersion: networking.istio.io/") + version + R"(
kind: WorkloadEntry
metadata: {name: a, namespace: shop, labels: {app: x}, creationTimestamp: null, uid: 1-2-3, managedFields: [{a: 1}]}
spec: {address: 10.0.0.1, ports: {http: 8080}, weight: 3, locality: eu/a, serviceAccount: default}
status: {conditions: []}
)");
        ASSERT_EQ(mesh.workload_entries.size(), 1u);
        const auto& object = mesh.workload_entries[0];
        EXPECT_EQ(object.id(), "WorkloadEntry shop/a");
        EXPECT_EQ(object.labels.at("app"), "x");
        EXPECT_EQ(object.spec.ports().at("http"), 8080u);
        EXPECT_EQ(object.spec.weight(), 3u);
        EXPECT_EQ(object.source("spec"), "mesh/a.yaml:4");
    }
}

TEST(Objects, AreInNamespaceDefaultUnlessTheySay) {
    const MeshConfig mesh = read(
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: a}\nspec: {address: '::1'}\n");
    EXPECT_EQ(mesh.workload_entries.at(0).key(), "default/a");
}

TEST(Objects, AllValueKindsAreRead) {
    const MeshConfig mesh = read(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: shop}
spec:
  hosts: [a.example]
  http:
  - timeout: 1m
    match:
    - uri: {regex: /a+}
      ignoreUriCase: true
      headers: {x-present: {}, x-null: , x-exact: {exact: "1"}}
      queryParams: {q: {exact: a}}
    directResponse: {status: 200, body: {bytes: aGVsbG8=}}
  - redirect: {derivePort: FROM_REQUEST_PORT, redirectCode: 308}
)");
    const istio::VirtualService& spec = mesh.virtual_services.at(0).spec;
    EXPECT_EQ(spec.http(0).timeout().seconds(), 60);
    const auto& match = spec.http(0).match(0);
    EXPECT_EQ(match.uri().regex(), "/a+");
    EXPECT_TRUE(match.ignore_uri_case());
    ASSERT_EQ(match.headers().size(), 3u);
    EXPECT_EQ(match.headers().at("x-null").match_type_case(), istio::StringMatch::MATCH_TYPE_NOT_SET);
    EXPECT_EQ(spec.http(0).direct_response().body().bytes(), "hello");
    EXPECT_EQ(spec.http(1).redirect().derive_port(), istio::HTTPRedirect::FROM_REQUEST_PORT);
}

TEST(Objects, NullIsUnset) {
    const MeshConfig mesh = read(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: shop}
spec:
  hosts: [a.example]
  http:
  - timeout: null
    retries:
    directResponse: {status: 200}
)");
    EXPECT_FALSE(mesh.virtual_services.at(0).spec.http(0).has_timeout());
}

// As `kubectl get vs,gw,sidecar -o yaml --show-managed-fields` prints it.
constexpr char kPrinted[] = R"(apiVersion: v1
items:
- apiVersion: networking.istio.io/v1
  kind: VirtualService
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"annotations":{},"name":"web"}}
    creationTimestamp: "2026-11-20T10:00:00Z"
    finalizers:
    - example.com/keep
    generateName: web-
    generation: 3
    labels:
      app.kubernetes.io/part-of: shop
    managedFields:
    - apiVersion: networking.istio.io/v1
      fieldsType: FieldsV1
      fieldsV1:
        f:spec:
          .: {}
          f:hosts: {}
      manager: kubectl-client-side-apply
      operation: Update
      time: "2026-11-20T10:00:00Z"
    name: web
    namespace: shop
    ownerReferences:
    - apiVersion: apps/v1
      blockOwnerDeletion: true
      controller: true
      kind: Deployment
      name: web
      uid: 0a1b2c3d-0000-4000-8000-000000000001
    resourceVersion: "123456"
    selfLink: ""
    uid: 0a1b2c3d-0000-4000-8000-000000000000
  spec:
    gateways:
    - edge
    hosts:
    - shop.example
    http:
    - directResponse:
        status: 200
  status:
    conditions:
    - lastTransitionTime: "2026-11-20T10:00:01Z"
      status: "True"
      type: Reconciled
    observedGeneration: "3"
- apiVersion: networking.istio.io/v1beta1
  kind: Gateway
  metadata:
    name: edge
    namespace: shop
  spec:
    selector:
      istio: ingressgateway
    servers:
    - hosts:
      - '*'
      port:
        name: http
        number: 80
        protocol: HTTP
        targetPort: 8080
- apiVersion: networking.istio.io/v1
  kind: Sidecar
  metadata:
    name: default
    namespace: shop
  spec:
    egress:
    - hosts:
      - ./*
    outboundTrafficPolicy:
      mode: REGISTRY_ONLY
kind: List
metadata:
  resourceVersion: ""
)";

TEST(Objects, AreTakenAsKubectlPrintsThem) {
    MeshConfig mesh;
    std::vector<Diagnostic> out;
    read_objects(yaml::parse("mesh/printed.yaml", kPrinted, out), mesh, out);
    EXPECT_TRUE(out.empty()) << render(out, 1);
    ASSERT_EQ(mesh.virtual_services.size(), 1u);
    ASSERT_EQ(mesh.gateways.size(), 1u);
    EXPECT_EQ(mesh.virtual_services[0].key(), "shop/web");
    EXPECT_EQ(mesh.virtual_services[0].source("spec.hosts"), "mesh/printed.yaml:41");
    EXPECT_EQ(mesh.virtual_services[0].labels.at("app.kubernetes.io/part-of"), "shop");
    EXPECT_EQ(mesh.places.size(), 3u) << "the Sidecar too: no second one may have its name";
}

TEST(Objects, OfTheServersOwnListsAreTaken) {
    MeshConfig mesh;
    std::vector<Diagnostic> out;
    read_objects(yaml::parse("mesh/a.json", R"({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntryList",
      "metadata": {"continue": "", "resourceVersion": "7"}, "items": [{"apiVersion": "networking.istio.io/v1",
      "kind": "WorkloadEntry", "metadata": {"name": "a"}, "spec": {"address": "10.0.0.1"}}]})", out), mesh, out);
    read_objects(yaml::parse("mesh/b.yaml", "apiVersion: v1\nkind: List\nitems:\n", out), mesh, out);
    EXPECT_TRUE(out.empty()) << render(out, 2);
    EXPECT_EQ(mesh.workload_entries.size(), 1u);
}

}  // namespace
}  // namespace sluice::model
