// Findings in the gateway's answers, back as what the rest of the program prints. Pure.
#pragma once

#include "ctrl/model/diagnostic.h"
#include "ctrl/sluicectl/client.h"

namespace sluice::ctl {

Diagnostic diagnostic_of(const Json& json);
std::vector<Diagnostic> diagnostics_of(const Json& list);

}  // namespace sluice::ctl
