// Gateways, their listeners, and which VirtualService answers for which host.
// In: mesh YAML. Out: listeners, virtual hosts, warnings, errors.
// Names and shapes are those of a recorded istiod (docs/istio.md).
// Envoy v3 Listener, RouteConfiguration; Istio's rules of host intersection and merging.
#include "tests/ctrl/translate/mesh.h"

namespace sluice::translate {
namespace {

using testing::ElementsAre;

std::string gateway(const std::string& name, const std::string& ns, const std::string& servers,
                    const std::string& selector = "{}") {
    return "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: " + name + ", namespace: " + ns +
           "}\nspec:\n  selector: " + selector + "\n  servers: " + servers + "\n";
}

std::string service(const std::string& name, const std::string& ns, const std::string& hosts,
                    const std::string& gateways, const std::string& http = "[{directResponse: {status: 200}}]",
                    const std::string& more = "") {
    return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name +
           ", namespace: " + ns + "}\nspec:\n  hosts: " + hosts + "\n  gateways: " + gateways + "\n  http: " + http +
           "\n" + more;
}

// "name: domain domain" of each virtual host.
std::vector<std::string> hosts(const xds::ResourceSet& set, const std::string& name = "http.80") {
    std::vector<std::string> out;
    if (!set.routes.contains(name)) return {"no " + name};
    for (const auto& host : set.routes.at(name)->virtual_hosts()) {
        std::string text = host.name() + ":";
        for (const std::string& domain : host.domains()) text += " " + domain;
        out.push_back(text);
    }
    return out;
}

std::vector<std::string> errors(const std::string& yaml, const ProxyNode& node = edge_node()) {
    const model::MeshConfig mesh = read_mesh(yaml);
    const auto result = translate(mesh, node);
    std::vector<std::string> out;
    if (!result)
        for (const Diagnostic& d : result.error()) out.push_back(d.code + " " + d.field + ": " + d.message);
    return out;
}

std::vector<std::string> warnings(const std::string& yaml) {
    std::vector<Diagnostic> found;
    translated(yaml, edge_node(), &found);
    std::vector<std::string> out;
    for (const Diagnostic& d : found) {
        EXPECT_EQ(d.severity, Severity::kWarning);
        out.push_back(d.object + " " + d.field + ": " + d.message);
    }
    return out;
}

constexpr char kPort80[] = "[{port: {number: 80, protocol: HTTP}, hosts: ['*']}]";

TEST(Listener, IsAsIstiodWritesIt) {
    ProxyNode node = edge_node();
    node.listen_addresses = {"192.0.2.10", "2001:db8::10"};
    const xds::ResourceSet set = translated(kBase, node);
    ASSERT_EQ(set.listeners.size(), 1u);
    EXPECT_TRUE(is_json(*set.listeners.at("0.0.0.0_80"), R"({
      "name": "0.0.0.0_80",
      "address": {"socket_address": {"address": "192.0.2.10", "port_value": 80}},
      "additional_addresses": [{"address": {"socket_address": {"address": "2001:db8::10", "port_value": 80}}}],
      "traffic_direction": "OUTBOUND",
      "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound_0.0.0.0_80",
        "rds": {"route_config_name": "http.80", "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}},
        "use_remote_address": true, "normalize_path": true, "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "stream_idle_timeout": "0s", "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"subject": true, "cert": true, "dns": true, "uri": true},
        "access_log": [{"name": "envoy.access_loggers.file", "typed_config": {
          "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/dev/stdout"}}],
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
          "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]})"));
}

/// Istio's gatewayTopology.
TEST(Listener, SaysWhatStandsBeforeTheGateway) {
    namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
    ProxyNode node = edge_node();
    node.num_trusted_proxies = 2;
    for (const char* details : {"SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"}) {
        node.forward_client_cert = details;
        hcm::HttpConnectionManager manager;
        const xds::ResourceSet set = translated(kBase, node);
        const auto& listener = *set.listeners.at("0.0.0.0_80");
        ASSERT_TRUE(listener.filter_chains(0).filters(0).typed_config().UnpackTo(&manager));
        EXPECT_EQ(hcm::HttpConnectionManager::ForwardClientCertDetails_Name(manager.forward_client_cert_details()), details);
        EXPECT_EQ(manager.xff_num_trusted_hops(), 2u);
    }
}

TEST(Listener, WithABindIsNamedAfterIt) {
    ProxyNode node = edge_node();
    node.listen_addresses = {"192.0.2.10", "192.0.2.11"};
    const xds::ResourceSet set = translated(
        gateway("a", "shop", "[{port: {number: 80, protocol: HTTP}, bind: 192.0.2.11, hosts: ['*']}]"), node);
    ASSERT_TRUE(set.listeners.contains("192.0.2.11_80"));
    const auto& listener = *set.listeners.at("192.0.2.11_80");
    EXPECT_EQ(listener.address().socket_address().address(), "192.0.2.11");
    EXPECT_EQ(listener.additional_addresses_size(), 0);
    EXPECT_TRUE(set.routes.contains("http.80.192.0.2.11"));
}

TEST(Listener, BindToAllIsNoBind) {
    const xds::ResourceSet set =
        translated(gateway("a", "shop", "[{port: {number: 80, protocol: HTTP}, bind: 0.0.0.0, hosts: ['*']}]"));
    ASSERT_TRUE(set.listeners.contains("0.0.0.0_80"));
    EXPECT_EQ(set.listeners.at("0.0.0.0_80")->address().socket_address().address(), "192.0.2.10");
}

TEST(Listener, MustBindToAnAddressOfOurs) {
    EXPECT_THAT(errors(gateway("a", "shop", "[{port: {number: 80, protocol: HTTP}, bind: 203.0.113.1, hosts: ['*']}]")),
                ElementsAre("SLC0117 spec.servers[0].bind: 203.0.113.1 is not an address of a port marked `listen`"));
}

TEST(Listener, ANarrowOneCannotShareItsPortWithAWideOne) {
    EXPECT_THAT(
        errors(gateway("a", "shop", kPort80) +
               gateway("b", "shop", "[{port: {number: 80, protocol: HTTP}, bind: 192.0.2.10, hosts: ['*']}]")),
        ElementsAre("SLC0116 spec.servers[0].bind: port 80 is already open on all addresses by Gateway shop/a"));
}

TEST(Listener, LogsAsTheNodeSays) {
    ProxyNode node = edge_node();
    node.access_log_json = true;
    node.access_log_path = "/var/log/sluice.log";
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager manager;
    ASSERT_TRUE(translated(kBase, node)
                    .listeners.at("0.0.0.0_80")
                    ->filter_chains(0)
                    .filters(0)
                    .typed_config()
                    .UnpackTo(&manager));
    envoy::extensions::access_loggers::file::v3::FileAccessLog log;
    ASSERT_TRUE(manager.access_log(0).typed_config().UnpackTo(&log));
    EXPECT_EQ(log.path(), "/var/log/sluice.log");
    EXPECT_EQ(log.log_format().json_format().fields().at("response_flags").string_value(), "%RESPONSE_FLAGS%");
    node.access_log_path = "";
    ASSERT_TRUE(translated(kBase, node)
                    .listeners.at("0.0.0.0_80")
                    ->filter_chains(0)
                    .filters(0)
                    .typed_config()
                    .UnpackTo(&manager));
    EXPECT_EQ(manager.access_log_size(), 0);
}

TEST(Gateway, OpensOnlyWhereItsSelectorMatches) {
    const xds::ResourceSet set = translated(
        gateway("mine", "shop", kPort80, "{istio: ingressgateway}") +
        gateway("other", "shop", "[{port: {number: 81, protocol: HTTP}, hosts: ['*']}]", "{istio: egress}"));
    EXPECT_EQ(set.listeners.size(), 1u);
    EXPECT_TRUE(set.listeners.contains("0.0.0.0_80"));
}

TEST(Gateway, ServersOfOnePortShareAListener) {
    const xds::ResourceSet set =
        translated(gateway("a", "shop",
                           "[{port: {number: 80, protocol: HTTP}, hosts: [a.example]}, {port: {number: 8080, "
                           "protocol: HTTP}, hosts: [a.example]}]") +
                   gateway("b", "bank", "[{port: {number: 80, protocol: HTTP}, hosts: [b.example]}]") +
                   service("a", "shop", "[a.example]", "[a]") + service("b", "bank", "[b.example]", "[b]"));
    EXPECT_EQ(set.listeners.size(), 2u);
    EXPECT_THAT(hosts(set), ElementsAre("a.example:80: a.example", "b.example:80: b.example"));
    EXPECT_THAT(hosts(set, "http.8080"), ElementsAre("a.example:8080: a.example"));
}

TEST(Gateway, WithoutAnyServiceAnswers404ToAll) {
    const xds::ResourceSet set = translated(kBase);
    EXPECT_TRUE(is_json(*set.routes.at("http.80"), R"({"name": "http.80", "validate_clusters": false, "ignore_port_in_host_matching": true,
        "max_direct_response_body_size_bytes": 1048576, "virtual_hosts": [{"name": "blackhole:80", "domains": ["*"]}]})"));
}

TEST(Hosts, MeetInTheNarrowerOne) {
    const auto met = [](const std::string& server, const std::string& wanted) {
        return hosts(
            translated(gateway("a", "shop", "[{port: {number: 80, protocol: HTTP}, hosts: [" + server + "]}]") +
                       service("v", "shop", "[" + wanted + "]", "[a]")));
    };
    EXPECT_THAT(met("'*'", "a.example"), ElementsAre("a.example:80: a.example"));
    EXPECT_THAT(met("'*.example'", "a.example"), ElementsAre("a.example:80: a.example"));
    EXPECT_THAT(met("a.example", "'*.example'"), ElementsAre("a.example:80: a.example"));
    EXPECT_THAT(met("'*.example'", "'*.a.example'"), ElementsAre("*.a.example:80: *.a.example"));
    EXPECT_THAT(met("'*'", "'*'"), ElementsAre("*:80: *"));
    EXPECT_THAT(met("'*.example'", "example"), ElementsAre("blackhole:80: *")) << "example is a short name";
    EXPECT_THAT(met("Shop.Example", "shop.example"), ElementsAre("shop.example:80: shop.example"));
    EXPECT_THAT(met("a.example, b.example", "'*'"), ElementsAre("a.example:80: a.example b.example"));
}

TEST(Hosts, NamespacesInServersAreKept) {
    const auto met = [](const std::string& server, const std::string& ns) {
        return hosts(
            translated(gateway("a", "shop", "[{port: {number: 80, protocol: HTTP}, hosts: ['" + server + "']}]") +
                       service("v", ns, "[a.example]", "[shop/a]")));
    };
    const auto taken = ElementsAre("a.example:80: a.example");
    const auto refused = ElementsAre("blackhole:80: *");
    EXPECT_THAT(met("./*", "shop"), taken);
    EXPECT_THAT(met("./*", "bank"), refused);
    EXPECT_THAT(met("bank/*", "bank"), taken);
    EXPECT_THAT(met("bank/*", "shop"), refused);
    EXPECT_THAT(met("*/a.example", "bank"), taken);
}

TEST(Hosts, OfAServerWithHttpsRedirectAreRedirected) {
    const xds::ResourceSet set = translated(std::string(kBase) + virtual_service("[{directResponse: {status: 200}}]") + R"(
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: moved, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, protocol: HTTP, name: http}, hosts: ["*/secure.example"], tls: {httpsRedirect: true}}
)");
    const auto& hosts = set.routes.at("http.80")->virtual_hosts();
    ASSERT_EQ(hosts.size(), 2);
    EXPECT_EQ(hosts[0].name(), "secure.example:80");
    EXPECT_EQ(hosts[0].domains(0), "secure.example");
    EXPECT_EQ(hosts[0].require_tls(), envoy::config::route::v3::VirtualHost::ALL);
    EXPECT_EQ(hosts[0].routes_size(), 0);
    EXPECT_EQ(hosts[1].name(), "shop.example:80");
    EXPECT_TRUE(hosts[1].routes(0).has_direct_response());
}

