// The compiled form of a listener's filter chain matches: a tree with one level for each property, so that a look-up is one step a
// level however many chains there are. In: matches, at build time. Out: a tree that is never changed; find() works on the stack.
// Envoy listener.v3.FilterChainMatch; its FilterChainManagerImpl for what "most specific" means at each level.
#include "route/chain_match.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <unordered_map>

#include "route/text.h"

namespace sluice::route {
namespace {

struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename Next>
using ByText = std::unordered_map<std::string, Next, TextHash, std::equal_to<>>;
/// Longest prefix first.
template <typename Next>
using ByPrefix = std::vector<std::pair<IpPrefix, Next>>;
template <typename Next>
using ByPort = std::vector<std::pair<uint16_t, Next>>;

using SourcePorts = ByPort<int>;                               // 0: any
using SourceIps = ByPrefix<SourcePorts>;
using SourceTypes = std::array<SourceIps, 3>;                  // empty: no chain has that type
using Protocols = ByText<SourceTypes>;                         // "": any
using Transports = std::array<std::optional<Protocols>, 3>;
using ServerNames = ByText<Transports>;                        // shop.example, .shop.example for wildcards, "": any
using Destinations = ByPrefix<ServerNames>;

template <typename Next>
Next& at(ByPort<Next>& level, uint16_t port) {
    const auto there = std::find_if(level.begin(), level.end(), [&](const auto& entry) { return entry.first == port; });
    return there != level.end() ? there->second : level.emplace_back(port, Next{}).second;
}

/// An address family's whole range and "any" are the same to Envoy's trie: bits is 0 either way, so families are told apart by `ip`.
template <typename Next>
Next& at(ByPrefix<Next>& level, const IpPrefix& prefix) {
    const auto same = [&](const auto& entry) { return entry.first.bits == prefix.bits && entry.first.ip == prefix.ip; };
    const auto there = std::find_if(level.begin(), level.end(), same);
    if (there != level.end()) return there->second;
    const auto place = std::find_if(level.begin(), level.end(), [&](const auto& entry) { return entry.first.bits < prefix.bits; });
    return level.insert(place, {prefix, Next{}})->second;
}

template <typename Next>
const Next* find(const ByPort<Next>& level, uint16_t port) {
    const auto there = std::find_if(level.begin(), level.end(), [&](const auto& entry) { return entry.first == port; });
    return there == level.end() ? nullptr : &there->second;
}
template <typename Next>
const Next* find(const ByPrefix<Next>& level, const IpAddress& address) {
    for (const auto& [prefix, next] : level)
        if (prefix.contains(address)) return &next;
    return nullptr;
}
template <typename Next>
const Next* find(const ByText<Next>& level, std::string_view text) {
    const auto there = level.find(text);
    return there == level.end() ? nullptr : &there->second;
}

const IpPrefix kAnyIp[] = {{IpAddress::v4(0), 0}, {IpAddress{}, 0}};   // of each family
std::span<const IpPrefix> or_any(const std::vector<IpPrefix>& prefixes) {
    return prefixes.empty() ? std::span<const IpPrefix>(kAnyIp) : std::span<const IpPrefix>(prefixes);
}
template <typename T>
std::vector<T> or_any(const std::vector<T>& values) {
    return values.empty() ? std::vector<T>{T{}} : values;
}

/// The bits behind the prefix do not count: 10.1.2.3/8 is 10.0.0.0/8.
IpPrefix masked(IpPrefix prefix) {
    const size_t first = prefix.ip.is_v4() ? 12 : 0;
    for (size_t i = first; i < 16; i++) {
        const auto kept = std::clamp<int>(prefix.bits - 8 * static_cast<int>(i - first), 0, 8);
        prefix.ip.bytes[i] = static_cast<uint8_t>(prefix.ip.bytes[i] & (0xff00 >> kept));
    }
    return prefix;
}

/// How a name is kept: lower-case, a wildcard without its star. nullopt: it can never match.
std::optional<std::string> kept_name(const std::string& name) {
    const std::string lower = to_lower(name);
    const size_t star = lower.find('*');
    if (star == std::string::npos) return lower;
    if (!lower.starts_with("*.") || lower.size() < 3 || lower.find('*', 1) != std::string::npos) return std::nullopt;
    return lower.substr(1);
}

bool is_loopback(const IpAddress& ip) {
    if (ip.is_v4()) return ip.bytes[12] == 127;
    IpAddress one;
    one.bytes[15] = 1;
    return ip == one;
}

/// Puts `chain` behind the levels below the server name; the chain that is there already, or -1.
int add_below_name(Transports& transports, const ChainMatch& match, int chain) {
    auto& protocols = transports[static_cast<size_t>(match.transport)];
    if (!protocols) protocols.emplace();
    for (const std::string& protocol : or_any(match.alpn)) {
        SourceIps& sources = (*protocols)[protocol][static_cast<size_t>(match.source_type)];
        for (const IpPrefix& source : or_any(match.sources)) {
            SourcePorts& ports = at(sources, masked(source));
            for (const uint16_t port : or_any(match.source_ports)) {
                if (const int* there = find(ports, port)) return *there;
                at(ports, port) = chain;
            }
        }
    }
    return -1;
}

const SourceTypes* find_protocol(const Protocols& protocols, const ConnectionFacts& facts) {
    for (uint32_t i = 0; i < facts.alpn_count; i++)
        if (const auto* next = find(protocols, facts.alpn[i])) return next;
    return find(protocols, std::string_view());
}

/// www.shop.example, then .shop.example and .example, then any.
const Transports* find_name(const ServerNames& names, std::string_view name) {
    if (name.empty()) return find(names, name);
    if (const auto* exact = find(names, name)) return exact;
    for (size_t dot = name.find('.', 1); dot != std::string_view::npos && dot + 1 < name.size(); dot = name.find('.', dot + 1))
        if (const auto* wildcard = find(names, name.substr(dot))) return wildcard;
    return find(names, std::string_view());
}

const SourceIps* find_source_type(const SourceTypes& types, const ConnectionFacts& facts) {
    using Type = ChainMatch::SourceType;
    const bool local = facts.remote.ip == facts.local.ip || is_loopback(facts.remote.ip);
    const SourceIps& own = types[static_cast<size_t>(local ? Type::kSameIpOrLoopback : Type::kExternal)];
    return own.empty() ? &types[static_cast<size_t>(Type::kAny)] : &own;
}

}  // namespace

bool IpPrefix::contains(const IpAddress& address) const {
    return sluice::IpPrefix{ip, bits}.contains(address);
}

struct ChainIndex::Tree {
    ByPort<Destinations> ports;   // 0: any
};

std::expected<ChainIndex, std::string> ChainIndex::build(const std::vector<ChainMatch>& chains) {
    auto tree = std::make_shared<Tree>();
    ChainIndex index;
    index.matches_all_ = chains.size() == 1 && chains.front() == ChainMatch{};
    for (size_t i = 0; i < chains.size(); i++) {
        const ChainMatch& match = chains[i];
        index.needs_hello_ |= !match.server_names.empty() || match.transport != TransportProtocol::kAny || !match.alpn.empty();
        Destinations& destinations = at(tree->ports, match.destination_port);
        for (const IpPrefix& destination : or_any(match.destinations)) {
            ServerNames& names = at(destinations, masked(destination));
            for (const std::string& name : or_any(match.server_names)) {
                const auto kept = kept_name(name);
                if (!kept) return std::unexpected("filter chain " + std::to_string(i + 1) + ": server name \"" + name + "\": a star may only be the first label, as in *.shop.example");
                const int other = add_below_name(names[*kept], match, static_cast<int>(i));
                if (other == -1) continue;
                if (other == static_cast<int>(i)) return std::unexpected("filter chain " + std::to_string(i + 1) + " has a value twice");
                return std::unexpected("filter chains " + std::to_string(other + 1) + " and " + std::to_string(i + 1) + " match the same connections");
            }
        }
    }
    index.tree_ = std::move(tree);
    return index;
}

/// No way back: a level that has the most specific value decides, also where nothing fits below it.
int ChainIndex::find(const ConnectionFacts& facts) const {
    using route::find;
    if (!tree_) return -1;
    const Destinations* destinations = find(tree_->ports, facts.local.port);
    if (!destinations) destinations = find(tree_->ports, uint16_t{0});
    const ServerNames* names = destinations ? find(*destinations, facts.local.ip) : nullptr;
    const Transports* transports = names ? find_name(*names, facts.server_name) : nullptr;
    if (!transports) return -1;
    const auto* protocols = &(*transports)[static_cast<size_t>(facts.transport)];
    if (!*protocols) protocols = &(*transports)[static_cast<size_t>(TransportProtocol::kAny)];
    const SourceTypes* types = *protocols ? find_protocol(**protocols, facts) : nullptr;
    const SourcePorts* ports = types ? find(*find_source_type(*types, facts), facts.remote.ip) : nullptr;
    if (!ports) return -1;
    const int* chain = find(*ports, facts.remote.port);
    if (!chain) chain = find(*ports, uint16_t{0});
    return chain ? *chain : -1;
}

}  // namespace sluice::route
