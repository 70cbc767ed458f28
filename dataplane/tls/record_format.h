// Numbers of the record and alert protocols as they are on the wire. RFC 8446 5.1, 6; RFC 5246 7.2, 7.4.
#pragma once

#include <cstdint>

namespace sluice::tls {

inline constexpr uint8_t kTypeAlert = 21, kTypeHandshake = 22, kTypeApplicationData = 23;
inline constexpr uint16_t kWireVersion = 0x0303;             // of every protected record, 1.2 and 1.3
inline constexpr uint8_t kLevelWarning = 1, kLevelFatal = 2;
inline constexpr uint8_t kHelloRequest = 0, kClientHello = 1, kNewSessionTicket = 4, kKeyUpdate = 24;
inline constexpr uint8_t kUpdateNotRequested = 0, kUpdateRequested = 1;

}  // namespace sluice::tls
