// A directory read again and again, against a reading from nothing: the same resources, the same findings, after any edit. And that
// an edit of an endpoint is not a reading of everything. Random edits, seeded: SLUICE_SEED=N repeats a run.
#include <gtest/gtest.h>

#include <cstdlib>
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
    return node;
}

std::string object(const std::string& kind, const std::string& name, const std::string& spec) {
    return fmt::format("---\napiVersion: networking.istio.io/v1\nkind: {}\nmetadata: {{name: {}, namespace: shop}}\nspec:\n{}", kind, name, spec);
}

std::string gateway() {
    return object("Gateway", "edge", "  selector: {istio: ingressgateway}\n  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]\n");
}

std::string service(int i, const std::string& endpoints) {
    return object("ServiceEntry", fmt::format("s{}", i),
                  fmt::format("  hosts: [s{}.shop.svc.cluster.local]\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  resolution: STATIC\n{}", i, endpoints));
}

std::string one_endpoint(int host, const std::string& version = "v1") {
    return fmt::format("  - {{address: 10.0.0.{}, labels: {{app: shop, version: {}}}}}\n", host, version);
}

std::string virtual_service(int i, const std::string& prefix, const std::string& subset = "") {
    return object("VirtualService", fmt::format("s{}", i),
                  fmt::format("  hosts: [s{0}.example]\n  gateways: [edge]\n  http:\n  - match: [{{uri: {{prefix: {1}}}}}]\n    route: [{{destination: {{host: s{0}.shop.svc.cluster.local{2}}}}}]\n",
                              i, prefix, subset.empty() ? "" : ", subset: " + subset));
}

std::string rule(int i, const std::string& version) {
    return object("DestinationRule", fmt::format("s{}", i), fmt::format("  host: s{}.shop.svc.cluster.local\n  subsets: [{{name: one, labels: {{version: {}}}}}]\n", i, version));
}

std::string workload(const std::string& name, int host) {
    return object("WorkloadEntry", name, fmt::format("  {{address: 10.1.0.{}, labels: {{app: vm}}}}\n", host));
}

/// Files of documents, as somebody edits them.
class Directory {
 public:
    explicit Directory(Rng& rng) : rng_(rng) {
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
        switch (rng_.below(16)) {
            case 0: case 1: case 2: case 3: return put(service(pick(), endpoints()));
            case 4: case 5: return put(virtual_service(pick(), rng_.chance(0.5) ? "/" : fmt::format("/{}", rng_.below(5)), rng_.chance(0.2) ? "one" : ""));
            case 6: return put(rule(pick(), rng_.chance(0.7) ? "v1" : "v9"));
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

 private:
    int pick() { return static_cast<int>(rng_.below(4)); }
    std::string endpoints() {
        std::string out = "  endpoints:\n";
        for (uint64_t n = rng_.between(1, 3); n > 0; n--) out += one_endpoint(static_cast<int>(rng_.between(1, 200)), rng_.chance(0.7) ? "v1" : "v2");
        return out;
    }
    std::vector<std::string>& some_file() { return std::next(documents_.begin(), static_cast<long>(rng_.below(documents_.size())))->second; }
    /// In place of the object of that kind and name, else at a file's end.
    void put(const std::string& document) {
        const std::string head = document.substr(0, document.find("\nspec:"));
        for (auto& [name, documents] : documents_)
            for (auto& one : documents)
                if (one.starts_with(head + "\n")) return void(one = document);
        some_file().push_back(document);
    }
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
        }
    };
    same(a.listeners, b.listeners), same(a.routes, b.routes), same(a.clusters, b.clusters), same(a.endpoints, b.endpoints);
}

TEST(MeshLoader, RandomEditsGiveWhatAReadingFromNothingGives) {
    const char* given = std::getenv("SLUICE_SEED");
    const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed) + " ctrl_revisions_test --gtest_filter=MeshLoader.*");
    Rng rng(seed);
    int good = 0, refused = 0, little = 0;
    for (int round = 0; round < 12; round++) {
        Directory directory(rng), kept(rng);
        MeshLoader loader("/nowhere", "mesh", node());
        for (int step = 0; step < 80; step++) {
            for (uint64_t edits = rng.between(0, 2); edits > 0; edits--) directory.edit();
            const auto whole = load_mesh_files(directory.files(), "mesh", node());
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
    EXPECT_GT(little, 50) << "edits of endpoints alone";
}

TEST(MeshLoader, AnEditOfAnEndpointIsNoReadingOfEverything) {
    Rng rng(1);
    Directory directory(rng);
    MeshLoader loader("/nowhere", "mesh", node());
    const auto first = loader.load_files(directory.files());
    ASSERT_TRUE(first);
    EXPECT_EQ(loader.reader().work().parsed, loader.reader().work().documents);
    directory.move_endpoint(99);
    const auto second = loader.load_files(directory.files());
    ASSERT_TRUE(second);
    EXPECT_EQ(loader.reader().work().parsed, 1u);
    EXPECT_FALSE(loader.reader().work().together);
    EXPECT_FALSE(loader.translator().whole());
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

}  // namespace
}  // namespace sluice::control
