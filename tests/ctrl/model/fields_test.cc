// The documentation says what the code does.
// In: docs/istio.md, the descriptors. Out: a stale line, by name.
// Reads the source tree.
// To cure: ninja -C build ctrl/model/istio_fields && build/ctrl/model/istio_fields docs/istio.md
#include "ctrl/model/fields.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace sluice::model {
namespace {

std::string slurp(const std::string& path) {
    std::ifstream in(path);
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
}

TEST(Fields, AreDocumentedAsTheyAre) {
    EXPECT_NE(slurp(std::string(DOCS_DIR) + "/istio.md")
                  .find("<!-- fields -->\n" + fields_markdown() + "<!-- end of fields -->"),
              std::string::npos)
        << "stale: build/ctrl/model/istio_fields docs/istio.md";
}

TEST(Fields, SayWhatWeDoWithThem) {
    const std::string table = fields_markdown();
    for (const char* row : {
             "| HTTPRouteDestination | |\n|---|---|\n| `destination` | supported, required |\n| `weight`, `headers` | supported |\n",
             "| `mirror`, `mirrors`, `mirrorPercent`, `mirror_percent`, `mirrorPercentage` | refused: mirroring comes",
             "| `mode` | `SIMPLE`, `MUTUAL`, `ISTIO_MUTUAL`, `OPTIONAL_MUTUAL` supported, else refused: passing TLS through",
             "| `simple` | `UNSPECIFIED`, `LEAST_CONN`, `RANDOM`, `ROUND_ROBIN`, `LEAST_REQUEST` supported, else refused: ROUND_ROBIN",
             "- OutlierDetection of `TrafficPolicy.outlierDetection`: `consecutiveErrors`, ",
             "### Sidecar\n\nObjects of this kind are taken and ignored: Istio never applies it",
         })
        EXPECT_NE(table.find(row), std::string::npos) << row << "\n" << table;
}

TEST(Fields, OfEveryKindHaveTheirPath) {
    const std::string paths = "\n" + fields_paths();
    for (const char* line : {
             "\nGateway.servers[].port.number: number\n",
             "\nVirtualService.http[].match[].headers{}.exact: string\n",
             "\nDestinationRule.trafficPolicy.connectionPool.tcp.connectTimeout: string\n",
             "\nServiceEntry.location: MESH_EXTERNAL|MESH_INTERNAL\n",
             "\nWorkloadEntry.ports{}: number\nWorkloadEntry.ports: map\n",
             "\nSidecar.egress[].hosts: list\n",
         })
        EXPECT_NE(paths.find(line), std::string::npos) << line;
}

}  // namespace
}  // namespace sluice::model
