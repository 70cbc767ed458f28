// Verification of certificates, case by case, and a generated corpus of strange identities (threat 15).
#include "tls/verify.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/certificates.h"
#include "tests/tls/identities.h"

namespace sluice::tls {
namespace {

using test::CertificateAuthority;
using test::CertificateSpec;
using test::Issued;
using test::KeyKind;

const CertificateAuthority& authority() {
    static const CertificateAuthority ca("test root");
    return ca;
}
const CertificateAuthority& stranger() {
    static const CertificateAuthority ca("stranger", KeyKind::kEcP256, 101);
    return ca;
}
Verification trusting(const CertificateAuthority& ca = authority()) {
    Verification v;
    v.trusted_ca_pem = ca.pem();
    return v;
}
CertificateSpec named(std::vector<std::string> names) {
    CertificateSpec spec;
    spec.names = std::move(names);
    return spec;
}

Verdict judge(const Verification& verification, Role own, const std::string& chain_pem, const ClientPeer* peer = nullptr, bool recheck = false) {
    const auto verifier = Verifier::create(verification, own);
    if (!verifier) {
        ADD_FAILURE() << verifier.error().what;
        return {Failure::kInternal, 0, ""};
    }
    auto chain = parse_certificates(chain_pem);
    STACK_OF(X509)* rest = sk_X509_new_null();
    for (size_t i = 1; i < chain->size(); i++) sk_X509_push(rest, (*chain)[i].get());
    const Verdict verdict = recheck ? (*verifier)->recheck(chain->front().get(), peer) : (*verifier)->verify(chain->front().get(), rest, peer);
    sk_X509_free(rest);
    EXPECT_EQ(verdict.reason.empty(), verdict.error == X509_V_OK);
    return verdict;
}
Failure outcome(const Verification& verification, const CertificateSpec& spec, const ClientPeer* peer = nullptr, Role own = Role::kClient) {
    return judge(verification, own, authority().issue(spec).chain_pem, peer).failure;
}

TEST(Verify, ChainTimeAndPurpose) {
    EXPECT_EQ(outcome(trusting(), {}), Failure::kNone);
    EXPECT_EQ(outcome(trusting(stranger()), {}), Failure::kUnknownCa);
    CertificateSpec spec;
    spec.not_after_s = -10;
    EXPECT_EQ(outcome(trusting(), spec), Failure::kExpired);
    EXPECT_EQ(judge(trusting(), Role::kClient, authority().issue(spec).chain_pem, nullptr, true).failure, Failure::kExpired);
    spec = {};
    spec.not_before_s = 600;
    EXPECT_EQ(outcome(trusting(), spec), Failure::kNotYetValid);
    EXPECT_EQ(judge(trusting(), Role::kClient, authority().issue(spec).chain_pem, nullptr, true).failure, Failure::kNotYetValid);
    spec = {};
    spec.server_auth = false;
    EXPECT_EQ(outcome(trusting(), spec), Failure::kWrongPurpose);
    EXPECT_EQ(outcome(trusting(), spec, nullptr, Role::kServer), Failure::kNone);
    spec = {};
    spec.client_auth = false;
    EXPECT_EQ(outcome(trusting(), spec, nullptr, Role::kServer), Failure::kWrongPurpose);
    spec.server_auth = false;
    EXPECT_EQ(outcome(trusting(), spec, nullptr, Role::kServer), Failure::kNone) << "no extended key usage restricts nothing";
    EXPECT_EQ(judge(trusting(), Role::kClient, test::self_signed({}).chain_pem).failure, Failure::kUnknownCa);
    EXPECT_EQ(judge(trusting(), Role::kClient, stranger().pem()).failure, Failure::kUnknownCa);
}

TEST(Verify, TheReasonNamesSubjectAndIssuer) {
    CertificateSpec spec;
    spec.common_name = "late";
    spec.not_after_s = -10;
    const Verdict verdict = judge(trusting(), Role::kClient, authority().issue(spec).chain_pem);
    EXPECT_EQ(verdict.reason, "CERTIFICATE_VERIFY_FAILED: certificate has expired: subject CN=late,O=Sluice tests, issuer CN=test root,O=Sluice tests");
}

TEST(Verify, IntermediatesDepthAndPartialChains) {
    CertificateSpec middle;
    middle.common_name = "intermediate";
    const CertificateAuthority one(authority(), middle);
    middle.common_name = "intermediate 2", middle.key_number = 1;
    const CertificateAuthority two(one, middle);
    const Issued leaf = two.issue({});
    EXPECT_EQ(judge(trusting(), Role::kServer, leaf.chain_pem).failure, Failure::kNone);
    EXPECT_EQ(judge(trusting(), Role::kServer, leaf.certificate_pem).failure, Failure::kUnknownCa) << "intermediates are missing";
    EXPECT_EQ(judge(trusting(two), Role::kServer, leaf.certificate_pem).failure, Failure::kNone) << "an intermediate may be the trusted one";
    Verification v = trusting();
    v.max_depth = 1;
    EXPECT_EQ(judge(v, Role::kServer, leaf.chain_pem).failure, Failure::kUnknownCa);
    v.max_depth = 2;
    EXPECT_EQ(judge(v, Role::kServer, leaf.chain_pem).failure, Failure::kNone);
    middle.common_name = "short", middle.path_length = 0, middle.key_number = 2;
    const CertificateAuthority limited(authority(), middle);
    middle.path_length = -1, middle.key_number = 3;
    EXPECT_NE(judge(trusting(), Role::kServer, CertificateAuthority(limited, middle).issue({}).chain_pem).failure, Failure::kNone);
    middle = {};
    middle.not_after_s = -5;
    EXPECT_EQ(judge(trusting(), Role::kServer, CertificateAuthority(authority(), middle).issue({}).chain_pem).failure, Failure::kExpired);
}

TEST(Verify, WeakKeysAndNameConstraints) {
    CertificateSpec spec;
    spec.key = KeyKind::kRsa1024;
    EXPECT_EQ(outcome(trusting(), spec), Failure::kBadCertificate);
    CertificateSpec middle;
    middle.permitted = {"DNS:shop.example"};
    const CertificateAuthority constrained(authority(), middle);
    EXPECT_EQ(judge(trusting(), Role::kClient, constrained.issue(named({"DNS:a.shop.example"})).chain_pem).failure, Failure::kNone);
    EXPECT_EQ(judge(trusting(), Role::kClient, constrained.issue(named({"DNS:a.bank.example"})).chain_pem).failure, Failure::kWrongName);
    middle.permitted.clear(), middle.excluded = {"URI:bank.local"};
    const CertificateAuthority excluding(authority(), middle);
    EXPECT_EQ(judge(trusting(), Role::kClient, excluding.issue(named({"URI:spiffe://shop.local/a"})).chain_pem).failure, Failure::kNone);
    EXPECT_EQ(judge(trusting(), Role::kClient, excluding.issue(named({"URI:spiffe://bank.local/a"})).chain_pem).failure, Failure::kWrongName);
}

TEST(Verify, Revocation) {
    const Issued leaf = authority().issue({}), other = authority().issue({});
    Verification v = trusting();
    v.crl_pem = authority().crl({leaf.serial});
    EXPECT_EQ(judge(v, Role::kServer, leaf.chain_pem).failure, Failure::kRevoked);
    EXPECT_EQ(judge(v, Role::kServer, other.chain_pem).failure, Failure::kNone);
    v.crl_pem = stranger().crl({leaf.serial});
    EXPECT_EQ(judge(v, Role::kServer, other.chain_pem).failure, Failure::kBadCertificate) << "its issuer has no list";
    v.crl_pem = authority().crl({}, -10);
    EXPECT_EQ(judge(v, Role::kServer, other.chain_pem).failure, Failure::kBadCertificate) << "the list is out of date";
    CertificateSpec middle;
    middle.key_number = 7;
    const CertificateAuthority intermediate(authority(), middle);
    const Issued deep = intermediate.issue({});
    v.crl_pem = intermediate.crl({});
    EXPECT_EQ(judge(v, Role::kServer, deep.chain_pem).failure, Failure::kBadCertificate) << "the whole chain needs lists";
    v.crl_only_leaf = true;
    EXPECT_EQ(judge(v, Role::kServer, deep.chain_pem).failure, Failure::kNone);
    v.crl_only_leaf = false;
    v.crl_pem = intermediate.crl({}) + authority().crl({});
    EXPECT_EQ(judge(v, Role::kServer, deep.chain_pem).failure, Failure::kNone);
    v.crl_pem = intermediate.crl({deep.serial}) + authority().crl({});
    EXPECT_EQ(judge(v, Role::kServer, deep.chain_pem).failure, Failure::kRevoked);
}

TEST(Verify, HostNames) {
    ClientPeer peer;
    const auto host = [&](std::string wanted, std::vector<std::string> names) {
        peer.verify_host = std::move(wanted);
        CertificateSpec spec = named(std::move(names));
        spec.common_name = "cn.example";
        return outcome(trusting(), spec, &peer);
    };
    EXPECT_EQ(host("shop.example", {"DNS:shop.example"}), Failure::kNone);
    EXPECT_EQ(host("SHOP.example", {"DNS:shop.EXAMPLE"}), Failure::kNone);
    EXPECT_EQ(host("shop.example", {"DNS:bank.example", "DNS:shop.example"}), Failure::kNone);
    EXPECT_EQ(host("shop.example", {"DNS:bank.example"}), Failure::kWrongName);
    EXPECT_EQ(host("cn.example", {"DNS:bank.example"}), Failure::kWrongName) << "the common name is no name";
    EXPECT_EQ(host("cn.example", {}), Failure::kWrongName);
    EXPECT_EQ(host("a.example.com", {"DNS:*.example.com"}), Failure::kNone);
    EXPECT_EQ(host("a.b.example.com", {"DNS:*.example.com"}), Failure::kWrongName);
    EXPECT_EQ(host("example.com", {"DNS:*.example.com"}), Failure::kWrongName);
    EXPECT_EQ(host("abc.example.com", {"DNS:a*c.example.com"}), Failure::kWrongName);
    EXPECT_EQ(host("a.b.example.com", {"DNS:a.*.example.com"}), Failure::kWrongName);
    EXPECT_EQ(host("example", {"DNS:*"}), Failure::kWrongName);
    EXPECT_EQ(host("a.com", {"DNS:*.com"}), Failure::kWrongName);
    EXPECT_EQ(host("shop.example", {"URI:spiffe://shop.example/a"}), Failure::kWrongName);
    EXPECT_EQ(host("192.0.2.1", {"IP:192.0.2.1"}), Failure::kNone);
    EXPECT_EQ(host("192.0.2.1", {"DNS:192.0.2.1"}), Failure::kWrongName);
    EXPECT_EQ(host("2001:db8::1", {"IP:2001:db8::1"}), Failure::kNone);
    EXPECT_EQ(host("shop.example", {std::string("DNS:shop.example\0.evil.example", 31)}), Failure::kBadCertificate);
    EXPECT_EQ(host("shop.example", {"DNS:shop.example", std::string("DNS:x\0y", 7)}), Failure::kBadCertificate) << "a NUL in any name";
}

TEST(Verify, SubjectAltNameMatchers) {
    using Type = SanMatcher::Type;
    using Kind = SanMatcher::Kind;
    const std::vector<std::string> names = {"DNS:*.shop.example", "DNS:a.example", "URI:spiffe://cluster.local/ns/shop/sa/web", "IP:192.0.2.9", "email:ops@shop.example"};
    const auto matched = [&](SanMatcher matcher) {
        Verification v = trusting();
        v.subject_alt_names = {std::move(matcher)};
        return outcome(v, named(names)) == Failure::kNone;
    };
    EXPECT_TRUE(matched({Type::kDns, Kind::kExact, "a.example"}));
    EXPECT_TRUE(matched({Type::kDns, Kind::kExact, "web.shop.example"})) << "as Envoy: the certificate's wildcard counts";
    EXPECT_FALSE(matched({Type::kDns, Kind::kExact, "a.b.shop.example"}));
    EXPECT_FALSE(matched({Type::kUri, Kind::kExact, "a.example"}));
    EXPECT_TRUE(matched({Type::kAny, Kind::kExact, "a.example"}));
    EXPECT_TRUE(matched({Type::kUri, Kind::kExact, "spiffe://cluster.local/ns/shop/sa/web"}));
    EXPECT_FALSE(matched({Type::kUri, Kind::kExact, "spiffe://cluster.local/ns/shop/sa/we"}));
    EXPECT_FALSE(matched({Type::kUri, Kind::kExact, "SPIFFE://cluster.local/ns/shop/sa/web"}));
    EXPECT_TRUE(matched({Type::kUri, Kind::kExact, "SPIFFE://cluster.local/ns/shop/sa/web", true}));
    EXPECT_TRUE(matched({Type::kUri, Kind::kPrefix, "spiffe://cluster.local/ns/shop/"}));
    EXPECT_FALSE(matched({Type::kUri, Kind::kPrefix, "spiffe://cluster.local/ns/bank/"}));
    EXPECT_TRUE(matched({Type::kUri, Kind::kSuffix, "/sa/web"}));
    EXPECT_FALSE(matched({Type::kUri, Kind::kSuffix, "/sa/we"}));
    EXPECT_TRUE(matched({Type::kUri, Kind::kContains, "/ns/shop/"}));
    EXPECT_FALSE(matched({Type::kUri, Kind::kContains, "/ns/bank/"}));
    EXPECT_TRUE(matched({Type::kIp, Kind::kExact, "192.0.2.9"}));
    EXPECT_TRUE(matched({Type::kEmail, Kind::kExact, "ops@shop.example"}));
    EXPECT_TRUE(matched({Type::kUri, Kind::kCustom, "", false, [](std::string_view text) { return text.ends_with("web"); }}));
    EXPECT_FALSE(matched({Type::kUri, Kind::kCustom, "", false, [](std::string_view) { return false; }}));
    EXPECT_FALSE(matched({Type::kUri, Kind::kCustom, "", false, {}}));
    Verification v = trusting();
    v.subject_alt_names = {{Type::kDns, Kind::kExact, "a.example"}};
    ClientPeer peer;
    peer.subject_alt_names = {{Type::kDns, Kind::kExact, "other.example"}};
    EXPECT_EQ(outcome(v, named(names), &peer), Failure::kWrongName) << "the destination's list counts beside the context's";
}

TEST(Verify, Pins) {
    CertificateSpec spec;
    spec.key_number = 3;
    const Issued leaf = authority().issue(spec), renewed = authority().issue(spec);
    const auto certificate = parse_certificates(leaf.certificate_pem);
    Verification v = trusting();
    v.certificate_sha256 = {digest_hex(certificate->front().get(), EVP_sha256())};
    EXPECT_EQ(judge(v, Role::kClient, leaf.chain_pem).failure, Failure::kNone);
    const Verdict refused = judge(v, Role::kClient, renewed.chain_pem);
    EXPECT_EQ(refused.failure, Failure::kWrongPin);
    const auto other = parse_certificates(renewed.certificate_pem);
    EXPECT_NE(refused.reason.find("not pinned: certificate hash " + digest_hex(other->front().get(), EVP_sha256()) + ": "), std::string::npos) << refused.reason;
    v.spki_sha256 = {spki_sha256(certificate->front().get())};
    EXPECT_EQ(judge(v, Role::kClient, renewed.chain_pem).failure, Failure::kNone) << "one of both lists is enough";
    EXPECT_EQ(judge(v, Role::kClient, authority().issue({}).chain_pem).failure, Failure::kWrongPin);
    v.trusted_ca_pem.clear();
    EXPECT_EQ(judge(v, Role::kClient, leaf.chain_pem).failure, Failure::kNone) << "a pin needs no CA";
    EXPECT_EQ(judge(v, Role::kClient, authority().issue({}).chain_pem).failure, Failure::kWrongPin);
}

TEST(Verify, UntrustedPeersMayBeWelcomeButProveNothing) {
    Verification v = trusting(stranger());
    v.accept_untrusted = true;
    const Verdict verdict = judge(v, Role::kServer, authority().issue({}).chain_pem);
    EXPECT_EQ(verdict.failure, Failure::kNone);
    EXPECT_NE(verdict.error, X509_V_OK);
    EXPECT_EQ(judge(v, Role::kServer, stranger().issue({}).chain_pem).error, X509_V_OK);
}

TEST(Verify, TrustDomainsHaveTheirOwnRoots) {
    Verification v;
    v.trust_domains = {{"a.example", authority().pem()}, {"b.example", stranger().pem()}};
    v.require_spiffe = true;
    const auto judged = [&](const CertificateAuthority& ca, const char* uri) { return judge(v, Role::kServer, ca.issue(named({std::string("URI:") + uri})).chain_pem).failure; };
    EXPECT_EQ(judged(authority(), "spiffe://a.example/ns/x/sa/y"), Failure::kNone);
    EXPECT_EQ(judged(stranger(), "spiffe://b.example/ns/x/sa/y"), Failure::kNone);
    EXPECT_EQ(judged(stranger(), "spiffe://a.example/ns/x/sa/y"), Failure::kUnknownCa) << "b's root does not vouch for a";
    EXPECT_EQ(judged(authority(), "spiffe://b.example/ns/x/sa/y"), Failure::kUnknownCa);
    EXPECT_EQ(judged(authority(), "spiffe://c.example/ns/x/sa/y"), Failure::kUnknownCa);
    EXPECT_EQ(judge(v, Role::kServer, authority().issue(named({"DNS:a.example"})).chain_pem).failure, Failure::kUnknownCa);
}

// --- Roots of several trust domains ---

/// a.example by authority(), b.example by stranger().
Verification two_domains() {
    Verification v;
    v.trust_domains = {{"a.example", authority().pem()}, {"b.example", stranger().pem()}};
    return v;
}
constexpr char kOfA[] = "URI:spiffe://a.example/ns/x/sa/y", kOfB[] = "URI:spiffe://b.example/ns/x/sa/y";

TEST(TrustDomains, ALeafBringsNoRootOfItsOwn) {
    // Whatever else is sent along: the chain must end in the bundle of the leaf's own domain.
    const Issued forged = stranger().issue(named({kOfA}));
    for (const std::string& more : {stranger().pem(), authority().pem(), stranger().pem() + authority().pem()})
        EXPECT_EQ(judge(two_domains(), Role::kServer, forged.chain_pem + more).failure, Failure::kUnknownCa);
    // A CA of the same name, with another key.
    const CertificateAuthority namesake("test root", KeyKind::kEcP256, 55);
    EXPECT_NE(judge(two_domains(), Role::kServer, namesake.issue(named({kOfA})).chain_pem + namesake.pem()).failure, Failure::kNone);
    EXPECT_EQ(judge(two_domains(), Role::kServer, test::self_signed(named({kOfA})).chain_pem).failure, Failure::kUnknownCa);
}

TEST(TrustDomains, ACrossSignedCaIsHeldToItsNameConstraints) {
    // a's root vouches for b's issuing CA, for names of b alone: b's CA can still not speak for a.
    CertificateSpec middle;
    middle.common_name = "b's CA", middle.key_number = 4;
    middle.permitted = {"URI:b.example"};
    const CertificateAuthority cross(authority(), middle);
    EXPECT_EQ(judge(two_domains(), Role::kServer, cross.issue(named({kOfA})).chain_pem).failure, Failure::kWrongName);
    EXPECT_EQ(judge(two_domains(), Role::kServer, cross.issue(named({kOfB})).chain_pem).failure, Failure::kUnknownCa) << "a's root is not in b's bundle";
    middle.permitted.clear();
    const CertificateAuthority same_key_by_b(stranger(), middle);
    EXPECT_EQ(judge(two_domains(), Role::kServer, same_key_by_b.issue(named({kOfB})).chain_pem).failure, Failure::kNone);
    EXPECT_EQ(judge(two_domains(), Role::kServer, same_key_by_b.issue(named({kOfA})).chain_pem).failure, Failure::kUnknownCa);
}

TEST(TrustDomains, UnknownOrNoDomainIsRefusedInWords) {
    const Verdict unknown = judge(two_domains(), Role::kServer, authority().issue(named({"URI:spiffe://c.example/ns/x/sa/y"})).chain_pem);
    EXPECT_EQ(unknown.failure, Failure::kUnknownCa);
    EXPECT_NE(unknown.reason.find("trust domain c.example is not trusted"), std::string::npos) << unknown.reason;
    for (const std::vector<std::string>& names : {std::vector<std::string>{}, {"DNS:a.example"}, {kOfA, kOfB}, {"URI:spiffe://A.example/x"}, {"URI:https://a.example/x"}})
        EXPECT_EQ(judge(two_domains(), Role::kServer, authority().issue(named(names)).chain_pem).failure, Failure::kUnknownCa);
}

TEST(TrustDomains, AnIdentityIsCheckedAsTheStandardSays) {
    CertificateSpec spec = named({kOfA});
    spec.key_usage = false;
    EXPECT_EQ(outcome(two_domains(), spec, nullptr, Role::kServer), Failure::kWrongName) << "no key usage, as with Envoy";
    spec.key_usage = true, spec.sign_certificates = true;
    EXPECT_NE(outcome(two_domains(), spec, nullptr, Role::kServer), Failure::kNone);
    spec.sign_certificates = false, spec.ca = true;
    EXPECT_NE(outcome(two_domains(), spec, nullptr, Role::kServer), Failure::kNone) << "of a CA: OpenSSL has the first word";
    EXPECT_EQ(outcome(two_domains(), named({"URI:spiffe://a.example"}), nullptr, Role::kServer), Failure::kWrongName) << "a client is a workload";
    EXPECT_EQ(outcome(two_domains(), named({"URI:spiffe://a.example"}), nullptr, Role::kClient), Failure::kNone);
}

TEST(TrustDomains, ListsAmongTheRootsHoldForTheirDomainAlone) {
    const Issued bad = authority().issue(named({kOfA})), good = authority().issue(named({kOfA})), of_b = stranger().issue(named({kOfB}));
    Verification v = two_domains();
    v.trust_domains[0].trusted_ca_pem += authority().crl({bad.serial});
    EXPECT_EQ(judge(v, Role::kServer, bad.chain_pem).failure, Failure::kRevoked);
    EXPECT_EQ(judge(v, Role::kServer, good.chain_pem).failure, Failure::kNone);
    EXPECT_EQ(judge(v, Role::kServer, of_b.chain_pem).failure, Failure::kNone) << "b has no lists, and needs none";
    v.crl_pem = stranger().crl({of_b.serial});
    EXPECT_EQ(judge(v, Role::kServer, of_b.chain_pem).failure, Failure::kRevoked) << "lists for all";
    EXPECT_EQ(judge(v, Role::kServer, bad.chain_pem).failure, Failure::kRevoked);
    v.trust_domains[0].trusted_ca_pem += "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    EXPECT_FALSE(Verifier::create(v, Role::kServer));
}

TEST(Verify, ListsAmongTheRootsCount) {
    const Issued bad = authority().issue({});
    Verification v = trusting();
    v.trusted_ca_pem += authority().crl({bad.serial});
    EXPECT_EQ(judge(v, Role::kServer, bad.chain_pem).failure, Failure::kRevoked);
    EXPECT_EQ(judge(v, Role::kServer, authority().issue({}).chain_pem).failure, Failure::kNone);
}

TEST(Verify, AChainIsGoodUntilItsFirstEnd) {
    const int64_t now = time(nullptr);
    CertificateSpec middle;
    middle.not_after_s = 3600, middle.key_number = 8;
    const CertificateAuthority between(authority(), middle);
    const Issued leaf = between.issue({});
    EXPECT_NEAR(static_cast<double>(judge(trusting(), Role::kServer, leaf.chain_pem).good_until_s), static_cast<double>(now + 3600), 5);
    Verification v = trusting();
    v.crl_pem = authority().crl({}, 600) + authority().crl({}, 1200) + between.crl({}, 7200) + stranger().crl({}, 5);
    EXPECT_NEAR(static_cast<double>(judge(v, Role::kServer, leaf.chain_pem).good_until_s), static_cast<double>(now + 1200), 5)
        << "the later list of an issuer counts, and none of others";
}

TEST(Verify, FingerprintsDifferByEverythingThatMatters) {
    std::vector<Verification> all(1, trusting());
    const auto add = [&](auto&& change) {
        all.push_back(trusting());
        change(all.back());
    };
    add([](Verification& v) { v.trusted_ca_pem = stranger().pem(); });
    add([](Verification& v) { v.crl_pem = authority().crl({1}); });
    add([](Verification& v) { v.crl_pem = authority().crl({1}), v.crl_only_leaf = true; });
    add([](Verification& v) { v.subject_alt_names = {{SanMatcher::Type::kUri, SanMatcher::Kind::kExact, "a"}}; });
    add([](Verification& v) { v.subject_alt_names = {{SanMatcher::Type::kUri, SanMatcher::Kind::kPrefix, "a"}}; });
    add([](Verification& v) { v.subject_alt_names = {{SanMatcher::Type::kUri, SanMatcher::Kind::kExact, "b"}}; });
    add([](Verification& v) { v.certificate_sha256 = {std::string(64, 'a')}; });
    add([](Verification& v) { v.spki_sha256 = {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}; });
    add([](Verification& v) { v.accept_untrusted = true; });
    add([](Verification& v) { v.require_spiffe = true; });
    add([](Verification& v) { v.max_depth = 3; });
    add([](Verification& v) { v.trusted_ca_pem.clear(), v.trust_domains = {{"a", authority().pem()}}; });
    add([](Verification& v) { v.trusted_ca_pem.clear(), v.trust_domains = {{"b", authority().pem()}}; });
    std::set<std::array<uint8_t, 32>> seen;
    for (const Verification& v : all) {
        const auto verifier = Verifier::create(v, Role::kServer);
        ASSERT_TRUE(verifier) << verifier.error().what;
        EXPECT_TRUE(seen.insert((*verifier)->fingerprint()).second);
        EXPECT_EQ((*Verifier::create(v, Role::kServer))->fingerprint(), (*verifier)->fingerprint());
    }
}

// --- Threat 15: a corpus of identities ---

TEST(SpiffeCorpus, ExactlyTheStandardsIdentitiesPass) {
    Verification v = trusting();
    v.require_spiffe = true;
    const auto server = Verifier::create(v, Role::kServer), client = Verifier::create(v, Role::kClient);
    ASSERT_TRUE(server && client);
    size_t judged = 0;
    const auto expect = [&](const CertificateSpec& spec, bool as_client, bool as_server, const std::string& what) {
        const auto chain = parse_certificates(authority().issue(spec).chain_pem);
        EXPECT_EQ((*server)->verify(chain->front().get(), nullptr, nullptr).failure == Failure::kNone, as_client) << what;
        EXPECT_EQ((*server)->recheck(chain->front().get(), nullptr).failure == Failure::kNone, as_client) << what;
        EXPECT_EQ((*client)->verify(chain->front().get(), nullptr, nullptr).failure == Failure::kNone, as_server) << what;
        judged++;
    };
    for (const test::Identity& identity : test::identities()) {
        expect(named({"URI:" + identity.uri}), identity.as_client, identity.as_server, identity.uri);
        if (!identity.as_client) continue;
        expect(named({"URI:" + identity.uri, "DNS:web.shop"}), true, true, identity.uri + " and a DNS name");
        expect(named({"URI:" + identity.uri, "URI:" + identity.uri}), false, false, identity.uri + " twice");
        expect(named({"URI:" + identity.uri, "URI:https://a.example/"}), false, false, identity.uri + " and another URI");
        expect(named({"URI:" + identity.uri, std::string("DNS:a\0b", 7)}), false, false, identity.uri + " and a NUL");
        CertificateSpec spec = named({"URI:" + identity.uri});
        spec.ca = true;
        expect(spec, false, false, identity.uri + " of a CA");
        spec.ca = false, spec.sign_certificates = true;
        expect(spec, false, false, identity.uri + " that may sign");
        spec.sign_certificates = false, spec.key_usage = false;
        expect(spec, true, true, identity.uri + " without key usage");
        spec.client_auth = false;
        expect(spec, false, true, identity.uri + " for servers");
    }
    CertificateSpec named_otherwise;
    named_otherwise.common_name = "spiffe://cluster.local/ns/shop/sa/web";
    expect(named_otherwise, false, false, "only a common name");
    named_otherwise.names = {"DNS:cluster.local", "DNS:spiffe://cluster.local/ns/shop/sa/web"};
    expect(named_otherwise, false, false, "only DNS names");
    EXPECT_GE(judged, 500u);
}

}  // namespace
}  // namespace sluice::tls
