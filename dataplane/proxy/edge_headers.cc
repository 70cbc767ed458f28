// Edge header work in one pass over the list where possible: a name of ours is one byte to compare.
#include "proxy/edge_headers.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "filter/text.h"
#include "proxy/client_cert.h"

namespace sluice::proxy {
namespace {

using http::HeaderId;

/// Behind "x-envoy-", which all of them share.
constexpr std::string_view kOutside[] = {
    "internal", "retry-on", "retry-grpc-on", "max-retries", "retriable-status-codes", "retriable-header-names",
    "upstream-alt-stat-name", "upstream-rq-timeout-ms", "upstream-rq-per-try-timeout-ms", "upstream-rq-timeout-alt-response",
    "expected-rq-timeout-ms", "force-trace", "ip-tags", "original-url", "hedge-on-per-try-timeout", "attempt-count",
};
constexpr std::string_view kEdge[] = {
    "decorator-operation", "downstream-service-cluster", "downstream-service-node", "original-path", "original-host",
    "external-address",
};
constexpr std::string_view kPrefix = "x-envoy-";

bool listed(std::span<const std::string_view> names, std::string_view name) {
    return std::any_of(names.begin(), names.end(), [&](std::string_view n) { return http::iequals(n, name); });
}

bool stripped(const http::Header& header, bool edge, bool keep_cert) {
    if (header.id == HeaderId::kXForwardedClientCert) return !keep_cert;
    // Expect was answered or is refused at this hop (RFC 9110 10.1.1).
    if (header.id == HeaderId::kExpect) return true;
    if (header.name.size() <= kPrefix.size() || !http::iequals(header.name.substr(0, kPrefix.size()), kPrefix)) return false;
    const std::string_view rest = header.name.substr(kPrefix.size());
    return listed(kOutside, rest) || (edge && listed(kEdge, rest));
}

void strip_outside(http::HeaderList& headers, bool edge, bool keep_cert) {
    const auto items = headers.items();
    const auto kept = std::remove_if(items.begin(), items.end(), [&](const http::Header& h) { return stripped(h, edge, keep_cert); });
    headers.truncate(static_cast<uint32_t>(kept - items.begin()));
}

std::string_view ip_in_arena(const IpAddress& ip, Arena& arena) {
    char text[filter::kIpTextMax];
    return arena.copy({text, filter::write_ip(ip, text)});
}

/// Appends the peer (`peer_text`, where the peer is the client's side) to X-Forwarded-For and tells the trusted client (Envoy,
/// x-forwarded-for, "trusted client address").
bool forward_for(const snapshot::HttpConnectionManager& config, http::HeaderList& headers, const SocketAddress& peer,
                 std::string_view peer_text, IpAddress& client) {
    client = peer.ip;
    const http::Header* first = headers.find(HeaderId::kXForwardedFor);
    if (!config.use_remote_address) {
        if (!first) return true;
        const auto value = headers.joined("x-forwarded-for", headers.arena());
        if (value) forwarded_address(*value, config.xff_num_trusted_hops, client);
        return true;
    }
    if (!first) return headers.add(HeaderId::kXForwardedFor, peer_text);
    const auto value = headers.joined("x-forwarded-for", headers.arena());
    if (!value) return false;
    if (config.xff_num_trusted_hops > 0) forwarded_address(*value, config.xff_num_trusted_hops - 1, client);
    const std::string_view pieces[] = {*value, ",", peer_text};
    const std::string_view longer = headers.arena().concat(pieces);
    return longer.data() && headers.set(HeaderId::kXForwardedFor, longer);
}

bool forward_proto(const snapshot::HttpConnectionManager& config, http::Request& request, std::string_view scheme) {
    const http::Header* header = request.headers.find(HeaderId::kXForwardedProto);
    const bool trusted = !config.use_remote_address || config.xff_num_trusted_hops > 0;
    if (!header || !trusted) {
        if (!request.headers.set(HeaderId::kXForwardedProto, scheme)) return false;
        request.scheme = scheme;
        return true;
    }
    const bool known = header->value == "http" || header->value == "https";
    request.scheme = known ? header->value : scheme;
    return true;
}

/// Sixteen bytes as 32 lower-case hex digits.
void write_hex(const uint64_t (&bytes)[2], char* out) {
    const __m128i digits = _mm_setr_epi8('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f');
    const __m128i nibble = _mm_set1_epi8(0xf);
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m128i high = _mm_and_si128(_mm_srli_epi16(v, 4), nibble), low = _mm_and_si128(v, nibble);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(digits, _mm_unpacklo_epi8(high, low)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), _mm_shuffle_epi8(digits, _mm_unpackhi_epi8(high, low)));
}

/// RFC 9562 5.4: version 4, variant 10; random otherwise.
std::string_view make_uuid(Rng& rng, Arena& arena) {
    auto* out = static_cast<char*>(arena.allocate(36, 1));
    if (!out) return {};
    uint64_t words[2] = {rng.next(), rng.next()};
    words[0] = (words[0] & ~(uint64_t{0xf0} << 48)) | uint64_t{0x40} << 48;   // byte 6
    words[1] = (words[1] & ~uint64_t{0xc0}) | 0x80;                           // byte 8
    char hex[32];
    write_hex(words, hex);
    std::memcpy(out, hex, 8);
    std::memcpy(out + 9, hex + 8, 4);
    std::memcpy(out + 14, hex + 12, 4);
    std::memcpy(out + 19, hex + 16, 4);
    std::memcpy(out + 24, hex + 20, 12);
    out[8] = out[13] = out[18] = out[23] = '-';
    return {out, 36};
}

bool request_id(const snapshot::HttpConnectionManager& config, http::HeaderList& headers, Rng& rng) {
    if (!config.generate_request_id) return true;
    const bool replace = config.use_remote_address && !config.preserve_external_request_id;
    if (!replace && headers.find(HeaderId::kXRequestId)) return true;
    const std::string_view id = make_uuid(rng, headers.arena());
    return id.data() && headers.set(HeaderId::kXRequestId, id);
}

}  // namespace

