// The operator's example is read in full; each kind of mistake is found at its place, with its code and a cure.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "ctrl/host/finding.h"
#include "ctrl/host/gateway_host.h"
#include "ctrl/model/codes.h"

namespace sluice::host {
namespace {

using testing::HasSubstr;

constexpr char kExample[] = R"(# this machine
apiVersion: sluice/v1
kind: GatewayHost
node:
  id: edge-1
  namespace: edge
  labels: {istio: ingressgateway, tier: "1"}
  locality: eu-west/eu-west-1a
workers:
  cores: [2, 3]
  poll: busy
ports:
- name: outside
  device: pci:0000:3b:00.0
  addresses: [192.0.2.10/24, "2001:db8::10/64"]
  routes: [{to: default, via: 192.0.2.1}, {to: 198.51.100.0/24, via: 192.0.2.2}, {to: default, via: "2001:db8::1"}]
  vlan: 120
  mtu: 1400
  listen: true
  exception: kernel0
- name: inside
  device: af_packet:eth1
  addresses: [10.0.0.10/16]
memory: {limit: 2Gi, hugepages: require}
limits: {connections: 200000, requestHeader: 32Ki, ephemeralPorts: 40000-49999}
tcp:
  congestionControl: newreno
  ecn: on
  keepAlive: {enabled: false, idle: 5m, interval: 10s, probes: 3}
  userTimeout: 1m30s
  synBacklog: 4096
  hopLimit: 128
  dscp: 46
mesh: {directory: mesh, trustDomain: example.org}
admin: {socket: /tmp/admin.sock, http: "127.0.0.1:15000"}
accessLog: {path: /var/log/sluice.log, format: json}
drain: {deadline: 1m30s}
)";

TEST(GatewayHost, TheOperatorsExample) {
    const auto reading = read("/etc/sluice/sluice.yaml", kExample);
    ASSERT_TRUE(reading.host) << render(reading.diagnostics, 1);
    EXPECT_TRUE(reading.diagnostics.empty()) << render(reading.diagnostics, 1);
    const GatewayHost& h = *reading.host;
    EXPECT_EQ(h.node.id, "edge-1");
    EXPECT_EQ(h.node.ns, "edge");
    EXPECT_EQ(h.node.labels.at("tier"), "1");
    EXPECT_EQ(h.node.locality, "eu-west/eu-west-1a");
    EXPECT_THAT(h.workers.cores, testing::ElementsAre(2, 3));
    EXPECT_EQ(h.workers.count, 2u);
    EXPECT_EQ(h.workers.poll, Workers::Poll::kBusy);
    ASSERT_EQ(h.ports.size(), 2u);
    EXPECT_EQ(h.ports[0].device, "pci:0000:3b:00.0");
    EXPECT_EQ(h.ports[0].addresses[1].to_string(), "2001:db8::10/64");
    ASSERT_EQ(h.ports[0].routes.size(), 3u);
    EXPECT_EQ(h.ports[0].routes[0].to.to_string(), "0.0.0.0/0");
    EXPECT_EQ(h.ports[0].routes[2].to.to_string(), "::/0");
    EXPECT_EQ(h.ports[0].vlan, 120);
    EXPECT_EQ(h.ports[0].mtu, 1400);
    EXPECT_TRUE(h.ports[0].listen);
    EXPECT_EQ(h.ports[0].exception, "kernel0");
    EXPECT_EQ(h.ports[1].exception, "");
    EXPECT_FALSE(h.ports[1].listen);
    EXPECT_EQ(h.memory.limit_bytes, uint64_t{2} << 30);
    EXPECT_EQ(h.memory.hugepages, Memory::Hugepages::kRequire);
    EXPECT_EQ(h.limits.connections, 200000u);
    EXPECT_EQ(h.limits.ephemeral_ports->first, 40000);
    EXPECT_EQ(h.limits.ephemeral_ports->last, 49999);
    EXPECT_EQ(h.limits.request_header_bytes, 32u * 1024);
    EXPECT_EQ(h.tcp.congestion, Tcp::Congestion::kNewReno);
    EXPECT_EQ(h.tcp.ecn, Tcp::Ecn::kOn);
    EXPECT_FALSE(h.tcp.keepalive);
    EXPECT_EQ(h.tcp.keepalive_idle, seconds(300));
    EXPECT_EQ(h.tcp.keepalive_interval, seconds(10));
    EXPECT_EQ(h.tcp.keepalive_probes, 3);
    EXPECT_EQ(h.tcp.user_timeout, seconds(90));
    EXPECT_EQ(h.tcp.syn_backlog, 4096u);
    EXPECT_EQ(h.tcp.hop_limit, 128);
    EXPECT_EQ(h.tcp.dscp, 46);
    EXPECT_EQ(h.mesh.directory, "/etc/sluice/mesh");   // beside the file
    EXPECT_EQ(h.mesh.trust_domain, "example.org");
    EXPECT_EQ(h.admin.http->to_string(), "127.0.0.1:15000");
    EXPECT_EQ(h.access_log.format, AccessLog::Format::kJson);
    EXPECT_EQ(h.drain_deadline, seconds(90));
}

std::string with_port(const std::string& port, const std::string& more = "") {
    return "apiVersion: sluice/v1\nkind: GatewayHost\nports:\n- {name: a, device: 'af_xdp:a', addresses: [192.0.2.9/24], listen: true" +
           port + "}\n" + more;
}
std::string with(const std::string& more) { return with_port("", more); }

struct Mistake {
    const char* name;
    std::string text;
    const char* code;
    const char* field;
    const char* message;
    const char* cure;
    int line;
};
class Mistakes : public testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreFoundAtTheirPlaceWithACure) {
    const Mistake& m = GetParam();
    const auto reading = read("sluice.yaml", m.text);
    EXPECT_FALSE(reading.host);
    ASSERT_EQ(reading.diagnostics.size(), 1u) << render(reading.diagnostics, 1);
    const Diagnostic& d = reading.diagnostics[0];
    EXPECT_EQ(d.file, "sluice.yaml");
    EXPECT_EQ(d.code, m.code) << render(d);
    EXPECT_EQ(d.field, m.field) << render(d);
    EXPECT_THAT(d.message, HasSubstr(m.message));
    EXPECT_THAT(d.cure, HasSubstr(m.cure));
    EXPECT_EQ(d.line, m.line) << render(d);
    EXPECT_GT(d.column, 0);
}

