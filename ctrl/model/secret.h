// Kubernetes Secret objects as credentials: certificates and keys for Gateways and DestinationRules.
// In: a located YAML object of kind Secret. Out: its decoded values, or findings that never hold a byte of them.
// The Secret owns its values; they leave it only for ctrl/translate. Kubernetes core/v1 Secret; Istio's keys within it: tls.crt, tls.key,
// ca.crt, ca.crl (kubernetes.io/tls), cert, key, cacert, crl (Opaque), tls.ocsp-staple.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ctrl/model/mesh_config.h"

namespace sluice::model {

/// Appends to `secrets` when nothing was wrong.
void read_secret(const std::shared_ptr<const yaml::File>& file, const yaml::Node& root, std::vector<Secret>& secrets, std::vector<Diagnostic>& out);

/// What Istio takes from it; empty: it is not there.
struct Credential {
    std::string certificate, private_key, roots, crl, ocsp_staple;
};
Credential credential_of(const Secret& secret);

/// The keys it holds, for people: "tls.crt, tls.key".
std::string keys_of(const Secret& secret);

}  // namespace sluice::model
