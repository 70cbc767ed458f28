// The certificate authority of tests (see certificates.h).
#include "tests/support/certificates.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <map>
#include <mutex>
#include <stdexcept>

namespace sluice::test {

namespace {

using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;

void must(bool ok, const char* what) {
    if (!ok) throw std::runtime_error(std::string("test certificates: ") + what);
}

Key make_key(KeyKind kind) {
    EVP_PKEY* key = nullptr;
    switch (kind) {
        case KeyKind::kEcP256: key = EVP_EC_gen("P-256"); break;
        case KeyKind::kEcP384: key = EVP_EC_gen("P-384"); break;
        case KeyKind::kRsa2048: key = EVP_RSA_gen(2048); break;
        case KeyKind::kRsa1024: key = EVP_RSA_gen(1024); break;
        case KeyKind::kEd25519: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); break;
    }
    must(key, "no key");
    return Key(key, EVP_PKEY_free);
}

Key key_of(KeyKind kind, int number) {
    static std::mutex mutex;
    static std::map<std::pair<KeyKind, int>, Key> keys;
    const std::lock_guard lock(mutex);
    Key& key = keys[{kind, number}];
    if (!key) key = make_key(kind);
    return key;
}

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<size_t>(size));
    BIO_free(bio);
    return text;
}
std::string pem_of(X509* certificate) {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    return text_of(bio);
}
std::string pem_of(EVP_PKEY* key) {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(bio);
}

GENERAL_NAME* general_name(const std::string& name, bool subnet) {
    const size_t colon = name.find(':');
    const std::string kind = name.substr(0, colon), value = name.substr(colon + 1);
    GENERAL_NAME* out = GENERAL_NAME_new();
    if (kind == "IP") {
        unsigned char bytes[16];
        const int size = inet_pton(AF_INET, value.c_str(), bytes) == 1 ? 4 : inet_pton(AF_INET6, value.c_str(), bytes) == 1 ? 16 : 0;
        must(size > 0 && !subnet, "bad address");
        ASN1_OCTET_STRING* octets = ASN1_OCTET_STRING_new();
        ASN1_OCTET_STRING_set(octets, bytes, size);
        GENERAL_NAME_set0_value(out, GEN_IPADD, octets);
        return out;
    }
    if (kind == "otherName" || kind == "otherNumber") {
        ASN1_TYPE* any = ASN1_TYPE_new();
        ASN1_STRING* content = ASN1_STRING_type_new(kind == "otherName" ? V_ASN1_UTF8STRING : V_ASN1_INTEGER);
        ASN1_STRING_set(content, value.data(), static_cast<int>(value.size()));
        ASN1_TYPE_set(any, kind == "otherName" ? V_ASN1_UTF8STRING : V_ASN1_INTEGER, content);
        must(GENERAL_NAME_set0_othername(out, OBJ_txt2obj("1.2.3.4", 1), any) == 1, "otherName");
        return out;
    }
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
    GENERAL_NAME_set0_value(out, kind == "DNS" ? GEN_DNS : kind == "URI" ? GEN_URI : GEN_EMAIL, text);
    return out;
}

void add_names(X509* certificate, const std::vector<std::string>& names) {
    if (names.empty()) return;
    GENERAL_NAMES* list = sk_GENERAL_NAME_new_null();
    for (const std::string& name : names) sk_GENERAL_NAME_push(list, general_name(name, false));
    must(X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1, "names");
    sk_GENERAL_NAME_pop_free(list, GENERAL_NAME_free);
}

STACK_OF(GENERAL_SUBTREE) * subtrees(const std::vector<std::string>& names) {
    if (names.empty()) return nullptr;
    STACK_OF(GENERAL_SUBTREE)* out = sk_GENERAL_SUBTREE_new_null();
    for (const std::string& name : names) {
        GENERAL_SUBTREE* tree = GENERAL_SUBTREE_new();
        GENERAL_NAME_free(tree->base);
        tree->base = general_name(name, true);
        sk_GENERAL_SUBTREE_push(out, tree);
    }
    return out;
}

void add_constraints(X509* certificate, const CertificateSpec& spec) {
    if (spec.permitted.empty() && spec.excluded.empty()) return;
    NAME_CONSTRAINTS* constraints = NAME_CONSTRAINTS_new();
    constraints->permittedSubtrees = subtrees(spec.permitted);
    constraints->excludedSubtrees = subtrees(spec.excluded);
    must(X509_add1_ext_i2d(certificate, NID_name_constraints, constraints, 1, X509V3_ADD_DEFAULT) == 1, "name constraints");
    NAME_CONSTRAINTS_free(constraints);
}

