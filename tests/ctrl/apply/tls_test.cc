// From resources with real certificates to contexts in a snapshot: chains, sharing, warming, rotation, refusal.
// In: listeners and clusters as text, secrets of a small authority. Out: snapshots as published.
// What a context does with a handshake is tested in tests/tls.
// Envoy v3 DownstreamTlsContext, UpstreamTlsContext, Secret.
#include <gmock/gmock.h>

#include "ctrl/apply/secrets.h"
#include "tests/ctrl/apply/support.h"
#include "tests/support/certificates.h"
#include "tls/ticket_keys.h"

namespace sluice::apply::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using sluice::test::CertificateAuthority;
using sluice::test::Issued;

const CertificateAuthority& authority() {
    static const CertificateAuthority one("root");
    return one;
}

Issued leaf(int key_number, int64_t not_after_s = 24 * 3600) {
    return authority().issue({.common_name = "shop", .names = {"DNS:shop.example"}, .key_number = key_number, .not_after_s = not_after_s});
}

SecretProto certificate(const std::string& name, const Issued& issued) {
    SecretProto secret;
    secret.set_name(name);
    secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_bytes(issued.chain_pem);
    secret.mutable_tls_certificate()->mutable_private_key()->set_inline_bytes(issued.private_key_pem);
    return secret;
}

SecretProto roots(const std::string& name, const std::string& pem = authority().pem()) {
    SecretProto secret;
    secret.set_name(name);
    secret.mutable_validation_context()->mutable_trusted_ca()->set_inline_bytes(pem);
    return secret;
}

std::string manager(const std::string& routes, const std::string& more = "") {
    return R"(filters { name: "hcm" typed_config { [type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager] {
        stat_prefix: "s" rds { route_config_name: ")" + routes + "\" } " + more + kRouterFilter + "} } }";
}

std::string socket(const std::string& common, const std::string& more = "") {
    return R"(transport_socket { name: "tls" typed_config { [type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext] {
        common_tls_context { )" + common + " } " + more + " } } }";
}

std::string listener(const std::string& chains) {
    return R"(name: "l" address { socket_address { address: "0.0.0.0" port_value: 443 } } )" + chains;
}

std::string with(const std::string& secret) { return "tls_certificate_sds_secret_configs { name: \"" + secret + "\" sds_config { ads {} } } alpn_protocols: \"h2\" alpn_protocols: \"http/1.1\""; }

struct TlsWorld : World {
    TlsInputs inputs{.ticket_keys = std::make_shared<tls::TicketKeys>()};

    void secret(SecretProto message) { resources.secrets[message.name()] = message; }
    Refusals apply(bool strict = false) {
        inputs.strict = strict;
        auto built = build(resources, publisher.current(), publisher, ++revision, "v", {}, inputs);
        Refusals out;
        if (!built) {
            for (const Nack& nack : built.error()) out.push_back(nack.name + " " + nack.field + ": " + nack.message);
            return out;
        }
        EXPECT_TRUE(publisher.publish(std::move(*built)));
        reader.quiescent();
        publisher.reclaim();
        return out;
    }
    const snapshot::Listener& only() const { return *now().listeners.at(0); }
    const tls::ServerContext* context(size_t chain = 0) const { return now().chains.at(only().chains.at(chain).id).tls.get(); }
    const snapshot::SecretState& state(const std::string& name) const { return *now().tls->secrets.at(name); }
};

TEST(ApplyTls, AChainGetsItsContext) {
    TlsWorld world;
    world.secret(certificate("cert", leaf(1)));
    world.listener(listener("filter_chains { filter_chain_match { server_names: \"shop.example\" } " + manager("r") + socket(with("cert")) + "}"));
    ASSERT_THAT(world.apply(), ElementsAre());
    const auto& chain = world.only().chains.at(0);
    EXPECT_TRUE(chain.tls);
    EXPECT_EQ(chain.tls_text, "SIMPLE");
    EXPECT_EQ(chain.match_text, "sni shop.example");
    EXPECT_TRUE(world.only().inspect_tls);
    EXPECT_EQ(world.only().default_chain, -1);
    ASSERT_NE(world.context(), nullptr);
    EXPECT_THAT(world.context()->certificates().at(0).sans, Contains("DNS:shop.example"));
    EXPECT_GT(world.state("cert").not_after_s(), 0);
}

