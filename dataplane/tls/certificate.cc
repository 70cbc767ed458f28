// Reading certificates (see certificate.h).
#include "tls/certificate.h"

#include <openssl/pem.h>

#include <algorithm>

#include "base/ip_address.h"
#include "tls/openssl_init.h"

namespace sluice::tls {

namespace {

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

/// IA5String as names use it: printable ASCII. A NUL would end the name for a C library and not for us.
bool is_printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string address_text(const unsigned char* bytes, size_t size) {
    if (size == 4)
        return IpAddress::v4(static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
                             static_cast<uint32_t>(bytes[2]) << 8 | bytes[3]).to_string();
    return IpAddress::v6(bytes).to_string();
}

/// False: a name that no honest certificate has. Names of kinds that nothing matches are passed over.
bool append_name(const GENERAL_NAME* name, std::vector<AlternativeName>& out) {
    int kind = 0;
    const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &kind));
    SanMatcher::Type type;
    switch (kind) {
        case GEN_DNS: type = SanMatcher::Type::kDns; break;
        case GEN_URI: type = SanMatcher::Type::kUri; break;
        case GEN_EMAIL: type = SanMatcher::Type::kEmail; break;
        case GEN_IPADD: type = SanMatcher::Type::kIp; break;
        default: return true;
    }
    const unsigned char* bytes = ASN1_STRING_get0_data(value);
    const auto size = static_cast<size_t>(ASN1_STRING_length(value));
    if (type == SanMatcher::Type::kIp) {
        if (size != 4 && size != 16) return false;
        out.push_back({type, address_text(bytes, size)});
        return true;
    }
    std::string text(reinterpret_cast<const char*>(bytes), size);
    if (text.empty() || !is_printable(text)) return false;
    out.push_back({type, std::move(text)});
    return true;
}

/// What an otherName holds where that is text; empty for other types.
std::string other_name_text(const GENERAL_NAME* name) {
    ASN1_OBJECT* type = nullptr;
    ASN1_TYPE* value = nullptr;
    if (GENERAL_NAME_get0_otherName(name, &type, &value) != 1 || !value) return {};
    switch (ASN1_TYPE_get(value)) {
        case V_ASN1_UTF8STRING:
        case V_ASN1_IA5STRING:
        case V_ASN1_PRINTABLESTRING:
        case V_ASN1_VISIBLESTRING:
        case V_ASN1_NUMERICSTRING: break;
        default: return {};
    }
    const ASN1_STRING* text = value->value.asn1_string;
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<size_t>(ASN1_STRING_length(text))};
}

/// For logs alone: nobody is recognised by an otherName.
void append_other_names(const X509* certificate, std::vector<std::string>& out) {
    const std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>> names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    if (!names) ERR_clear_error();
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); i++) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type != GEN_OTHERNAME) continue;
        if (std::string text = other_name_text(name); !text.empty()) out.push_back("othername:" + std::move(text));
    }
}

std::string pem_of(const X509* certificate) {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate);
    return text_of(bio.get());
}

/// As Envoy writes certificates into X-Forwarded-Client-Cert.
void append_url_encoded(std::string_view pem, std::string& out) {
    for (const char c : pem) {
        switch (c) {
            case '\n': out += "%0A"; break;
            case ' ': out += "%20"; break;
            case '+': out += "%2B"; break;
            case '/': out += "%2F"; break;
            case '=': out += "%3D"; break;
            default: out += c;
        }
    }
}

std::string serial_text(const X509* certificate) {
    std::unique_ptr<BIGNUM, OpensslFree<BN_free>> number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
    char* digits = number ? BN_bn2hex(number.get()) : nullptr;
    std::string text = digits ? digits : "";
    OPENSSL_free(digits);
    for (char& c : text)
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c + 32);
    return text;
}

const char* prefix_of(SanMatcher::Type type) {
    switch (type) {
        case SanMatcher::Type::kDns: return "DNS:";
        case SanMatcher::Type::kUri: return "URI:";
        case SanMatcher::Type::kEmail: return "email:";
        case SanMatcher::Type::kIp: return "IP:";
        case SanMatcher::Type::kAny: break;
    }
    return "";
}

}  // namespace

std::expected<std::vector<AlternativeName>, std::string> read_alternative_names(const X509* certificate) {
    int critical = -1;
    std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>> names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
    std::vector<AlternativeName> out;
    if (!names) {
        ERR_clear_error();
        if (critical == -1) return out;
        return std::unexpected(critical == -2 ? "more than one list of subject alternative names" : "subject alternative names that cannot be read");
    }
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); i++)
        if (!append_name(sk_GENERAL_NAME_value(names.get(), i), out))
            return std::unexpected("a subject alternative name with a NUL or another byte that names do not have");
    return out;
}

std::string name_text(const X509_NAME* name) {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
    return text_of(bio.get());
}

std::string who(const X509* certificate) {
    return "subject " + name_text(X509_get_subject_name(certificate)) + ", issuer " + name_text(X509_get_issuer_name(certificate));
}

std::string hex(const unsigned char* bytes, size_t size) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    out.reserve(size * 2);
    for (size_t i = 0; i < size; i++) out += kDigits[bytes[i] >> 4], out += kDigits[bytes[i] & 15];
    return out;
}

std::string digest_hex(const X509* certificate, const EVP_MD* digest) {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    return X509_digest(certificate, digest, bytes, &size) == 1 ? hex(bytes, size) : std::string();
}

