// A handful of names, compared one by one while formats are read. In: names of any case. Out: places.
#include "telemetry/access_log_captures.h"

#include <algorithm>
#include <utility>

namespace sluice::telemetry {

namespace {

using Field = ConnectionField;

constexpr std::pair<std::string_view, Field> kFields[] = {
    {"FILTER_CHAIN_NAME", Field::kFilterChainName},
    {"REQUESTED_SERVER_NAME", Field::kRequestedServerName},
    {"DOWNSTREAM_HANDSHAKE_DURATION", Field::kHandshakeUs},
};
/// Behind DOWNSTREAM_ or UPSTREAM_.
constexpr std::pair<std::string_view, Field> kFieldsOfASide[] = {
    {"TRANSPORT_FAILURE_REASON", Field::kFailure},
    {"TLS_VERSION", Field::kVersion},
    {"TLS_CIPHER", Field::kCipher},
    {"TLS_GROUP", Field::kGroup},
    {"TLS_SESSION_ID", Field::kSessionId},
    {"PEER_CERT", Field::kPeerCert},
    {"PEER_CERT_V_START", Field::kPeerStart},
    {"PEER_CERT_V_END", Field::kPeerEnd},
    {"PEER_ISSUER", Field::kPeerIssuer},
    {"PEER_SUBJECT", Field::kPeerSubject},
    {"PEER_SERIAL", Field::kPeerSerial},
    {"PEER_FINGERPRINT_1", Field::kPeerSha1},
    {"PEER_FINGERPRINT_256", Field::kPeerSha256},
    {"PEER_CHAIN_SERIALS", Field::kPeerChainSerials},
    {"PEER_CHAIN_FINGERPRINTS_1", Field::kPeerChainSha1},
    {"PEER_CHAIN_FINGERPRINTS_256", Field::kPeerChainSha256},
    {"PEER_ISSUER_SERIAL", Field::kPeerIssuerSerial},
    {"PEER_ISSUER_FINGERPRINT_256", Field::kPeerIssuerSha256},
    {"PEER_URI_SAN", Field::kPeerUriSan},
    {"PEER_DNS_SAN", Field::kPeerDnsSan},
    {"PEER_IP_SAN", Field::kPeerIpSan},
    {"PEER_EMAIL_SAN", Field::kPeerEmailSan},
    {"PEER_OTHERNAME_SAN", Field::kPeerOtherSan},
    {"LOCAL_SUBJECT", Field::kLocalSubject},
    {"LOCAL_URI_SAN", Field::kLocalUriSan},
    {"LOCAL_DNS_SAN", Field::kLocalDnsSan},
    {"LOCAL_IP_SAN", Field::kLocalIpSan},
    {"LOCAL_EMAIL_SAN", Field::kLocalEmailSan},
    {"LOCAL_OTHERNAME_SAN", Field::kLocalOtherSan},
};

}  // namespace

ConnectionField connection_field(std::string_view operator_name, bool& upstream) {
    constexpr std::string_view kDownstream = "DOWNSTREAM_", kUpstream = "UPSTREAM_";
    upstream = false;
    for (const auto& [name, field] : kFields)
        if (name == operator_name) return field;
    upstream = operator_name.starts_with(kUpstream);
    if (!upstream && !operator_name.starts_with(kDownstream)) return Field::kNone;
    operator_name.remove_prefix(upstream ? kUpstream.size() : kDownstream.size());
    for (const auto& [name, field] : kFieldsOfASide)
        if (name == operator_name) return field;
    return Field::kNone;
}

bool is_certificate_text(ConnectionField field) {
    switch (field) {
        case Field::kPeerCert:
        case Field::kPeerChainSerials:
        case Field::kPeerChainSha1:
        case Field::kPeerChainSha256:
        case Field::kPeerIssuerSerial:
        case Field::kPeerIssuerSha256: return true;
        default: return false;
    }
}

bool AccessLogCaptures::certificate_texts(bool upstreams) const {
    return std::any_of(headers.begin(), headers.end(), [&](const Header& h) { return h.upstream == upstreams && is_certificate_text(h.field); });
}

std::optional<uint16_t> AccessLogCaptures::place_of(From from, std::string_view name) {
    Header wanted{from, std::string(name), http::HeaderId::kOther};
    if (from == From::kConnection) {
        wanted.field = connection_field(name, wanted.upstream);
    } else {
        wanted.id = http::header_id(name);
        for (char& c : wanted.name)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    const auto known = std::find(headers.begin(), headers.end(), wanted);
    const auto place = static_cast<uint16_t>(known - headers.begin());
    if (known != headers.end()) return place;
    if (headers.size() == kCapturedHeadersMax) return std::nullopt;
    of_upstreams |= wanted.upstream;
    headers.push_back(std::move(wanted));
    return place;
}

}  // namespace sluice::telemetry
