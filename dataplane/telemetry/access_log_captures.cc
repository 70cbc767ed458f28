// A handful of names, compared one by one while formats are read. In: names of any case. Out: places.
#include "telemetry/access_log_captures.h"

#include <algorithm>
#include <utility>

namespace sluice::telemetry {

namespace {

constexpr std::pair<std::string_view, ConnectionField> kFields[] = {
    {"FILTER_CHAIN_NAME", ConnectionField::kFilterChainName},
    {"REQUESTED_SERVER_NAME", ConnectionField::kRequestedServerName},
    {"DOWNSTREAM_TRANSPORT_FAILURE_REASON", ConnectionField::kDownstreamFailure},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", ConnectionField::kUpstreamFailure},
    {"DOWNSTREAM_TLS_VERSION", ConnectionField::kDownstreamTlsVersion},
    {"DOWNSTREAM_TLS_CIPHER", ConnectionField::kDownstreamTlsCipher},
    {"DOWNSTREAM_PEER_CERT", ConnectionField::kPeerCert},
    {"DOWNSTREAM_PEER_CERT_V_START", ConnectionField::kPeerStart},
    {"DOWNSTREAM_PEER_CERT_V_END", ConnectionField::kPeerEnd},
    {"DOWNSTREAM_PEER_ISSUER", ConnectionField::kPeerIssuer},
    {"DOWNSTREAM_PEER_SUBJECT", ConnectionField::kPeerSubject},
    {"DOWNSTREAM_PEER_SERIAL", ConnectionField::kPeerSerial},
    {"DOWNSTREAM_PEER_FINGERPRINT_1", ConnectionField::kPeerSha1},
    {"DOWNSTREAM_PEER_FINGERPRINT_256", ConnectionField::kPeerSha256},
    {"DOWNSTREAM_PEER_URI_SAN", ConnectionField::kPeerUriSan},
    {"DOWNSTREAM_PEER_DNS_SAN", ConnectionField::kPeerDnsSan},
    {"DOWNSTREAM_LOCAL_SUBJECT", ConnectionField::kLocalSubject},
    {"DOWNSTREAM_LOCAL_URI_SAN", ConnectionField::kLocalUriSan},
    {"DOWNSTREAM_LOCAL_DNS_SAN", ConnectionField::kLocalDnsSan},
    {"UPSTREAM_TLS_VERSION", ConnectionField::kUpstreamTlsVersion},
    {"UPSTREAM_TLS_CIPHER", ConnectionField::kUpstreamTlsCipher},
};

}  // namespace

ConnectionField connection_field(std::string_view operator_name) {
    for (const auto& [name, field] : kFields)
        if (name == operator_name) return field;
    return ConnectionField::kNone;
}

std::optional<uint16_t> AccessLogCaptures::place_of(From from, std::string_view name) {
    const bool connection = from == From::kConnection;
    Header wanted{from, std::string(name), connection ? http::HeaderId::kOther : http::header_id(name), connection ? connection_field(name) : ConnectionField::kNone};
    if (!connection) std::transform(wanted.name.begin(), wanted.name.end(), wanted.name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const auto known = std::find(headers.begin(), headers.end(), wanted);
    const auto place = static_cast<uint16_t>(known - headers.begin());
    if (known != headers.end()) return place;
    if (headers.size() == kCapturedHeadersMax) return std::nullopt;
    headers.push_back(std::move(wanted));
    return place;
}

}  // namespace sluice::telemetry
