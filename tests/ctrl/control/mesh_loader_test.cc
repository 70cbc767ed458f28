// A directory read again and again, against a reading from nothing: the same resources, the same findings, after any edit. And that
// an edit of an endpoint is not a reading of everything. Random edits, seeded: SLUICE_SEED=N repeats a run.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include <fmt/format.h>

#include "base/rng.h"
#include "ctrl/control/mesh_loader.h"

namespace sluice::control {
namespace {

translate::ProxyNode node() {
    translate::ProxyNode node;
    node.id = "edge-1";
    node.labels = {{"istio", "ingressgateway"}};
    node.listen_addresses = {"192.0.2.10"};
    node.ns = "shop";
    node.trust_domain_aliases = {"old.local"};
    return node;
}

/// A folder of certificate files that edits change, create and remove.
class Folder {
 public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-mesh-loader-XXXXXX").string();
        path_ = mkdtemp(name.data()) ? name : "";
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    std::string file(const std::string& name) const { return path_ + "/" + name; }
    void write(const std::string& name, const std::string& text) const { std::ofstream(file(name)) << text; }
    void remove(const std::string& name) const { std::filesystem::remove(file(name)); }

 private:
    std::string path_;
};

/// With an identity of its own, so that mutual TLS within the mesh has what it asks for.
translate::ProxyNode node(const Folder& folder) {
    translate::ProxyNode out = node();
    out.mesh_directory = folder.file("");
    out.identity = {folder.file("id.crt"), folder.file("id.key"), folder.file("roots.crt")};
    return out;
}

std::string object(const std::string& kind, const std::string& name, const std::string& spec) {
    return fmt::format("---\napiVersion: networking.istio.io/v1\nkind: {}\nmetadata: {{name: {}, namespace: shop}}\nspec:\n{}", kind, name, spec);
}

std::string gateway(const std::string& more = "", const std::string& selector = "ingressgateway") {
    return object("Gateway", "edge", "  selector: {istio: " + selector + "}\n  servers:\n  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}\n" + more);
}

std::string service(int i, const std::string& endpoints, const std::string& more = "", int port = 80) {
    return object("ServiceEntry", fmt::format("s{}", i),
                  fmt::format("  hosts: [s{}.shop.svc.cluster.local]\n  ports: [{{number: {}, name: http, protocol: HTTP}}]\n  resolution: STATIC\n{}{}", i, port, more, endpoints));
}

std::string one_endpoint(int host, const std::string& version = "v1", bool mutual_tls = false) {
    return fmt::format("  - {{address: 10.0.0.{}, labels: {{app: shop, version: {}{}}}}}\n", host, version, mutual_tls ? ", security.istio.io/tlsMode: istio" : "");
}

std::string virtual_service(int i, const std::string& prefix, const std::string& subset = "") {
    return object("VirtualService", fmt::format("s{}", i),
                  fmt::format("  hosts: [s{0}.example]\n  gateways: [edge]\n  http:\n  - match: [{{uri: {{prefix: {1}}}}}]\n    route: [{{destination: {{host: s{0}.shop.svc.cluster.local{2}}}}}]\n",
                              i, prefix, subset.empty() ? "" : ", subset: " + subset));
}

std::string rule(const std::string& name, const std::string& host, const std::string& more) {
    return object("DestinationRule", name, "  host: '" + host + "'\n" + more);
}

std::string rule(int i, const std::string& version, const std::string& policy = "") {
    return rule(fmt::format("s{}", i), fmt::format("s{}.shop.svc.cluster.local", i), fmt::format("  subsets: [{{name: one, labels: {{version: {}}}}}]\n{}", version, policy));
}

std::string secret(const std::string& name, const std::string& content) {
    return fmt::format("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {}, namespace: shop}}\ntype: Opaque\nstringData:\n{}", name, content);
}

std::string workload(const std::string& name, int host) {
    return object("WorkloadEntry", name, fmt::format("  {{address: 10.1.0.{}, labels: {{app: vm}}}}\n", host));
}

/// Files of documents, as somebody edits them.
class Directory {
 public:
    Directory(Rng& rng, const Folder& folder) : rng_(rng), folder_(folder) {
        documents_["a.yaml"] = {gateway(), service(0, "  endpoints:\n" + one_endpoint(1)), virtual_service(0, "/")};
        documents_["b.yaml"] = {service(1, "  endpoints:\n" + one_endpoint(2) + one_endpoint(3, "v2")), virtual_service(1, "/one")};
        documents_["c.yaml"] = {service(2, "  workloadSelector: {labels: {app: vm}}\n"), workload("vm1", 7), virtual_service(2, "/two")};
    }
    source::Files files() const {
        std::vector<source::File> out;
        for (const auto& [name, documents] : documents_) {
            std::string text;
            for (const auto& document : documents) text += document;
            out.push_back({name, text});
        }
        return {source::make_file_set(std::move(out)), {}};
    }
    /// In the words of one who changes an endpoint and nothing else.
    void move_endpoint(int host) { documents_["a.yaml"][1] = service(0, "  endpoints:\n" + one_endpoint(host)); }
    void edit() {
        switch (rng_.below(24)) {
            case 0: case 1: case 2: case 3: return put(service(pick(), endpoints()));
            case 4: case 5: return put(virtual_service(pick(), rng_.chance(0.5) ? "/" : fmt::format("/{}", rng_.below(5)), rng_.chance(0.2) ? "one" : ""));
            case 6: return put(rule(pick(), rng_.chance(0.7) ? "v1" : "v9"));
            case 16: return put(service(pick(), endpoints(), of({"  location: MESH_INTERNAL\n", "  exportTo: [elsewhere]\n", "  subjectAltNames: [a.example]\n"}), rng_.chance(0.8) ? 80 : 81));
            case 17: return put(many_hosts());
            case 18: return put(rule(pick(), "v1", "  trafficPolicy: " + tls()));
            case 19: return put(rule("wide", of({"*.shop.svc.cluster.local", "*", "*.elsewhere"}), "  trafficPolicy: " + (rng_.chance(0.5) ? tls() : "{loadBalancer: {simple: RANDOM}}") + "\n"));
            case 20: return put(gateway(servers(), rng_.chance(0.9) ? "ingressgateway" : "other"));
            case 21: return put(secret(of({"shop", "shop-cacert", "other"}), of({"  tls.crt: a\n  tls.key: b\n  ca.crt: c\n", "  cert: d\n  key: e\n", "  cacert: f\n", "  x: y\n"})));
            case 22: return edit_file();
            case 23: return put(rule("s1", "s1.shop.svc.cluster.local", "  workloadSelector: {matchLabels: {istio: ingressgateway}}\n  exportTo: " + of({"['.']", "['*']", "[elsewhere]"}) + "\n"));
            case 7: return put(workload(fmt::format("vm{}", rng_.below(3)), static_cast<int>(rng_.between(1, 200))));
            case 8: return erase();
            case 9: return move();
            case 10: return append("# somebody was here\n");
            case 11: return put(service(pick(), "  workloadSelector: {labels: {app: vm}}\n"));
            case 12: return append(rng_.chance(0.5) ? "---\napiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: shop}\nspec: {}\n" : "--- \n# nothing\n");
            case 13: return append(rng_.chance(0.5) ? "...\n" : "---\n" + gateway());
            case 14: return append("kind: [\n");
            default: return put(object("VirtualService", "s0", "  hosts: [s0.example]\n  gateways: [edgy]\n  http:\n  - rout: []\n"));
        }
    }
    void restore(const Directory& other) { documents_ = other.documents_; }

