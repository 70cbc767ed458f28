// Resources without their secrets, for dumps: as Envoy's config_dump, private keys, passwords and ticket keys read [redacted].
// In: any message of the xDS API, changed in place, Any expanded and packed again. Control plane threads.
#pragma once

#include <google/protobuf/message.h>

namespace sluice::admin {

void redact(google::protobuf::Message& message);

}  // namespace sluice::admin