INSTANTIATE_TEST_SUITE_P(Files, Mistakes, testing::Values(
    Mistake{"mesh_file", "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\n", "SLC0002", "kind", "this is a mesh file (VirtualService)", "mesh.directory", 2},
    Mistake{"kubernetes_file", "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n", "SLC0002", "kind", "this is a mesh file (HTTPRoute)", "mesh.directory", 2},
    Mistake{"no_kind", "apiVersion: sluice/v1\nports: []\n", "SLC0002", "kind", "missing", "kind: GatewayHost", 1},
    Mistake{"other_kind", "apiVersion: sluice/v1\nkind: Gatewayhost\n", "SLC0002", "kind", "`Gatewayhost` is not GatewayHost", "GatewayHost", 2},
    Mistake{"other_version", "apiVersion: sluice/v2\nkind: GatewayHost\n", "SLC0002", "apiVersion", "`sluice/v2`", "sluice/v1", 1},
    Mistake{"empty", "# nothing\n", "SLC0002", "", "empty", "GatewayHost", 1},
    Mistake{"a_list", "- a\n", "SLC0002", "", "not a GatewayHost file", "GatewayHost", 1},
    Mistake{"second_document", with("---\napiVersion: sluice/v1\n"), "SLC0009", "", "second document", "remove it", 6},
    Mistake{"typo", with("acessLog: {}\n"), "SLC0003", "acessLog", "unknown field", "did you mean `accessLog`?", 5},
    Mistake{"typo_inside", with_port(", vlna: 3"), "SLC0003", "ports[0].vlna", "unknown field", "did you mean `vlan`?", 4},
    Mistake{"identity", with("identity: {certificate: tls.crt, privateKey: tls.key}\n"), "SLC0007", "identity.roots", "missing", "roots: root-cert.pem", 5},
    Mistake{"handshake_cores_without_threads", with("tls: {handshakeThreads: 0, handshakeCores: [3]}\n"), "SLC0008", "tls.handshakeCores", "cores for no thread", "remove one", 5},
    Mistake{"a_workers_core_for_handshakes", with("workers: {cores: [2, 3]}\ntls: {handshakeCores: [1, 3]}\n"), "SLC0008", "tls.handshakeCores[1]", "CPU 3 is a worker's", "any but the workers'", 6},
    Mistake{"ticket_keys_that_die_too_soon", with("tls: {ticketKeys: {rotateEvery: 12h, lifetime: 1h}}\n"), "SLC0008", "tls.ticketKeys.lifetime", "shorter than rotateEvery", "lifetime: 24h", 5},
    Mistake{"wrong_type", with("memory: 2Gi\n"), "SLC0005", "memory", "`2Gi` where a map", "", 5},
    Mistake{"quoted_number", with("limits: {connections: '5'}\n"), "SLC0005", "limits.connections", "whole number", "without quotes", 5},
    Mistake{"yes_is_no_boolean", "apiVersion: sluice/v1\nkind: GatewayHost\nports:\n- {name: a, device: 'af_xdp:a', addresses: [192.0.2.9/24], listen: true}\n- {name: b, device: 'af_xdp:b', addresses: [192.0.3.9/24], listen: yes}\n", "SLC0005", "ports[1].listen", "true or false", "", 5},
    Mistake{"twice", with("drain: {deadline: 3s, deadline: 4s}\n"), "SLC0121", "drain.deadline", "given twice", "", 5}));

