// /v1/secrets: the secrets in force and those refused: whose they are, until when they hold, where they were written. Never what is in them.
// Filters: source (file, or file:line).
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "ctrl/admin/json.h"
#include "ctrl/admin/views.h"

namespace sluice::admin {

namespace {

const char* type_text(snapshot::SecretState::Type type) {
    using Type = snapshot::SecretState::Type;
    switch (type) {
        case Type::kCertificate: return "certificate";
        case Type::kTrust: return "roots";
        case Type::kTicketKeys: return "ticket keys";
        case Type::kOther: break;
    }
    return "other";
}

std::string rfc3339(int64_t s) { return fmt::format("{:%FT%TZ}", fmt::gmtime(static_cast<std::time_t>(s))); }

Json certificate_json(const tls::CertificateInfo& c) {
    return {{"subject", c.subject}, {"issuer", c.issuer}, {"serial", c.serial}, {"sha256", c.sha256}, {"sans", c.sans}, {"key_type", c.key_type},
            {"not_before", rfc3339(c.not_before_s)}, {"not_after", rfc3339(c.not_after_s)}};
}

const char* state_text(const snapshot::SecretState& secret, int64_t now_s) {
    if (secret.hash == 0) return "refused";
    if (!secret.refused.empty()) return "old in force";
    return secret.not_after_s() != 0 && secret.not_after_s() < now_s ? "expired" : "in force";
}

Json secret_json(const snapshot::SecretState& secret, int64_t now_s) {
    Json certificates = Json::array();
    for (const auto& one : secret.certificates) certificates.push_back(certificate_json(one));
    const int64_t ends = secret.not_after_s();
    return {{"name", secret.name}, {"type", type_text(secret.type)}, {"state", state_text(secret, now_s)},
            {"not_after", ends ? Json(rfc3339(ends)) : Json(nullptr)},
            {"days_left", ends ? Json(static_cast<double>((ends - now_s) * 10 / 86400) / 10) : Json(nullptr)},
            {"in_force_since", secret.since_s ? Json(rfc3339(secret.since_s)) : Json(nullptr)}, {"rotations", secret.rotations},
            {"refused", secret.refused}, {"cure", secret.cure}, {"source", secret.source}, {"object", secret.object},
            {"certificates", std::move(certificates)}};
}

bool written_at(const std::string& source, const std::string& wanted) {
    return wanted.empty() || source == wanted || (source.starts_with(wanted) && source.size() > wanted.size() && source[wanted.size()] == ':');
}

}  // namespace

std::string secrets_json(const Sources& s, const Request& request) {
    const auto tables = tables_of(s);
    const auto now_s = static_cast<int64_t>(unix_us_now() / 1'000'000);
    Json out = Json::array();
    if (tables->tls)
        for (const auto& [name, secret] : tables->tls->secrets)
            if (written_at(secret->source, request.parameter("source"))) out.push_back(secret_json(*secret, now_s));
    return dump(out);
}

}  // namespace sluice::admin