    /// In place of the object of that kind and name, else at a file's end.
    void put(const std::string& document) {
        const std::string head = document.substr(0, document.find("\n", document.find("metadata:")));
        for (auto& [name, documents] : documents_)
            for (auto& one : documents)
                if (one.starts_with(head + "\n")) return void(one = document);
        some_file().push_back(document);
    }

 private:
    int pick() { return static_cast<int>(rng_.below(4)); }
    std::string of(std::initializer_list<const char*> some) { return *std::next(some.begin(), static_cast<long>(rng_.below(some.size()))); }
    /// Hosts that meet those of others, by Gateways and without.
    std::string many_hosts() {
        const int i = pick();
        return object("VirtualService", fmt::format("s{}", i),
                      fmt::format("  hosts: {}\n  gateways: {}\n{}  http:\n  - match: [{{uri: {{exact: /{}}}}}, {{port: {}, uri: {{prefix: /p}}}}]\n    route: [{{destination: {{host: s{}}}, weight: 30}}, {{destination: {{host: s{}}}, weight: 70}}]\n"
                                  "  - {}\n",
                                  of({"[s0.example, s1.example]", "['*.example']", "[a.example, b.example]", "['*']", "[s2.example]"}), of({"[edge]", "[edge, mesh]", "[shop/edge]", "[mesh]"}),
                                  of({"", "  exportTo: [elsewhere]\n", "  exportTo: ['.']\n"}), rng_.below(3), rng_.chance(0.8) ? 80 : 443, pick(), pick(),
                                  of({"{redirect: {uri: /r}}", "{directResponse: {status: 200, body: {string: tea}}}", "{rewrite: {uri: /w}, route: [{destination: {host: s0, subset: one}}]}"})));
    }
    std::string tls() {
        return of({"{tls: {mode: ISTIO_MUTUAL}}", "{tls: {mode: SIMPLE, credentialName: shop}}", "{tls: {mode: MUTUAL, credentialName: other}}", "{tls: {mode: DISABLE}}"}) + std::string("\n");
    }
    std::string servers() {
        const std::string crt = folder_.file("a.crt"), key = folder_.file("a.key");
        std::string out;
        if (rng_.chance(0.3)) out += "  - {port: {number: 8080, name: redirecting, protocol: HTTP}, hosts: [s0.example, c.example], tls: {httpsRedirect: true}}\n";
        if (rng_.chance(0.4)) out += "  - {port: {number: 443, name: one, protocol: HTTPS}, hosts: [s0.example, '*.example'], tls: {mode: " + of({"SIMPLE", "MUTUAL"}) + ", credentialName: shop}}\n";
        if (rng_.chance(0.4)) out += "  - {port: {number: 443, name: two, protocol: HTTPS}, hosts: [s1.example], tls: {mode: SIMPLE, serverCertificate: " + crt + ", privateKey: " + key + "}}\n";
        if (rng_.chance(0.2)) out += "  - {port: {number: 444, name: three, protocol: HTTPS}, hosts: [s1.example], tls: {mode: ISTIO_MUTUAL}}\n";
        return out;
    }
    void edit_file() {
        const std::string name = of({"a.crt", "a.key", "id.crt", "roots.crt"});
        if (rng_.chance(0.2)) folder_.remove(name);
        else folder_.write(name, fmt::format("content {}", rng_.below(100)));
    }
    std::string endpoints() {
        std::string out = "  endpoints:\n";
        for (uint64_t n = rng_.between(1, 3); n > 0; n--) out += one_endpoint(static_cast<int>(rng_.between(1, 200)), rng_.chance(0.7) ? "v1" : "v2", rng_.chance(0.3));
        return out;
    }
    std::vector<std::string>& some_file() { return std::next(documents_.begin(), static_cast<long>(rng_.below(documents_.size())))->second; }
    void erase() {
        auto& documents = some_file();
        if (!documents.empty()) documents.erase(documents.begin() + static_cast<long>(rng_.below(documents.size())));
    }
    void move() {
        auto& from = some_file();
        if (from.empty()) return;
        const std::string document = from.back();
        from.pop_back();
        auto& to = some_file();
        to.insert(to.begin() + static_cast<long>(rng_.below(to.size() + 1)), document);
    }
    void append(const std::string& text) {
        auto& documents = some_file();
        if (!documents.empty()) documents[rng_.below(documents.size())] += text;
    }