INSTANTIATE_TEST_SUITE_P(Sections, Mistakes, testing::Values(
    Mistake{"cores_and_count", with("workers: {cores: [1], count: 1}\n"), "SLC0008", "workers.count", "cores are given too", "keep one", 5},
    Mistake{"core_twice", with("workers: {cores: [1, 1]}\n"), "SLC0008", "workers.cores[1]", "given twice", "", 5},
    Mistake{"no_cores", with("workers: {cores: []}\n"), "SLC0006", "workers.cores", "empty", "count: 1", 5},
    Mistake{"poll", with("workers: {poll: adaptiv}\n"), "SLC0006", "workers.poll", "none of adaptive, busy", "did you mean `adaptive`?", 5},
    Mistake{"size", with("memory: {limit: 2GB}\n"), "SLC0006", "memory.limit", "`2GB` is not a size", "512Mi", 5},
    Mistake{"small_memory", with("memory: {limit: 1Mi}\n"), "SLC0006", "memory.limit", "out of range", "64Mi", 5},
    Mistake{"header", with("limits: {requestHeader: 1Gi}\n"), "SLC0006", "limits.requestHeader", "out of range", "60Ki", 5},
    Mistake{"port_range", with("limits: {ephemeralPorts: 50000}\n"), "SLC0006", "limits.ephemeralPorts", "no range of ports", "40000-49999", 5},
    Mistake{"port_range_backwards", with("limits: {ephemeralPorts: 50000-40000}\n"), "SLC0006", "limits.ephemeralPorts", "no range of ports", "40000-49999", 5},
    Mistake{"port_range_too_far", with("limits: {ephemeralPorts: 40000-70000}\n"), "SLC0006", "limits.ephemeralPorts", "no range of ports", "40000-49999", 5},
    Mistake{"system_ports", with("limits: {ephemeralPorts: 80-2000}\n"), "SLC0006", "limits.ephemeralPorts", "out of range", "1024-65535", 5},
    Mistake{"client_cert_details", with("gatewayTopology: {forwardClientCertDetails: APPEND_FORWRD}\n"), "SLC0006", "gatewayTopology.forwardClientCertDetails", "none of SANITIZE, ", "APPEND_FORWARD", 5},
    Mistake{"trusted_proxies", with("gatewayTopology: {numTrustedProxies: 65}\n"), "SLC0006", "gatewayTopology.numTrustedProxies", "65", "64", 5},
    Mistake{"trust_domain", with("mesh: {trustDomain: Example.org/x}\n"), "SLC0006", "mesh.trustDomain", "not a trust domain", "cluster.local", 5},
    Mistake{"ca_of_no_domain", with("mesh: {caCertificates: [{file: a.pem, trustDomains: [A/b]}]}\n"), "SLC0006", "mesh.caCertificates[0].trustDomains[0]", "not a trust domain", "old.example", 5},
    Mistake{"ca_without_certificates", with("mesh: {caCertificates: [{trustDomains: [a]}]}\n"), "SLC0007", "mesh.caCertificates[0].file", "missing", "other-root.pem", 5},
    Mistake{"ca_twice", with("mesh: {caCertificates: [{file: a.pem, pem: x}]}\n"), "SLC0008", "mesh.caCertificates[0].file", "pem is given too", "keep one", 5},
    Mistake{"ca_by_url", with("mesh: {caCertificates: [{spiffeBundleUrl: 'https://a'}]}\n"), "SLC0004", "mesh.caCertificates[0].spiffeBundleUrl", "not fetched", "remove it", 5},
    Mistake{"not_loopback", with("admin: {http: '0.0.0.0:15000'}\n"), "SLC0006", "admin.http", "not a loopback address", "SSH", 5},
    Mistake{"http_port", with("admin: {http: '127.0.0.1:0'}\n"), "SLC0006", "admin.http", "not an address and a port", "127.0.0.1:15000", 5},
    Mistake{"socket", with("admin: {socket: admin.sock}\n"), "SLC0006", "admin.socket", "absolute", "/run/sluice", 5},
    Mistake{"long_socket", with("admin: {socket: /" + std::string(120, 'x') + "}\n"), "SLC0006", "admin.socket", "longer", "", 5},
    Mistake{"log_format", with("accessLog: {format: xml}\n"), "SLC0006", "accessLog.format", "`xml` is no format", "json", 5},
    Mistake{"log_operator", with("accessLog: {format: '%PROTOCOL% %NOPE%'}\n"), "SLC0006", "accessLog.format", "unknown operator %NOPE% (at character 12)", "docs/telemetry.md", 5},
    Mistake{"log_operator_misspelt", with("accessLog: {format: '%RESPONSE_CDOE%'}\n"), "SLC0006", "accessLog.format", "unknown operator %RESPONSE_CDOE%", "did you mean %RESPONSE_CODE%?", 5},
    Mistake{"log_map", with("accessLog:\n  format:\n    a: {b: ['%PROTOCOL%', '%NOPE%']}\n"), "SLC0006", "accessLog.format.a.b[1]", "unknown operator %NOPE% (at character 1)", "docs/telemetry.md", 7},
    Mistake{"log_empty_map", with("accessLog: {format: {}}\n"), "SLC0006", "accessLog.format", "logs nothing", "names with format strings", 5},
    Mistake{"log_omit", with("accessLog: {omitEmptyValues: true}\n"), "SLC0006", "accessLog.omitEmptyValues", "text and json are fixed", "a format of your own", 5},
    Mistake{"deadline", with("drain: {deadline: 30}\n"), "SLC0006", "drain.deadline", "`30` is not a duration", "30s", 5},
    Mistake{"locality", with("node: {locality: a/b/c/d}\n"), "SLC0006", "node.locality", "three parts", "region/zone/subzone", 5}));

