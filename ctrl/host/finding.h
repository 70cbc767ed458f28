// Findings about the gateway's own file after it was read: by field path, its place looked up in the file.
// In: the parsed file, or its name. Out: a Diagnostic with line, caret and object; without a place when the file is gone.
// Borrows the file.
// Codes SLC00xx (ctrl/model/codes_table.h).
#pragma once

#include <string>

#include "ctrl/model/diagnostic.h"
#include "ctrl/model/yaml.h"

namespace sluice::host {

inline constexpr char kObject[] = "GatewayHost";

/// `field` as in ports[0].device; where it is not written, the place of what is around it.
Diagnostic finding(const yaml::File& file, std::string code, std::string field, std::string message, std::string cure = {});

/// "port outside: there is no interface eth9: `ip link` lists those that are", as parts of the gateway say why they do not start:
/// the field it is about is found by the names in front. Code SLC0013.
Diagnostic start_failure(const std::string& file_name, const std::string& reason);

}  // namespace sluice::host
