// Certificates looked at beside the servers they are for: other hosts, an end that is near; and, for an analysis, what a gateway would refuse.
// In: the resources of a translation. Out: findings at the server, or at the Secret. No byte of a certificate or key is in them.
// Owns nothing.
// RFC 6125 6.4.3: a wildcard stands for one label.
#include <algorithm>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "ctrl/model/names.h"
#include "ctrl/translate/parts.h"
#include "tls/context.h"

namespace sluice::translate {
namespace {

constexpr int64_t kDay = 86400, kSoon = 14 * kDay;

Diagnostic finding_at(const xds::Provenance& place, std::string code, std::string message, std::string cure) {
    Diagnostic d;
    d.code = std::move(code), d.object = place.object, d.field = place.field, d.message = std::move(message), d.cure = std::move(cure);
    if (d.code != "SLC0145" && d.code != "SLC0141") d.severity = Severity::kWarning;
    const size_t colon = place.source.rfind(':');
    const std::string line = colon == std::string::npos ? "" : place.source.substr(colon + 1);
    const bool placed = !line.empty() && line.size() < 9 && line.find_first_not_of("0123456789") == line.npos;
    d.file = placed ? place.source.substr(0, colon) : place.source;
    if (placed) d.line = std::stoi(line);
    return d;
}

/// `san` as in CertificateInfo: DNS:*.example.
bool covers_host(const std::string& san, const std::string& host) {
    if (!san.starts_with("DNS:")) return false;
    const std::string name = model::lower(san.substr(4));
    if (name == host) return true;
    if (!name.starts_with("*.")) return false;
    const size_t dot = host.find('.');
    return dot != host.npos && dot > 0 && host.substr(0, dot).find('*') == host.npos && host.substr(dot) == name.substr(1);
}

struct Looked {
    std::vector<tls::CertificateInfo> certificates;   // empty: unreadable
};

class CertificateCheck {
 public:
    CertificateCheck(const xds::ResourceSet& resources, int64_t now_s, bool refusals, std::vector<Diagnostic>& out)
        : resources_(resources), now_s_(now_s), refusals_(refusals), out_(out) {}

    void run() {
        for (const auto& [name, secret] : resources_.secrets) {
            const auto error = resources_.secret_errors.find(name);
            if (error == resources_.secret_errors.end()) look(name, *secret);
            else if (refusals_) out_.push_back(finding_at(place_of(name), "SLC0141", error->second, ""));
        }
        for (const auto& [name, listener] : resources_.listeners)
            for (const auto& chain : listener->filter_chains()) server(chain);
    }

 private:
    xds::Provenance place_of(const std::string& secret) const {
        const auto found = resources_.secret_places.find(secret);
        return found == resources_.secret_places.end() ? xds::Provenance{} : found->second;
    }

    void look(const std::string& name, const tls_pb::Secret& secret) {
        if (!secret.has_tls_certificate()) return;
        const std::string& chain = secret.tls_certificate().certificate_chain().inline_bytes();
        if (refusals_) {
            tls::ServerOptions options;
            options.certificates.push_back({chain, secret.tls_certificate().private_key().inline_bytes(), "", name});
            if (const auto made = tls::ServerContext::create(std::move(options), now_s_); !made) out_.push_back(finding_at(place_of(name), "SLC0145", made.error().what, made.error().cure));
        }
        const auto read = tls::read_certificates(chain, name);
        if (!read || read->empty()) return;
        looked_[name].certificates = *read;
        int64_t ends = read->front().not_after_s;
        for (const auto& one : *read) ends = std::min(ends, one.not_after_s);
        if (ends < now_s_) {
            if (!refusals_) out_.push_back(finding_at(place_of(name), "SLC0143", fmt::format("{} expired on {:%F}", name, fmt::gmtime(static_cast<std::time_t>(ends))), ""));
        } else if (ends < now_s_ + kSoon) {
            out_.push_back(finding_at(place_of(name), "SLC0143", fmt::format("{} expires in {} days, on {:%F}", name, (ends - now_s_) / kDay, fmt::gmtime(static_cast<std::time_t>(ends))), ""));
        }
    }

    void server(const envoy::config::listener::v3::FilterChain& chain) {
        tls_pb::DownstreamTlsContext context;
        if (!chain.has_transport_socket() || !chain.transport_socket().typed_config().UnpackTo(&context)) return;
        for (const std::string& host : chain.filter_chain_match().server_names()) {
            if (covered(context, host)) continue;
            const std::string& name = context.common_tls_context().tls_certificate_sds_secret_configs(0).name();
            out_.push_back(finding_at(xds::provenance(chain.metadata()), "SLC0142", fmt::format("the certificate {} is for {}, not for {}", name, names_of(name), host), ""));
        }
    }

    /// Unknown certificates are not judged, nor identities of the mesh, which name no host.
    bool covered(const tls_pb::DownstreamTlsContext& context, const std::string& host) const {
        for (const auto& config : context.common_tls_context().tls_certificate_sds_secret_configs()) {
            const auto found = looked_.find(config.name());
            if (found == looked_.end() || config.name() == "default") return true;
            const auto& sans = found->second.certificates.front().sans;
            if (std::any_of(sans.begin(), sans.end(), [&](const std::string& san) { return covers_host(san, host); })) return true;
        }
        return context.common_tls_context().tls_certificate_sds_secret_configs().empty();
    }

    std::string names_of(const std::string& name) const {
        const auto found = looked_.find(name);
        std::string out;
        if (found != looked_.end())
            for (const std::string& san : found->second.certificates.front().sans) out += (out.empty() ? "" : ", ") + san;
        return out.empty() ? "no name" : out.substr(0, 200);
    }

    const xds::ResourceSet& resources_;
    const int64_t now_s_;
    const bool refusals_;
    std::vector<Diagnostic>& out_;
    std::map<std::string, Looked> looked_;
};

}  // namespace

void check_certificates(const xds::ResourceSet& resources, int64_t now_s, bool refusals, std::vector<Diagnostic>& out) {
    CertificateCheck(resources, now_s, refusals, out).run();
}

}  // namespace sluice::translate
