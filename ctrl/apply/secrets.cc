// Checks of a secret's content, by making the context that it is for.
// In: resources. Out: TlsState.
// What was good before is kept by its content, so that any context can still be made of it.
#include "ctrl/apply/secrets.h"

#include <algorithm>

#include "ctrl/apply/field_walk.h"
#include "ctrl/apply/readers.h"
#include "ctrl/apply/spiffe.h"

namespace sluice::apply {
namespace {

using snapshot::SecretState;
using ContextError = tls::ContextError;

SecretState::Type type_of(const SecretProto& in) {
    switch (in.type_case()) {
        case SecretProto::kTlsCertificate: return SecretState::Type::kCertificate;
        case SecretProto::kValidationContext: return SecretState::Type::kTrust;
        case SecretProto::kSessionTicketKeys: return SecretState::Type::kTicketKeys;
        default: return SecretState::Type::kOther;
    }
}

ContextError not_inline(const std::string& name, const char* what) {
    return {name + ": " + what + " is missing", "give its bytes inline: inline_bytes or inline_string"};
}

using Checked = std::expected<std::vector<tls::CertificateInfo>, ContextError>;

Checked check_certificate(const SecretProto& in, int64_t now_s) {
    const auto chain = inline_bytes(in.tls_certificate().certificate_chain());
    const auto key = inline_bytes(in.tls_certificate().private_key());
    if (!chain || chain->empty()) return std::unexpected(not_inline(in.name(), "certificate_chain"));
    if (!key || key->empty()) return std::unexpected(not_inline(in.name(), "private_key"));
    tls::ServerOptions options;
    options.certificates.push_back({*chain, *key, inline_bytes(in.tls_certificate().ocsp_staple()).value_or(""), in.name()});
    const auto context = tls::ServerContext::create(std::move(options), now_s);
    if (!context) return std::unexpected(context.error());
    return (*context)->certificates();
}

/// Bundles of trust domains instead of one list of roots (as SPIRE serves them): the certificates of all, each named by its domain.
Checked check_bundles(const SecretProto& in, int64_t now_s) {
    auto domains = read_spiffe_validator(in.validation_context().custom_validator_config());
    if (!domains) return std::unexpected(ContextError{in.name() + ": custom_validator_config." + domains.error().field + ": " + domains.error().what, ""});
    std::vector<tls::CertificateInfo> out;
    for (const auto& domain : *domains) {
        auto read = tls::read_certificates(domain.trusted_ca_pem, in.name() + ", trust domain " + domain.name);
        if (!read) return read;
        out.insert(out.end(), read->begin(), read->end());
    }
    tls::ClientOptions options;
    options.verification.trust_domains = std::move(*domains);
    options.verification.crl_pem = inline_bytes(in.validation_context().crl()).value_or("");
    if (const auto made = tls::ClientContext::create(std::move(options), now_s); !made) return std::unexpected(made.error());
    return out;
}

Checked check_trust(const SecretProto& in, int64_t now_s) {
    const auto& context = in.validation_context();
    if (context.has_custom_validator_config()) return check_bundles(in, now_s);
    const auto roots = inline_bytes(context.trusted_ca());
    if (!roots || roots->empty()) {
        // Hashes and names alone are a validation context too.
        if (!context.has_trusted_ca()) return std::vector<tls::CertificateInfo>();
        return std::unexpected(not_inline(in.name(), "trusted_ca"));
    }
    auto read = tls::read_certificates(*roots, in.name());
    if (!read) return read;
    tls::ClientOptions options;
    options.verification.trusted_ca_pem = *roots;
    options.verification.crl_pem = inline_bytes(context.crl()).value_or("");
    if (const auto made = tls::ClientContext::create(std::move(options), now_s); !made) return std::unexpected(made.error());
    return read;
}

Checked check_content(const SecretProto& in, int64_t now_s) {
    switch (type_of(in)) {
        case SecretState::Type::kCertificate: return check_certificate(in, now_s);
        case SecretState::Type::kTrust: return check_trust(in, now_s);
        default: return std::vector<tls::CertificateInfo>();
    }
}

}  // namespace

std::optional<std::string> inline_bytes(const envoy::config::core::v3::DataSource& in) {
    if (in.has_inline_bytes()) return in.inline_bytes();
    if (in.has_inline_string()) return in.inline_string();
    return std::nullopt;
}

Secrets::Secrets(const xds::ResourceSet& resources, const snapshot::TlsState* before, int64_t now_s, bool strict, NackSink& sink)
    : before_(before), now_s_(now_s) {
    if (before) state_->rotations_total = before->rotations_total, state_->refusals_total = before->refusals_total;
    for (const auto& [name, secret] : resources.secrets) {
        const auto place = resources.secret_places.find(name);
        const auto error = resources.secret_errors.find(name);
        read(name, {secret, place == resources.secret_places.end() ? xds::Provenance{} : place->second, error == resources.secret_errors.end() ? "" : error->second}, strict, sink);
    }
}

void Secrets::read(const std::string& name, const Offered& offered, bool strict, NackSink& sink) {
    const auto& [resource, place, error] = offered;
    std::shared_ptr<const SecretState> old;
    if (before_)
        if (const auto found = before_->secrets.find(name); found != before_->secrets.end()) old = found->second;
    const SecretProto& in = *resource;
    const uint64_t hash = error.empty() ? resource.hash() : mix(resource.hash(), error);
    const bool is_new = !old || old->newest_hash != hash;
    // What was refused may have become valid with time.
    const bool look = is_new || !old->refused.empty();
    if (!look && old->source == place.source && old->object == place.object) {
        state_->secrets[name] = old;
        return;
    }
    auto next = std::make_shared<SecretState>(old ? *old : SecretState{});
    next->name = name, next->source = place.source, next->object = place.object;
    if (look) {
        next->newest_hash = hash;
        sink.begin("envoy.extensions.transport_sockets.tls.v3.Secret", name);
        if (!check_fields(in, sink)) return;
        const Checked checked = error.empty() ? check_content(in, now_s_) : std::unexpected(ContextError{error, "let the gateway's user read it, or correct the path"});
        if (checked) {
            if (old && old->hash != 0 && old->hash != hash) next->rotations++, state_->rotations_total++;
            next->type = type_of(in), next->hash = hash, next->certificates = *checked, next->since_s = now_s_;
            next->content = std::make_shared<const SecretProto>(in);
            next->refused.clear(), next->cure.clear();
        } else {
            if (is_new) state_->refusals_total++;
            if (!old) next->type = type_of(in);
            next->refused = checked.error().what, next->cure = checked.error().cure;
            if (strict && is_new) sink.add("", checked.error().what + (checked.error().cure.empty() ? "" : ": " + checked.error().cure), place);
        }
    }
    state_->secrets[name] = std::move(next);
}

Secrets::Found Secrets::find(const std::string& name) const {
    const auto found = state_->secrets.find(name);
    if (found == state_->secrets.end() || found->second->hash == 0) return {};
    return {static_cast<const SecretProto*>(found->second->content.get()), found->second->hash};
}

int64_t Secrets::time_for(const std::vector<std::string>& names) const {
    int64_t time = now_s_;
    for (const std::string& name : names)
        if (const auto found = state_->secrets.find(name); found != state_->secrets.end() && found->second->type == SecretState::Type::kCertificate)
            if (const int64_t end = found->second->not_after_s(); end != 0) time = std::min(time, end - 1);   // its last moment
    return time;
}

Secrets::Made Secrets::server(uint64_t hash, const std::function<Made()>& make) {
    if (const auto found = state_->servers.find(hash); found != state_->servers.end()) return found->second;
    if (before_)
        if (const auto found = before_->servers.find(hash); found != before_->servers.end()) return state_->servers[hash] = found->second;
    auto made = make();
    if (made) state_->servers[hash] = *made;
    return made;
}

std::shared_ptr<const snapshot::TlsState> Secrets::take() { return std::move(state_); }

std::vector<SecretNews> secret_news(const snapshot::TlsState* before, const snapshot::TlsState* now) {
    std::vector<SecretNews> out;
    if (!now) return out;
    for (const auto& [name, state] : now->secrets) {
        std::shared_ptr<const SecretState> old;
        if (before)
            if (const auto found = before->secrets.find(name); found != before->secrets.end()) old = found->second;
        if (old && old->newest_hash == state->newest_hash && old->refused.empty() == state->refused.empty()) continue;
        if (!state->refused.empty())
            out.push_back({true, "secret " + name + " REFUSED: " + state->refused + (state->cure.empty() ? "" : "; " + state->cure) +
                                     (state->hash != 0 ? "; the one before stays in force" : "; nothing of it was ever good: what needs it is closed")});
        else if (old && old->hash == 0)
            out.push_back({false, "secret " + name + " is in force: what waited for it is open"});
        else if (old && old->hash != state->hash)
            out.push_back({false, "secret " + name + " rotated: new handshakes use it, open connections stay"});
        else if (old && !old->refused.empty())
            out.push_back({false, "secret " + name + " is again what is in force"});
    }
    return out;
}

}  // namespace sluice::apply
