// What TLS contexts of listeners and of clusters are made of: certificates, trust and parameters, with the secrets in force.
// In: a CommonTlsContext whose fields the walk let through. Out: Materials, parameters of ctrl/apply's contexts; Nacks where a value is wrong.
// Materials own copies of what they were read from. Internal to ctrl/apply. Envoy transport_sockets.tls.v3.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ctrl/apply/at.h"
#include "ctrl/apply/secrets.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "tls/context.h"

namespace sluice::apply {

namespace tls_pb = envoy::extensions::transport_sockets::tls::v3;

/// What a context is made of, besides its parameters.
struct Materials {
    std::vector<tls::CertificateSource> certificates;
    tls_pb::CertificateValidationContext validation;      // the settings' own, then what its secret says
    tls_pb::CertificateValidationContext secret_names;    // subject alternative names that its secret says, and nothing else
    bool validates = false, missing = false, istio_roots = false;
    uint64_t hash = 0;                   // of the secrets
    std::vector<std::string> secrets;    // by name, in the order of `hash`
};

/// `missing`: a secret is not there yet.
bool read_materials(const Secrets& secrets, const tls_pb::CommonTlsContext& in, Materials& out, const At& at);
/// What Materials::hash is now.
uint64_t hash_of_secrets(const Secrets& secrets, const std::vector<std::string>& names);

bool read_parameters(const tls_pb::TlsParameters& in, tls::Parameters& out, const At& at);
bool read_sans(const tls_pb::CertificateValidationContext& in, std::vector<tls::SanMatcher>& out, const At& at);
/// Without the subject alternative names, which are of one peer.
bool read_verification(const Materials& in, tls::Verification& out, const At& at);

}  // namespace sluice::apply