TEST(Hosts, OfAVirtualServiceBehindHttpsRedirectAreRedirectedToo) {
    std::string yaml = kBase;
    yaml.replace(yaml.find("hosts: [\"*.example\"]"), 20, "hosts: [\"*.example\"], tls: {httpsRedirect: true}");
    const xds::ResourceSet set = translated(yaml + virtual_service("[{directResponse: {status: 200}}]"));
    const auto& hosts = set.routes.at("http.80")->virtual_hosts();
    ASSERT_EQ(hosts.size(), 2);
    for (const auto& host : hosts) EXPECT_EQ(host.require_tls(), envoy::config::route::v3::VirtualHost::ALL) << host.DebugString();
    EXPECT_EQ(hosts[0].domains(0), "*.example");
    EXPECT_EQ(hosts[1].domains(0), "shop.example");
}

TEST(Hosts, OfOneServiceShareAVirtualHost) {
    const xds::ResourceSet set =
        translated(kBase + virtual_service("[{directResponse: {status: 200}}]", "[b.example, a.example]") +
                   virtual_service("[{directResponse: {status: 201}}]", "[c.example]", "other"));
    EXPECT_THAT(hosts(set), ElementsAre("a.example:80: a.example b.example", "c.example:80: c.example"));
}

TEST(Merge, SeveralServicesOfOneHostInNameOrderCatchAllLast) {
    const xds::ResourceSet set =
        translated(kBase +
                   virtual_service("[{name: b-a, match: [{uri: {prefix: /b}}], directResponse: {status: 200}}]",
                                   "[shop.example]", "b") +
                   virtual_service("[{name: a-a, match: [{uri: {prefix: /a}}], directResponse: {status: 200}}, "
                                   "{name: a-rest, directResponse: {status: 404}}]",
                                   "[shop.example, only-a.example]", "a"));
    EXPECT_THAT(hosts(set), ElementsAre("only-a.example:80: only-a.example", "shop.example:80: shop.example"));
    std::vector<std::string> names;
    for (const auto& route : set.routes.at("http.80")->virtual_hosts(1).routes()) names.push_back(route.name());
    EXPECT_THAT(names, ElementsAre("a-a", "b-a", "a-rest"));
}

