// The table of kinds that people keep beside ours, and the rule for all others.
// In: names. Out: verdicts.
// Constants only.
// API groups as Kubernetes writes them: `apps/v1` is group apps; `v1` alone is the core group.
#include "ctrl/model/foreign_kinds.h"

#include <algorithm>

#include <fmt/format.h>

#include "ctrl/model/diagnostic.h"

namespace sluice::model {
namespace {

struct Row {
    std::string_view kind;
    bool refused;
    std::string_view cure;
};

// Of any *.istio.io group.
constexpr Row kIstio[] = {
    {"AuthorizationPolicy", true, "authorization comes with the filters; without it everybody would be let in"},
    {"EnvoyFilter", true, "it patches Envoy's own config, which has no counterpart here"},
    {"PeerAuthentication", false, "as in Istio it does not speak of a gateway's servers: `tls` of the Gateway does"},
    {"ProxyConfig", true, "set it in the gateway's own file"},
    {"RequestAuthentication", true, "authentication comes with the filters; without it everybody would be let in"},
    {"Telemetry", true, "set the access log in the gateway's own file"},
    {"WasmPlugin", true, "there is no WebAssembly in this gateway"},
    {"IstioOperator", false, "it installs Istio"},
    {"WorkloadGroup", false, "it is a template: write a WorkloadEntry for each workload"},
};

// Of Kubernetes and everybody else.
constexpr Row kOthers[] = {
    {"Ingress", true, "write a Gateway and a VirtualService"},
    {"Service", false, "to make its host known to the gateway write a ServiceEntry with resolution: STATIC"},
    {"Endpoints", false, "write the addresses as `endpoints` of a ServiceEntry"},
    {"EndpointSlice", false, "write the addresses as `endpoints` of a ServiceEntry"},
};

const Row* find(std::string_view kind, const Row* begin, const Row* end) {
    const Row* found = std::find_if(begin, end, [&](const Row& row) { return row.kind == kind; });
    return found == end ? nullptr : found;
}

ForeignKind verdict(std::string_view api_version, std::string_view kind, const Row* row) {
    const bool refused = row && row->refused;
    const std::string what = fmt::format("kind {} of {}", kind.substr(0, 80), api_version.substr(0, 80));
    return {refused, what + (refused ? " is not supported in this version" : " is passed over: this gateway does not need it"),
            std::string(row ? row->cure : "nothing needs to be done")};
}

}  // namespace

std::optional<ForeignKind> foreign_kind(std::string_view api_version, std::string_view kind) {
    const size_t slash = api_version.find('/');
    const std::string_view group = slash == std::string_view::npos ? "" : api_version.substr(0, slash);
    if (group.find("istio") != std::string_view::npos) {
        const Row* row = find(kind, std::begin(kIstio), std::end(kIstio));
        if (!row) return std::nullopt;
        return verdict(api_version, kind, row);
    }
    if (group == "gateway.networking.k8s.io")
        return ForeignKind{true, fmt::format("kind {} of {} is not supported in this version", kind, api_version),
                           "write the Istio API; the Gateway API comes later"};
    // Ours under a wrong group, or misspelt without one: the reader says so.
    const std::vector<std::string> ours = {"Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry", "Secret"};
    if (std::find(ours.begin(), ours.end(), kind) != ours.end()) return std::nullopt;
    if (group.empty() && !closest(kind, ours).empty()) return std::nullopt;
    return verdict(api_version, kind, find(kind, std::begin(kOthers), std::end(kOthers)));
}

}  // namespace sluice::model
