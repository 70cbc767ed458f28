// The secrets of one build: each is checked once when its content is new; one that is refused leaves the content before it in force.
// In: SDS Secret resources, and what the build before kept. Out: good content by name, and the state of each for operators.
// Private keys are never part of a message. Control thread. Envoy transport_sockets.tls.v3.Secret.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ctrl/apply/nack.h"
#include "ctrl/xds/resources.h"
#include "snapshot/tls_state.h"

namespace sluice::apply {

using SecretProto = envoy::extensions::transport_sockets::tls::v3::Secret;

class Secrets {
 public:
    /// `before` may be nullptr. With `strict` a secret that is newly wrong is also a refusal in `sink`.
    Secrets(const xds::ResourceSet& resources, const snapshot::TlsState* before, int64_t now_s, bool strict, NackSink& sink);

    struct Found {
        const SecretProto* content = nullptr;   // nullptr: not there, or nothing of it was ever good
        uint64_t hash = 0;
    };
    Found find(const std::string& name) const;
    /// When certificates in force are asked for: a certificate that ran out while in force goes on being served, loudly.
    int64_t time_for(const std::vector<std::string>& names) const;
    int64_t now_s() const { return now_s_; }

    /// A listener's context with this hash: of this build, of the one before, or made now. An error is the parameters'.
    using Made = std::expected<std::shared_ptr<const tls::ServerContext>, tls::ContextError>;
    Made server(uint64_t hash, const std::function<Made()>& make);

    std::shared_ptr<const snapshot::TlsState> take();

 private:
    struct Offered {
        const xds::Resource<SecretProto>& resource;
        xds::Provenance place;
        std::string error;   // instead of content
    };
    void read(const std::string& name, const Offered& offered, bool strict, NackSink& sink);

    const snapshot::TlsState* before_;
    const int64_t now_s_;
    std::shared_ptr<snapshot::TlsState> state_ = std::make_shared<snapshot::TlsState>();
};

/// The bytes of a DataSource; nothing: they are elsewhere (a file, the environment), which is not looked at.
std::optional<std::string> inline_bytes(const envoy::config::core::v3::DataSource& in);

/// What changed of secrets between two snapshots, in words for the log; errors (refusals) are told apart.
struct SecretNews {
    bool refused = false;
    std::string text;
};
std::vector<SecretNews> secret_news(const snapshot::TlsState* before, const snapshot::TlsState* now);

}  // namespace sluice::apply
