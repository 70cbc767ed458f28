// SPIFFE IDs, strictly (see identity.h). SPIFFE-ID standard, section 2.
#include "tls/identity.h"

#include <algorithm>

namespace sluice::tls {

namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr size_t kIdBytesMax = 2048, kTrustDomainBytesMax = 255;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool in_trust_domain(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'; }
bool in_segment(char c) { return in_trust_domain(lower(c)); }

const char* path_problem(std::string_view path) {
    while (!path.empty()) {
        path.remove_prefix(1);   // the slash
        const std::string_view segment = path.substr(0, path.find('/'));
        if (segment.empty()) return "empty path segment or trailing slash";
        if (segment == "." || segment == "..") return "relative path segment";
        if (!std::all_of(segment.begin(), segment.end(), in_segment)) return "character not allowed in the path";
        path.remove_prefix(segment.size());
    }
    return nullptr;
}

/// The parts of /ns/NAMESPACE/sa/ACCOUNT; false for another shape.
bool split_istio(std::string_view path, std::string_view& ns, std::string_view& account) {
    if (!path.starts_with("/ns/")) return false;
    path.remove_prefix(4);
    const size_t slash = path.find('/');
    if (slash == std::string_view::npos || !path.substr(slash).starts_with("/sa/")) return false;
    const std::string_view rest = path.substr(slash + 4);
    if (rest.empty() || rest.find('/') != std::string_view::npos) return false;
    ns = path.substr(0, slash);
    account = rest;
    return true;
}

}  // namespace

std::string_view SpiffeId::ns() const {
    std::string_view ns, account;
    return split_istio(path, ns, account) ? ns : std::string_view();
}

std::string_view SpiffeId::service_account() const {
    std::string_view ns, account;
    return split_istio(path, ns, account) ? account : std::string_view();
}

std::expected<SpiffeId, std::string> parse_spiffe_id(std::string_view uri) {
    if (uri.size() > kIdBytesMax) return std::unexpected("longer than 2,048 bytes");
    if (uri.size() < kScheme.size() ||
        !std::equal(kScheme.begin(), kScheme.end(), uri.begin(), [](char a, char b) { return a == lower(b); }))
        return std::unexpected("scheme is not spiffe");
    const std::string_view rest = uri.substr(kScheme.size());
    const std::string_view trust_domain = rest.substr(0, rest.find('/'));
    if (trust_domain.empty()) return std::unexpected("no trust domain");
    if (trust_domain.size() > kTrustDomainBytesMax) return std::unexpected("trust domain longer than 255 bytes");
    if (!std::all_of(trust_domain.begin(), trust_domain.end(), in_trust_domain))
        return std::unexpected("character not allowed in the trust domain (no port, user, query, fragment, escape or capital)");
    const std::string_view path = rest.substr(trust_domain.size());
    if (const char* problem = path_problem(path)) return std::unexpected(problem);
    return SpiffeId{std::string(uri), std::string(trust_domain), std::string(path)};
}

std::string_view PeerIdentity::principal() const {
    return spiffe.text.empty() ? std::string_view() : std::string_view(spiffe.text).substr(kScheme.size());
}

}  // namespace sluice::tls
