// Mesh config -> the xDS resources of one proxy, with istiod's names and shapes.
// In: a MeshConfig that check() passed, and who the proxy is. Out: a ResourceSet, or why there is none.
// Pure function; the result owns its messages.
// Envoy v3 xDS; Istio networking API v1. docs/istio.md says where we differ from istiod.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ctrl/model/diagnostic.h"
#include "ctrl/model/mesh_config.h"
#include "ctrl/xds/resources.h"

namespace sluice::translate {

// A file of certificates or keys as it was read; `error` says in words why it was not.
struct FileText {
    std::string text, error;
    bool operator==(const FileText&) const = default;
};

struct ProxyNode {
    std::string id;
    std::string ns = "istio-system";
    model::Labels labels;                        // what Gateway selectors match
    std::string locality;                        // region/zone/subzone
    std::vector<std::string> listen_addresses;   // IPs of the ports marked `listen`; none: 0.0.0.0
    std::string access_log_path = "/dev/stdout";  // empty: no access log
    bool access_log_json = false;                // else Envoy's default text
    std::string trust_domain = "cluster.local";
    std::vector<std::string> trust_domain_aliases;
    struct Identity {
        std::string certificate, private_key, roots;   // files
        bool empty() const { return certificate.empty(); }
    } identity;                                  // of ISTIO_MUTUAL and automatic mutual TLS; empty: none
    uint32_t num_trusted_proxies = 0;            // whose X-Forwarded-For is believed
    std::string forward_client_cert = "SANITIZE_SET";   // Envoy's ForwardClientCertDetails
    struct CaCertificates {
        std::string pem, file;                   // one of them
        std::vector<std::string> trust_domains;  // empty: ours and its aliases
    };
    std::vector<CaCertificates> ca_certificates; // roots of peers beside the identity's, by trust domain
    std::string mesh_directory;                  // what relative paths of certificates count from
    // By path as certificate_files() lists it. Null: files are not looked at (an analysis elsewhere).
    std::shared_ptr<const std::map<std::string, FileText>> files;
};

// Paths as they are written in the mesh and in the identity, of all files that a translation asks for.
std::set<std::string> certificate_files(const model::MeshConfig& mesh, const ProxyNode& node);
// Istio's word for the machine's own root certificates, in place of a path.
inline constexpr char kSystemRoots[] = "system";

// Warnings are appended to `warnings` when it is given: a VirtualService that reaches no server, say.
std::expected<xds::ResourceSet, std::vector<Diagnostic>> translate(const model::MeshConfig& mesh, const ProxyNode& node,
                                                                   std::vector<Diagnostic>* warnings = nullptr);

// Warnings about certificates: for other hosts than their server's (SLC0142), near their end (SLC0143). With `refusals` also, as errors
// (SLC0145), what a gateway would refuse.
void check_certificates(const xds::ResourceSet& resources, int64_t now_s, bool refusals, std::vector<Diagnostic>& out);

/// The same again and again: an edit costs the clusters of the services, and the virtual hosts of the VirtualServices, that it touches;
/// only an edit of a Gateway makes all anew. Resources that did not change are the same ones. Objects are told apart by identity, as
/// source::MeshReader keeps it.
class Translator {
 public:
    Translator();
    ~Translator();
    /// `node` is the same each time but for the files of certificates.
    std::expected<xds::ResourceSet, std::vector<Diagnostic>> translate(std::shared_ptr<const model::MeshConfig> mesh, const ProxyNode& node,
                                                                       std::vector<Diagnostic>* warnings = nullptr);
    /// What the last call made.
    struct Work {
        bool whole = false;   // all anew
        size_t services = 0, virtual_services = 0;
        bool secrets = false;
    };
    const Work& work() const;
    bool whole() const { return work().whole; }

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::translate
