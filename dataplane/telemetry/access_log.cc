// Envoy's short names of response flags. Reader side: runs on the telemetry thread.
#include "telemetry/access_log.h"

namespace sluice::telemetry {

namespace {
struct FlagName {
    ResponseFlag flag;
    std::string_view name;
};
// Envoy promises no order; ours is that of the bits.
constexpr FlagName kFlagNames[] = {
    {kNoHealthyUpstream, "UH"}, {kUpstreamConnectionFailure, "UF"}, {kUpstreamOverflow, "UO"}, {kNoRoute, "NR"},
    {kUpstreamRetryLimit, "URX"}, {kNoCluster, "NC"}, {kDownstreamDisconnect, "DC"}, {kLocalReset, "LR"},
    {kUpstreamTimeout, "UT"}, {kUpstreamRemoteReset, "UR"}, {kUpstreamTermination, "UC"},
    {kDownstreamProtocolError, "DPE"}, {kUpstreamProtocolError, "UPE"}, {kStreamIdleTimeout, "SI"},
    {kDurationTimeout, "DT"}, {kOverloadManager, "OM"},
};
}  // namespace

std::string response_flags(uint32_t flags) {
    std::string out;
    for (const auto& [flag, name] : kFlagNames) {
        if (!(flags & flag)) continue;
        if (!out.empty()) out += ',';
        out += name;
    }
    return out.empty() ? "-" : out;
}

}  // namespace sluice::telemetry
