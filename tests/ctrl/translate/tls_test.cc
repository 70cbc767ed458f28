// TLS of Gateways and DestinationRules as istiod writes it, and the secrets that come of it.
// In: mesh YAML with Secrets that hold no real certificates: nothing here reads them. Out: contexts, chains, Secret resources, errors.
// Names and shapes are those of a recorded istiod (docs/istio.md).
// Envoy v3 DownstreamTlsContext, UpstreamTlsContext, Secret.
#include "tests/ctrl/translate/mesh.h"

#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.pb.h"

namespace sluice::translate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace tls_pb = envoy::extensions::transport_sockets::tls::v3;

// "cert", "key" and "root" in base64.
constexpr char kSecret[] = R"(
---
apiVersion: v1
kind: Secret
metadata: {name: shop-cert, namespace: istio-system}
type: kubernetes.io/tls
data: {tls.crt: Y2VydA==, tls.key: a2V5, ca.crt: cm9vdA==}
)";

std::string servers(const std::string& list) {
    return "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\nspec:\n  servers: " + list + "\n";
}

std::string https(const std::string& tls, const std::string& host = "shop.example", const std::string& name = "https") {
    return servers("[{port: {number: 443, name: " + name + ", protocol: HTTPS}, hosts: [" + host + "], tls: " + tls + "}]");
}

ProxyNode with_files(std::map<std::string, FileText> files, ProxyNode node = edge_node()) {
    node.files = std::make_shared<const std::map<std::string, FileText>>(std::move(files));
    return node;
}

ProxyNode with_identity() {
    ProxyNode node = with_files({{"/id/cert.pem", {"cert", ""}}, {"/id/key.pem", {"key", ""}}, {"/id/root.pem", {"root", ""}}});
    node.identity = {"/id/cert.pem", "/id/key.pem", "/id/root.pem"};
    node.trust_domain_aliases = {"old.local"};
    return node;
}

std::vector<std::string> errors(const std::string& yaml, const ProxyNode& node = edge_node()) {
    const model::MeshConfig mesh = read_mesh(yaml);
    const auto result = translate(mesh, node);
    std::vector<std::string> out;
    if (!result)
        for (const Diagnostic& d : result.error()) out.push_back(d.code + " " + d.field + ": " + d.message);
    return out;
}

const auto& chain(const xds::ResourceSet& set, int index = 0, const char* listener = "0.0.0.0_443") { return set.listeners.at(listener)->filter_chains(index); }

TEST(GatewayTls, SimpleIsAsIstiodWritesIt) {
    const auto set = translated(https("{mode: SIMPLE, credentialName: shop-cert, minProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]}") + kSecret);
    auto made = chain(set);
    EXPECT_THAT(made.filter_chain_match().server_names(), ElementsAre("shop.example"));
    EXPECT_EQ(made.transport_socket_connect_timeout().seconds(), 15);
    tls_pb::DownstreamTlsContext context;
    ASSERT_TRUE(made.transport_socket().typed_config().UnpackTo(&context));
    EXPECT_TRUE(is_json(context, R"({"common_tls_context": {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "cipher_suites": ["ECDHE-RSA-AES128-GCM-SHA256"]},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [{"name": "kubernetes://shop-cert", "sds_config": {"ads": {}, "resource_api_version": "V3"}}]},
        "require_client_certificate": false})"));
    EXPECT_TRUE(is_json(*set.secrets.at("kubernetes://shop-cert"), R"({"name": "kubernetes://shop-cert",
        "tls_certificate": {"certificate_chain": {"inline_bytes": "Y2VydA=="}, "private_key": {"inline_bytes": "a2V5"}}})"));
    EXPECT_EQ(set.secret_places.at("kubernetes://shop-cert").object, "Secret istio-system/shop-cert");
    EXPECT_EQ(set.listeners.at("0.0.0.0_443")->listener_filters(0).name(), "envoy.filters.listener.tls_inspector");
    EXPECT_TRUE(set.routes.contains("https.443.https.edge.shop"));
}

