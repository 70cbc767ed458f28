// Which filter chain a connection gets: Envoy's order of properties, the most specific value at each, no way back; what is refused.
#include "route/chain_match.h"

#include <gtest/gtest.h>

namespace sluice::route {
namespace {

IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }

/// One connection; what a test does not set is as usual.
struct Connection {
    std::string_view server_name = {};
    TransportProtocol transport = TransportProtocol::kTls;
    std::vector<std::string_view> alpn = {};
    std::string_view from = "198.51.100.7", to = "192.0.2.1";
    uint16_t from_port = 40000, to_port = 443;
};

int find(const std::vector<ChainMatch>& chains, const Connection& c) {
    const auto index = ChainIndex::build(chains);
    if (!index) {
        ADD_FAILURE() << index.error();
        return -2;
    }
    return index->find({{ip(c.to), c.to_port}, {ip(c.from), c.from_port}, c.server_name, c.transport, c.alpn.data(), static_cast<uint32_t>(c.alpn.size())});
}

TEST(ChainMatch, NoChainsMatchNothing) {
    EXPECT_EQ(ChainIndex().find({}), -1);
    EXPECT_EQ(find({}, {}), -1);
    EXPECT_EQ(find({{}}, {}), 0);
}

TEST(ChainMatch, ExactNameBeforeLongestWildcardBeforeAny) {
    const std::vector<ChainMatch> chains = {{}, {.server_names = {"*.example"}}, {.server_names = {"*.shop.example"}}, {.server_names = {"www.shop.example", "OTHER.example"}}};
    EXPECT_EQ(find(chains, {.server_name = "www.shop.example"}), 3);
    EXPECT_EQ(find(chains, {.server_name = "other.example"}), 3);
    EXPECT_EQ(find(chains, {.server_name = "api.shop.example"}), 2);
    EXPECT_EQ(find(chains, {.server_name = "a.b.shop.example"}), 2);
    EXPECT_EQ(find(chains, {.server_name = "shop.example"}), 1);
    EXPECT_EQ(find(chains, {.server_name = "example"}), 0);
    EXPECT_EQ(find(chains, {.server_name = "shop.test"}), 0);
    EXPECT_EQ(find(chains, {}), 0);
}

TEST(ChainMatch, TransportTellsPlainTextFromTls) {
    const std::vector<ChainMatch> permissive = {{.transport = TransportProtocol::kTls}, {.transport = TransportProtocol::kRaw}};
    EXPECT_EQ(find(permissive, {}), 0);
    EXPECT_EQ(find(permissive, {.transport = TransportProtocol::kRaw}), 1);
    const std::vector<ChainMatch> any = {{.transport = TransportProtocol::kTls}, {}};
    EXPECT_EQ(find(any, {.transport = TransportProtocol::kRaw}), 1);
}

TEST(ChainMatch, ApplicationProtocolsAsTheClientPrefersThem) {
    const std::vector<ChainMatch> chains = {{.alpn = {"http/1.1", "http/1.0"}}, {.alpn = {"h2"}}, {}};
    EXPECT_EQ(find(chains, {.alpn = {"h2", "http/1.1"}}), 1);
    EXPECT_EQ(find(chains, {.alpn = {"http/1.1", "h2"}}), 0);
    EXPECT_EQ(find(chains, {.alpn = {"spdy"}}), 2);
    EXPECT_EQ(find(chains, {}), 2);
}

/// Envoy's documentation: after the most specific server name nothing else is tried.
TEST(ChainMatch, NoWayBack) {
    const std::vector<ChainMatch> chains = {{.server_names = {"www.shop.example"}, .alpn = {"h2"}}, {.server_names = {"*.shop.example"}}, {}};
    EXPECT_EQ(find(chains, {.server_name = "www.shop.example", .alpn = {"h2"}}), 0);
    EXPECT_EQ(find(chains, {.server_name = "www.shop.example", .alpn = {"http/1.1"}}), -1);
    const std::vector<ChainMatch> ports = {{.destination_port = 443, .server_names = {"a.example"}}, {}};
    EXPECT_EQ(find(ports, {.server_name = "b.example"}), -1) << "a chain names this port, so port 0 is not looked at";
    EXPECT_EQ(find(ports, {.server_name = "b.example", .to_port = 8443}), 1);
}

TEST(ChainMatch, DestinationByLongestPrefix) {
    const std::vector<ChainMatch> chains = {{}, {.destinations = {{ip("192.0.2.0"), 24}}}, {.destinations = {{ip("192.0.2.1"), 32}, {ip("2001:db8::1"), 128}}}};
    EXPECT_EQ(find(chains, {.to = "192.0.2.1"}), 2);
    EXPECT_EQ(find(chains, {.to = "192.0.2.9"}), 1);
    EXPECT_EQ(find(chains, {.to = "203.0.113.1"}), 0);
    EXPECT_EQ(find(chains, {.from = "2001:db8::9", .to = "2001:db8::1"}), 2);
    EXPECT_EQ(find(chains, {.from = "2001:db8::9", .to = "2001:db8::2"}), 0);
}

TEST(ChainMatch, SourceTypeAddressAndPort) {
    using Type = ChainMatch::SourceType;
    const std::vector<ChainMatch> chains = {{.source_type = Type::kSameIpOrLoopback}, {.source_type = Type::kExternal, .sources = {{ip("198.51.100.0"), 24}}},
                                            {.sources = {{ip("10.0.0.0"), 8}}, .source_ports = {7000, 7001}}, {.sources = {{ip("10.0.0.0"), 8}}}};
    EXPECT_EQ(find(chains, {.from = "127.0.0.1", .to = "192.0.2.1"}), 0);
    EXPECT_EQ(find(chains, {.from = "192.0.2.1", .to = "192.0.2.1"}), 0);
    EXPECT_EQ(find(chains, {}), 1);
    EXPECT_EQ(find(chains, {.from = "10.1.1.1"}), -1) << "a chain has the type: others of any type are not looked at";
    const std::vector<ChainMatch> any(chains.begin() + 2, chains.end());
    EXPECT_EQ(find(any, {.from = "10.1.1.1", .from_port = 7001}), 0);
    EXPECT_EQ(find(any, {.from = "10.1.1.1"}), 1);
}

TEST(ChainMatch, RefusesWhatMatchesAlike) {
    const auto error = [](const std::vector<ChainMatch>& chains) {
        const auto built = ChainIndex::build(chains);
        return built ? std::string("built") : built.error();
    };
    EXPECT_EQ(error({{}, {.alpn = {"h2"}}, {}}), "filter chains 1 and 3 match the same connections");
    EXPECT_EQ(error({{.server_names = {"a.example", "b.example"}}, {.server_names = {"B.example"}}}), "filter chains 1 and 2 match the same connections");
    EXPECT_EQ(error({{.destinations = {{ip("10.1.2.3"), 8}}}, {.destinations = {{ip("10.0.0.0"), 8}}}}), "filter chains 1 and 2 match the same connections");
    EXPECT_EQ(error({{.server_names = {"a.example", "a.example"}}}), "filter chain 1 has a value twice");
    for (const char* name : {"www.*.example", "*shop.example", "*", "*."})
        EXPECT_NE(error({{.server_names = {name}}}).find("a star may only be the first label"), std::string::npos) << name;
}

TEST(ChainMatch, NeedsTheFirstBytesWhereAChainLooksAtThem) {
    EXPECT_FALSE(ChainIndex::build({{}, {.destination_port = 80}})->needs_hello());
    EXPECT_TRUE(ChainIndex::build({{.server_names = {"a.example"}}})->needs_hello());
    EXPECT_TRUE(ChainIndex::build({{.transport = TransportProtocol::kTls}})->needs_hello());
    EXPECT_TRUE(ChainIndex::build({{.alpn = {"h2"}}})->needs_hello());
    EXPECT_TRUE(ChainIndex().matches_all());
    EXPECT_TRUE(ChainIndex::build({{}})->matches_all());
    EXPECT_FALSE(ChainIndex::build({})->matches_all());
    EXPECT_FALSE(ChainIndex::build({{.destination_port = 80}})->matches_all());
}

}  // namespace
}  // namespace sluice::route