    Rng& rng_;
    const Folder& folder_;
    std::map<std::string, std::vector<std::string>> documents_;
};

void expect_same(const std::expected<Loaded, Refused>& again, const std::expected<Loaded, Refused>& whole) {
    ASSERT_EQ(again.has_value(), whole.has_value()) << (again ? render(whole.error().diagnostics, 1) : render(again.error().diagnostics, 1));
    if (!again) {
        ASSERT_EQ(render(again.error().diagnostics, 1), render(whole.error().diagnostics, 1));
        return;
    }
    ASSERT_EQ(render(again->warnings, 1), render(whole->warnings, 1));
    const auto &a = *again->resources, &b = *whole->resources;
    const auto same = [](const auto& one, const auto& other) {
        ASSERT_EQ(one.size(), other.size());
        for (const auto& [name, resource] : other) {
            ASSERT_TRUE(one.contains(name)) << name;
            ASSERT_EQ(one.at(name)->DebugString(), resource->DebugString());
            ASSERT_EQ(one.at(name).hash(), resource.hash()) << name;
        }
    };
    same(a.listeners, b.listeners), same(a.routes, b.routes), same(a.clusters, b.clusters), same(a.endpoints, b.endpoints), same(a.secrets, b.secrets);
    ASSERT_EQ(a.secret_places, b.secret_places);
    ASSERT_EQ(a.secret_errors, b.secret_errors);
}

TEST(MeshLoader, RandomEditsGiveWhatAReadingFromNothingGives) {
    const char* given = std::getenv("SLUICE_SEED");
    const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed) + " ctrl_revisions_test --gtest_filter=MeshLoader.*");
    Rng rng(seed);
    int good = 0, refused = 0, little = 0;
    const char* rounds = std::getenv("SLUICE_ROUNDS");
    for (int round = 0; round < (rounds ? std::atoi(rounds) : 12); round++) {
        const Folder folder;
        Directory directory(rng, folder), kept(rng, folder);
        MeshLoader loader("/nowhere", "mesh", node(folder));
        for (int step = 0; step < 80; step++) {
            SCOPED_TRACE(fmt::format("round {}, step {}", round, step));
            for (uint64_t edits = rng.between(0, 2); edits > 0; edits--) directory.edit();
            const auto whole = load_mesh_files(directory.files(), "mesh", node(folder));
            const auto again = loader.load_files(directory.files());
            expect_same(again, whole);
            if (HasFatalFailure()) return;
            again ? good++ : refused++;
            little += again && !loader.translator().whole();
            if (again) kept.restore(directory);
            else if (rng.chance(0.5)) directory.restore(kept);
        }
    }
    EXPECT_GT(good, 100);
    EXPECT_GT(refused, 20);
    EXPECT_GT(little, 100) << "edits that did not make all anew";
}