INSTANTIATE_TEST_SUITE_P(TcpSection, Mistakes, testing::Values(
    Mistake{"reno", with("tcp: {congestionControl: reno}\n"), "SLC0006", "tcp.congestionControl", "none of cubic, newreno", "", 5},
    Mistake{"ecn_by_number", with("tcp: {ecn: 2}\n"), "SLC0006", "tcp.ecn", "none of off, passive, on", "", 5},
    Mistake{"typo", with("tcp: {congestioncontrol: cubic}\n"), "SLC0003", "tcp.congestioncontrol", "unknown field", "did you mean `congestionControl`?", 5},
    Mistake{"keep_alive_by_switch", with("tcp: {keepAlive: true}\n"), "SLC0005", "tcp.keepAlive", "`true` where a map", "", 5},
    Mistake{"never_idle", with("tcp: {keepAlive: {idle: 0}}\n"), "SLC0006", "tcp.keepAlive.idle", "0 is out of range", "enabled: false", 5},
    Mistake{"seconds", with("tcp: {keepAlive: {interval: 75}}\n"), "SLC0006", "tcp.keepAlive.interval", "`75` is not a duration", "30s", 5},
    Mistake{"long_timeout", with("tcp: {userTimeout: 2h}\n"), "SLC0006", "tcp.userTimeout", "2h is out of range", "6553s", 5},
    Mistake{"dscp_as_tos", with("tcp: {dscp: 184}\n"), "SLC0006", "tcp.dscp", "184 is out of range", "0 to 63", 5}));