bool forwarded_address(std::string_view value, uint32_t from_right, IpAddress& address) {
    for (;;) {
        const size_t comma = value.rfind(',');
        std::string_view element = comma == std::string_view::npos ? value : value.substr(comma + 1);
        if (from_right == 0) {
            while (!element.empty() && (element.front() == ' ' || element.front() == '\t')) element.remove_prefix(1);
            while (!element.empty() && (element.back() == ' ' || element.back() == '\t')) element.remove_suffix(1);
            const auto parsed = IpAddress::parse(element);
            if (parsed) address = *parsed;
            return parsed.has_value();
        }
        if (comma == std::string_view::npos) return false;
        value = value.substr(0, comma);
        from_right--;
    }
}

bool prepare_request_headers(const snapshot::HttpConnectionManager& config, http::Request& request, const SocketAddress& peer,
                             std::string_view scheme, Rng& rng, IpAddress& client, const TlsInfo* tls) {
    http::strip_hop_by_hop(request.headers);
    strip_outside(request.headers, config.use_remote_address, keeps_client_cert(config, tls));
    if (tls && !add_client_cert(config, tls, request.headers)) return false;
    std::string_view peer_text;
    if (config.use_remote_address) {
        peer_text = ip_in_arena(peer.ip, request.headers.arena());
        if (!peer_text.data()) return false;
    }
    if (!forward_for(config, request.headers, peer, peer_text, client)) return false;
    if (!forward_proto(config, request, scheme)) return false;
    if (config.use_remote_address) {
        const std::string_view text = client == peer.ip ? peer_text : ip_in_arena(client, request.headers.arena());
        if (!text.data() || !request.headers.set(HeaderId::kXEnvoyExternalAddress, text)) return false;
    }
    return request_id(config, request.headers, rng);
}

bool prepare_response_headers(const snapshot::HttpConnectionManager& config, http::Response& response, bool local_reply,
                              std::string_view date) {
    using ServerHeader = snapshot::HttpConnectionManager::ServerHeader;
    const bool has_server = response.headers.find(HeaderId::kServer) != nullptr;
    const bool set_server = config.server_header == ServerHeader::kOverwrite ||
                            (config.server_header == ServerHeader::kAppendIfAbsent && !has_server) || (local_reply && !has_server);
    if (set_server && !response.headers.set(HeaderId::kServer, config.server_name)) return false;
    // RFC 9110 6.6.1: an origin's date stays, one is given where there is none.
    if (response.headers.find(HeaderId::kDate)) return true;
    return response.headers.add(HeaderId::kDate, date);
}

}  // namespace sluice::proxy