TEST(GatewayTls, MutualVerifiesClientsByTheSecretsRoots) {
    const auto set = translated(https("{mode: MUTUAL, credentialName: shop-cert, subjectAltNames: [client.example]}") + kSecret);
    tls_pb::DownstreamTlsContext context;
    ASSERT_TRUE(chain(set).transport_socket().typed_config().UnpackTo(&context));
    EXPECT_TRUE(context.require_client_certificate().value());
    const auto& combined = context.common_tls_context().combined_validation_context();
    EXPECT_EQ(combined.validation_context_sds_secret_config().name(), "kubernetes://shop-cert-cacert");
    EXPECT_EQ(combined.default_validation_context().match_subject_alt_names(0).exact(), "client.example");
    EXPECT_EQ(set.secrets.at("kubernetes://shop-cert-cacert")->validation_context().trusted_ca().inline_bytes(), "root");
    // One that is not asked for by all.
    const auto optional = translated(https("{mode: OPTIONAL_MUTUAL, credentialName: shop-cert}") + kSecret);
    ASSERT_TRUE(chain(optional).transport_socket().typed_config().UnpackTo(&context));
    EXPECT_FALSE(context.require_client_certificate().value());
    EXPECT_TRUE(context.common_tls_context().has_combined_validation_context());
}

TEST(GatewayTls, RootsMayHaveASecretOfTheirOwn) {
    const std::string own = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: shop-cert-cacert, namespace: istio-system}\nstringData: {cacert: other}\n";
    const auto set = translated(https("{mode: MUTUAL, credentialName: shop-cert}") + kSecret + own);
    EXPECT_EQ(set.secrets.at("kubernetes://shop-cert-cacert")->validation_context().trusted_ca().inline_bytes(), "other");
}

TEST(GatewayTls, IstioMutualIsTheGatewaysIdentity) {
    const auto set = translated(https("{mode: ISTIO_MUTUAL}"), with_identity());
    tls_pb::DownstreamTlsContext context;
    ASSERT_TRUE(chain(set).transport_socket().typed_config().UnpackTo(&context));
    EXPECT_TRUE(context.require_client_certificate().value());
    EXPECT_EQ(context.common_tls_context().tls_certificate_sds_secret_configs(0).name(), "default");
    EXPECT_EQ(context.common_tls_context().combined_validation_context().validation_context_sds_secret_config().name(), "ROOTCA");
    // A root may sign for other trust domains, too.
    EXPECT_TRUE(is_json(context.common_tls_context().combined_validation_context().default_validation_context(),
                        R"({"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}},
                                                              {"san_type": "URI", "matcher": {"prefix": "spiffe://old.local/"}}]})"));
    EXPECT_EQ(set.secrets.at("default")->tls_certificate().private_key().inline_bytes(), "key");
    EXPECT_EQ(set.secrets.at("ROOTCA")->validation_context().trusted_ca().inline_bytes(), "root");
    EXPECT_THAT(errors(https("{mode: ISTIO_MUTUAL}"), with_files({})), ElementsAre(HasSubstr("SLC0144 spec.servers[0].tls: mutual TLS within the mesh")));
}

/// MeshConfig.caCertificates: roots by trust domain, in the Secret that istiod's proxies ask for.
TEST(GatewayTls, CaCertificatesKeepTrustDomainsApart) {
    ProxyNode node = with_identity();
    auto files = *node.files;
    const std::string begin = "-----BEGIN CERTIFICATE-----";
    files["/id/old.pem"] = {begin + "of old", ""};
    node.files = std::make_shared<const std::map<std::string, FileText>>(files);
    node.ca_certificates = {{"", "/id/old.pem", {"old.local"}}, {begin + "for ours", "", {}}, {begin + "far", "", {"far.local", "old.local"}}};
    EXPECT_THAT(certificate_files(read_mesh(https("{mode: ISTIO_MUTUAL}")), node), testing::Contains("/id/old.pem"));
    const auto set = translated(https("{mode: ISTIO_MUTUAL}"), node);
    const auto& context = set.secrets.at("ROOTCA")->validation_context();
    EXPECT_FALSE(context.has_trusted_ca());
    EXPECT_EQ(context.custom_validator_config().name(), "envoy.tls.cert_validator.spiffe");
    tls_pb::SPIFFECertValidatorConfig config;
    ASSERT_TRUE(context.custom_validator_config().typed_config().UnpackTo(&config));
    std::map<std::string, std::string> bundles;
    for (const auto& domain : config.trust_domains()) bundles[domain.name()] = domain.trust_bundle().inline_bytes();
    EXPECT_EQ(bundles, (std::map<std::string, std::string>{{"cluster.local", "root\n" + begin + "for ours\n"},
                                                           {"far.local", begin + "far\n"},
                                                           {"old.local", "root\n" + begin + "of old\n" + begin + "for ours\n" + begin + "far\n"}}));
    // One that cannot be read leaves what was in force, and is told at its place.
    files["/id/old.pem"] = {"", "No such file or directory"};
    node.files = std::make_shared<const std::map<std::string, FileText>>(files);
    const auto broken = translated(https("{mode: ISTIO_MUTUAL}"), node);
    EXPECT_THAT(broken.secret_errors.at("ROOTCA"), HasSubstr("/id/old.pem cannot be read: No such file"));
    EXPECT_EQ(broken.secret_places.at("ROOTCA").field, "mesh.caCertificates[0].file");
    node.ca_certificates[0] = {"nothing", "", {"old.local"}};
    EXPECT_EQ(translated(https("{mode: ISTIO_MUTUAL}"), node).secret_errors.at("ROOTCA"), "mesh.caCertificates[0].pem holds no certificate in PEM");
}