INSTANTIATE_TEST_SUITE_P(Ports, Mistakes, testing::Values(
    Mistake{"none", "apiVersion: sluice/v1\nkind: GatewayHost\n", "SLC0007", "ports", "missing", "at least one", 1},
    Mistake{"no_device", "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, addresses: [192.0.2.9/24], listen: true}]\n", "SLC0007", "ports[0].device", "missing", "af_xdp", 3},
    Mistake{"driver", "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, device: 'afxdp:eth1', addresses: [192.0.2.9/24], listen: true}]\n", "SLC0006", "ports[0].device", "names no driver", "did you mean `af_xdp`?", 3},
    Mistake{"pci", "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, device: 'pci:3b:00.0', addresses: [192.0.2.9/24], listen: true}]\n", "SLC0006", "ports[0].device", "not a PCI address", "lspci -D", 3},
    Mistake{"no_prefix", "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, device: 'af_xdp:a', addresses: [192.0.2.9], listen: true}]\n", "SLC0006", "ports[0].addresses[0]", "without a prefix length", "192.0.2.9/24", 3},
    Mistake{"network", "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, device: 'af_xdp:a', addresses: [192.0.2.0/24], listen: true}]\n", "SLC0006", "ports[0].addresses[0]", "cannot be a host's address", "names the network", 3},
    Mistake{"loopback", "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, device: 'af_xdp:a', addresses: [127.0.0.1/8], listen: true}]\n", "SLC0006", "ports[0].addresses[0]", "cannot be a host's address", "", 3},
    Mistake{"same_name", with("- {name: a, device: 'af_xdp:b', addresses: [10.0.0.1/8]}\n"), "SLC0008", "ports[1].name", "another port", "", 5},
    Mistake{"same_device", with("- {name: b, device: 'af_xdp:a', addresses: [10.0.0.1/8]}\n"), "SLC0008", "ports[1].device", "port a has this device", "", 5},
    Mistake{"same_address", with("- {name: b, device: 'af_xdp:b', addresses: [192.0.2.9/24]}\n"), "SLC0008", "ports[1].addresses[0]", "port a has this address", "", 5},
    Mistake{"off_link_router", with_port(", routes: [{to: default, via: 10.0.0.1}]"), "SLC0006", "ports[0].routes[0].via", "on no network of this port", "share a prefix", 4},
    Mistake{"route_bits", with_port(", routes: [{to: 10.0.0.1/8, via: 192.0.2.1}]"), "SLC0006", "ports[0].routes[0].to", "bits outside", "", 4},
    Mistake{"route_family", with_port(", routes: [{to: 'fd00::/8', via: 192.0.2.1}]"), "SLC0006", "ports[0].routes[0].via", "other IP family", "", 4},
    Mistake{"route_without_via", with_port(", routes: [{to: default}]"), "SLC0007", "ports[0].routes[0].via", "missing", "router", 4},
    Mistake{"exception_name", with_port(", exception: a/b"), "SLC0006", "ports[0].exception", "not an interface name", "kernel0", 4},
    Mistake{"exception_pattern", with_port(", exception: 'tap%d'"), "SLC0006", "ports[0].exception", "not an interface name", "kernel0", 4},
    Mistake{"exception_own_device", with_port(", exception: a"), "SLC0008", "ports[0].exception", "the port's own device", "kernel0", 4},
    Mistake{"exception_twice", with_port(", exception: k0", "- {name: b, device: 'af_xdp:b', addresses: [10.0.0.1/8], exception: k0}\n"), "SLC0008", "ports[1].exception", "port a has this device", "one TAP device", 5},
    Mistake{"exception_others_device", with_port("", "- {name: b, device: 'af_xdp:b', addresses: [10.0.0.1/8], exception: a}\n"), "SLC0008", "ports[1].exception", "port a has this device", "one TAP device", 5},
    Mistake{"exception_af_packet", with_port("", "- {name: b, device: 'af_packet:b', addresses: [10.0.0.1/8], exception: k0}\n"), "SLC0008", "ports[1].exception", "the kernel sees every frame", "device: af_xdp:b", 5},
    Mistake{"vlan", with_port(", vlan: 4095"), "SLC0006", "ports[0].vlan", "4095 is out of range", "1 to 4094", 4},
    Mistake{"jumbo", with_port(", mtu: 9000"), "SLC0006", "ports[0].mtu", "9000 is out of range", "to 2026", 4}));

