// Envoy's SPIFFE validator: roots of several trust domains, each for its own peers alone.
// In: a custom_validator_config. Out: the trust domains of a tls::Verification; an error names the field and says what is wrong.
// Owns nothing. Control thread.
// Envoy SPIFFECertValidatorConfig; SPIFFE Trust Domain and Bundle standard 4 (its JSON, as a map by domain).
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "envoy/config/core/v3/extension.pb.h"
#include "tls/context.h"

namespace sluice::apply {

struct SpiffeError {
    std::string field, what;   // field: from custom_validator_config on
};
std::expected<std::vector<tls::Verification::TrustDomain>, SpiffeError> read_spiffe_validator(const envoy::config::core::v3::TypedExtensionConfig& in);

}  // namespace sluice::apply
