// The JSON schema and the reader name the same fields, words, defaults and numbers, and the demo's file passes both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "ctrl/host/gateway_host.h"

namespace sluice::host {
namespace {

using nlohmann::json;

json schema() {
    std::ifstream in(SLUICE_SOURCE_ROOT "/configs/schema/sluice.schema.json");
    return json::parse(in);
}

void collect(const json& object, const std::string& path, std::vector<std::string>& out) {
    EXPECT_EQ(object.value("additionalProperties", json(true)), json(false)) << path << ": the reader refuses unknown fields";
    for (const auto& [name, property] : object["properties"].items()) {
        const std::string full = path.empty() ? name : path + "." + name;
        out.push_back(full);
        if (property.contains("properties")) collect(property, full, out);
        else if (property.contains("items") && property["items"].contains("properties")) collect(property["items"], full + "[]", out);
    }
}

TEST(Schema, NamesTheReadersFields) {
    std::vector<std::string> fields;
    collect(schema(), "", fields);
    EXPECT_THAT(fields, testing::UnorderedElementsAreArray(known_fields()));
    for (const auto& field : unsupported_fields()) EXPECT_THAT(fields, testing::Not(testing::Contains(field)));
}

std::string host_with(const std::string& more) {
    return "apiVersion: sluice/v1\nkind: GatewayHost\n"
           "ports: [{name: a, device: 'af_xdp:a', addresses: [192.0.2.1/24], listen: true}]\n" + more;
}

TEST(Schema, SaysTheReadersDefaults) {
    const json p = schema()["properties"];
    const auto reading = read("x.yaml", host_with(""));
    ASSERT_TRUE(reading.host) << render(reading.diagnostics, 1);
    const GatewayHost& h = *reading.host;
    const auto of = [&](const char* section, const char* field) { return p[section]["properties"][field]["default"]; };
    EXPECT_EQ(of("node", "namespace"), h.node.ns);
    EXPECT_EQ(of("workers", "count"), h.workers.count);
    EXPECT_EQ(of("workers", "poll"), h.workers.poll == Workers::Poll::kAdaptive ? "adaptive" : "busy");
    EXPECT_EQ(parse_size(of("memory", "limit").get<std::string>()), h.memory.limit_bytes);
    EXPECT_EQ(of("memory", "hugepages"), h.memory.hugepages == Memory::Hugepages::kAuto ? "auto" : "other");
    EXPECT_EQ(of("limits", "connections"), h.limits.connections);
    EXPECT_EQ(parse_size(of("limits", "requestHeader").get<std::string>()), h.limits.request_header_bytes);
    EXPECT_EQ(of("mesh", "directory"), h.mesh.directory);
    EXPECT_EQ(of("mesh", "trustDomain"), h.mesh.trust_domain);
    EXPECT_EQ(of("gatewayTopology", "numTrustedProxies"), h.topology.num_trusted_proxies);
    EXPECT_EQ(of("gatewayTopology", "forwardClientCertDetails"), h.topology.forward_client_cert);
    EXPECT_EQ(of("state", "directory"), h.state.directory);
    EXPECT_EQ(of("state", "revisions"), h.state.revisions);
    EXPECT_EQ(of("admin", "socket"), h.admin.socket);
    EXPECT_EQ(of("accessLog", "path"), h.access_log.path);
    EXPECT_EQ(of("accessLog", "format"), h.access_log.format == AccessLog::Format::kText ? "text" : "other");
    EXPECT_EQ(parse_duration(of("drain", "deadline").get<std::string>()), h.drain_deadline);
    EXPECT_EQ(of("tcp", "congestionControl"), h.tcp.congestion == Tcp::Congestion::kCubic ? "cubic" : "other");
    EXPECT_EQ(of("tcp", "ecn"), h.tcp.ecn == Tcp::Ecn::kPassive ? "passive" : "other");
    EXPECT_EQ(parse_duration(of("tcp", "userTimeout").get<std::string>()), h.tcp.user_timeout);
    EXPECT_EQ(of("tcp", "synBacklog"), h.tcp.syn_backlog);
    EXPECT_EQ(of("tcp", "hopLimit"), h.tcp.hop_limit);
    EXPECT_EQ(of("tcp", "dscp"), h.tcp.dscp);
    const json alive = p["tcp"]["properties"]["keepAlive"]["properties"];
    EXPECT_EQ(alive["enabled"]["default"], h.tcp.keepalive);
    EXPECT_EQ(parse_duration(alive["idle"]["default"].get<std::string>()), h.tcp.keepalive_idle);
    EXPECT_EQ(parse_duration(alive["interval"]["default"].get<std::string>()), h.tcp.keepalive_interval);
    EXPECT_EQ(alive["probes"]["default"], h.tcp.keepalive_probes);
    EXPECT_EQ(of("process", "seccomp"), h.process.seccomp == Process::Seccomp::kEnforce ? "enforce" : "other");
    EXPECT_EQ(of("process", "coreDumps"), h.process.core_dumps);
    EXPECT_EQ(h.process.user, "") << "has no default in the schema";
    const json port = p["ports"]["items"]["properties"];
    EXPECT_EQ(port["mtu"]["default"], h.ports[0].mtu);
    EXPECT_EQ(port["listen"]["default"], Port{}.listen);
    EXPECT_EQ(port["takeover"]["default"], Port{}.takeover);
    EXPECT_EQ(port["reversePath"]["default"], Port{}.reverse_path == Port::ReversePath::kLoose ? "loose" : "other");
    EXPECT_EQ(port["duplicateDetection"]["default"], Port{}.duplicate_detection);
    const json offloads = port["offloads"]["properties"];
    EXPECT_EQ(offloads["checksum"]["default"], Port{}.offloads.checksum);
    EXPECT_EQ(offloads["segmentation"]["default"], Port{}.offloads.segmentation);
    EXPECT_EQ(offloads["largeReceive"]["default"], Port{}.offloads.large_receive);
}

TEST(Schema, EveryWordOfAnEnumIsRead) {
    const json p = schema()["properties"];
    for (const auto& [section, field] : {std::pair{"workers", "poll"}, {"memory", "hugepages"}, {"tcp", "congestionControl"}, {"tcp", "ecn"}})
    for (const auto& [section, field] : {std::pair{"workers", "poll"}, {"memory", "hugepages"}, {"process", "seccomp"}})
        for (const auto& word : p[section]["properties"][field]["enum"]) {
            const auto reading = read("x.yaml", host_with(std::string(section) + ": {" + field + ": " + word.get<std::string>() + "}\n"));
            EXPECT_TRUE(reading.host) << word << render(reading.diagnostics, 1);
        }
    for (const auto& word : p["ports"]["items"]["properties"]["reversePath"]["enum"]) {
        const auto reading = read("x.yaml", "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, device: 'af_xdp:a', "
                                            "addresses: [192.0.2.1/24], listen: true, reversePath: " + word.get<std::string>() + "}]\n");
        ASSERT_TRUE(reading.host) << word << render(reading.diagnostics, 1);
        EXPECT_EQ(reading.host->ports[0].reverse_path == Port::ReversePath::kStrict, word == "strict");
    }
}

TEST(Schema, NumbersEndWhereTheReaderSaysSo) {
    const json p = schema()["properties"];
    const auto accepts = [](const std::string& text) { return read("x.yaml", text).host.has_value(); };
    const auto check = [&](const json& number, const auto& write) {
        const auto min = number["minimum"].get<int64_t>(), max = number["maximum"].get<int64_t>();
        EXPECT_TRUE(accepts(write(min))) << write(min);
        EXPECT_TRUE(accepts(write(max))) << write(max);
        EXPECT_FALSE(accepts(write(min - 1))) << write(min - 1);
        EXPECT_FALSE(accepts(write(max + 1))) << write(max + 1);
    };
    check(p["workers"]["properties"]["count"], [](int64_t n) { return host_with("workers: {count: " + std::to_string(n) + "}\n"); });
    check(p["limits"]["properties"]["connections"], [](int64_t n) { return host_with("limits: {connections: " + std::to_string(n) + "}\n"); });
    for (const char* field : {"synBacklog", "hopLimit", "dscp"})
        check(p["tcp"]["properties"][field], [field](int64_t n) { return host_with("tcp: {" + std::string(field) + ": " + std::to_string(n) + "}\n"); });
    check(p["tcp"]["properties"]["keepAlive"]["properties"]["probes"],
          [](int64_t n) { return host_with("tcp: {keepAlive: {probes: " + std::to_string(n) + "}}\n"); });
    check(p["workers"]["properties"]["cores"]["items"], [](int64_t n) { return host_with("workers: {cores: [" + std::to_string(n) + "]}\n"); });
    check(p["state"]["properties"]["revisions"], [](int64_t n) { return host_with("state: {revisions: " + std::to_string(n) + "}\n"); });
    const auto port = [](const char* field) {
        return [field](int64_t n) {
            return "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, device: 'af_xdp:a', addresses: [192.0.2.1/24], " +
                   std::string(field) + ": " + std::to_string(n) + "}]\n";
        };
    };
    check(p["ports"]["items"]["properties"]["vlan"], port("vlan"));
    check(p["ports"]["items"]["properties"]["mtu"], port("mtu"));
}

TEST(Configs, TheDemosOwnFileIsGood) {
    const auto reading = read_file(SLUICE_SOURCE_ROOT "/configs/demo/sluice.yaml");
    EXPECT_TRUE(reading.host);
    EXPECT_TRUE(reading.diagnostics.empty()) << render(reading.diagnostics, 1);
}

}  // namespace
}  // namespace sluice::host