TEST(GatewayTls, FilesAreNamedByTheirPaths) {
    const std::string yaml = https("{mode: MUTUAL, serverCertificate: /c/a.crt, privateKey: a.key, caCertificates: /c/ca.crt}");
    EXPECT_THAT(certificate_files(read_mesh(yaml), edge_node()), ElementsAre("/c/a.crt", "/c/ca.crt", "a.key"));
    const auto set = translated(yaml, with_files({{"/c/a.crt", {"cert", ""}}, {"a.key", {"key", ""}}, {"/c/ca.crt", {"root", ""}}}));
    EXPECT_EQ(set.secrets.at("file-cert:/c/a.crt~a.key")->tls_certificate().certificate_chain().inline_bytes(), "cert");
    EXPECT_EQ(set.secrets.at("file-root:/c/ca.crt")->validation_context().trusted_ca().inline_bytes(), "root");
    // One that cannot be read is told beside the resources: what was good of it before may serve on.
    const auto without = translated(yaml, with_files({{"/c/a.crt", {"cert", ""}}, {"a.key", {"", "Permission denied"}}, {"/c/ca.crt", {"root", ""}}}));
    EXPECT_EQ(without.secret_errors.at("file-cert:/c/a.crt~a.key"), "a.key cannot be read: Permission denied");
    EXPECT_EQ(without.secret_places.at("file-cert:/c/a.crt~a.key").field, "spec.servers[0].tls.privateKey");
    EXPECT_FALSE(without.secrets.at("file-cert:/c/a.crt~a.key")->tls_certificate().has_certificate_chain());
    std::vector<Diagnostic> found;
    check_certificates(without, 0, /*refusals=*/true, found);
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(found[0].code + " " + found[0].field, "SLC0141 spec.servers[0].tls.privateKey");
}

TEST(GatewayTls, ASecretMustBeThereAndHoldWhatIsAsked) {
    EXPECT_THAT(errors(https("{mode: SIMPLE, credentialName: shop-crt}") + kSecret),
                ElementsAre("SLC0140 spec.servers[0].tls.credentialName: no Secret shop-crt in the gateway's namespace istio-system"));
    std::string elsewhere = kSecret;
    elsewhere.replace(elsewhere.find("istio-system"), 12, "shop");
    EXPECT_THAT(errors(https("{mode: SIMPLE, credentialName: shop-cert}") + elsewhere), ElementsAre(HasSubstr("; there is one in namespace shop")));
    const std::string bare = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: shop-cert, namespace: istio-system}\nstringData: {password: hunter2}\n";
    EXPECT_THAT(errors(https("{mode: SIMPLE, credentialName: shop-cert}") + bare),
                ElementsAre("SLC0140 spec.servers[0].tls.credentialName: Secret shop-cert has no certificate and key: it holds password"));
}

TEST(GatewayTls, EachServerHasAChainAndRoutesOfItsOwnAndSendsOthersHostsAway) {
    const auto set = translated(servers("[{port: {number: 443, name: a, protocol: HTTPS}, hosts: [a.example], tls: {mode: SIMPLE, credentialName: shop-cert}},"
                                        "{port: {number: 443, name: b, protocol: HTTPS}, hosts: ['*.b.example'], tls: {mode: SIMPLE, credentialName: shop-cert}}]") +
                                kSecret + virtual_service("[{directResponse: {status: 200}}]", "[a.example]", "a") + virtual_service("[{directResponse: {status: 200}}]", "[x.b.example]", "b"));
    ASSERT_EQ(set.listeners.at("0.0.0.0_443")->filter_chains_size(), 2);
    EXPECT_THAT(chain(set, 1).filter_chain_match().server_names(), ElementsAre("*.b.example"));
    const auto& routes = *set.routes.at("https.443.a.edge.shop");
    ASSERT_EQ(routes.virtual_hosts_size(), 2);
    EXPECT_EQ(routes.virtual_hosts(0).name(), "a.example:443");
    EXPECT_EQ(routes.virtual_hosts(1).name(), "misdirected:443");
    EXPECT_THAT(routes.virtual_hosts(1).domains(), ElementsAre("*.b.example"));
    EXPECT_EQ(routes.virtual_hosts(1).routes(0).direct_response().status(), 421u);
    EXPECT_THAT(set.routes.at("https.443.b.edge.shop")->virtual_hosts(1).domains(), ElementsAre("a.example"));
}

