// What a connection over TLS agreed on and proved, as routing, headers and logs read it. Plain values, filled when the handshake is
// done, owned by the connection's transport. RFC 8446; Envoy's downstream and upstream ssl connection info.
#pragma once

#include <cstdint>
#include <string>

#include "telemetry/principals.h"
#include "tls/context.h"
#include "tls/identity.h"
#include "tls/types.h"

namespace sluice::proxy {

struct TlsInfo {
    tls::Version version = tls::Version::kNone;
    uint16_t cipher_suite = 0, group = 0;           // IANA numbers; group 0: no keys were exchanged
    bool resumed = false;
    tls::SessionId session;
    uint32_t handshake_us = 0;                      // from the first bytes to the handshake's end
    std::string alpn, server_name;                  // chosen; asked for
    const tls::PeerIdentity* peer = nullptr;        // never nullptr once the handshake is done
    const tls::CertificateInfo* local = nullptr;    // the one this end is configured with first; nullptr: none
    telemetry::PrincipalsId principals = telemetry::kNoPrincipals;   // of a connection to a backend, for metrics
    bool mutual() const { return peer && peer->presented && local; }
};

}  // namespace sluice::proxy