TEST(GatewayHost, AllMistakesAtOnceInOrder) {
    const auto reading = read("x.yaml", with_port(", vlan: 0, mtu: 1", "drain: {deadline: soon}\nnode: {idd: x}\n"));
    ASSERT_EQ(reading.diagnostics.size(), 4u) << render(reading.diagnostics, 1);
    EXPECT_EQ(reading.diagnostics[0].field, "ports[0].vlan");
    EXPECT_EQ(reading.diagnostics[3].field, "node.idd");
}

TEST(GatewayHost, TheCaretStandsUnderTheWord) {
    const auto reading = read("sluice.yaml", with("accessLog: {format: '%PROTOCOL% %NOPE%'}\n"));
    EXPECT_EQ(render(reading.diagnostics.at(0)),
              "sluice.yaml:5:33: error SLC0006: GatewayHost\n"
              "  accessLog.format: unknown operator %NOPE% (at character 12)\n"
              "  5 | accessLog: {format: '%PROTOCOL% %NOPE%'}\n"
              "    |                                 ^~~~~~ docs/telemetry.md lists all operators\n");
}

TEST(GatewayHost, NoListeningPortIsAWarning) {
    const auto reading = read("x.yaml", "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, device: 'af_xdp:a', addresses: [192.0.2.9/24]}]\n");
    EXPECT_TRUE(reading.host);
    ASSERT_EQ(reading.diagnostics.size(), 1u);
    EXPECT_EQ(reading.diagnostics[0].code, "SLC0010");
    EXPECT_EQ(reading.diagnostics[0].severity, Severity::kWarning);
}

