// Envoy's SPIFFE validator in resources -> contexts that hold each peer against the roots of its own trust domain.
// In: listeners and secrets with custom_validator_config, inline or by SDS, as PEM or as a bundle map. Out: verdicts of the contexts.
// What a verdict depends on is tested in tests/tls/verify_test.cc.
// Envoy SPIFFECertValidatorConfig; SPIFFE Trust Domain and Bundle standard 4.
#include "ctrl/apply/spiffe.h"

#include <gmock/gmock.h>
#include <openssl/pem.h>

#include "ctrl/apply/secrets.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.pb.h"
#include "tests/ctrl/apply/support.h"
#include "tests/support/certificates.h"
#include "tls/context_impl.h"

namespace sluice::apply::test {
namespace {

using envoy::config::core::v3::TypedExtensionConfig;
using envoy::extensions::transport_sockets::tls::v3::SPIFFECertValidatorConfig;
using sluice::test::CertificateAuthority;
using sluice::test::CertificateSpec;
using testing::ElementsAre;
using testing::HasSubstr;

const CertificateAuthority& root(int number) {
    static const CertificateAuthority a("root of a", sluice::test::KeyKind::kEcP256, 201), b("root of b", sluice::test::KeyKind::kEcP256, 202);
    return number == 0 ? a : b;
}
std::string identity_of(int ca, const std::string& id) {
    CertificateSpec spec;
    spec.names = {"URI:spiffe://" + id};
    return root(ca).issue(spec).chain_pem;
}

TypedExtensionConfig packed(const SPIFFECertValidatorConfig& config) {
    TypedExtensionConfig out;
    out.set_name("envoy.tls.cert_validator.spiffe");
    out.mutable_typed_config()->PackFrom(config);
    return out;
}
TypedExtensionConfig by_pem() {
    SPIFFECertValidatorConfig config;
    for (int i = 0; i < 2; i++) {
        auto& domain = *config.add_trust_domains();
        domain.set_name(i == 0 ? "a.example" : "b.example");
        domain.mutable_trust_bundle()->set_inline_string(root(i).pem());
    }
    return packed(config);
}
TypedExtensionConfig by_map(const std::string& json) {
    SPIFFECertValidatorConfig config;
    config.mutable_trust_bundles()->set_inline_string(json);
    return packed(config);
}
/// The base64 within a PEM block.
std::string x5c(const CertificateAuthority& ca) {
    std::string out = ca.pem();
    out = out.substr(out.find('\n') + 1);
    out = out.substr(0, out.find("-----END"));
    std::erase(out, '\n');
    return out;
}
std::string key(const std::string& certificate, const std::string& use = "x509-svid") { return R"({"kty": "EC", "use": ")" + use + R"(", "x5c": [")" + certificate + "\"]}"; }
std::string map_of(const std::string& a, const std::string& b) {
    return R"({"trust_domains": {"a.example": {"sequence_number": 7, "keys": [)" + a + R"(]}, "b.example": {"keys": [)" + b + "]}}}";
}

struct Asker : World {
    TlsInputs inputs{};
    Asker() {
        SecretProto secret;
        secret.set_name("cert");
        CertificateSpec spec;
        spec.names = {"DNS:shop.example"};
        const auto issued = root(0).issue(spec);
        secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_bytes(issued.chain_pem);
        secret.mutable_tls_certificate()->mutable_private_key()->set_inline_bytes(issued.private_key_pem);
        resources.secrets["cert"] = secret;
    }
    /// A listener with this common_tls_context besides its certificate.
    Refusals apply(const std::string& common, const std::string& more = "") {
        listener(listener_text("", R"(address { socket_address { address: "0.0.0.0" port_value: 443 } })"));
        auto message = *resources.listeners["0.0.0.0_80"];
        envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext context =
            parse<envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext>(
                R"(common_tls_context { tls_certificate_sds_secret_configs { name: "cert" } )" + common + " } " + more);
        message.mutable_filter_chains(0)->mutable_transport_socket()->mutable_typed_config()->PackFrom(context);
        resources.listeners["0.0.0.0_80"] = message;
        auto built = build(resources, publisher.current(), publisher, ++revision, "v", {}, inputs);
        Refusals out;
        if (!built) {
            for (const Nack& nack : built.error()) out.push_back(nack.field + ": " + nack.message);
            return out;
        }
        EXPECT_TRUE(publisher.publish(std::move(*built)));
        reader.quiescent();
        publisher.reclaim();
        return {};
    }
    /// Of the listener's context.
    tls::Failure judge(const std::string& chain_pem) {
        const auto& context = now().chains.at(now().listeners.at(0)->chains.at(0).id).tls;
        if (!context) return tls::Failure::kInternal;
        const auto& core = tls::ServerContextImpl::of(*context).core;
        const auto chain = tls::parse_certificates(chain_pem);
        return core.verifier->verify(chain->front().get(), nullptr, nullptr).failure;
    }
    void expect_domains_apart() {
        EXPECT_EQ(judge(identity_of(0, "a.example/ns/x/sa/y")), tls::Failure::kNone);
        EXPECT_EQ(judge(identity_of(1, "b.example/ns/x/sa/y")), tls::Failure::kNone);
        EXPECT_EQ(judge(identity_of(1, "a.example/ns/x/sa/y")), tls::Failure::kUnknownCa);
        EXPECT_EQ(judge(identity_of(0, "b.example/ns/x/sa/y")), tls::Failure::kUnknownCa);
        EXPECT_EQ(judge(identity_of(0, "c.example/ns/x/sa/y")), tls::Failure::kUnknownCa);
    }
    std::string mode() { return now().listeners.at(0)->chains.at(0).tls_text; }
};

std::string inline_context(const TypedExtensionConfig& validator, const std::string& more = "") {
    std::string text;
    google::protobuf::TextFormat::PrintToString(validator, &text);
    return "validation_context { custom_validator_config { " + text + " } " + more + " }";
}

TEST(SpiffeValidator, InlineKeepsDomainsApart) {
    Asker world;
    ASSERT_THAT(world.apply(inline_context(by_pem())), ElementsAre());
    world.expect_domains_apart();
    EXPECT_EQ(world.mode(), "MUTUAL") << "nobody comes in without a certificate, as with Envoy";
}

TEST(SpiffeValidator, ABundleMapDoesTheSame) {
    Asker world;
    ASSERT_THAT(world.apply(inline_context(by_map(map_of(key("AAAA", "jwt-svid") + "," + key(x5c(root(0))), key(x5c(root(1))))))), ElementsAre());
    world.expect_domains_apart();
}

/// As SPIRE serves its roots: within the validation context of a Secret.
TEST(SpiffeValidator, BySdsAndRotated) {
    Asker world;
    SecretProto roots;
    roots.set_name("ALL");
    *roots.mutable_validation_context()->mutable_custom_validator_config() = by_pem();
    constexpr char kContext[] = R"(combined_validation_context { default_validation_context { match_typed_subject_alt_names { san_type: URI matcher { prefix: "spiffe://" } } }
        validation_context_sds_secret_config { name: "ALL" } })";
    ASSERT_THAT(world.apply(kContext), ElementsAre()) << "the secret is waited for";
    EXPECT_EQ(world.judge(""), tls::Failure::kInternal);
    world.resources.secrets["ALL"] = roots;
    ASSERT_THAT(world.apply(kContext), ElementsAre());
    world.expect_domains_apart();
    const auto& state = *world.now().tls->secrets.at("ALL");
    ASSERT_EQ(state.certificates.size(), 2u);
    EXPECT_EQ(state.certificates[0].name, "ALL, trust domain a.example");
    // A domain that is gone is trusted no more.
    SPIFFECertValidatorConfig only_a;
    ASSERT_TRUE(by_pem().typed_config().UnpackTo(&only_a));
    only_a.mutable_trust_domains()->RemoveLast();
    *roots.mutable_validation_context()->mutable_custom_validator_config() = packed(only_a);
    world.resources.secrets["ALL"] = roots;
    ASSERT_THAT(world.apply(kContext), ElementsAre());
    EXPECT_EQ(world.judge(identity_of(0, "a.example/ns/x/sa/y")), tls::Failure::kNone);
    EXPECT_EQ(world.judge(identity_of(1, "b.example/ns/x/sa/y")), tls::Failure::kUnknownCa);
    // A bundle that cannot be read leaves the one before.
    only_a.mutable_trust_domains(0)->mutable_trust_bundle()->set_inline_string("nothing");
    *roots.mutable_validation_context()->mutable_custom_validator_config() = packed(only_a);
    world.resources.secrets["ALL"] = roots;
    ASSERT_THAT(world.apply(kContext), ElementsAre());
    EXPECT_THAT(world.now().tls->secrets.at("ALL")->refused, HasSubstr("trust domain a.example"));
    EXPECT_EQ(world.judge(identity_of(0, "a.example/ns/x/sa/y")), tls::Failure::kNone);
}

