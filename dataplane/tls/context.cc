// What contexts of both roles share (see context_impl.h): versions, suites, groups, certificates, key log. Each refusal says what and how.
#include <fcntl.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tls/context_impl.h"
#include "tls/openssl_init.h"

namespace sluice::tls {

namespace {

using Problem = std::expected<void, ContextError>;
Problem refuse(std::string what, std::string cure) { return std::unexpected(ContextError{std::move(what), std::move(cure)}); }

constexpr const char* kSuites12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kSuites13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256";
constexpr int kSecurityLevel = 2;
constexpr uint32_t kEarlyDataPassedOver = kPlaintextMax;   // bytes of one connection; more ends it
constexpr int kRsaBitsMin = 2048, kEcBitsMin = 256;
constexpr const char* kSuiteCure =
    "use names such as ECDHE-ECDSA-AES128-GCM-SHA256 (TLS 1.2) or TLS_AES_128_GCM_SHA256 (TLS 1.3), or leave the list out";

int wire_version(Version version) { return version == Version::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION; }

/// Envoy groups equal suites as [A|B]; we take them in the order written.
std::vector<std::string> flatten(const std::vector<std::string>& suites) {
    std::vector<std::string> out;
    for (const std::string& entry : suites) {
        std::string name;
        for (const char c : entry) {
            if (c == '[' || c == ']') continue;
            if (c == '|') out.push_back(std::move(name)), name.clear();
            else name += c;
        }
        out.push_back(std::move(name));
    }
    return out;
}

/// The cipher that `name` alone stands for; nullptr: none, or several.
const SSL_CIPHER* find_suite(SSL_CTX* scratch, const std::string& name) {
    if (SSL_CTX_set_cipher_list(scratch, name.c_str()) != 1) {
        ERR_clear_error();
        return nullptr;
    }
    STACK_OF(SSL_CIPHER)* list = SSL_CTX_get_ciphers(scratch);
    for (int i = 0; i < sk_SSL_CIPHER_num(list); i++)
        if (name == SSL_CIPHER_get_name(sk_SSL_CIPHER_value(list, i))) return sk_SSL_CIPHER_value(list, i);
    return nullptr;
}

/// Ephemeral key exchange, an authenticated server, encryption of 128 bits or more; else why not.
const char* weakness(const SSL_CIPHER* suite) {
    const int exchange = SSL_CIPHER_get_kx_nid(suite);
    if (exchange != NID_kx_ecdhe && exchange != NID_kx_dhe) return "has no forward secrecy";
    const int auth = SSL_CIPHER_get_auth_nid(suite);
    if (auth != NID_auth_rsa && auth != NID_auth_ecdsa) return "does not authenticate the server by a certificate";
    if (SSL_CIPHER_get_bits(suite, nullptr) < 128) return "encrypts weakly or not at all";
    return nullptr;
}

struct Suites {
    std::string tls12, tls13;
};
std::expected<Suites, ContextError> sort_suites(const std::vector<std::string>& wanted) {
    Suites out;
    if (wanted.empty()) return Suites{kSuites12, kSuites13};
    const ContextPtr scratch(SSL_CTX_new(TLS_method()));
    SSL_CTX_set_security_level(scratch.get(), 0);
    for (const std::string& name : flatten(wanted)) {
        if (name.starts_with("TLS_")) {
            if (SSL_CTX_set_ciphersuites(scratch.get(), name.c_str()) != 1 || name.find(':') != std::string::npos) {
                ERR_clear_error();
                return std::unexpected(ContextError{"cipher suite \"" + name + "\" is not known", kSuiteCure});
            }
            out.tls13 += (out.tls13.empty() ? "" : ":") + name;
            continue;
        }
        SSL_CTX_set_ciphersuites(scratch.get(), "");
        const SSL_CIPHER* suite = find_suite(scratch.get(), name);
        if (!suite) return std::unexpected(ContextError{"cipher suite \"" + name + "\" is not known", kSuiteCure});
        if (const char* why = weakness(suite)) return std::unexpected(ContextError{"cipher suite " + name + " " + why, kSuiteCure});
        out.tls12 += (out.tls12.empty() ? "" : ":") + name;
    }
    return out;
}

Problem set_versions_and_suites(SSL_CTX* ctx, const Parameters& parameters) {
    Version min = parameters.min_version == Version::kNone ? Version::kTls12 : parameters.min_version;
    const Version max = parameters.max_version == Version::kNone ? Version::kTls13 : parameters.max_version;
    if (min > max) return refuse("the minimum TLS version is above the maximum", "set a minimum of TLSv1_2 or TLSv1_3 that is not above the maximum");
    auto suites = sort_suites(parameters.cipher_suites);
    if (!suites) return std::unexpected(suites.error());
    // A list without suites of 1.2 allows no 1.2; suites of 1.3 are all good, so a list without them means all (as with Envoy).
    if (suites->tls12.empty()) {
        if (max == Version::kTls12) return refuse("no cipher suite is left for TLS 1.2", kSuiteCure);
        min = Version::kTls13;
        suites->tls12 = kSuites12;
    }
    if (suites->tls13.empty()) suites->tls13 = kSuites13;
    SSL_CTX_set_security_level(ctx, kSecurityLevel);
    const bool done = SSL_CTX_set_min_proto_version(ctx, wire_version(min)) == 1 && SSL_CTX_set_max_proto_version(ctx, wire_version(max)) == 1 &&
                      SSL_CTX_set_cipher_list(ctx, suites->tls12.c_str()) == 1 && SSL_CTX_set_ciphersuites(ctx, suites->tls13.c_str()) == 1;
    if (!done) return refuse("versions and cipher suites do not go together: " + take_openssl_error(), kSuiteCure);
    return {};
}

Problem set_groups(SSL_CTX* ctx, const std::vector<std::string>& groups) {
    if (groups.empty()) {
        SSL_CTX_set1_groups_list(ctx, kGroups);
        return {};
    }
    std::string list;
    for (const std::string& group : groups) {
        if (group.empty() || group.find(':') != std::string::npos || SSL_CTX_set1_groups_list(ctx, group.c_str()) != 1) {
            ERR_clear_error();
            return refuse("key exchange group \"" + group + "\" is not known", "use X25519, P-256, P-384 or P-521");
        }
        list += (list.empty() ? "" : ":") + group;
    }
    if (SSL_CTX_set1_groups_list(ctx, list.c_str()) != 1) return refuse("key exchange groups \"" + list + "\": " + take_openssl_error(), "name each group once");
    return {};
}

void on_key_log_line(const SSL* ssl, const char* line) {
    if (SslHooks* hooks = hooks_of(ssl)) hooks->on_key_log(line);
}

void on_info(const SSL* ssl, int where, int value) {
    if ((where & SSL_CB_ALERT) == 0) return;
    if (SslHooks* hooks = hooks_of(ssl)) hooks->on_alert((where & SSL_CB_WRITE) != 0, value);
}

Problem check_key(const EVP_PKEY* key, const std::string& name) {
    const int kind = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);
    const std::string type = key_type(key);
    if ((kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS) && bits >= kRsaBitsMin) return {};
    if (kind == EVP_PKEY_EC && bits >= kEcBitsMin && (type == "EC P-256" || type == "EC P-384" || type == "EC P-521")) return {};
    if (kind == EVP_PKEY_ED25519) return {};
    return refuse(name + ": a key of type " + type + " is too weak or not supported", "use EC P-256 (best), P-384, P-521, Ed25519, or RSA with 2048 bits or more");
}

int no_password(char*, int, int, void*) { return -1; }   // never asks the terminal

std::expected<KeyPtr, ContextError> read_key(std::string_view pem, const std::string& name) {
    const BioPtr bio = bio_over(pem);
    KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
    if (key) return key;
    ERR_clear_error();
    const bool encrypted = pem.find("ENCRYPTED") != std::string_view::npos;
    return std::unexpected(ContextError{name + ": the private key " + (encrypted ? "is encrypted" : "cannot be read"),
                                        encrypted ? "store it without a password: openssl pkey -in key.pem -out plain.pem" : "give it in PEM, PKCS#8, SEC1 or PKCS#1"});
}

}  // namespace

