// Header names the gateway itself looks at, as small ids: comparing one is comparing a byte.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::http {

enum class HeaderId : uint8_t {
    kOther, kAccept, kAcceptEncoding, kAuthorization, kCacheControl, kConnection, kContentEncoding, kContentLength, kContentType,
    kCookie, kDate, kExpect, kForwarded, kHost, kKeepAlive, kLocation, kOrigin, kProxyAuthenticate, kProxyAuthorization,
    kProxyConnection, kRange, kReferer, kRetryAfter, kServer, kSetCookie, kTe, kTrailer, kTransferEncoding, kUpgrade, kUserAgent,
    kVia, kXEnvoyAttemptCount, kXEnvoyDecoratorOperation, kXEnvoyExpectedRqTimeoutMs, kXEnvoyExternalAddress, kXEnvoyInternal,
    kXEnvoyOriginalPath, kXEnvoyUpstreamServiceTime, kXForwardedClientCert, kXForwardedFor, kXForwardedHost, kXForwardedPort,
    kXForwardedProto, kXRequestId, kTraceparent, kTracestate, kCount,
};

/// Lower-case canonical name. Empty for kOther.
std::string_view name_of(HeaderId id);
/// kOther if not one of ours; case-insensitive; one hash by length and a few bytes.
HeaderId header_id(std::string_view name);

}  // namespace sluice::http