TEST(ApplyTls, ChainsAreChosenAndTheLastIsTheDefault) {
    TlsWorld world;
    world.secret(certificate("cert", leaf(1)));
    world.listener(listener("filter_chains { filter_chain_match { transport_protocol: \"raw_buffer\" } " + manager("plain") + "}"
                            "filter_chains { filter_chain_match { transport_protocol: \"tls\" } " + manager("secret") + socket(with("cert")) + "}"
                            "default_filter_chain { " + manager("rest") + "}"));
    ASSERT_THAT(world.apply(), ElementsAre());
    ASSERT_EQ(world.only().chains.size(), 3u);
    EXPECT_EQ(world.only().default_chain, 2);
    EXPECT_EQ(world.context(0), nullptr);
    EXPECT_NE(world.context(1), nullptr);
    route::ConnectionFacts facts;
    facts.transport = route::TransportProtocol::kTls;
    EXPECT_EQ(world.only().chain_index.find(facts), 1);
    facts.transport = route::TransportProtocol::kRaw;
    EXPECT_EQ(world.only().chain_index.find(facts), 0);
}

TEST(ApplyTls, AMissingSecretIsWaitedFor) {
    TlsWorld world;
    world.listener(listener("filter_chains { " + manager("r") + socket(with("cert")) + "}"));
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_TRUE(world.only().chains[0].tls);
    EXPECT_EQ(world.context(), nullptr);
    world.secret(certificate("cert", leaf(1)));
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_NE(world.context(), nullptr);
}

TEST(ApplyTls, ARotationTouchesNoListener) {
    TlsWorld world;
    world.secret(certificate("cert", leaf(1)));
    world.listener(listener("filter_chains { " + manager("r") + socket(with("cert")) + "}"));
    ASSERT_THAT(world.apply(), ElementsAre());
    const auto* listener_before = &world.only();
    const auto context_before = world.now().chains.at(world.only().chains[0].id).tls;
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_EQ(world.context(), context_before.get()) << "nothing changed: nothing is parsed";
    world.secret(certificate("cert", leaf(2)));
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_EQ(&world.only(), listener_before);
    EXPECT_NE(world.context(), context_before.get());
    EXPECT_EQ(world.state("cert").rotations, 1u);
    EXPECT_EQ(world.now().tls->rotations_total, 1u);
}

TEST(ApplyTls, AWrongSecretLeavesTheOneBefore) {
    TlsWorld world;
    const Issued good = leaf(1);
    world.secret(certificate("cert", good));
    world.listener(listener("filter_chains { " + manager("r") + socket(with("cert")) + "}"));
    ASSERT_THAT(world.apply(), ElementsAre());
    const auto before = world.now().chains.at(world.only().chains[0].id).tls;
    Issued mismatched = leaf(2);
    mismatched.private_key_pem = good.private_key_pem;
    Issued unreadable = good;
    unreadable.chain_pem = "no certificate";
    for (const Issued& wrong : {mismatched, unreadable, leaf(3, -60)}) {
        world.secret(certificate("cert", wrong));
        // As an edit it is refused, with its name and without a byte of it.
        const auto refusals = world.apply(/*strict=*/true);
        ASSERT_EQ(refusals.size(), 1u);
        EXPECT_THAT(refusals[0], HasSubstr("cert"));
        EXPECT_THAT(refusals[0], testing::Not(HasSubstr(wrong.private_key_pem.substr(40, 20))));
        // As a rotation the rest goes on.
        ASSERT_THAT(world.apply(), ElementsAre());
        EXPECT_EQ(world.context(), before.get());
        EXPECT_FALSE(world.state("cert").refused.empty());
        // What was told is not told again: an edit of something else is taken.
        EXPECT_THAT(world.apply(/*strict=*/true), ElementsAre());
    }
    EXPECT_EQ(world.now().tls->refusals_total, 3u);
    world.secret(certificate("cert", leaf(2)));
    ASSERT_THAT(world.apply(true), ElementsAre());
    EXPECT_TRUE(world.state("cert").refused.empty());
}