KeyLogFile::~KeyLogFile() {
    if (fd_ >= 0) ::close(fd_);
}

bool KeyLogFile::open(const std::string& path) {
    fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd_ >= 0;
}

void KeyLogFile::write(const char* line) const {
    if (fd_ < 0) return;
    const std::string text = std::string(line) + "\n";
    // O_APPEND and one call: lines of several threads do not mix. A full disk loses a line of a debugging aid.
    [[maybe_unused]] const ssize_t written = ::write(fd_, text.data(), text.size());
}

std::expected<std::vector<uint8_t>, ContextError> alpn_to_wire(const std::vector<std::string>& protocols) {
    std::vector<uint8_t> out;
    for (const std::string& protocol : protocols) {
        if (protocol.empty() || protocol.size() > 255)
            return std::unexpected(ContextError{"ALPN protocol \"" + protocol.substr(0, 40) + "\" is empty or longer than 255 bytes", "use h2, http/1.1 or another registered name"});
        out.push_back(static_cast<uint8_t>(protocol.size()));
        out.insert(out.end(), protocol.begin(), protocol.end());
    }
    if (out.size() > 65535) return std::unexpected(ContextError{"the ALPN protocols are longer than 65,535 bytes", "list fewer"});
    return out;
}

Problem set_up(ContextCore& core, const Parameters& parameters, Role role) {
    initialise_openssl();
    core.ssl_ctx.reset(SSL_CTX_new(role == Role::kServer ? TLS_server_method() : TLS_client_method()));
    SSL_CTX* ctx = core.ssl_ctx.get();
    if (!ctx) return refuse("OpenSSL gives no context: " + take_openssl_error(), "free memory");
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_clear_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
    SSL_CTX_set_read_ahead(ctx, 0);   // bytes beyond the handshake must stay in the BIO: they are the record layer's
    SSL_CTX_set_dh_auto(ctx, 1);      // for who lists DHE suites
    SSL_CTX_set_max_early_data(ctx, 0);
    // None is taken, but a client that sends some (it has a ticket of somebody who takes it) goes on without: RFC 8446 4.2.10.
    SSL_CTX_set_recv_max_early_data(ctx, kEarlyDataPassedOver);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_keylog_callback(ctx, on_key_log_line);
    SSL_CTX_set_info_callback(ctx, on_info);
    if (auto done = set_versions_and_suites(ctx, parameters); !done) return done;
    if (auto done = set_groups(ctx, parameters.groups); !done) return done;
    auto wire = alpn_to_wire(parameters.alpn);
    if (!wire) return std::unexpected(wire.error());
    core.alpn_wire = std::move(*wire);
    if (!parameters.key_log_path.empty() && !core.key_log.open(parameters.key_log_path))
        return refuse("key log " + parameters.key_log_path + ": " + std::strerror(errno), "choose a path that the gateway's user may write, or turn the key log off");
    return {};
}