TEST(MeshLoader, AnEditOfAnEndpointIsNoReadingOfEverything) {
    Rng rng(1);
    const Folder folder;
    Directory directory(rng, folder);
    MeshLoader loader("/nowhere", "mesh", node());
    const auto first = loader.load_files(directory.files());
    ASSERT_TRUE(first);
    EXPECT_EQ(loader.reader().work().parsed, loader.reader().work().documents);
    directory.move_endpoint(99);
    const auto second = loader.load_files(directory.files());
    ASSERT_TRUE(second);
    EXPECT_EQ(loader.reader().work().parsed, 1u);
    EXPECT_LE(loader.reader().work().together, 2u) << "the service alone";
    EXPECT_FALSE(loader.translator().whole());
    EXPECT_EQ(loader.translator().work().services, 1u);
    EXPECT_EQ(loader.translator().work().virtual_services, 0u);
    const auto is_same = [&](const auto& before, const auto& now) {
        int changed = 0;
        for (const auto& [name, resource] : now) changed += !resource.is(before.at(name));
        return changed;
    };
    EXPECT_EQ(is_same(first->resources->endpoints, second->resources->endpoints), 1);
    EXPECT_EQ(is_same(first->resources->routes, second->resources->routes), 0);
    EXPECT_EQ(is_same(first->resources->listeners, second->resources->listeners), 0);
    const std::string cluster = "outbound|80||s0.shop.svc.cluster.local";
    EXPECT_EQ(second->resources->endpoints.at(cluster)->endpoints(0).lb_endpoints(0).endpoint().address().socket_address().address(), "10.0.0.99");
}

TEST(MeshLoader, AnEditOfARouteOrARuleCostsWhatItTouches) {
    Rng rng(1);
    const Folder folder;
    Directory directory(rng, folder);
    MeshLoader loader("/nowhere", "mesh", node());
    const auto first = loader.load_files(directory.files());
    ASSERT_TRUE(first);
    directory.put(virtual_service(1, "/edited"));
    const auto second = loader.load_files(directory.files());
    ASSERT_TRUE(second);
    EXPECT_FALSE(loader.translator().whole());
    EXPECT_EQ(loader.translator().work().services, 0u);
    EXPECT_EQ(loader.translator().work().virtual_services, 1u);
    EXPECT_TRUE(second->resources->clusters.is(first->resources->clusters));
    EXPECT_TRUE(second->resources->listeners.is(first->resources->listeners));
    const auto &before = first->resources->routes.at("http.80"), &now = second->resources->routes.at("http.80");
    ASSERT_EQ(before.hosts().size(), now.hosts().size());
    int changed = 0;
    for (size_t i = 0; i < now.hosts().size(); i++) changed += !now.hosts()[i].is(before.hosts()[i]);
    EXPECT_EQ(changed, 1);
    directory.put(rule(2, "v1"));
    const auto third = loader.load_files(directory.files());
    ASSERT_TRUE(third);
    EXPECT_EQ(loader.translator().work().services, 1u);
    EXPECT_EQ(loader.translator().work().virtual_services, 0u);
    EXPECT_TRUE(third->resources->routes.is(second->resources->routes));
    EXPECT_TRUE(third->resources->clusters.contains("outbound|80|one|s2.shop.svc.cluster.local"));
}

TEST(MeshLoader, ARotatedFileIsASecretAndNothingElse) {
    Rng rng(1);
    const Folder folder;
    for (const char* name : {"id.crt", "id.key", "roots.crt"}) folder.write(name, "first");
    Directory directory(rng, folder);
    directory.put(rule(1, "v1", "  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}\n"));
    MeshLoader loader("/nowhere", "mesh", node(folder));
    const auto files = directory.files();
    const auto first = loader.load_files(files);
    ASSERT_TRUE(first);
    folder.write("id.crt", "second");
    const auto second = loader.load_files(files);
    ASSERT_TRUE(second);
    EXPECT_EQ(loader.reader().work().documents, 0u) << "the same files are not looked at";
    EXPECT_EQ(loader.translator().work().services, 0u);
    EXPECT_TRUE(loader.translator().work().secrets);
    EXPECT_TRUE(second->resources->clusters.is(first->resources->clusters));
    EXPECT_NE(second->resources->secrets.at("default").hash(), first->resources->secrets.at("default").hash());
    EXPECT_TRUE(second->resources->secrets.at("ROOTCA").is(first->resources->secrets.at("ROOTCA")));
}

}  // namespace
}  // namespace sluice::control
