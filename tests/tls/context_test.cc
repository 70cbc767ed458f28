// What contexts refuse, and what they tell about certificates.
#include "tls/context.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>

#include "tests/support/certificates.h"
#include "tls/ticket_keys.h"

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
CertificateSource source(const Issued& issued, std::string name = "shop-tls") { return {issued.chain_pem, issued.private_key_pem, "", std::move(name)}; }
ServerOptions server(const CertificateSpec& spec = {}) {
    ServerOptions options;
    options.certificates.push_back(source(authority().issue(spec)));
    return options;
}
ClientOptions client() {
    ClientOptions options;
    options.verification.trusted_ca_pem = authority().pem();
    return options;
}
/// What is said against these options; "" where nothing.
std::string refusal(ServerOptions options) {
    const auto context = ServerContext::create(std::move(options), time(nullptr));
    if (context) return "";
    EXPECT_FALSE(context.error().cure.empty()) << context.error().what;
    EXPECT_EQ(context.error().what.find("PRIVATE KEY"), std::string::npos);
    return context.error().what;
}
std::string refusal(ClientOptions options) {
    const auto context = ClientContext::create(std::move(options), time(nullptr));
    return context ? "" : context.error().what;
}
void expect_says(const std::string& said, const std::string& wanted) { EXPECT_NE(said.find(wanted), std::string::npos) << "said: \"" << said << "\""; }

TEST(ServerContexts, TellAboutTheirCertificate) {
    CertificateSpec spec;
    spec.common_name = "shop";
    spec.names = {"DNS:shop.example", "URI:spiffe://cluster.local/ns/shop/sa/web", "IP:192.0.2.7"};
    const auto context = ServerContext::create(server(spec), time(nullptr));
    ASSERT_TRUE(context) << context.error().what;
    ASSERT_EQ((*context)->certificates().size(), 1u);
    const CertificateInfo& info = (*context)->certificates()[0];
    EXPECT_EQ(info.name, "shop-tls");
    EXPECT_EQ(info.subject, "CN=shop,O=Sluice tests");
    EXPECT_EQ(info.issuer, "CN=test root,O=Sluice tests");
    EXPECT_EQ(info.sans, (std::vector<std::string>{"DNS:shop.example", "URI:spiffe://cluster.local/ns/shop/sa/web", "IP:192.0.2.7"}));
    EXPECT_EQ(info.key_type, "EC P-256");
    EXPECT_EQ(info.sha256.size(), 64u);
    EXPECT_NEAR(static_cast<double>(info.not_after_s - info.not_before_s), 25 * 3600, 2);
}

TEST(ServerContexts, RefuseWhatCannotServe) {
    expect_says(refusal(ServerOptions{}), "needs a certificate");
    ServerOptions options = server();
    options.certificates[0].chain_pem = "hello";
    expect_says(refusal(options), "shop-tls: the certificate holds no certificate in PEM");
    options = server();
    options.certificates[0].chain_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    expect_says(refusal(options), "cannot be read");
    options = server();
    options.certificates[0].private_key_pem = "nothing";
    expect_says(refusal(options), "private key cannot be read");
    options = server();
    CertificateSpec other;
    other.key_number = 5;
    options.certificates[0].private_key_pem = authority().issue(other).private_key_pem;
    expect_says(refusal(options), "does not belong");
    CertificateSpec spec;
    spec.not_after_s = -1;
    expect_says(refusal(server(spec)), "has expired");
    spec = {};
    spec.not_before_s = 3600;
    expect_says(refusal(server(spec)), "not yet valid");
    spec = {};
    spec.key = KeyKind::kRsa1024;
    expect_says(refusal(server(spec)), "too weak");
    options = server();
    options.certificates.push_back(source(authority().issue({}), "again"));
    expect_says(refusal(options), "same kind");
}

TEST(ServerContexts, RefuseAnEncryptedKeyWithoutAsking) {
    ServerOptions options = server();
    options.certificates[0].private_key_pem =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAi8\n-----END ENCRYPTED PRIVATE KEY-----\n";
    expect_says(refusal(options), "encrypted");
}

TEST(ServerContexts, TakeEachKindOfKey) {
    for (const KeyKind kind : {KeyKind::kEcP256, KeyKind::kEcP384, KeyKind::kRsa2048, KeyKind::kEd25519}) {
        CertificateSpec spec;
        spec.key = kind;
        EXPECT_EQ(refusal(server(spec)), "");
    }
    ServerOptions options = server();
    CertificateSpec rsa;
    rsa.key = KeyKind::kRsa2048;
    options.certificates.push_back(source(authority().issue(rsa), "rsa"));
    EXPECT_EQ(refusal(options), "");
}