Problem load_certificate(ContextCore& core, CertificateSource& source, int64_t now_s) {
    SSL_CTX* ctx = core.ssl_ctx.get();
    const std::string& name = source.name;
    auto chain = parse_certificates(source.chain_pem);
    if (!chain) return refuse(name + ": the certificate " + chain.error(), "give the chain in PEM, the leaf first");
    auto key = read_key(source.private_key_pem, name);
    OPENSSL_cleanse(source.private_key_pem.data(), source.private_key_pem.size());
    source.private_key_pem.clear();
    if (!key) return std::unexpected(key.error());
    X509* leaf = chain->front().get();
    if (X509_check_private_key(leaf, key->get()) != 1) {
        ERR_clear_error();
        return refuse(name + ": the private key does not belong to the first certificate", "the leaf comes first in the chain; give the key that it was made with");
    }
    if (auto done = check_key(key->get(), name); !done) return done;
    CertificateInfo info = tls::describe(leaf, name);
    if (info.not_after_s <= now_s) return refuse(name + ": the certificate has expired (" + info.subject + ")", "give a renewed one");
    if (info.not_before_s > now_s) return refuse(name + ": the certificate is not yet valid (" + info.subject + ")", "check this machine's clock, or wait");
    for (const CertificateInfo& other : core.infos)
        if (other.key_type.substr(0, 2) == info.key_type.substr(0, 2))
            return refuse(name + ": " + other.name + " is a certificate of the same kind (" + info.key_type + ")", "give at most one RSA and one EC certificate; use SNI to serve several names");
    if (SSL_CTX_use_cert_and_key(ctx, leaf, key->get(), nullptr, 1) != 1) return refuse(name + ": OpenSSL does not take the certificate: " + take_openssl_error(), "use SHA-256 and keys as above");
    SSL_CTX_clear_chain_certs(ctx);
    for (size_t i = 1; i < chain->size(); i++)
        if (SSL_CTX_add1_chain_cert(ctx, (*chain)[i].get()) != 1)
            return refuse(name + ": certificate " + std::to_string(i + 1) + " of the chain: " + take_openssl_error(), "use SHA-256 and keys of RSA 2048, P-256 or better");
    core.infos.push_back(std::move(info));
    return {};
}

}  // namespace sluice::tls
