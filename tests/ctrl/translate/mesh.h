// Test support: YAML in, one gateway's resources out, compared with JSON.
// In: mesh YAML, expected resources. Out: gtest results with both sides printed.
// Header only; values own what they hold.
// Expected JSON uses Envoy's proto field names; metadata is compared only where a test asks for it.
#pragma once

#include <string>

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "ctrl/model/check.h"
#include "ctrl/model/object_reader.h"
#include "ctrl/translate/translate.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace sluice::translate {

inline model::MeshConfig read_mesh(const std::string& yaml) {
    model::MeshConfig mesh;
    std::vector<Diagnostic> out;
    model::read_objects(yaml::parse("mesh/a.yaml", yaml, out), mesh, out);
    model::check(mesh, true, out);
    EXPECT_FALSE(has_errors(out)) << render(out, 1);
    return mesh;
}

inline ProxyNode edge_node() {
    ProxyNode node;
    node.id = "edge-1";
    node.labels = {{"istio", "ingressgateway"}};
    node.listen_addresses = {"192.0.2.10"};
    return node;
}

inline xds::ResourceSet translated(const std::string& yaml, const ProxyNode& node = edge_node(),
                                   std::vector<Diagnostic>* warnings = nullptr) {
    const model::MeshConfig mesh = read_mesh(yaml);
    auto result = translate(mesh, node, warnings);
    EXPECT_TRUE(result.has_value()) << render(result.error(), 1);
    return result ? std::move(*result) : xds::ResourceSet();
}

template <typename Message>
testing::AssertionResult is_json(Message got, const std::string& json, bool with_metadata = false) {
    // Type URLs in the expected text resolve only when the messages are linked in.
    [[maybe_unused]] static const google::protobuf::Descriptor* const linked[] = {
        envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager::descriptor(),
        envoy::extensions::filters::http::router::v3::Router::descriptor(),
        envoy::extensions::access_loggers::file::v3::FileAccessLog::descriptor(),
        envoy::extensions::upstreams::http::v3::HttpProtocolOptions::descriptor()};
    if constexpr (requires { got.clear_metadata(); })
        if (!with_metadata) got.clear_metadata();
    if constexpr (requires { got.mutable_endpoints(0)->mutable_lb_endpoints(0); })
        for (int i = 0; !with_metadata && i < got.endpoints_size(); i++)
            for (auto& endpoint : *got.mutable_endpoints(i)->mutable_lb_endpoints()) endpoint.clear_metadata();
    Message expected;
    const auto status = google::protobuf::util::JsonStringToMessage(json, &expected);
    if (!status.ok()) return testing::AssertionFailure() << "the test's JSON: " << status.ToString();
    std::string difference;
    google::protobuf::util::MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&difference);
    if (differencer.Compare(expected, got)) return testing::AssertionSuccess();
    return testing::AssertionFailure() << difference << "\ngot:\n" << got.DebugString();
}

// A Gateway for *.example on port 80, a service `reviews` with subsets v1 and v2, one `ratings` with two ports.
inline constexpr char kBase[] = R"(
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, protocol: HTTP, name: http}, hosts: ["*.example"]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews.shop.svc.cluster.local]
  ports: [{number: 9080, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
  - {address: 10.0.0.21, labels: {version: v1}}
  - {address: 10.0.0.22, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ratings, namespace: shop}
spec:
  hosts: [ratings.shop.svc.cluster.local]
  ports: [{number: 9080, name: http, protocol: HTTP}, {number: 9081, name: alt, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.23}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
)";

// A VirtualService shop/NAME of `hosts`, bound to shop/edge, with `http` in flow style.
inline std::string virtual_service(const std::string& http, const std::string& hosts = "[shop.example]",
                                   const std::string& name = "routes") {
    return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name +
           ", namespace: shop}\nspec:\n  hosts: " + hosts + "\n  gateways: [edge]\n  http: " + http + "\n";
}

}  // namespace sluice::translate
