// Config without a gateway: which files are read, what is told of them together, and what comes of it.
// In: files in a folder of the test's own. Out: reports.
// The folder is removed at the end.
#include "ctrl/analyze/analyze.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "ctrl/analyze/machine.h"

namespace sluice::analyze {
namespace {

using testing::HasSubstr;

constexpr char kGateway[] = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\nspec:\n"
                            "  selector: {istio: ingressgateway}\n  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example]}]\n";
constexpr char kRoutes[] = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop, namespace: shop}\nspec:\n"
                           "  hosts: [shop.example]\n  gateways: [edge]\n  http: [{directResponse: {status: 200}}]\n";

class Analyze : public testing::Test {
 protected:
    std::filesystem::path folder;

    void SetUp() override {
        char name[] = "/tmp/sluice-analyze-XXXXXX";
        folder = mkdtemp(name);
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    std::string write(const std::string& name, const std::string& text) {
        const auto path = folder / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
        return path;
    }
    std::string write_host(const std::string& more = "", const std::string& labels = "{istio: ingressgateway}") {
        return write("sluice.yaml", "apiVersion: sluice/v1\nkind: GatewayHost\nnode: {id: test, labels: " + labels + "}\nports:\n"
                                    "- {name: outside, device: 'devargs:net_null0', addresses: [192.0.2.10/24], listen: true}\nmesh: {directory: mesh}\n" + more);
    }
    static std::string codes(const Report& report) {
        std::string out;
        for (const Diagnostic& d : report.findings) out += d.code + " ";
        return out;
    }
};

TEST_F(Analyze, FilesAndDirectoriesAreOneMesh) {
    const std::string gateway = write("a.yaml", kGateway);
    write("more/b.yaml", kRoutes);
    write("more/.hidden.yaml", "nonsense: [");
    write("more/notes.txt", "nonsense: [");
    const auto both = analyze({.paths = {gateway, folder / "more/"}, .host_file = {}});
    EXPECT_EQ(codes(both.report), "") << text(both.report);
    EXPECT_EQ(both.report.files, 2u);
    EXPECT_TRUE(both.mesh);
    const auto alone = analyze({.paths = {folder / "more"}, .host_file = {}});
    EXPECT_EQ(codes(alone.report), "SLC0110 ");
    EXPECT_EQ(alone.report.findings[0].file, folder / "more/b.yaml");
    EXPECT_EQ(exit_code(alone.report, Severity::kError), 1);
}

TEST_F(Analyze, StandardInput) {
    std::istringstream in(kRoutes);
    const auto analysis = analyze({.paths = {"-"}, .host_file = {}, .in = &in});
    EXPECT_EQ(codes(analysis.report), "SLC0110 ");
    EXPECT_EQ(analysis.report.findings[0].file, "<stdin>");
}

TEST_F(Analyze, WhatIsNotThereIsNotReadable) {
    const auto analysis = analyze({.paths = {folder / "nobody.yaml"}, .host_file = {}});
    EXPECT_EQ(codes(analysis.report), "SLC0120 ");
    EXPECT_EQ(exit_code(analysis.report, Severity::kError), 2);
    std::filesystem::create_directory(folder / "empty");
    EXPECT_EQ(codes(analyze({.paths = {folder / "empty"}, .host_file = {}}).report), "SLC0120 ");
}

TEST_F(Analyze, AllErrorsTogether) {
    const std::string host = write_host("acessLog: {}\nmemory: 2\n");
    write("mesh/a.yaml", kGateway);
    write("mesh/b.yaml", std::string(kRoutes) + "  wieght: 1\n");
    write("mesh/c.yaml", "a: [");
    const auto analysis = analyze({.paths = {}, .host_file = host});
    EXPECT_FALSE(analysis.host);
    EXPECT_FALSE(analysis.mesh);
    EXPECT_EQ(codes(analysis.report), "SLC0003 SLC0005 SLC0104 SLC0101 ") << text(analysis.report);
}

TEST_F(Analyze, TheMeshAsThisGatewaySeesIt) {
    write("mesh/a.yaml", kGateway);
    write("mesh/b.yaml", kRoutes);
    const auto good = analyze({.paths = {}, .host_file = write_host()});
    EXPECT_EQ(codes(good.report), "") << text(good.report);
    ASSERT_TRUE(good.resources);
    EXPECT_EQ(good.resources->listeners.size(), 1u);
    const auto other = analyze({.paths = {}, .host_file = write_host("", "{istio: egress}")});
    EXPECT_EQ(codes(other.report), "SLC0131 ");
    EXPECT_EQ(exit_code(other.report, Severity::kError), 0);
    EXPECT_EQ(exit_code(other.report, Severity::kWarning), 1);
}

TEST_F(Analyze, ANewFileForAKnownGateway) {
    const std::string host = write_host();
    write("mesh/a.yaml", "never read: [");
    const std::string routes = write("new.yaml", std::string(kGateway) + "---\n" + kRoutes);
    EXPECT_EQ(codes(analyze({.paths = {routes}, .host_file = host}).report), "");
}

TEST_F(Analyze, AnUnreadableDirectoryOfTheGateway) {
    const auto analysis = analyze({.paths = {}, .host_file = write_host()});
    EXPECT_EQ(codes(analysis.report), "SLC0120 ");
}

TEST_F(Analyze, Json) {
    const std::string path = write("a.yaml", std::string(kRoutes) + "  \"wie\\u0001ght\": 1\n");
    const auto json = nlohmann::json::parse(analyze::json(analyze({.paths = {path}, .host_file = {}}).report));
    EXPECT_FALSE(json["ok"]);
    EXPECT_EQ(json["errors"], 1);
    EXPECT_EQ(json["files"], 1);
    EXPECT_EQ(json["findings"][0]["code"], "SLC0104");
    EXPECT_EQ(json["findings"][0]["line"], 8);
    EXPECT_NE(json["findings"][0]["cure"], "");
}

// ---- The machine ----

host::Reading read_host(const std::string& ports_and_workers) {
    return host::read("sluice.yaml", "apiVersion: sluice/v1\nkind: GatewayHost\n" + ports_and_workers);
}

TEST(MachineCheck, TellsWhatThisMachineHasNot) {
    const auto reading = read_host("workers: {cores: [1, 64]}\nports:\n- {name: a, device: 'af_xdp:eth1', addresses: [192.0.2.9/24], listen: true}\n"
                                   "- {name: b, device: 'pci:0000:3b:00.0', addresses: [192.0.3.9/24]}\n");
    ASSERT_TRUE(reading.host) << render(reading.diagnostics, 1);
    Machine machine{.has_interface = [](const std::string& name) { return name == "eth0"; },
                    .has_pci = [](const std::string&) { return false; }, .cpus = {0, 1, 2, 3}, .kernel_ports = {}};
    std::vector<Diagnostic> out;
    check_machine(*reading.host, *reading.file, machine, out);
    ASSERT_EQ(out.size(), 3u) << render(out, 1);
    EXPECT_EQ(out[0].field, "ports[0].device");
    EXPECT_EQ(out[0].line, 5);
    EXPECT_EQ(out[0].source_line.substr(static_cast<size_t>(out[0].column) - 1, static_cast<size_t>(out[0].caret_width)), "'af_xdp:eth1'");
    EXPECT_EQ(out[1].message, "this machine has no PCI device 0000:3b:00.0");
    EXPECT_EQ(out[2].field, "workers.cores[1]");
    EXPECT_EQ(out[2].cure, "it has 0 to 3");
    for (const Diagnostic& d : out) EXPECT_EQ(d.severity, Severity::kInfo);
    machine = {.has_interface = [](const std::string&) { return true; }, .has_pci = [](const std::string&) { return true; }, .cpus = {}, .kernel_ports = {}};
    out.clear();
    check_machine(*reading.host, *reading.file, machine, out);
    EXPECT_TRUE(out.empty()) << render(out, 1);
}

TEST(MachineCheck, SourcePortsOfTheKernel) {
    const auto reading = read_host("limits: {ephemeralPorts: 40000-50000}\nports:\n- {name: a, device: 'af_xdp:eth1', addresses: [192.0.2.9/24], listen: true, exception: kernel0}\n");
    ASSERT_TRUE(reading.host) << render(reading.diagnostics, 1);
    const Machine machine{.has_interface = [](const std::string&) { return true; }, .has_pci = [](const std::string&) { return true; }, .cpus = {},
                          .kernel_ports = host::PortRange{32768, 60999}};
    std::vector<Diagnostic> out;
    check_machine(*reading.host, *reading.file, machine, out);
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].code, "SLC0011");
    EXPECT_EQ(out[0].severity, Severity::kWarning);
    EXPECT_EQ(out[0].line, 3);
    EXPECT_THAT(out[0].message, HasSubstr("overlap 32768-60999 of the kernel"));
}

TEST(MachineCheck, ThisMachineHasCpus) { EXPECT_FALSE(this_machine().cpus.empty()); }

}  // namespace
}  // namespace sluice::analyze
