// Which filter chain of a listener a new connection gets: Envoy's FilterChainMatch, compiled at build time.
// In: what is known of the connection before its first byte is answered. Out: an index into the listener's chains.
// Immutable part of a Listener; pure look-up without allocation. Envoy listener.v3.FilterChainMatch: destination port, destination
// address, server name, transport protocol, application protocols, source type, source address, source port, in this order; at each
// step the most specific value that some chain has, without going back.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"

namespace sluice::route {

struct IpPrefix {
    IpAddress ip;
    uint8_t bits = 0;
    bool contains(const IpAddress& address) const;
    bool operator==(const IpPrefix&) const = default;
};

enum class TransportProtocol : uint8_t { kAny, kRaw /* raw_buffer */, kTls };

struct ChainMatch {
    uint16_t destination_port = 0;                 // 0: any
    std::vector<IpPrefix> destinations{};          // empty: any
    std::vector<std::string> server_names{};       // exact, or *.suffix; lower-case; empty: any
    TransportProtocol transport = TransportProtocol::kAny;
    std::vector<std::string> alpn{};               // empty: any
    enum class SourceType : uint8_t { kAny, kSameIpOrLoopback, kExternal } source_type = SourceType::kAny;
    std::vector<IpPrefix> sources{};
    std::vector<uint16_t> source_ports{};
    bool operator==(const ChainMatch&) const = default;
};

struct ConnectionFacts {
    SocketAddress local, remote;
    std::string_view server_name;                  // lower-case; empty: none
    TransportProtocol transport = TransportProtocol::kRaw;
    const std::string_view* alpn = nullptr;        // as the client prefers them
    uint32_t alpn_count = 0;
};

class ChainIndex {
 public:
    ChainIndex() = default;
    /// Refuses two chains that some connection would match alike ("filter chains 1 and 3 match the same connections") and what cannot
    /// match (a wildcard inside a name).
    static std::expected<ChainIndex, std::string> build(const std::vector<ChainMatch>& chains);
    /// -1: none; the listener's default chain, if any, is the caller's.
    int find(const ConnectionFacts& facts) const;
    /// Some chain looks at the server name, the transport or ALPN: the first bytes must be waited for.
    bool needs_hello() const { return needs_hello_; }
    /// Built of one chain without a condition, or not built: the listener's only chain takes every connection.
    bool matches_all() const { return matches_all_; }

 private:
    struct Tree;   // one level for each property, in the order above
    std::shared_ptr<const Tree> tree_;
    bool needs_hello_ = false, matches_all_ = true;
};

}  // namespace sluice::route
