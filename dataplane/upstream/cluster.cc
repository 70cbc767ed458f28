// What two transport sockets must have in common for their connections to serve the same requests.
#include "upstream/cluster.h"

#include <functional>

namespace sluice::upstream {
namespace {

void add(uint64_t& hash, std::string_view text) { hash = (hash ^ std::hash<std::string_view>()(text)) * 0x9e3779b97f4a7c15ull + 1; }

}  // namespace

uint64_t hash_settings(const tls::ClientPeer& peer, std::string_view parameters) {
    uint64_t hash = 1;
    add(hash, parameters);
    add(hash, peer.sni);
    add(hash, peer.verify_host);
    for (const auto& matcher : peer.subject_alt_names) {
        add(hash, matcher.text);
        hash = hash * 31 + static_cast<uint64_t>(matcher.type) * 16 + static_cast<uint64_t>(matcher.kind) * 2 + matcher.ignore_case;
    }
    for (const auto& protocol : peer.alpn) add(hash, protocol);
    return hash ? hash : 1;
}

}  // namespace sluice::upstream
