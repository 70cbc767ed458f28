// The SDS Secret resources of a translation, made once for all who ask for them: contexts name secrets, and hold nothing of them.
// In: asks, Secret objects, files as they were read. Out: Secrets, where they are from, why one has no content; findings where one is not there.
// Borrows the mesh for the length of one making. Private keys are never part of a message.
// istiod's names: kubernetes://NAME, kubernetes://NAME-cacert, file-cert:CERT~KEY, file-root:CA, default, ROOTCA.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ctrl/model/mesh_config.h"
#include "ctrl/translate/translate.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"

namespace sluice::translate {

// Whose settings ask for secrets, and where.
struct SecretAsker {
    const model::ObjectBase* object;   // null: the gateway's own file
    std::string path;

    void report(std::vector<Diagnostic>& errors, std::string code, const std::string& field, std::string message, std::string cure) const;
};

class SecretMaker;

// What one unit of a translation asks for.
struct SecretAsks {
    bool identity = false;                                    // the gateway's own: the same two secrets for everybody
    std::vector<std::function<void(SecretMaker&)>> others;
    bool empty() const { return !identity && others.empty(); }
};

// What of a ResourceSet it makes.
struct MadeSecrets {
    xds::Resources<envoy::extensions::transport_sockets::tls::v3::Secret> secrets;
    std::map<std::string, xds::Provenance> places;
    std::map<std::string, std::string> errors;
};

class SecretMaker {
 public:
    SecretMaker(const model::MeshConfig& mesh, const ProxyNode& node, std::vector<Diagnostic>& errors);

    void identity();
    void kubernetes_certificate(const SecretAsker& asker, const std::string& field, const std::string& name);
    void kubernetes_roots(const SecretAsker& asker, const std::string& field, const std::string& name);
    struct CertificateFiles {
        std::string certificate, key;
        const char* certificate_field;
    };
    void file_certificate(const SecretAsker& asker, const std::string& resource, const CertificateFiles& files);
    struct RootFiles {
        std::string roots, crl;
        const char* roots_field;
    };
    void file_roots(const SecretAsker& asker, const std::string& resource, const RootFiles& files);

    MadeSecrets take() { return std::move(out_); }

 private:
    friend class FileSecret;
    void identity_bundles(const SecretAsker& asker);
    const model::Secret* find(const std::string& name) const;
    void missing(const SecretAsker& asker, const std::string& field, const std::string& name);
    void put(envoy::extensions::transport_sockets::tls::v3::Secret secret, xds::Provenance place);

    const model::MeshConfig& mesh_;
    const ProxyNode& node_;
    std::vector<Diagnostic>& errors_;
    std::map<std::string, const model::Secret*> ours_;   // of the gateway's namespace, by name
    MadeSecrets out_;
};

std::vector<std::string> own_trust_domains(const ProxyNode& node);
std::string kubernetes_certificate_name(const std::string& name);
std::string kubernetes_roots_name(const std::string& name);

}  // namespace sluice::translate
