// A small certificate authority for tests: roots, intermediates and leaves with any names, times, purposes and keys, and revocation
// lists. In: a specification. Out: PEM. Keys are made once per process and kind and shared, since RSA keys take long. By OpenSSL's API.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct x509_st;
struct evp_pkey_st;

namespace sluice::test {

enum class KeyKind { kEcP256, kEcP384, kRsa2048, kRsa1024, kEd25519 };

struct CertificateSpec {
    std::string common_name = "leaf";
    /// "DNS:a.example", "URI:spiffe://...", "IP:192.0.2.1", "email:a@b.example"; may hold any byte, NUL too.
    std::vector<std::string> names;
    KeyKind key = KeyKind::kEcP256;
    int key_number = 0;                      // another number is another key
    int64_t not_before_s = -3600, not_after_s = 24 * 3600;   // from now
    bool server_auth = true, client_auth = true;             // none of them: no extended key usage
    bool ca = false;
    int path_length = -1;                    // -1: none
    bool key_usage = true;                   // false: the extension is left out
    bool sign_certificates = false;          // a leaf with keyCertSign
    std::vector<std::string> permitted, excluded;            // name constraints: "DNS:.example", "URI:.example"
};

struct Issued {
    std::string certificate_pem, chain_pem, private_key_pem;   // chain: leaf and intermediates, without the root
    uint64_t serial = 0;
};

class CertificateAuthority {
 public:
    /// A self-signed root.
    explicit CertificateAuthority(const std::string& common_name, KeyKind key = KeyKind::kEcP256, int key_number = 100);
    CertificateAuthority(const CertificateAuthority& issuer, CertificateSpec spec);   // an intermediate; spec.ca is set

    Issued issue(const CertificateSpec& spec) const;
    /// Its own certificate.
    std::string pem() const;
    /// Revokes `serials`. `next_update_s` from now.
    std::string crl(const std::vector<uint64_t>& serials, int64_t next_update_s = 24 * 3600) const;

 private:
    std::shared_ptr<x509_st> certificate_;
    std::shared_ptr<evp_pkey_st> key_;
    std::string intermediates_pem_;   // from this one up, without the root
};

/// A certificate that signed itself.
Issued self_signed(const CertificateSpec& spec);

}  // namespace sluice::test