TEST(SpiffeValidator, TakesThePlaceOfTrustedCaAndCannotBeSwitchedOff) {
    Asker world;
    ASSERT_THAT(world.apply(inline_context(by_pem(), "trusted_ca { inline_string: \"not looked at\" } trust_chain_verification: ACCEPT_UNTRUSTED")), ElementsAre());
    world.expect_domains_apart();
}

TEST(SpiffeValidator, WhatIsWrongIsSaidWithItsField) {
    const auto refused = [](const TypedExtensionConfig& validator) {
        Asker world;
        const auto refusals = world.apply(inline_context(validator));
        return refusals.empty() ? std::string("taken") : refusals[0];
    };
    EXPECT_THAT(refused(packed({})), HasSubstr("custom_validator_config.typed_config: no trust domain"));
    SPIFFECertValidatorConfig by_file;
    by_file.add_trust_domains()->set_name("a.example");
    by_file.mutable_trust_domains(0)->mutable_trust_bundle()->set_filename("/etc/passwd");
    EXPECT_THAT(refused(packed(by_file)), HasSubstr("trust_domains[0].trust_bundle"));
    SPIFFECertValidatorConfig twice;
    for (int i = 0; i < 2; i++) {
        twice.add_trust_domains()->set_name("a.example");
        twice.mutable_trust_domains(i)->mutable_trust_bundle()->set_inline_string(root(i).pem());
    }
    EXPECT_THAT(refused(packed(twice)), HasSubstr("trust domain a.example is given twice"));
    TypedExtensionConfig other;
    other.set_name("x");
    other.mutable_typed_config()->set_type_url("type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors");
    EXPECT_THAT(refused(other), HasSubstr("SPIFFE validator alone is supported"));

    const std::string good = key(x5c(root(1)));
    EXPECT_THAT(refused(by_map("[]")), HasSubstr("typed_config.trust_bundles: no JSON object"));
    EXPECT_THAT(refused(by_map("{\"trust_domains\": {")), HasSubstr("no JSON object"));
    EXPECT_THAT(refused(by_map(std::string(200, '[') + std::string(200, ']'))), HasSubstr("no JSON object")) << "depth is bounded";
    EXPECT_THAT(refused(by_map("{}")), HasSubstr("no trust_domains"));
    EXPECT_THAT(refused(by_map("{\"trust_domains\": {}}")), HasSubstr("no trust_domains"));
    EXPECT_THAT(refused(by_map("{\"trust_domains\": {\"a\": 5}}")), HasSubstr("trust domain a has no keys"));
    EXPECT_THAT(refused(by_map(map_of("", good))), HasSubstr("trust domain a.example has no keys"));
    EXPECT_THAT(refused(by_map(map_of("5", good))), HasSubstr("a key that is no object"));
    EXPECT_THAT(refused(by_map(map_of("{\"x5c\": []}", good))), HasSubstr("a key without `use`"));
    EXPECT_THAT(refused(by_map(map_of(key("AAAA", "jwt-svid"), good))), HasSubstr("no key for x509-svid"));
    EXPECT_THAT(refused(by_map(map_of("{\"use\": \"x509-svid\"}", good))), HasSubstr("without x5c"));
    EXPECT_THAT(refused(by_map(map_of(key("-----END CERTIFICATE-----"), good))), HasSubstr("no certificate in base64"));
    EXPECT_THAT(refused(by_map(map_of(key("AAAA"), good))), HasSubstr("certificate 1 cannot be read"));
    EXPECT_THAT(refused(by_map("{\"trust_domains\": {\"a\": {\"keys\": [" + good + "]}, \"a\": {\"keys\": [" + good + "]}}}")), HasSubstr("no JSON object")) << "twice the same";
    EXPECT_THAT(refused(by_map(map_of(key(x5c(root(0))), good))), "taken");
}

}  // namespace
}  // namespace sluice::apply::test
