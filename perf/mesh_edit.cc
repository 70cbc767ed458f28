// How soon an edit of a large mesh is live, step by step: a file is saved, the directory read, parsed and checked, translated, built
// and published. In: how many services of ten endpoints and ten routes, in how many files. Out: milliseconds of each step, for a
// first reading and for edits of one endpoint, of one route, of one rule, and of one line that moves all below it; with --mutual-tls, where
// every service is called by mutual TLS, also for a rotation of the gateway's identity, and the memory before and after many of them.
//   build/perf/mesh_edit --services 10000 --files 1000 --mutual-tls
// Steps are the gateway's own functions called in its order on one thread. What is not in the figures: the 10 ms for which the
// directory must be quiet after a save (source::WatchTiming), and a worker's turn (perf/micro_publish).
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

#include "ctrl/apply/apply.h"
#include "ctrl/control/mesh_loader.h"
#include "ctrl/source/mesh_reader.h"
#include "tests/support/certificates.h"

namespace sluice {
namespace {

using std::chrono::steady_clock;

struct Shape {
    int services = 10'000, files = 1'000;
    bool mutual_tls = false;
};

/// What an edit changes of the text of one service.
struct Edit {
    int port = 9080;
    std::string route = "/service-3/";
    std::string balancer = "LEAST_REQUEST";
    bool comment = false;
};

std::string service_text(const Shape& shape, int i, const Edit& edit) {
    std::string text = edit.comment ? "# an edit\n" : "";
    text += fmt::format("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: service-{0}, namespace: shop}}\nspec:\n  hosts: [service-{0}.shop.svc.cluster.local]\n"
                        "  ports: [{{number: 9080, name: http, protocol: HTTP}}]\n  resolution: STATIC\n{1}  endpoints:\n", i, shape.mutual_tls ? "  location: MESH_INTERNAL\n" : "");
    for (int e = 0; e < 10; e++)
        text += fmt::format("  - {{address: 10.{}.{}.{}, labels: {{app: service-{}, version: v1{}}}, ports: {{http: {}}}}}\n", (i * 10 + e) >> 16, ((i * 10 + e) >> 8) & 255,
                            (i * 10 + e) & 255, i, shape.mutual_tls ? ", security.istio.io/tlsMode: istio" : "", e == 0 ? edit.port : 9080);
    text += fmt::format("---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: service-{0}, namespace: shop}}\nspec: {{host: service-{0}.shop.svc.cluster.local, trafficPolicy: {{loadBalancer: {{simple: {1}}}}}}}\n",
                        i, edit.balancer);
    text += fmt::format("---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: service-{0}, namespace: shop}}\nspec:\n  hosts: [service-{0}.example]\n"
                        "  gateways: [edge]\n  http:\n", i);
    for (int r = 0; r < 10; r++)
        text += fmt::format("  - match: [{{uri: {{prefix: {}}}}}]\n    route: [{{destination: {{host: service-{}.shop.svc.cluster.local}}}}]\n",
                            r == 3 ? edit.route : fmt::format("/service-{}/", r), i);
    return text + "---\n";
}

std::string file_text(const Shape& shape, int file, const Edit& edit) {
    std::string text;
    const int first = static_cast<int>(int64_t{file} * shape.services / shape.files), end = static_cast<int>(int64_t{file + 1} * shape.services / shape.files);
    for (int i = first; i < end; i++) text += service_text(shape, i, i == (first + end) / 2 ? edit : Edit{});
    if (file == 0)
        text += "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\nspec:\n  selector: {istio: ingressgateway}\n"
                "  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]\n";
    return text;
}

long peak_mib() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

double resident_mib() {
    malloc_trim(0);
    std::ifstream status("/proc/self/statm");
    double size = 0, resident = 0;
    status >> size >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

class Bench {
 public:
    Bench(std::filesystem::path directory, Shape shape, bool whole) : directory_(std::move(directory)), shape_(shape), whole_(whole) {
        std::filesystem::create_directories(directory_);
        for (int f = 0; f < shape_.files; f++) write(f, {});
        if (shape_.mutual_tls) rotate();
    }
    /// The whole way once; milliseconds by step.
    std::map<std::string, double> load();
    void edit(const Edit& edit) { write(shape_.files / 2, edit); }
    /// Another certificate of the gateway, as a file that is replaced.
    void rotate();
    std::map<std::string, double> refresh();
    size_t contexts() const { return static_cast<size_t>(std::count_if(publisher_.current()->client_contexts.begin(), publisher_.current()->client_contexts.end(), [](const auto& one) { return one != nullptr; })); }

 private:
    void write(int file, const Edit& edit) { std::ofstream(directory_ / fmt::format("mesh-{:05}.yaml", file)) << file_text(shape_, file, edit); }
    std::map<std::string, double> load(source::Files files, std::map<std::string, double> took);
    translate::ProxyNode node() const {
        translate::ProxyNode node;
        node.id = "edge-1";
        node.labels = {{"istio", "ingressgateway"}};
        if (shape_.mutual_tls) node.identity = {"id.crt", "id.key", "roots.crt"}, node.files = certificates_;
        return node;
    }
    sluice::test::CertificateAuthority authority_{"mesh"};
    int rotations_ = 0;
    std::shared_ptr<const std::map<std::string, translate::FileText>> certificates_;
    source::FileSetPtr set_;

    const std::filesystem::path directory_;
    const Shape shape_;
    snapshot::Publisher publisher_{1};
    snapshot::Reader reader_ = publisher_.reader(0);
    uint64_t revision_ = 0;
    source::MeshReader reader_of_files_{"mesh"};
    translate::Translator translator_;
    const bool whole_;
    std::shared_ptr<const xds::ResourceSet> kept_;
};

void Bench::rotate() {
    const auto issued = authority_.issue({.names = {"URI:spiffe://cluster.local/ns/istio-system/sa/edge"}, .key_number = rotations_++ % 8});
    certificates_ = std::make_shared<const std::map<std::string, translate::FileText>>(std::map<std::string, translate::FileText>{
        {"id.crt", {issued.chain_pem, ""}}, {"id.key", {issued.private_key_pem, ""}}, {"roots.crt", {authority_.pem(), ""}}});
}

std::map<std::string, double> Bench::load() {
    const auto begin = steady_clock::now();
    source::Files files = source::read_files(directory_);
    return load(std::move(files), {{"1 read", std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count()}});
}

/// As the control thread does when a file of certificates changed: the mesh files are those in force.
std::map<std::string, double> Bench::refresh() { return load({set_, {}}, {{"1 read", 0}}); }

std::map<std::string, double> Bench::load(source::Files files, std::map<std::string, double> took) {
    set_ = files.set;
    auto last = steady_clock::now();
    const auto begin = last - std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double, std::milli>(took["1 read"]));
    const auto step = [&](const char* name) {
        const auto now = steady_clock::now();
        took[name] = std::chrono::duration<double, std::milli>(now - last).count();
        last = now;
    };
    const auto fail = [](const auto& diagnostics) {
        fmt::print(stderr, "{}\n", diagnostics.empty() ? std::string("refused") : diagnostics.front().message);
        std::exit(2);
    };
    source::Load loaded = whole_ ? source::load_files(std::move(files), "mesh") : reader_of_files_.load(std::move(files));
    if (!loaded.mesh) fail(loaded.diagnostics);
    step("2 parse and check");
    auto translated = whole_ ? translate::translate(*loaded.mesh, node()) : translator_.translate(loaded.mesh, node());
    if (!translated) fail(translated.error());
    auto resources = std::make_shared<const xds::ResourceSet>(std::move(*translated));
    step("3 translate");
    auto built = apply::build(*resources, publisher_.current(), publisher_, ++revision_, loaded.hash);
    if (!built) fail(built.error());
    step("4 build");
    if (!publisher_.publish(std::move(*built))) fail(std::vector<Diagnostic>());
    step("5 publish");
    took["total"] = std::chrono::duration<double, std::milli>(last - begin).count();
    kept_ = std::move(resources);
    reader_.quiescent();
    publisher_.reclaim();
    return took;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app{"How soon an edit of a large mesh is live, by step."};
    Shape shape;
    int repeats = 3;
    bool whole = false;
    app.add_option("--services", shape.services, "of ten endpoints and ten routes each")->capture_default_str();
    app.add_option("--files", shape.files, "that they are spread over")->capture_default_str();
    app.add_option("--repeats", repeats, "of each edit; the fastest is shown")->capture_default_str();
    app.add_flag("--mutual-tls", shape.mutual_tls, "all services are called by mutual TLS; the gateway's identity is rotated too");
    app.add_flag("--whole", whole, "nothing is kept from one reading to the next");
    CLI11_PARSE(app, argc, argv);
    std::string name = (std::filesystem::temp_directory_path() / "sluice-mesh-edit-XXXXXX").string();
    if (!mkdtemp(name.data())) return 2;
    std::vector<std::pair<std::string, std::map<std::string, double>>> rows;
    {
        Bench bench(name, shape, whole);
        rows.emplace_back("first reading", bench.load());
        const auto best = [&](const std::string& what, const std::vector<Edit>& edits) {
            std::map<std::string, double> least;
            for (int i = 0; i < repeats; i++) {
                for (const Edit& edit : edits) {
                    bench.edit(edit);
                    auto took = bench.load();
                    if (least.empty() || took["total"] < least["total"]) least = std::move(took);
                }
            }
            rows.emplace_back(what, least);
        };
        best("one endpoint", {{.port = 9081}, {.port = 9080}});
        best("one route", {{.route = "/edited/"}, {}});
        best("one rule", {{.balancer = "RANDOM"}, {}});
        best("a line above", {{.comment = true}, {}});
        if (shape.mutual_tls) {
            std::map<std::string, double> least;
            const double before = resident_mib();
            for (int i = 0; i < 100; i++) {
                bench.rotate();
                auto took = bench.refresh();
                if (least.empty() || took["total"] < least["total"]) least = std::move(took);
            }
            rows.emplace_back("identity", least);
            fmt::print("{} TLS context(s) of backends; {:.1f} MiB resident before 100 rotations, {:.1f} after\n", bench.contexts(), before, resident_mib());
        }
    }
    std::filesystem::remove_all(name);
    fmt::print("{} services, {} files, {} MiB resident at most; milliseconds\n{:<14}", shape.services, shape.files, peak_mib(), "");
    for (const auto& [step, ms] : rows.front().second) fmt::print("{:>20}", step);
    fmt::print("\n");
    for (const auto& [what, took] : rows) {
        fmt::print("{:<14}", what);
        for (const auto& [step, ms] : took) fmt::print("{:>20.1f}", ms);
        fmt::print("\n");
    }
    return 0;
}
