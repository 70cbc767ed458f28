// Contexts by what is asked of them.
// In: settings. Out: contexts, made anew where a secret of theirs changed.
// Keeps the settings of each for the next build: there are few.
// Envoy transport_sockets.tls.v3.UpstreamTlsContext.
#include "ctrl/apply/client_contexts.h"

#include "ctrl/apply/readers.h"

namespace sluice::apply {
namespace {

namespace pb = tls_pb;

/// Clusters differ by peer; what is left is mostly the same.
std::shared_ptr<const pb::UpstreamTlsContext> without_peer(const pb::UpstreamTlsContext& in) {
    auto bare = std::make_shared<pb::UpstreamTlsContext>(in);
    bare->clear_sni();
    auto& common = *bare->mutable_common_tls_context();
    common.clear_alpn_protocols();
    auto* validation = common.has_combined_validation_context() ? common.mutable_combined_validation_context()->mutable_default_validation_context()
                       : common.has_validation_context()        ? common.mutable_validation_context()
                                                                : nullptr;
    if (validation) validation->clear_match_subject_alt_names(), validation->clear_match_typed_subject_alt_names();
    return bare;
}

}  // namespace

ClientContexts::ClientContexts(const Secrets& secrets, const TlsInputs& inputs, snapshot::Publisher& publisher, const From& from)
    : secrets_(secrets), inputs_(inputs), publisher_(publisher) {
    if (!from.previous || !from.before) return;
    for (const auto& [id, origin] : from.before->contexts) take_over(id, origin, from);
}

void ClientContexts::take_over(uint32_t id, const ContextOrigin& before, const From& from) {
    Made made{before, from.previous->client_context(id), {id, before.settings_hash, before.secret_names}};
    if (hash_of_secrets(secrets_, before.secrets) != before.secrets_hash) {
        NackSink unheard;   // who asks for it again is refused in its own name
        made = {};
        if (!make(before.settings, made, At(unheard))) return;
        made.found.id = id;
        if (content_hash(made.found.secret_names) != content_hash(before.secret_names)) renamed_.insert(id);
    }
    made_.emplace(id, std::move(made));
}

bool ClientContexts::make(const std::shared_ptr<const pb::UpstreamTlsContext>& settings, Made& out, const At& at) const {
    const At here = at.child("common_tls_context");
    Materials materials;
    if (!read_materials(secrets_, settings->common_tls_context(), materials, here)) return false;
    tls::ClientOptions options;
    options.certificates = materials.certificates;
    options.parameters.key_log_path = inputs_.key_log_path;
    if (settings->has_max_session_keys()) options.sessions_max = settings->max_session_keys().value();
    if (!(read_parameters(settings->common_tls_context().tls_params(), options.parameters, here.child("tls_params")) &
          read_verification(materials, options.verification, here)))
        return false;
    // Envoy: without anything to verify by, every certificate is taken.
    if (!materials.validates) options.verification.accept_untrusted = true;
    if (!materials.missing) {
        auto made = tls::ClientContext::create(std::move(options), secrets_.time_for(materials.secrets));
        if (!made) return here.refuse(made.error().what + (made.error().cure.empty() ? "" : ": " + made.error().cure));
        out.context = std::move(*made);
    }
    out.origin = {settings, content_hash(*settings), materials.hash, std::move(materials.secrets), materials.secret_names};
    out.found = {0, out.origin.settings_hash, std::move(materials.secret_names)};
    return true;
}

const ClientContexts::Found* ClientContexts::find(const pb::UpstreamTlsContext& in, const At& at) {
    const auto settings = without_peer(in);
    const uint64_t hash = mix(content_hash(*settings), inputs_.key_log_path);
    const uint32_t id = publisher_.id_of(snapshot::Publisher::IdKind::kClientContext, std::to_string(hash));
    if (id == UINT32_MAX) return at.refuse("more TLS contexts than this gateway has room for"), nullptr;
    auto known = made_.find(id);
    if (known == made_.end()) {
        Made made;
        if (!make(settings, made, at)) return nullptr;
        made.found.id = id;
        known = made_.emplace(id, std::move(made)).first;
    }
    return &known->second.found;
}

std::vector<std::shared_ptr<const tls::ClientContext>> ClientContexts::take(Origin& origin) {
    std::vector<std::shared_ptr<const tls::ClientContext>> out;
    for (auto& [id, made] : made_) {
        if (!made.used) continue;
        if (out.size() <= id) out.resize(id + 1);
        out[id] = std::move(made.context);
        origin.contexts.emplace(id, std::move(made.origin));
    }
    return out;
}

}  // namespace sluice::apply
