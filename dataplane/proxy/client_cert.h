// X-Forwarded-Client-Cert as Envoy's connection manager treats it: removed, passed on, replaced or appended to, by what the listener
// says and by whether the client proved an identity. In: a request's headers as read, the connection's TLS facts. Out: the headers to be
// forwarded, new text in the stream's arena. THREATS.md 16. Envoy "x-forwarded-client-cert", forward_client_cert_details.
#pragma once

#include "http/message.h"
#include "proxy/tls_info.h"
#include "snapshot/snapshot.h"

namespace sluice::proxy {

/// True: what the client sent stays (and may be appended to); false: it is removed with what else comes from outside.
bool keeps_client_cert(const snapshot::HttpConnectionManager& config, const TlsInfo* tls);
/// Writes this hop's element where the configuration asks for it. After the removal. False if the arena is full.
[[nodiscard]] bool add_client_cert(const snapshot::HttpConnectionManager& config, const TlsInfo* tls, http::HeaderList& headers);

}  // namespace sluice::proxy
