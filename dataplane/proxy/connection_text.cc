// One text for each field; lists joined by commas, as Envoy prints them.
#include "proxy/connection_text.h"

#include <algorithm>
#include <cstring>

#include "filter/text.h"

namespace sluice::proxy {
namespace {

using telemetry::ConnectionField;

/// Those that start with `prefix`, without it.
std::string_view joined(const std::vector<std::string>& texts, std::string_view prefix, Arena& arena) {
    size_t size = 0;
    for (const std::string& text : texts)
        if (text.starts_with(prefix)) size += text.size() - prefix.size() + 1;
    if (size == 0) return {};
    char* const out = static_cast<char*>(arena.allocate(size, 1));
    if (!out) return {};
    char* at = out;
    for (const std::string& text : texts) {
        if (!text.starts_with(prefix)) continue;
        if (at != out) *at++ = ',';
        std::memcpy(at, text.data() + prefix.size(), text.size() - prefix.size());
        at += text.size() - prefix.size();
    }
    return {out, static_cast<size_t>(at - out)};
}

std::string_view number(int64_t value, Arena& arena) {
    char text[20];
    return value <= 0 ? std::string_view() : arena.copy({text, filter::write_number(static_cast<uint64_t>(value), text)});
}

std::string_view hex(const tls::SessionId& id, Arena& arena) {
    static constexpr char kDigits[] = "0123456789abcdef";
    char* const out = id.size ? static_cast<char*>(arena.allocate(2u * id.size, 1)) : nullptr;
    if (!out) return {};
    for (size_t i = 0; i < id.size; i++) out[2 * i] = kDigits[id.bytes[i] >> 4], out[2 * i + 1] = kDigits[id.bytes[i] & 15];
    return {out, 2u * id.size};
}

/// Of a list joined by commas whose first item is the leaf's: its issuer's, the second. Empty where the peer sent the leaf alone.
std::string_view second(std::string_view list) {
    const size_t comma = list.find(',');
    if (comma == std::string_view::npos) return {};
    list.remove_prefix(comma + 1);
    return list.substr(0, list.find(','));
}

std::string_view peer_text(ConnectionField field, const tls::PeerIdentity& peer, Arena& arena) {
    if (!peer.presented) return {};
    switch (field) {
        case ConnectionField::kPeerCert: return peer.pem_url_encoded;
        case ConnectionField::kPeerStart: return number(peer.not_before_s, arena);
        case ConnectionField::kPeerEnd: return number(peer.not_after_s, arena);
        case ConnectionField::kPeerIssuer: return peer.issuer;
        case ConnectionField::kPeerSubject: return peer.subject;
        case ConnectionField::kPeerSerial: return peer.serial;
        case ConnectionField::kPeerSha1: return peer.sha1;
        case ConnectionField::kPeerSha256: return peer.sha256;
        case ConnectionField::kPeerChainSerials: return peer.chain_serials;
        case ConnectionField::kPeerChainSha1: return peer.chain_sha1;
        case ConnectionField::kPeerChainSha256: return peer.chain_sha256;
        case ConnectionField::kPeerIssuerSerial: return second(peer.chain_serials);
        case ConnectionField::kPeerIssuerSha256: return second(peer.chain_sha256);
        case ConnectionField::kPeerUriSan: return joined(peer.uri_sans, {}, arena);
        case ConnectionField::kPeerDnsSan: return joined(peer.dns_sans, {}, arena);
        case ConnectionField::kPeerIpSan: return joined(peer.other_sans, "IP:", arena);
        case ConnectionField::kPeerEmailSan: return joined(peer.other_sans, "email:", arena);
        case ConnectionField::kPeerOtherSan: return joined(peer.other_sans, "othername:", arena);
        default: return {};
    }
}

std::string_view local_text(ConnectionField field, const tls::CertificateInfo& local, Arena& arena) {
    switch (field) {
        case ConnectionField::kLocalSubject: return local.subject;
        case ConnectionField::kLocalUriSan: return joined(local.sans, "URI:", arena);
        case ConnectionField::kLocalDnsSan: return joined(local.sans, "DNS:", arena);
        case ConnectionField::kLocalIpSan: return joined(local.sans, "IP:", arena);
        case ConnectionField::kLocalEmailSan: return joined(local.sans, "email:", arena);
        case ConnectionField::kLocalOtherSan: return joined(local.sans, "othername:", arena);
        default: return {};
    }
}

}  // namespace

std::string_view tls_text(ConnectionField field, const TlsInfo& tls, Arena& arena) {
    switch (field) {
        case ConnectionField::kVersion: return tls::to_string(tls.version);
        case ConnectionField::kCipher: return tls::cipher_suite_name(tls.cipher_suite);
        case ConnectionField::kGroup: return tls::group_name(tls.group);
        case ConnectionField::kSessionId: return hex(tls.session, arena);
        case ConnectionField::kLocalSubject:
        case ConnectionField::kLocalUriSan:
        case ConnectionField::kLocalDnsSan:
        case ConnectionField::kLocalIpSan:
        case ConnectionField::kLocalEmailSan:
        case ConnectionField::kLocalOtherSan: return tls.local ? local_text(field, *tls.local, arena) : std::string_view();
        default: return peer_text(field, *tls.peer, arena);
    }
}

std::string_view connection_text(ConnectionField field, const DownstreamInfo& info, std::string_view failure, Arena& arena) {
    switch (field) {
        case ConnectionField::kNone: return {};
        case ConnectionField::kFilterChainName: return info.chain->name;
        case ConnectionField::kFailure: return failure;
        case ConnectionField::kRequestedServerName: return info.tls ? std::string_view(info.tls->server_name) : std::string_view();
        case ConnectionField::kHandshakeUs: return info.tls ? number(std::max<int64_t>(info.tls->handshake_us, 1), arena) : std::string_view();
        default: return info.tls ? tls_text(field, *info.tls, arena) : std::string_view();
    }
}

}  // namespace sluice::proxy
