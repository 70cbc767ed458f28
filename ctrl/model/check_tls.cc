// TLS of Gateway servers and of DestinationRules: what belongs together, what excludes what.
// In: messages as read. Out: findings; whether a Secret or a file is there and good is for ctrl/translate and ctrl/apply.
// Borrows everything.
// Istio's validation of ServerTLSSettings and ClientTLSSettings; cipher suites by their OpenSSL names.
#include <algorithm>
#include <array>

#include <absl/strings/match.h>
#include <fmt/format.h>

#include "ctrl/model/checks.h"
#include "ctrl/model/names.h"

namespace sluice::model {
namespace {

using Server = istio::ServerTLSSettings;
using Client = istio::ClientTLSSettings;

constexpr std::array<std::string_view, 9> kSuites = {
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",   "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",   "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_AES_128_GCM_SHA256",        "TLS_AES_256_GCM_SHA384",        "TLS_CHACHA20_POLY1305_SHA256"};

void check_suites(Checker& c, const std::string& path, const Server& tls) {
    const std::vector<std::string> known(kSuites.begin(), kSuites.end());
    for (int i = 0; i < tls.cipher_suites_size(); ++i) {
        const std::string& suite = tls.cipher_suites(i);
        if (std::find(known.begin(), known.end(), suite) != known.end()) continue;
        std::string cure = did_you_mean(suite, known);
        c.report("SLC0103", fmt::format("{}.cipherSuites[{}]", path, i), fmt::format("{} is not a suite that is spoken", suite.substr(0, 60)),
                 cure.empty() ? "AEAD suites with forward secrecy: ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-RSA-AES256-GCM-SHA384, ..." : cure);
    }
}

void check_pins(Checker& c, const std::string& path, const Server& tls) {
    for (int i = 0; i < tls.verify_certificate_hash_size(); ++i) {
        std::string digits = tls.verify_certificate_hash(i);
        std::erase(digits, ':');
        const bool hex = digits.size() == 64 && digits.find_first_not_of("0123456789abcdefABCDEF") == digits.npos;
        if (!hex) c.report("SLC0103", fmt::format("{}.verifyCertificateHash[{}]", path, i), "not a SHA-256 in hex", "openssl x509 -noout -fingerprint -sha256 -in FILE");
    }
    for (int i = 0; i < tls.verify_certificate_spki_size(); ++i)
        if (tls.verify_certificate_spki(i).size() != 44 || !tls.verify_certificate_spki(i).ends_with('='))
            c.report("SLC0103", fmt::format("{}.verifyCertificateSpki[{}]", path, i), "not a SHA-256 in base64", "44 characters, as Envoy's verify_certificate_spki");
}

// Where the server's own certificates come from: exactly one way.
void check_certificates(Checker& c, const std::string& path, const Server& tls) {
    const bool files = !tls.server_certificate().empty() || !tls.private_key().empty();
    const int ways = (tls.credential_name().empty() ? 0 : 1) + (tls.credential_names().empty() ? 0 : 1) + (files ? 1 : 0) + (tls.tls_certificates().empty() ? 0 : 1);
    if (tls.mode() == Server::ISTIO_MUTUAL) {
        if (ways > 0 || !tls.ca_certificates().empty() || !tls.ca_cert_credential_name().empty())
            c.report("SLC0116", path, "ISTIO_MUTUAL takes certificates from the gateway's identity alone", "remove the others, or write mode: MUTUAL");
        return;
    }
    if (ways == 0) c.report("SLC0106", path, "no certificate", "name a Secret: credentialName, or files: serverCertificate and privateKey");
    if (ways > 1) c.report("SLC0116", path, "more than one of credentialName, credentialNames, serverCertificate and tlsCertificates", "keep one");
    if (files && tls.server_certificate().empty()) c.report("SLC0106", path, "privateKey without serverCertificate", "add serverCertificate");
    if (files && tls.private_key().empty()) c.report("SLC0106", path, "serverCertificate without privateKey", "add privateKey");
    if (tls.tls_certificates_size() > 2 || tls.credential_names_size() > 2) c.report("SLC0103", path, "more than two certificates", "one RSA and one ECDSA");
    for (int i = 0; i < tls.tls_certificates_size(); ++i)
        if (tls.tls_certificates(i).server_certificate().empty() || tls.tls_certificates(i).private_key().empty())
            c.report("SLC0106", fmt::format("{}.tlsCertificates[{}]", path, i), "serverCertificate and privateKey are needed", "add both");
}

void check_clients(Checker& c, const std::string& path, const Server& tls) {
    const bool asks = tls.mode() == Server::MUTUAL || tls.mode() == Server::OPTIONAL_MUTUAL;
    const bool by_secret = !tls.credential_name().empty() || !tls.credential_names().empty() || !tls.ca_cert_credential_name().empty();
    if (asks && !by_secret && tls.ca_certificates().empty())
        c.report("SLC0106", path, "nothing to verify clients' certificates with", "add caCertificates");
    if (!tls.ca_certificates().empty() && !tls.ca_cert_credential_name().empty())
        c.report("SLC0116", path, "both caCertificates and caCertCredentialName", "keep one");
    if (tls.mode() != Server::SIMPLE) return;
    const bool verifies = !tls.subject_alt_names().empty() || !tls.verify_certificate_hash().empty() || !tls.verify_certificate_spki().empty();
    if (verifies) c.report("SLC0116", path, "clients' certificates are verified, and mode SIMPLE asks for none", "write mode: MUTUAL");
}

}  // namespace

void check_server_tls(Checker& c, const std::string& path, const istio::Server& server) {
    const bool https = absl::EqualsIgnoreCase(server.port().protocol(), "HTTPS");
    const std::string below = path + ".tls";
    if (!server.has_tls()) {
        if (https) c.report("SLC0106", path, "HTTPS without `tls`", "tls: {mode: SIMPLE, credentialName: NAME}");
        return;
    }
    const Server& tls = server.tls();
    if (!https) {
        Server rest = tls;
        rest.clear_https_redirect();
        if (rest.ByteSizeLong() != 0) c.report("SLC0116", below, "a server of plain HTTP with TLS settings", "write protocol: HTTPS; httpsRedirect alone goes with HTTP");
        return;
    }
    if (tls.https_redirect()) c.report("SLC0116", below + ".httpsRedirect", "this server is HTTPS already", "put it on the server of plain HTTP");
    if (tls.mode() == Server::PASSTHROUGH || tls.mode() == Server::AUTO_PASSTHROUGH)
        return c.report("SLC0105", below, "no mode, which means PASSTHROUGH: TCP proxying is not supported in this version", "mode: SIMPLE");
    check_certificates(c, below, tls);
    check_clients(c, below, tls);
    check_suites(c, below, tls);
    check_pins(c, below, tls);
    if (tls.max_protocol_version() != Server::TLS_AUTO && tls.min_protocol_version() > tls.max_protocol_version())
        c.report("SLC0116", below + ".minProtocolVersion", "newer than maxProtocolVersion", "raise the one or lower the other");
}

void check_client_tls(Checker& c, const std::string& path, const istio::ClientTLSSettings& tls) {
    const bool files = !tls.client_certificate().empty() || !tls.private_key().empty();
    const bool any = files || !tls.ca_certificates().empty() || !tls.credential_name().empty() || !tls.ca_crl().empty();
    switch (tls.mode()) {
        case Client::MUTUAL:
            if (!files && tls.credential_name().empty()) c.report("SLC0106", path, "MUTUAL without a certificate", "add clientCertificate and privateKey, or credentialName");
            if (files && (tls.client_certificate().empty() || tls.private_key().empty()))
                c.report("SLC0106", path, "clientCertificate and privateKey go together", "add the other");
            break;
        case Client::SIMPLE:
            if (files) c.report("SLC0116", path, "a client certificate, and mode SIMPLE shows none", "write mode: MUTUAL");
            break;
        case Client::ISTIO_MUTUAL:
            if (any) c.report("SLC0116", path, "ISTIO_MUTUAL takes certificates from the gateway's identity alone", "remove the others, or write mode: MUTUAL");
            break;
        default:
            if (any || !tls.sni().empty() || !tls.subject_alt_names().empty()) c.report("SLC0116", path, "TLS settings, and mode DISABLE", "write a mode, or remove them");
            break;
    }
    if (!tls.credential_name().empty() && (files || !tls.ca_certificates().empty()))
        c.report("SLC0116", path, "both credentialName and files", "keep one");
    if (tls.insecure_skip_verify())
        c.report("SLC0139", path + ".insecureSkipVerify", "whoever answers is trusted: the certificate of the backend is not verified", "give caCertificates, and subjectAltNames");
}

}  // namespace sluice::model