TEST(GatewayTls, OneServerNameIsOneServers) {
    EXPECT_THAT(errors(https("{mode: SIMPLE, credentialName: shop-cert}") +
                       "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: other, namespace: shop}\nspec:\n  servers: "
                       "[{port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example], tls: {mode: SIMPLE, credentialName: shop-cert}}]\n" + kSecret),
                ElementsAre("SLC0116 spec.servers[0].hosts: Gateway shop/edge answers for shop.example on port 443 already"));
}

TEST(GatewayTls, PlainTextAndTlsShareAPortByTheFirstBytes) {
    const auto set = translated(servers("[{port: {number: 8080, name: plain, protocol: HTTP}, hosts: ['*']},"
                                        "{port: {number: 8080, name: mtls, protocol: HTTPS}, hosts: ['*'], tls: {mode: ISTIO_MUTUAL}}]"),
                                with_identity());
    const char* listener = "0.0.0.0_8080";
    ASSERT_EQ(set.listeners.at(listener)->filter_chains_size(), 2);
    EXPECT_EQ(chain(set, 0, listener).filter_chain_match().transport_protocol(), "raw_buffer");
    EXPECT_FALSE(chain(set, 0, listener).has_transport_socket());
    EXPECT_EQ(chain(set, 1, listener).filter_chain_match().transport_protocol(), "tls");
    EXPECT_TRUE(set.routes.contains("http.8080"));
    EXPECT_TRUE(set.routes.contains("https.8080.mtls.edge.shop"));
}

TEST(GatewayTls, HttpsRedirectIsRequireTls) {
    const auto set = translated(servers("[{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example], tls: {httpsRedirect: true}}]") +
                                virtual_service("[{directResponse: {status: 200}}]"));
    const auto& host = set.routes.at("http.80")->virtual_hosts(0);
    EXPECT_EQ(host.require_tls(), envoy::config::route::v3::VirtualHost::ALL);
    EXPECT_EQ(host.routes_size(), 1);
}

// ---- backends ---------------------------------------------------------------------------------------------

std::string service(const std::string& endpoints, const std::string& more = "location: MESH_INTERNAL") {
    return "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: secure, namespace: shop}\nspec:\n"
           "  hosts: [secure.shop.svc.cluster.local]\n  ports: [{number: 8443, name: http, protocol: HTTP}]\n  resolution: STATIC\n  endpoints: " + endpoints + "\n  " + more + "\n";
}

std::string rule(const std::string& policy) {
    return "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: secure, namespace: shop}\nspec:\n  host: secure\n  trafficPolicy: " + policy + "\n";
}

constexpr char kCluster[] = "outbound|8443||secure.shop.svc.cluster.local";

tls_pb::UpstreamTlsContext backend(const xds::ResourceSet& set, const std::string& name = kCluster) {
    tls_pb::UpstreamTlsContext context;
    EXPECT_TRUE(set.clusters.at(name)->transport_socket().typed_config().UnpackTo(&context)) << name;
    return context;
}

TEST(BackendTls, IstioMutualIsAsIstiodWritesIt) {
    const auto set = translated(service("[{address: 10.0.0.9, serviceAccount: secure}]") + rule("{tls: {mode: ISTIO_MUTUAL}}"), with_identity());
    EXPECT_TRUE(is_json(backend(set), R"({"common_tls_context": {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["istio"],
        "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": {"ads": {}, "resource_api_version": "V3"}}],
        "combined_validation_context": {
          "default_validation_context": {"match_subject_alt_names": [{"exact": "spiffe://cluster.local/ns/shop/sa/secure"}, {"exact": "spiffe://old.local/ns/shop/sa/secure"}]},
          "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": {"ads": {}, "resource_api_version": "V3"}}}},
        "sni": "outbound_.8443_._.secure.shop.svc.cluster.local"})"));
}

