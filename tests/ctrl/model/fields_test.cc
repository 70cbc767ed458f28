// The documentation says what the code does.
// In: docs/istio.md, the descriptors, the codes of all known mistakes. Out: a stale line, by name.
// Reads the source tree.
// To cure: ninja -C build ctrl/model/istio_fields && build/ctrl/model/istio_fields docs/istio.md
#include "ctrl/model/fields.h"

#include <fstream>
#include <regex>
#include <set>
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

TEST(Codes, OfEveryMistakeAreDocumented) {
    std::set<std::string> known;
    for (const Code& code : codes()) EXPECT_TRUE(known.insert(code.code).second) << code.code << " twice";
    const std::string cases = slurp(std::string(TEST_DIR) + "/bad_yaml.txt");
    const std::regex code("SLC[0-9]{4}");
    for (auto it = std::sregex_iterator(cases.begin(), cases.end(), code); it != std::sregex_iterator(); ++it)
        EXPECT_TRUE(known.contains(it->str())) << it->str();
}

}  // namespace
}  // namespace sluice::model