TEST(GatewayHost, LogFormatsAndNoLog) {
    auto reading = read("x.yaml", with("accessLog: {path: \"\", format: '%RESPONSE_CODE%'}\n"));
    ASSERT_TRUE(reading.host) << render(reading.diagnostics, 1);
    EXPECT_EQ(reading.host->access_log.path, "");
    EXPECT_EQ(reading.host->access_log.format, AccessLog::Format::kCustom);
    EXPECT_EQ(reading.host->access_log.custom, "%RESPONSE_CODE%");
}

TEST(GatewayHost, ALogFormatMayBeAMap) {
    const auto reading = read("x.yaml", with("accessLog:\n  omitEmptyValues: true\n  format:\n    z: '%RESPONSE_CODE%'\n    a: {n: 7, zip: 007, t: true, s: \"8\", "
                                             "none: null, l: ['%PROTOCOL%']}\n    sni: '%REQUESTED_SERVER_NAME%'\n"));
    ASSERT_TRUE(reading.host) << render(reading.diagnostics, 1);
    ASSERT_TRUE(reading.host->access_log.parsed);
    telemetry::AccessLogEntry entry;
    entry.status = 200;
    std::string line;
    reading.host->access_log.parsed->format(entry, line);
    EXPECT_EQ(line, "{\"z\":200,\"a\":{\"n\":7,\"zip\":\"007\",\"t\":true,\"s\":\"8\",\"none\":null,\"l\":[\"HTTP/1.1\"]}}\n");
}

TEST(GatewayHost, TheProcessAndWhatItMayTake) {
    const std::string head = "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, device: 'af_xdp:a', addresses: [192.0.2.1/24], listen: true, takeover: true}]\n";
    auto reading = read("x.yaml", head + "process: {user: sluice, seccomp: log, coreDumps: true}\n");
    ASSERT_TRUE(reading.host) << render(reading.diagnostics, 1);
    EXPECT_TRUE(reading.host->ports[0].takeover);
    EXPECT_EQ(reading.host->process.user, "sluice");
    EXPECT_EQ(reading.host->process.seccomp, Process::Seccomp::kLog);
    EXPECT_TRUE(reading.host->process.core_dumps);
    for (const char* wrong : {"user: ''", "user: 'a:b'", "seccomp: maybe", "coreDumps: 7", "usr: sluice"}) {
        reading = read("x.yaml", head + "process: {" + wrong + "}\n");
        EXPECT_FALSE(reading.host) << wrong;
        ASSERT_EQ(reading.diagnostics.size(), 1u) << wrong;
        EXPECT_EQ(reading.diagnostics[0].line, 4) << wrong;
        EXPECT_THAT(reading.diagnostics[0].field, HasSubstr("process.")) << wrong;
    }
}

TEST(GatewayHost, NotYamlIsOneFinding) {
    const auto reading = read("x.yaml", "apiVersion: sluice/v1\nkind: [GatewayHost\n");
    EXPECT_FALSE(reading.host);
    ASSERT_EQ(reading.diagnostics.size(), 1u);
    EXPECT_EQ(reading.diagnostics[0].code, "SLC0101");
}

TEST(GatewayHost, FilesThatCannotBeRead) {
    auto reading = read_file("/nonexistent/sluice.yaml");
    EXPECT_FALSE(reading.host);
    EXPECT_EQ(reading.diagnostics.at(0).code, "SLC0001");
    EXPECT_THAT(reading.diagnostics.at(0).message, HasSubstr("No such file"));
    reading = read_file("/tmp");
    EXPECT_FALSE(reading.host);
    EXPECT_THAT(reading.diagnostics.at(0).message, HasSubstr("is a directory"));
}

// Every cut of the example, and every byte of it damaged, is answered without a crash and never half read.
TEST(GatewayHost, CutAnywhere) {
    const std::string text = kExample;
    for (size_t cut = 0; cut < text.size(); cut++) {
        const auto reading = read("x.yaml", text.substr(0, cut));
        EXPECT_EQ(reading.host.has_value(), !has_errors(reading.diagnostics)) << cut;
    }
}