TEST(BackendTls, EndpointsThatAnnounceItNeedNoRule) {
    const auto set = translated(service("[{address: 10.0.0.9, serviceAccount: secure, labels: {security.istio.io/tlsMode: istio}}, {address: 10.0.0.10}]"), with_identity());
    const auto& cluster = *set.clusters.at(kCluster);
    ASSERT_EQ(cluster.transport_socket_matches_size(), 2);
    EXPECT_EQ(cluster.transport_socket_matches(0).name(), "tlsMode-istio");
    EXPECT_EQ(cluster.transport_socket_matches(0).match().fields().at("tlsMode").string_value(), "istio");
    EXPECT_EQ(cluster.transport_socket_matches(1).name(), "tlsMode-disabled");
    EXPECT_EQ(cluster.transport_socket_matches(1).transport_socket().name(), "envoy.transport_sockets.raw_buffer");
    const auto& endpoints = set.endpoints.at(kCluster)->endpoints(0).lb_endpoints();
    EXPECT_EQ(endpoints[0].metadata().filter_metadata().at("envoy.transport_socket_match").fields().at("tlsMode").string_value(), "istio");
    EXPECT_FALSE(endpoints[1].metadata().filter_metadata().contains("envoy.transport_socket_match"));
    // Istio: not of services outside of the mesh; and a rule has the last word.
    const std::string labelled = "[{address: 10.0.0.9, labels: {security.istio.io/tlsMode: istio}}]";
    EXPECT_EQ(translated(service(labelled, "location: MESH_EXTERNAL"), with_identity()).clusters.at(kCluster)->transport_socket_matches_size(), 0);
    EXPECT_EQ(translated(service(labelled) + rule("{tls: {mode: DISABLE}}"), with_identity()).clusters.at(kCluster)->transport_socket_matches_size(), 0);
    EXPECT_THAT(errors(service(labelled), with_files({})), ElementsAre(HasSubstr("SLC0144 spec")));
}

TEST(BackendTls, SimpleVerifiesTheNameThatIsCalled) {
    const auto files = with_files({{"system", {"roots", ""}}, {"/c/ca.crt", {"root", ""}}});
    const auto plain = backend(translated(service("[{address: 10.0.0.9}]") + rule("{tls: {mode: SIMPLE}}"), files));
    EXPECT_EQ(plain.sni(), "secure.shop.svc.cluster.local");
    const auto& combined = plain.common_tls_context().combined_validation_context();
    EXPECT_EQ(combined.validation_context_sds_secret_config().name(), "file-root:system");
    EXPECT_EQ(combined.default_validation_context().match_subject_alt_names(0).exact(), "secure.shop.svc.cluster.local");
    const auto named = backend(translated(service("[{address: 10.0.0.9}]") + rule("{tls: {mode: SIMPLE, sni: ext.example, caCertificates: /c/ca.crt, subjectAltNames: [a.example]}}"), files));
    EXPECT_EQ(named.sni(), "ext.example");
    EXPECT_EQ(named.common_tls_context().combined_validation_context().default_validation_context().match_subject_alt_names_size(), 1);
    const auto blind = backend(translated(service("[{address: 10.0.0.9}]") + rule("{tls: {mode: SIMPLE, insecureSkipVerify: true}}"), files));
    EXPECT_FALSE(blind.common_tls_context().has_combined_validation_context());
}

TEST(BackendTls, APortsPolicyReplacesTheRules) {
    const auto files = with_files({{"system", {"roots", ""}}});
    const auto set = translated(service("[{address: 10.0.0.9}]") + rule("{tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 8443}, tls: {mode: DISABLE}}]}"), files);
    EXPECT_FALSE(set.clusters.at(kCluster)->has_transport_socket());
}

TEST(BackendTls, MutualShowsACertificateOfASecret) {
    const auto context = backend(translated(service("[{address: 10.0.0.9}]") + rule("{tls: {mode: MUTUAL, credentialName: shop-cert}}") + kSecret));
    EXPECT_EQ(context.common_tls_context().tls_certificate_sds_secret_configs(0).name(), "kubernetes://shop-cert");
    EXPECT_EQ(context.common_tls_context().combined_validation_context().validation_context_sds_secret_config().name(), "kubernetes://shop-cert-cacert");
}

}  // namespace
}  // namespace sluice::translate
