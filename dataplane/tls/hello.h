// A look at the first bytes of a connection without taking them: is it TLS, and if so which name and protocols does it ask for?
// What listener filters of Envoy call the TLS inspector. In: bytes as they lie in the receive queue, in any cut, the hello over
// several records and segments too. Out: a Hello whose texts are copies. Pure; strict bounds; owns nothing. RFC 8446 4.1.2, RFC 6066 3,
// RFC 7301.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/slice.h"

namespace sluice::tls {

inline constexpr uint32_t kHelloBytesMax = 16 * 1024;    // a client hello beyond is refused (Envoy's limit)
inline constexpr uint32_t kAlpnProtocolsMax = 16;

struct Hello {
    char server_name[256] = {};          // lower-case, without a trailing dot; empty: none or not a host name
    uint32_t alpn_count = 0;
    char alpn[kAlpnProtocolsMax][32] = {};   // longer ones are left out: none that we speak is
    bool offers_tls13 = false, offers_tls12 = false;
    std::string_view server_name_view() const { return server_name; }
};

enum class HelloStatus : uint8_t {
    kNeedMore,    // so far it could be a hello
    kHello,       // `out` is filled
    kNotTls,      // the first bytes are no TLS handshake: plain text
    kBad,         // TLS, but no client hello that could be answered (too long, malformed)
};
HelloStatus inspect_hello(const SliceQueue& received, Hello& out);

}  // namespace sluice::tls
