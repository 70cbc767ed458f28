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
    EXPECT_NE(table.find("| HTTPRouteDestination | `destination`*, `weight`, `headers` |"), std::string::npos) << table;
    EXPECT_NE(table.find("`mirror`, `mirrors`, `mirrorPercent`, `mirrorPercentage`: mirroring comes"),
              std::string::npos);
}

}  // namespace
}  // namespace sluice::model