TEST(Contexts, RefuseParametersThatMeanNothing) {
    const auto with = [](auto&& change) {
        ServerOptions options = server();
        change(options.parameters);
        return refusal(std::move(options));
    };
    expect_says(with([](Parameters& p) { p.min_version = Version::kTls13, p.max_version = Version::kTls12; }), "minimum TLS version");
    expect_says(with([](Parameters& p) { p.cipher_suites = {"ECDHE-NOPE"}; }), "\"ECDHE-NOPE\" is not known");
    expect_says(with([](Parameters& p) { p.cipher_suites = {"HIGH"}; }), "not known");
    expect_says(with([](Parameters& p) { p.cipher_suites = {"TLS_NOPE"}; }), "not known");
    expect_says(with([](Parameters& p) { p.cipher_suites = {"AES128-GCM-SHA256"}; }), "no forward secrecy");
    expect_says(with([](Parameters& p) { p.cipher_suites = {"ECDHE-RSA-NULL-SHA"}; }), "weakly or not at all");
    expect_says(with([](Parameters& p) { p.cipher_suites = {"AECDH-AES128-SHA"}; }), "authenticate");
    expect_says(with([](Parameters& p) { p.cipher_suites = {"TLS_AES_128_GCM_SHA256"}, p.max_version = Version::kTls12; }), "no cipher suite is left");
    expect_says(with([](Parameters& p) { p.groups = {"P-224x"}; }), "\"P-224x\" is not known");
    expect_says(with([](Parameters& p) { p.alpn = {""}; }), "ALPN");
    expect_says(with([](Parameters& p) { p.alpn = {std::string(256, 'x')}; }), "ALPN");
    expect_says(with([](Parameters& p) { p.key_log_path = "/no/such/place"; }), "key log");
    EXPECT_EQ(with([](Parameters& p) {
                  p.cipher_suites = {"[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]", "ECDHE-RSA-AES256-GCM-SHA384", "TLS_CHACHA20_POLY1305_SHA256"};
                  p.groups = {"X25519", "P-256", "P-384", "P-521"};
                  p.alpn = {"h2", "http/1.1"};
              }), "");
}

TEST(Contexts, RefuseAVerificationThatVerifiesNothing) {
    ServerOptions options = server();
    options.client_certificate = ServerOptions::ClientCertificate::kOptional;
    expect_says(refusal(options), "nothing is given");
    options.verification.trusted_ca_pem = "?";
    expect_says(refusal(options), "trusted CA: holds no certificate");
    options.verification.trusted_ca_pem = authority().pem();
    EXPECT_EQ(refusal(options), "");
    options.verification.trust_domains = {{"cluster.local", authority().pem()}};
    expect_says(refusal(options), "both");
    options.verification.trusted_ca_pem.clear();
    EXPECT_EQ(refusal(options), "");
    options.verification.trust_domains.push_back({"cluster.local", authority().pem()});
    expect_says(refusal(options), "twice");
    options.verification.trust_domains = {{"cluster.local/x", authority().pem()}};
    expect_says(refusal(options), "path");
    options.verification.trust_domains = {{"Cluster", authority().pem()}};
    expect_says(refusal(options), "Cluster");

    ClientOptions c = client();
    EXPECT_EQ(refusal(c), "");
    c.verification.crl_pem = "?";
    expect_says(refusal(c), "revocation");
    c = client();
    c.verification.certificate_sha256 = {"AB"};
    expect_says(refusal(c), "SHA-256");
    c = client();
    c.verification.spki_sha256 = {"AB"};
    expect_says(refusal(c), "SPKI");
    c = {};
    expect_says(refusal(c), "nothing is given");
    c.verification.accept_untrusted = true;
    EXPECT_EQ(refusal(c), "");
    c.certificates.resize(2);
    expect_says(refusal(c), "one certificate");
}

TEST(Contexts, TheKeyLogIsForItsOwnerAlone) {
    const std::string path = testing::TempDir() + "sluice_key_log_" + std::to_string(getpid());
    ::unlink(path.c_str());
    ServerOptions options = server();
    options.parameters.key_log_path = path;
    ASSERT_EQ(refusal(options), "");
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    ::unlink(path.c_str());
}

TEST(Certificates, AreReadInOrderAndBrokenOnesNamed) {
    CertificateSpec one, two;
    one.common_name = "one", two.common_name = "two";
    const std::string pem = authority().issue(one).certificate_pem + "comment\n" + authority().issue(two).certificate_pem;
    const auto infos = read_certificates(pem, "bundle");
    ASSERT_TRUE(infos) << infos.error().what;
    ASSERT_EQ(infos->size(), 2u);
    EXPECT_EQ((*infos)[0].subject, "CN=one,O=Sluice tests");
    EXPECT_EQ((*infos)[1].subject, "CN=two,O=Sluice tests");
    const auto broken = read_certificates(pem + "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "bundle");
    ASSERT_FALSE(broken);
    expect_says(broken.error().what, "bundle: certificate 3 cannot be read");
}

}  // namespace
}  // namespace sluice::tls