void add_text(X509* certificate, int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    must(extension, "extension");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

void add_extensions(X509* certificate, const CertificateSpec& spec) {
    std::string constraints = spec.ca ? "critical,CA:TRUE" : "critical,CA:FALSE";
    if (spec.ca && spec.path_length >= 0) constraints += ",pathlen:" + std::to_string(spec.path_length);
    add_text(certificate, NID_basic_constraints, constraints);
    if (spec.key_usage) add_text(certificate, NID_key_usage, spec.ca ? "critical,keyCertSign,cRLSign" : spec.sign_certificates ? "critical,digitalSignature,keyCertSign" : "critical,digitalSignature");
    std::string usages;
    if (spec.server_auth) usages = "serverAuth";
    if (spec.client_auth) usages += usages.empty() ? "clientAuth" : ",clientAuth";
    if (!usages.empty() && !spec.ca) add_text(certificate, NID_ext_key_usage, usages);
    add_names(certificate, spec.names);
    add_constraints(certificate, spec);
}

const EVP_MD* digest_for(EVP_PKEY* key) { return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256(); }

uint64_t next_serial() {
    static std::mutex mutex;
    static uint64_t serial = 0x1000;
    const std::lock_guard lock(mutex);
    return ++serial;
}

/// `issuer` nullptr: it signs itself.
Certificate make(const CertificateSpec& spec, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key, uint64_t* serial) {
    Certificate certificate(X509_new(), X509_free);
    X509* x = certificate.get();
    X509_set_version(x, 2);
    *serial = next_serial();
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), *serial);
    X509_NAME* subject = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("Sluice tests"), -1, -1, 0);
    if (!spec.common_name.empty()) X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(spec.common_name.data()), static_cast<int>(spec.common_name.size()), -1, 0);
    X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : subject);
    const time_t now = time(nullptr);
    ASN1_TIME_set(X509_getm_notBefore(x), now + spec.not_before_s);
    ASN1_TIME_set(X509_getm_notAfter(x), now + spec.not_after_s);
    X509_set_pubkey(x, key);
    add_extensions(x, spec);
    EVP_PKEY* signer = issuer ? issuer_key : key;
    must(X509_sign(x, signer, digest_for(signer)) > 0, "signature");
    return certificate;
}

}  // namespace

CertificateAuthority::CertificateAuthority(const std::string& common_name, KeyKind key, int key_number) : key_(key_of(key, key_number)) {
    CertificateSpec spec;
    spec.common_name = common_name;
    spec.ca = true;
    spec.not_after_s = 10 * 365 * 24 * 3600LL;
    uint64_t serial;
    certificate_ = make(spec, key_.get(), nullptr, nullptr, &serial);
}

CertificateAuthority::CertificateAuthority(const CertificateAuthority& issuer, CertificateSpec spec) : key_(key_of(spec.key, 200 + spec.key_number)) {
    spec.ca = true;
    if (spec.common_name == CertificateSpec().common_name) spec.common_name = "intermediate";   // a leaf's name would make it its own issuer
    uint64_t serial;
    certificate_ = make(spec, key_.get(), issuer.certificate_.get(), issuer.key_.get(), &serial);
    intermediates_pem_ = pem_of(certificate_.get()) + issuer.intermediates_pem_;
}

Issued CertificateAuthority::issue(const CertificateSpec& spec) const {
    const Key key = key_of(spec.key, spec.key_number);
    Issued out;
    const Certificate leaf = make(spec, key.get(), certificate_.get(), key_.get(), &out.serial);
    out.certificate_pem = pem_of(leaf.get());
    out.chain_pem = out.certificate_pem + intermediates_pem_;
    out.private_key_pem = pem_of(key.get());
    return out;
}

std::string CertificateAuthority::pem() const { return pem_of(certificate_.get()); }

std::string CertificateAuthority::crl(const std::vector<uint64_t>& serials, int64_t next_update_s) const {
    std::unique_ptr<X509_CRL, void (*)(X509_CRL*)> crl(X509_CRL_new(), X509_CRL_free);
    X509_CRL_set_version(crl.get(), 1);
    X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(certificate_.get()));
    std::unique_ptr<ASN1_TIME, void (*)(ASN1_TIME*)> at(ASN1_TIME_new(), ASN1_TIME_free);
    const time_t now = time(nullptr);
    ASN1_TIME_set(at.get(), now - 48 * 3600);
    X509_CRL_set1_lastUpdate(crl.get(), at.get());
    for (const uint64_t serial : serials) {
        X509_REVOKED* revoked = X509_REVOKED_new();
        std::unique_ptr<ASN1_INTEGER, void (*)(ASN1_INTEGER*)> number(ASN1_INTEGER_new(), ASN1_INTEGER_free);
        ASN1_INTEGER_set_uint64(number.get(), serial);
        X509_REVOKED_set_serialNumber(revoked, number.get());
        X509_REVOKED_set_revocationDate(revoked, at.get());
        X509_CRL_add0_revoked(crl.get(), revoked);
    }
    ASN1_TIME_set(at.get(), now + next_update_s);
    X509_CRL_set1_nextUpdate(crl.get(), at.get());
    X509_CRL_sort(crl.get());
    must(X509_CRL_sign(crl.get(), key_.get(), digest_for(key_.get())) > 0, "CRL signature");
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509_CRL(bio, crl.get());
    return text_of(bio);
}

Issued self_signed(const CertificateSpec& spec) {
    const Key key = key_of(spec.key, spec.key_number);
    Issued out;
    const Certificate leaf = make(spec, key.get(), nullptr, nullptr, &out.serial);
    out.certificate_pem = out.chain_pem = pem_of(leaf.get());
    out.private_key_pem = pem_of(key.get());
    return out;
}

}  // namespace sluice::test