TEST(ApplyTls, AFileThatCannotBeReadLeavesWhatItHeld) {
    TlsWorld world;
    world.secret(certificate("cert", leaf(1)));
    world.listener(listener("filter_chains { " + manager("r") + socket(with("cert")) + "}"));
    ASSERT_THAT(world.apply(), ElementsAre());
    const auto* before = world.context();
    SecretProto empty;
    empty.set_name("cert");
    empty.mutable_tls_certificate();
    world.secret(empty);
    world.resources.secret_errors["cert"] = "/c/a.key cannot be read: Permission denied";
    EXPECT_THAT(world.apply(/*strict=*/true), ElementsAre(HasSubstr("/c/a.key cannot be read")));
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_EQ(world.context(), before);
    EXPECT_THAT(world.state("cert").refused, HasSubstr("Permission denied"));
}

TEST(ApplyTls, AtAStartAnExpiredCertificateClosesItsChainAlone) {
    TlsWorld world;
    world.secret(certificate("cert", leaf(1, -60)));
    world.listener(listener("filter_chains { " + manager("r") + socket(with("cert")) + "}"));
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_EQ(world.context(), nullptr);
    EXPECT_THAT(secret_news(nullptr, world.now().tls.get()).at(0).text, HasSubstr("REFUSED"));
}

TEST(ApplyTls, WhatRanOutWhileInForceIsServedOn) {
    TlsWorld world;
    world.secret(certificate("cert", leaf(1, 3600)));
    world.listener(listener("filter_chains { " + manager("r") + socket(with("cert")) + "}"));
    ASSERT_THAT(world.apply(), ElementsAre());
    world.inputs.now_s = std::time(nullptr) + 7200;
    // Another parameter: the context is made anew.
    world.listener(listener("filter_chains { " + manager("r") + socket(with("cert") + " tls_params { tls_minimum_protocol_version: TLSv1_3 }") + "}"));
    ASSERT_THAT(world.apply(true), ElementsAre());
    EXPECT_NE(world.context(), nullptr);
}

TEST(ApplyTls, ClientsAreVerifiedAsAsked) {
    TlsWorld world;
    world.secret(certificate("cert", leaf(1)));
    world.secret(roots("ca"));
    const std::string validation = with("cert") + R"( combined_validation_context { default_validation_context { match_typed_subject_alt_names { san_type: URI matcher { safe_regex { regex: "spiffe://.*" } } } }
        validation_context_sds_secret_config { name: "ca" } })";
    world.listener(listener("filter_chains { filter_chain_match { server_names: \"a\" } " + manager("r", "forward_client_cert_details: SANITIZE_SET set_current_client_cert_details { subject { value: true } cert: true uri: true } ") +
                            socket(validation, "require_client_certificate { value: true }") + "}"
                            "filter_chains { filter_chain_match { server_names: \"b\" } " + manager("r") + socket(validation) + "}"));
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_EQ(world.only().chains[0].tls_text, "MUTUAL");
    EXPECT_EQ(world.only().chains[1].tls_text, "OPTIONAL_MUTUAL");
    const auto& http = world.only().chains[0].http;
    EXPECT_EQ(http.forward_client_cert, snapshot::HttpConnectionManager::ForwardClientCert::kSanitizeSet);
    EXPECT_TRUE(http.client_cert_details.subject && http.client_cert_details.cert && http.client_cert_details.uri && !http.client_cert_details.dns);
}

