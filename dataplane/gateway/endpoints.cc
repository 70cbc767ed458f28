// Draining one endpoint: the asker's thread reads what it means, the control thread marks it and publishes the revision in force
// once more. What the mesh config says stays as it is; every later revision is marked too (ctrl/control/drained_endpoints.h).
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "gateway/gateway.h"

namespace sluice::gateway {

namespace {

constexpr std::chrono::milliseconds kCallTimeout{10'000};

using Done = std::expected<admin::EndpointDrain, admin::Refusal>;

Done refuse(int status, std::string message, std::string cure) { return std::unexpected(admin::Refusal{status, std::move(message), std::move(cure)}); }

}  // namespace

Done Gateway::drain_endpoint(const std::string& endpoint, bool drain, bool force) {
    const auto key = control::DrainedEndpoints::parse(endpoint);
    if (!key) return refuse(400, key.error(), "sluicectl pc endpoints lists them");
    auto done = calls_.call([this, &key, drain, force] { return drain_now(*key, drain, force); }, kCallTimeout);
    return done ? std::move(*done) : refuse(503, "the control thread is busy, nothing was changed", "try again");
}

/// Control thread.
Done Gateway::drain_now(const control::DrainedEndpoints::Key& key, bool drain, bool force) {
    const auto in_force = revisions_.state().in_force;
    if (!in_force.resources) return refuse(409, "no revision is in force yet", "sluicectl status says why");
    const auto effect = drained_.effect_of(key, *in_force.resources);
    const std::string name = key.to_string();
    if (drain && effect.clusters.empty()) return refuse(404, fmt::format("no endpoint {} is in force", name), "sluicectl pc endpoints lists them");
    if (drain && !effect.without_any.empty() && !force)
        return refuse(409, fmt::format("{} would have no endpoint left{}", effect.without_any.front(),
                                       effect.without_any.size() > 1 ? fmt::format(", and {} more", effect.without_any.size() - 1) : ""),
                      "--force does it all the same: its requests are answered 503 UH");
    const bool changed = drain ? drained_.add(key) : drained_.remove(key);
    if (!drain && !changed) return refuse(404, fmt::format("{} is not drained", name), "sluicectl status names what is");
    if (changed) {
        if (const auto applied = apply(*in_force.resources, in_force.revision, in_force.content_hash); !applied) {
            drain ? drained_.remove(key) : drained_.add(key);
            return refuse(503, applied.error().empty() ? "not published" : applied.error().front().message, "try again");
        }
        spdlog::info("endpoint {} {} by an operator", name, drain ? "is picked no more: drained" : "is picked again: undrained");
    }
    return admin::EndpointDrain{name, drain, effect.clusters};
}

}  // namespace sluice::gateway
