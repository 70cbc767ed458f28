// What `analyze` does. In: paths, a gateway's file, or a code. Out: findings, or what the code means.
#pragma once

#include <string>
#include <vector>

#include "ctrl/sluicectl/commands.h"

namespace sluice::ctl {

struct AnalyzeOptions {
    std::vector<std::string> paths;
    std::string host_file, code;
    std::string threshold = "warning";
};

int analyze(const Context& context, const AnalyzeOptions& options);

}  // namespace sluice::ctl