TEST(ApplyTls, WhatIsNotSupportedIsRefusedByItsField) {
    const auto refused = [](const std::string& common, const std::string& more = "") {
        TlsWorld world;
        world.secret(certificate("cert", leaf(1)));
        world.listener(listener("filter_chains { " + manager("r") + socket(common, more) + "}"));
        const auto refusals = world.apply();
        return refusals.empty() ? std::string() : refusals[0];
    };
    EXPECT_THAT(refused("alpn_protocols: \"http/1.1\""), HasSubstr("no certificate"));
    EXPECT_THAT(refused("tls_certificate_sds_secret_configs { name: \"cert\" } alpn_protocols: \"h2\""), HasSubstr("add http/1.1"));
    EXPECT_THAT(refused(with("cert"), "require_sni { value: true }"), HasSubstr("require_sni"));
    EXPECT_THAT(refused(with("cert"), "require_client_certificate { value: true }"), HasSubstr("nothing to verify it with"));
    EXPECT_THAT(refused(with("cert") + " key_log { path: \"/tmp/k\" }"), HasSubstr("key_log"));
    EXPECT_THAT(refused(with("cert") + " tls_params { tls_minimum_protocol_version: TLSv1_0 }"), HasSubstr("TLS 1.2 is the oldest"));
    EXPECT_THAT(refused(with("cert") + " tls_params { cipher_suites: \"NOT-A-SUITE\" }"), HasSubstr("NOT-A-SUITE"));
}

// ---- backends ---------------------------------------------------------------------------------------------

std::string upstream_socket(const std::string& sni) {
    return R"({ name: "tls" typed_config { [type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext] { sni: ")" + sni + R"(" common_tls_context {
        alpn_protocols: "istio" tls_certificate_sds_secret_configs { name: "default" }
        combined_validation_context { default_validation_context { match_subject_alt_names { exact: "spiffe://cluster.local/ns/a/sa/)" + sni + R"(" } }
            validation_context_sds_secret_config { name: "ROOTCA" } } } } } })";
}

constexpr char kPlainSocket[] = R"({ name: "raw" typed_config { [type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer] {} } })";

Issued workload(int key_number) { return authority().issue({.names = {"URI:spiffe://cluster.local/ns/istio-system/sa/edge"}, .key_number = key_number}); }

TEST(ApplyTls, BackendsShareAContextAndDifferByPeer) {
    TlsWorld world;
    world.secret(certificate("default", workload(1)));
    world.secret(roots("ROOTCA"));
    for (const char* name : {"a", "b"}) world.cluster(cluster_text(name, "transport_socket " + upstream_socket(name)));
    world.cluster(cluster_text("c"));
    ASSERT_THAT(world.apply(), ElementsAre());
    const auto &a = world.find_cluster("a")->transport_sockets.at(0), &b = world.find_cluster("b")->transport_sockets.at(0);
    const auto context = [&] { return world.now().client_context(a.context_id); };
    ASSERT_NE(context(), nullptr);
    EXPECT_EQ(a.context_id, b.context_id);
    EXPECT_EQ(a.peer.sni, "a");
    EXPECT_EQ(b.peer.subject_alt_names.at(0).text, "spiffe://cluster.local/ns/a/sa/b");
    EXPECT_THAT(a.peer.alpn, ElementsAre("istio-http/1.1", "istio", "http/1.1"));
    const auto* plain = world.find_cluster("c");
    EXPECT_TRUE(plain->transport_sockets.empty());
    // A rotation reaches their connections to come, and touches no cluster.
    const auto before = context();
    const auto* secure = world.find_cluster("a");
    world.secret(certificate("default", workload(2)));
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_NE(context(), before);
    EXPECT_NE(context(), nullptr);
    EXPECT_EQ(world.find_cluster("a"), secure);
    EXPECT_EQ(world.find_cluster("c"), plain);
}

