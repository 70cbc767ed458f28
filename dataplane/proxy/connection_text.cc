// One text for each field; lists joined by commas, as Envoy prints them.
#include "proxy/connection_text.h"

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
        case ConnectionField::kPeerUriSan: return joined(peer.uri_sans, {}, arena);
        case ConnectionField::kPeerDnsSan: return joined(peer.dns_sans, {}, arena);
        default: return {};
    }
}

std::string_view downstream_text(ConnectionField field, const TlsInfo& tls, Arena& arena) {
    switch (field) {
        case ConnectionField::kRequestedServerName: return tls.server_name;
        case ConnectionField::kDownstreamTlsVersion: return tls::to_string(tls.version);
        case ConnectionField::kDownstreamTlsCipher: return tls::cipher_suite_name(tls.cipher_suite);
        case ConnectionField::kLocalSubject: return tls.local ? std::string_view(tls.local->subject) : std::string_view();
        case ConnectionField::kLocalUriSan: return tls.local ? joined(tls.local->sans, "URI:", arena) : std::string_view();
        case ConnectionField::kLocalDnsSan: return tls.local ? joined(tls.local->sans, "DNS:", arena) : std::string_view();
        default: return peer_text(field, *tls.peer, arena);
    }
}

}  // namespace

std::string_view connection_text(ConnectionField field, const DownstreamInfo& info, const UpstreamRequest& upstream,
                                 std::string_view downstream_failure, Arena& arena) {
    switch (field) {
        case ConnectionField::kNone: return {};
        case ConnectionField::kFilterChainName: return info.chain->name;
        case ConnectionField::kDownstreamFailure: return downstream_failure;
        case ConnectionField::kUpstreamFailure: return upstream.transport_failure();
        case ConnectionField::kUpstreamTlsVersion:
            return upstream.tls_version() == tls::Version::kNone ? std::string_view() : tls::to_string(upstream.tls_version());
        case ConnectionField::kUpstreamTlsCipher:
            return upstream.tls_version() == tls::Version::kNone ? std::string_view() : tls::cipher_suite_name(upstream.cipher_suite());
        default: return info.tls ? downstream_text(field, *info.tls, arena) : std::string_view();
    }
}

}  // namespace sluice::proxy
