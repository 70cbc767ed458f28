// The demo's own mesh, configs/mesh: it must be right, and the tour's edits must do what they say.
// In: the files as they are in the repository. Out: resources.
// Reads configs/mesh from the source tree; edits are made on text in memory.
// OPERATOR's first minute: 90/10 becomes 50/50 by one sed; `wieght` is refused.
#include <fstream>
#include <regex>
#include <sstream>

#include "ctrl/source/directory.h"
#include "tests/ctrl/translate/mesh.h"

namespace sluice::translate {
namespace {

TEST(Demo, TranslatesWithoutAWarning) {
    const source::Load load = source::load_directory(MESH_DIR);
    ASSERT_NE(load.mesh, nullptr) << render(load.diagnostics, load.file_count);
    EXPECT_TRUE(load.diagnostics.empty()) << render(load.diagnostics, load.file_count);
    std::vector<Diagnostic> warnings;
    const auto set = translate(*load.mesh, edge_node(), &warnings);
    ASSERT_TRUE(set.has_value()) << render(set.error(), load.file_count);
    EXPECT_TRUE(warnings.empty()) << render(warnings, load.file_count);

    const auto& host = set->routes.at("http.80")->virtual_hosts(0);
    EXPECT_EQ(host.name(), "shop.example:80");
    ASSERT_EQ(host.routes_size(), 4);
    EXPECT_TRUE(is_json(host.routes(1).route(), R"({"timeout": "5s", "weighted_clusters": {"clusters": [
        {"name": "outbound|9080|v1|reviews.shop.svc.cluster.local", "weight": 90},
        {"name": "outbound|9080|v2|reviews.shop.svc.cluster.local", "weight": 10}]}})"));
    const auto address = [&](const std::string& cluster) {
        return set->endpoints.at(cluster)->endpoints(0).lb_endpoints(0).endpoint().address().socket_address();
    };
    EXPECT_EQ(address("outbound|9080|v1|reviews.shop.svc.cluster.local").address(), "10.0.0.21");
    EXPECT_EQ(address("outbound|9080|v2|reviews.shop.svc.cluster.local").address(), "10.0.0.22");
    EXPECT_EQ(address("outbound|9080||ratings.shop.svc.cluster.local").address(), "10.0.0.23");
    EXPECT_EQ(address("outbound|9080||ratings.shop.svc.cluster.local").port_value(), 9080u);
}

TEST(Demo, TheToursEditsAreThere) {
    std::ifstream in(std::string(MESH_DIR) + "/reviews.yaml");
    std::stringstream text;
    text << in.rdbuf();
    const std::string yaml = text.str();
    // sed -E 's/weight: [0-9]+/weight: 50/'
    const std::regex weight("weight: [0-9]+");
    EXPECT_EQ(std::distance(std::sregex_iterator(yaml.begin(), yaml.end(), weight), std::sregex_iterator()), 2);
    model::MeshConfig mesh;
    std::vector<Diagnostic> out;
    model::read_objects(yaml::parse("mesh/reviews.yaml", std::regex_replace(yaml, weight, "weight: 50"), out), mesh,
                        out);
    ASSERT_TRUE(out.empty()) << render(out, 1);
    for (const auto& destination : mesh.virtual_services.at(0).spec.http(1).route())
        EXPECT_EQ(destination.weight(), 50);

    // sed 's/weight:/wieght:/'
    model::MeshConfig broken;
    model::read_objects(
        yaml::parse("mesh/reviews.yaml", std::regex_replace(yaml, std::regex("weight:"), "wieght:"), out), broken,
        out);
    ASSERT_EQ(out.size(), 2u);
    EXPECT_EQ(out[0].cure, "did you mean `weight`?");
    EXPECT_EQ(out[0].field, "spec.http[1].route[0].wieght");
}

}  // namespace
}  // namespace sluice::translate
