// By=...;Hash=...;Cert="...";Chain="...";Subject="...";URI=...;DNS=...: the keys that are configured, in Envoy's order.
#include "proxy/client_cert.h"

#include <cstring>
#include <utility>

namespace sluice::proxy {
namespace {

using Forward = snapshot::HttpConnectionManager::ForwardClientCert;

bool presented(const TlsInfo* tls) { return tls && tls->peer->presented; }

/// Calls f(text, bare) for every piece of the element, in order; bare: a value without quotes around it.
template <typename F>
void for_each_piece(const snapshot::HttpConnectionManager::ClientCertDetails& wanted, const TlsInfo& tls, F&& f) {
    constexpr std::string_view kUri = "URI:";
    bool first = true;
    const auto pair = [&](std::string_view key, std::string_view value, std::string_view quote = {}) {
        if (!std::exchange(first, false)) f(";", false);
        f(key, false), f("=", false), f(quote, false), f(value, quote.empty()), f(quote, false);
    };
    if (tls.local)
        for (const std::string& san : tls.local->sans)
            if (san.starts_with(kUri)) pair("By", std::string_view(san).substr(kUri.size()));
    const tls::PeerIdentity& peer = *tls.peer;
    if (!peer.sha256.empty()) pair("Hash", peer.sha256);
    if (wanted.cert && !peer.pem_url_encoded.empty()) pair("Cert", peer.pem_url_encoded, "\"");
    if (wanted.chain && !peer.chain_url_encoded.empty()) pair("Chain", peer.chain_url_encoded, "\"");
    if (wanted.subject) pair("Subject", peer.subject, "\"");
    if (wanted.uri && peer.uri_sans.empty()) pair("URI", {});
    if (wanted.uri)
        for (const std::string& uri : peer.uri_sans) pair("URI", uri);
    if (wanted.dns)
        for (const std::string& name : peer.dns_sans) pair("DNS", name);
}

/// A certificate's owner chose the text: it must not end the field, nor look like another key or element.
char safe(char c, bool bare) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return '?';
    return bare && (c == ';' || c == ',' || c == '"') ? '?' : c;
}

}  // namespace

bool keeps_client_cert(const snapshot::HttpConnectionManager& config, const TlsInfo* tls) {
    switch (config.forward_client_cert) {
        case Forward::kAlwaysForwardOnly: return true;
        case Forward::kForwardOnly:
        case Forward::kAppendForward: return presented(tls);
        case Forward::kSanitize:
        case Forward::kSanitizeSet: break;
    }
    return false;
}

bool add_client_cert(const snapshot::HttpConnectionManager& config, const TlsInfo* tls, http::HeaderList& headers) {
    const bool append = config.forward_client_cert == Forward::kAppendForward;
    if ((!append && config.forward_client_cert != Forward::kSanitizeSet) || !presented(tls)) return true;
    Arena& arena = headers.arena();
    std::string_view before;
    if (append) {
        const auto there = headers.joined("x-forwarded-client-cert", arena);
        if (there && !there->data()) return false;
        before = there.value_or(std::string_view());
    }
    size_t size = before.empty() ? 0 : before.size() + 1;
    for_each_piece(config.client_cert_details, *tls, [&](std::string_view piece, bool) { size += piece.size(); });
    char* const text = static_cast<char*>(arena.allocate(size ? size : 1, 1));
    if (!text) return false;
    char* at = text;
    if (!before.empty()) {
        std::memcpy(at, before.data(), before.size());
        at += before.size();
        *at++ = ',';
    }
    for_each_piece(config.client_cert_details, *tls, [&](std::string_view piece, bool bare) {
        for (const char c : piece) *at++ = safe(c, bare);
    });
    return headers.set(http::HeaderId::kXForwardedClientCert, {text, size});
}

}  // namespace sluice::proxy