TEST(Merge, AServiceReachedThroughTwoGatewaysIsThereOnce) {
    const xds::ResourceSet set = translated(gateway("a", "shop", kPort80) + gateway("b", "shop", kPort80) +
                                            service("v", "shop", "[x.example]", "[a, b]"));
    ASSERT_EQ(set.routes.at("http.80")->virtual_hosts_size(), 1);
    EXPECT_EQ(set.routes.at("http.80")->virtual_hosts(0).routes_size(), 1);
}

TEST(Provenance, SaysWhereEachPartComesFrom) {
    const std::string yaml = kBase + virtual_service(
                                         "\n  - match: [{uri: {prefix: /a}}]\n    directResponse: {status: 200}\n  - "
                                         "route: [{destination: {host: reviews}}]");
    const xds::ResourceSet set = translated(yaml);
    const auto line_of = [&](const std::string& text) {
        return "mesh/a.yaml:" +
               std::to_string(1 + std::count(yaml.begin(), yaml.begin() + static_cast<long>(yaml.find(text)), '\n'));
    };
    const auto& host = set.routes.at("http.80")->virtual_hosts(0);
    EXPECT_EQ(xds::provenance(host.routes(0).metadata()),
              (xds::Provenance{line_of("- match: [{uri"), "VirtualService shop/routes", "spec.http[0]"}));
    EXPECT_EQ(xds::provenance(host.routes(1).metadata()),
              (xds::Provenance{line_of("- route: [{dest"), "VirtualService shop/routes", "spec.http[1]"}));
    EXPECT_EQ(xds::provenance(host.metadata()).source, line_of("  hosts: [shop.example]"));
    EXPECT_EQ(xds::provenance(set.listeners.at("0.0.0.0_80")->metadata()),
              (xds::Provenance{line_of("  servers:"), "Gateway shop/edge", "spec.servers[0]"}));
    EXPECT_EQ(xds::provenance(set.clusters.at("outbound|9080||ratings.shop.svc.cluster.local")->metadata()),
              (xds::Provenance{line_of("  hosts: [ratings"), "ServiceEntry shop/ratings", "spec.hosts"}));
    EXPECT_EQ(xds::provenance(set.clusters.at("outbound|9080|v2|reviews.shop.svc.cluster.local")->metadata()),
              (xds::Provenance{line_of("  - {name: v2"), "DestinationRule shop/reviews", "spec.subsets[1]"}));
    const auto& istio = host.routes(0).metadata().filter_metadata().at("istio").fields();
    EXPECT_EQ(istio.at("config").string_value(), "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/routes");
}

