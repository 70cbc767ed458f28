// Envoy's names of response flags, short and long. Reader side: runs on the telemetry thread.
#include "telemetry/access_log.h"

#include <algorithm>
#include <iterator>

namespace sluice::telemetry {

namespace {
struct FlagName {
    uint32_t flag;
    std::string_view name, long_name;
};
// Envoy promises no order; ours is that of the bits.
constexpr FlagName kFlagNames[] = {
    {kNoHealthyUpstream, "UH", "NoHealthyUpstream"},
    {kUpstreamConnectionFailure, "UF", "UpstreamConnectionFailure"},
    {kUpstreamOverflow, "UO", "UpstreamOverflow"},
    {kNoRoute, "NR", "NoRouteFound"},
    {kUpstreamRetryLimit, "URX", "UpstreamRetryLimitExceeded"},
    {kNoCluster, "NC", "NoClusterFound"},
    {kDownstreamDisconnect, "DC", "DownstreamConnectionTermination"},
    {kLocalReset, "LR", "LocalReset"},
    {kUpstreamTimeout, "UT", "UpstreamRequestTimeout"},
    {kUpstreamRemoteReset, "UR", "UpstreamRemoteReset"},
    {kUpstreamTermination, "UC", "UpstreamConnectionTermination"},
    {kDownstreamProtocolError, "DPE", "DownstreamProtocolError"},
    {kUpstreamProtocolError, "UPE", "UpstreamProtocolError"},
    {kStreamIdleTimeout, "SI", "StreamIdleTimeout"},
    {kDurationTimeout, "DT", "DurationTimeout"},
    {kOverloadManager, "OM", "OverloadManagerTerminated"},
};
// Of health checks, fault injection, rate limits, authorization, caches and DNS.
constexpr std::string_view kNeverSet[] = {"LH", "DI", "FI", "RL", "UAEX", "RLSE", "IH", "UMSDR", "RFCF", "NFCF", "DF", "DO", "DR"};

std::string joined(uint32_t flags, std::string_view FlagName::* name) {
    std::string out;
    for (const FlagName& known : kFlagNames) {
        if (!(flags & known.flag)) continue;
        if (!out.empty()) out += ',';
        out += known.*name;
    }
    return out.empty() ? "-" : out;
}
}  // namespace

std::string response_flags(uint32_t flags) { return joined(flags, &FlagName::name); }
std::string response_flags_long(uint32_t flags) { return joined(flags, &FlagName::long_name); }

uint32_t response_flag(std::string_view short_name) {
    for (const FlagName& known : kFlagNames)
        if (known.name == short_name) return known.flag;
    return 0;
}

bool is_response_flag(std::string_view short_name) {
    return response_flag(short_name) != 0 || std::find(std::begin(kNeverSet), std::end(kNeverSet), short_name) != std::end(kNeverSet);
}

}  // namespace sluice::telemetry