std::string spki_sha256(const X509* certificate) {
    unsigned char* der = nullptr;
    const int der_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (der_size <= 0) return {};
    unsigned char digest[32];
    const bool done = EVP_Digest(der, static_cast<size_t>(der_size), digest, nullptr, EVP_sha256(), nullptr) == 1;
    OPENSSL_free(der);
    unsigned char text[45];
    return done ? std::string(reinterpret_cast<char*>(text), static_cast<size_t>(EVP_EncodeBlock(text, digest, sizeof digest))) : std::string();
}

int64_t seconds_since_1970(const ASN1_TIME* time) {
    struct tm parts {};
    if (!time || ASN1_TIME_to_tm(time, &parts) != 1) return 0;
    return static_cast<int64_t>(timegm(&parts));
}

std::string key_type(const EVP_PKEY* key) {
    if (!key) return "unknown";
    char group[64];
    size_t size = 0;
    switch (EVP_PKEY_get_base_id(key)) {
        case EVP_PKEY_RSA:
        case EVP_PKEY_RSA_PSS: return "RSA " + std::to_string(EVP_PKEY_get_bits(key));
        case EVP_PKEY_ED25519: return "Ed25519";
        case EVP_PKEY_EC:
            if (EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1) return "EC";
            if (const char* nist = EC_curve_nid2nist(OBJ_txt2nid(group))) return std::string("EC ") + nist;
            return "EC " + std::string(group, size);
        default: break;
    }
    const char* name = EVP_PKEY_get0_type_name(key);
    return name ? name : "unknown";
}

std::expected<std::vector<X509Ptr>, std::string> parse_certificates(std::string_view pem) {
    initialise_openssl();
    const BioPtr bio = bio_over(pem);
    std::vector<X509Ptr> out;
    while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) out.emplace_back(certificate);
    const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    const std::string error = take_openssl_error();
    if (!at_end) return std::unexpected("certificate " + std::to_string(out.size() + 1) + " cannot be read: " + error);
    if (out.empty()) return std::unexpected("holds no certificate in PEM");
    return out;
}

CertificateInfo describe(const X509* certificate, std::string_view name) {
    CertificateInfo info;
    info.name = name;
    info.subject = name_text(X509_get_subject_name(certificate));
    info.issuer = name_text(X509_get_issuer_name(certificate));
    info.serial = serial_text(certificate);
    info.sha256 = digest_hex(certificate, EVP_sha256());
    if (const auto names = read_alternative_names(certificate))
        for (const AlternativeName& san : *names) info.sans.push_back(prefix_of(san.type) + san.text);
    append_other_names(certificate, info.sans);
    info.not_before_s = seconds_since_1970(X509_get0_notBefore(certificate));
    info.not_after_s = seconds_since_1970(X509_get0_notAfter(certificate));
    info.key_type = key_type(X509_get0_pubkey(certificate));
    return info;
}

std::expected<std::vector<CertificateInfo>, ContextError> read_certificates(std::string_view pem, std::string_view name) {
    auto certificates = parse_certificates(pem);
    if (!certificates)
        return std::unexpected(ContextError{std::string(name) + ": " + certificates.error(),
                                            "give certificates in PEM, each from -----BEGIN CERTIFICATE----- to its END line"});
    std::vector<CertificateInfo> out;
    for (const X509Ptr& certificate : *certificates) out.push_back(describe(certificate.get(), name));
    return out;
}

namespace {
/// What only some headers and logs want of the leaf and of what came with it.
void add_texts(const X509* leaf, const STACK_OF(X509) * chain, PeerIdentity& out) {
    append_url_encoded(pem_of(leaf), out.pem_url_encoded);
    out.chain_url_encoded = out.pem_url_encoded;
    out.chain_sha256 = out.sha256, out.chain_sha1 = out.sha1, out.chain_serials = out.serial;
    for (int i = 0; chain && i < sk_X509_num(chain); i++) {
        const X509* above = sk_X509_value(chain, i);
        if (X509_cmp(above, leaf) == 0) continue;
        append_url_encoded(pem_of(above), out.chain_url_encoded);
        (out.chain_sha256 += ',') += digest_hex(above, EVP_sha256());
        (out.chain_sha1 += ',') += digest_hex(above, EVP_sha1());
        (out.chain_serials += ',') += serial_text(above);
    }
}
}  // namespace

std::unique_ptr<const PeerIdentity> make_identity(const X509* leaf, const STACK_OF(X509) * chain, bool verified, bool with_text) {
    auto identity = std::make_unique<PeerIdentity>();
    if (!leaf) return identity;
    identity->presented = true;
    identity->verified = verified;
    if (auto names = read_alternative_names(leaf))
        for (AlternativeName& name : *names) {
            if (name.type == SanMatcher::Type::kUri) identity->uri_sans.push_back(std::move(name.text));
            else if (name.type == SanMatcher::Type::kDns) identity->dns_sans.push_back(std::move(name.text));
            else identity->other_sans.push_back(prefix_of(name.type) + name.text);
        }
    append_other_names(leaf, identity->other_sans);
    // A name that was not verified is nobody's identity; two would be anybody's.
    if (verified && identity->uri_sans.size() == 1)
        if (auto id = parse_spiffe_id(identity->uri_sans[0])) identity->spiffe = std::move(*id);
    identity->subject = name_text(X509_get_subject_name(leaf));
    identity->issuer = name_text(X509_get_issuer_name(leaf));
    identity->serial = serial_text(leaf);
    identity->sha256 = digest_hex(leaf, EVP_sha256());
    identity->sha1 = digest_hex(leaf, EVP_sha1());
    identity->not_before_s = seconds_since_1970(X509_get0_notBefore(leaf));
    identity->not_after_s = seconds_since_1970(X509_get0_notAfter(leaf));
    if (with_text) add_texts(leaf, chain, *identity);
    return identity;
}

}  // namespace sluice::tls