TEST(ApplyTls, EndpointsChooseBetweenMutualTlsAndPlainText) {
    TlsWorld world;
    world.secret(certificate("default", workload(1)));
    world.secret(roots("ROOTCA"));
    world.cluster(cluster_text("a", R"(transport_socket_matches { name: "tlsMode-istio" match { fields { key: "tlsMode" value { string_value: "istio" } } } transport_socket )" + upstream_socket("a") +
                                        R"(} transport_socket_matches { name: "tlsMode-disabled" match {} transport_socket )" + kPlainSocket + "}"));
    world.endpoints("cluster_name: \"a\" endpoints { " +
                    endpoint_text("10.0.0.1", 80, R"(metadata { filter_metadata { key: "envoy.transport_socket_match" value { fields { key: "tlsMode" value { string_value: "istio" } } } } } )") +
                    endpoint_text("10.0.0.2") + "}");
    ASSERT_THAT(world.apply(), ElementsAre());
    const auto* cluster = world.find_cluster("a");
    ASSERT_EQ(cluster->transport_sockets.size(), 3u);
    const auto& endpoints = cluster->endpoints->endpoints;
    ASSERT_EQ(endpoints.size(), 2u);
    EXPECT_TRUE(cluster->transport_sockets.at(endpoints[0].transport_socket).tls);
    EXPECT_FALSE(cluster->transport_sockets.at(endpoints[1].transport_socket).tls);
    EXPECT_EQ(cluster->transport_sockets.at(endpoints[1].transport_socket).name, "tlsMode-disabled");
}

TEST(ApplyTls, ABackendWhoseSecretIsMissingIsNotCalled) {
    TlsWorld world;
    world.cluster(cluster_text("a", "transport_socket " + upstream_socket("a")));
    ASSERT_THAT(world.apply(), ElementsAre());
    const auto context = [&] { return world.now().client_context(world.find_cluster("a")->transport_sockets.at(0).context_id); };
    EXPECT_TRUE(world.find_cluster("a")->transport_sockets.at(0).tls);
    EXPECT_EQ(context(), nullptr);
    world.secret(certificate("default", workload(1)));
    world.secret(roots("ROOTCA"));
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_NE(context(), nullptr);
}

/// A context that cannot be made of the new secret is refused by each cluster that asks for it; the one before stays in force.
TEST(ApplyTls, ASecretOfAnotherKindIsRefusedByWhoeverNamesIt) {
    TlsWorld world;
    world.secret(certificate("default", workload(1)));
    world.secret(roots("ROOTCA"));
    for (const char* name : {"a", "b"}) world.cluster(cluster_text(name, "transport_socket " + upstream_socket(name)));
    ASSERT_THAT(world.apply(), ElementsAre());
    const auto good = world.resources.secrets.at("ROOTCA");
    world.secret(certificate("ROOTCA", workload(2)));
    EXPECT_THAT(world.apply(), ElementsAre(HasSubstr("is not a validation context"), HasSubstr("is not a validation context")));
    world.resources.secrets["ROOTCA"] = good;
    EXPECT_THAT(world.apply(), ElementsAre());
}

/// Names of peers that a control plane sends within the validation secret are part of each cluster that uses it.
TEST(ApplyTls, NamesWithinASecretReachTheClusters) {
    TlsWorld world;
    world.secret(certificate("default", workload(1)));
    world.secret(roots("ROOTCA"));
    world.cluster(cluster_text("a", "transport_socket " + upstream_socket("a")));
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_EQ(world.find_cluster("a")->transport_sockets.at(0).peer.subject_alt_names.size(), 1u);
    const auto settings = world.find_cluster("a")->transport_sockets.at(0).settings_hash;
    world.resources.secrets["ROOTCA"].edit([](auto& secret) { secret.mutable_validation_context()->add_match_subject_alt_names()->set_exact("more"); });
    ASSERT_THAT(world.apply(), ElementsAre());
    EXPECT_EQ(world.find_cluster("a")->transport_sockets.at(0).peer.subject_alt_names.size(), 2u);
    EXPECT_NE(world.find_cluster("a")->transport_sockets.at(0).settings_hash, settings) << "old connections serve no new request";
}

}  // namespace
}  // namespace sluice::apply::test