TEST(Warnings, NameWhatReachesNothing) {
    EXPECT_THAT(warnings(kBase + service("v", "shop", "[a.example]", "[edge]", "[{directResponse: {status: 200}}]",
                                         "  exportTo: ['.']\n")),
                ElementsAre("VirtualService shop/v spec.exportTo: not exported to this gateway's namespace istio-system"));
    EXPECT_THAT(
        warnings(gateway("a", "shop", kPort80, "{istio: egress}")),
        ElementsAre(
            "Gateway shop/a spec.selector: this gateway is not selected; its labels are {istio: ingressgateway}"));
    EXPECT_THAT(warnings(kBase + service("v", "shop", "[a.example]", "[edge]")), ElementsAre());
}

TEST(Errors, NameWhatThisProxyCannotSee) {
    const std::string rule =
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: far, namespace: far}\n"
        "spec: {host: ratings.shop.svc.cluster.local, subsets: [{name: v9, labels: {version: v9}}]}\n";
    EXPECT_THAT(
        errors(kBase + rule +
               virtual_service("[{route: [{destination: {host: ratings, subset: v9, port: {number: 9080}}}]}]")),
        ElementsAre("SLC0109 spec.http[0]: the DestinationRule that applies to ratings.shop.svc.cluster.local here "
                    "(none) has no subset v9"));
    const std::string hidden =
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: hidden, namespace: shop}\n"
        "spec: {hosts: [hidden.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.9}], exportTo: ['.']}\n";
    EXPECT_THAT(errors(kBase + hidden + virtual_service("[{route: [{destination: {host: hidden.example}}]}]")),
                ElementsAre("SLC0108 spec.http[0]: hidden.example is not exported to namespace istio-system"));
}

TEST(Translate, IsAFunctionOfItsInputs) {
    const std::string yaml =
        kBase + virtual_service(
                    "[{match: [{headers: {a: {}, b: {}, c: {}}, queryParams: {x: {}, y: {}}}], headers: {request: "
                    "{set: {p: q, r: s, t: u}}}, directResponse: {status: 200}}]");
    const xds::ResourceSet first = translated(yaml);
    for (int i = 0; i < 10; ++i) {
        const xds::ResourceSet again = translated(yaml);
        for (const auto& [name, route] : first.routes)
            EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(route, again.routes.at(name)));
    }
}

}  // namespace
}  // namespace sluice::translate