TEST(Ports, OffloadsCanBeTurnedOff) {
    const auto with = [](const std::string& offloads) {
        return read("x.yaml", "apiVersion: sluice/v1\nkind: GatewayHost\nports: [{name: a, device: 'af_xdp:a', addresses: [192.0.2.1/24], "
                              "listen: true, offloads: " + offloads + "}]\n");
    };
    const auto some = with("{largeReceive: false}");
    ASSERT_TRUE(some.host) << render(some.diagnostics, 1);
    EXPECT_TRUE(some.host->ports[0].offloads.checksum && some.host->ports[0].offloads.segmentation);
    EXPECT_FALSE(some.host->ports[0].offloads.large_receive);
    EXPECT_TRUE(with("{checksum: false}").host);
    const auto contradiction = with("{checksum: false, segmentation: true}");
    ASSERT_EQ(contradiction.diagnostics.size(), 1u);
    EXPECT_EQ(contradiction.diagnostics[0].code, "SLC0008");
    EXPECT_EQ(with("{tso: false}").diagnostics[0].code, "SLC0003");
    EXPECT_EQ(with("[checksum]").diagnostics[0].code, "SLC0005");
}

// The table of codes shows examples: each brings its own.
TEST(GatewayHost, ExamplesOfTheTableBringTheirCode) {
    for (const Code& code : codes()) {
        if (code.example_of != Code::Example::kGatewayFile) continue;
        const auto reading = read("sluice.yaml", code.example);
        const auto& all = reading.diagnostics;
        const auto own = std::find_if(all.begin(), all.end(), [&](const Diagnostic& d) { return d.code == code.code; });
        ASSERT_NE(own, all.end()) << code.code << ":\n" << render(all, 1);
        EXPECT_EQ(own->severity, code.severity) << code.code;
        EXPECT_EQ(own->object, "GatewayHost");
        EXPECT_GT(own->line, 0);
    }
}

TEST(GatewayHost, MistakesBesideAKeyGivenTwiceAreToldToo) {
    const auto reading = read("sluice.yaml", with("drain: {deadline: 3s, deadline: 4s}\nacessLog: {}\n"));
    ASSERT_EQ(reading.diagnostics.size(), 2u) << render(reading.diagnostics, 1);
    EXPECT_EQ(reading.diagnostics[0].field, "drain.deadline");
    EXPECT_EQ(reading.diagnostics[1].field, "acessLog");
}

// Why a gateway does not start, in the words of the part that failed, at the field it is about.
TEST(StartFailure, StandsAtItsField) {
    const std::string path = testing::TempDir() + "start_failure.yaml";
    std::ofstream(path) << with("workers: {cores: [1]}\nmemory: {limit: 64Mi}\n");
    const auto field = [&](const char* reason) {
        const Diagnostic d = start_failure(path, reason);
        EXPECT_EQ(d.code, "SLC0013");
        EXPECT_GT(d.line, 0) << reason;
        return d.field + ":" + std::to_string(d.line);
    };
    EXPECT_EQ(field("port a: there is no interface a: `ip link` lists those that are"), "ports[0].device:4");
    EXPECT_EQ(field("port a: exception: /dev/net/tun: No such file"), "ports[0].exception:4");
    EXPECT_EQ(field("worker 0 on CPU 1: cannot be pinned"), "workers.cores:5");
    EXPECT_EQ(field("memory.hugepages: require, but 0 MiB"), "memory.hugepages:6");
    EXPECT_EQ(field("something else"), ":1");
    EXPECT_EQ(start_failure("/nonexistent/sluice.yaml", "port a: gone").message, "port a: gone");
    std::filesystem::remove(path);
}

}  // namespace
}  // namespace sluice::host
