// The table of codes: whole, true, and what docs/errors.md says.
// In: the table, the sources of the control plane, docs/errors.md. Out: a code without a row, a row without a use, an example
// that does not bring its code.
// Reads the source tree. To cure a stale page: ninja -C build ctrl/model/error_codes && build/ctrl/model/error_codes docs/errors.md
#include "ctrl/model/codes.h"

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "ctrl/model/check.h"
#include "ctrl/model/object_reader.h"

namespace sluice {
namespace {

std::string slurp(const std::string& path) {
    std::ifstream in(path);
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
}

std::set<std::string> codes_in(const std::string& text) {
    static const std::regex code("SLC[0-9]{4}");
    std::set<std::string> out;
    for (auto it = std::sregex_iterator(text.begin(), text.end(), code); it != std::sregex_iterator(); ++it) out.insert(it->str());
    return out;
}

TEST(Codes, AreSortedAndComplete) {
    std::string last;
    for (const Code& code : codes()) {
        EXPECT_LT(last, code.code);
        last = code.code;
        EXPECT_EQ(last.size(), 7u);
        for (const char* text : {code.title, code.meaning, code.example, code.cure}) EXPECT_GE(std::string(text).size(), 5u) << last;
        EXPECT_TRUE(std::string(code.cure).ends_with('.')) << last;
    }
}

TEST(Codes, AreFoundInAnyCase) {
    ASSERT_TRUE(find_code("slc0104"));
    EXPECT_STREQ(find_code("slc0104")->title, "unknown field");
    EXPECT_FALSE(find_code("SLC9999"));
    EXPECT_FALSE(find_code("SLC010"));
    EXPECT_FALSE(find_code("SLC01044"));
    EXPECT_FALSE(find_code(""));
}

// Every code that a program can print is in the table, and nothing is in the table that no program prints.
TEST(Codes, AreThoseOfTheSources) {
    std::set<std::string> used;
    for (const char* room : {"/ctrl", "/dataplane"})
        for (const auto& entry : std::filesystem::recursive_directory_iterator(std::string(SOURCE_ROOT) + room)) {
            const std::string path = entry.path();
            if (path.ends_with("codes_table.h") || !(path.ends_with(".cc") || path.ends_with(".h"))) continue;
            for (const std::string& code : codes_in(slurp(path))) {
                used.insert(code);
                EXPECT_TRUE(find_code(code)) << path << " uses " << code << ": add it to ctrl/model/codes_table.h";
            }
        }
    for (const Code& code : codes()) EXPECT_TRUE(used.contains(code.code)) << code.code << " is in the table, and nothing uses it";
}

TEST(Codes, AreDocumentedAsTheyAre) {
    EXPECT_EQ(slurp(std::string(SOURCE_ROOT) + "/docs/errors.md"), errors_markdown()) << "stale: build/ctrl/model/error_codes docs/errors.md";
}

TEST(Codes, ThatDocumentsNameExist) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(std::string(SOURCE_ROOT) + "/docs")) {
        if (entry.path().extension() != ".md") continue;
        for (const std::string& code : codes_in(slurp(entry.path()))) EXPECT_TRUE(find_code(code)) << entry.path() << " names " << code;
    }
}

class Examples : public testing::TestWithParam<Code> {};

TEST_P(Examples, BringTheirCode) {
    const Code& code = GetParam();
    model::MeshConfig mesh;
    std::vector<Diagnostic> out;
    model::read_objects(yaml::parse("mesh/base.yaml", slurp(std::string(TEST_DIR) + "/base.yaml"), out), mesh, out);
    model::read_objects(yaml::parse("mesh/example.yaml", code.example, out), mesh, out);
    model::check(mesh, !has_errors(out), out);
    std::set<std::string> got;
    for (const Diagnostic& d : out) {
        got.insert(d.code);
        const Code* known = find_code(d.code);
        ASSERT_TRUE(known) << d.code;
        EXPECT_EQ(d.severity, known->severity) << d.code;
        EXPECT_GT(d.line, 0) << render(d);
    }
    EXPECT_TRUE(got.contains(code.code)) << render(out, 2);
}

std::vector<Code> mesh_examples() {
    std::vector<Code> out;
    for (const Code& code : codes())
        if (code.example_of == Code::Example::kMesh) out.push_back(code);
    return out;
}
INSTANTIATE_TEST_SUITE_P(Mesh, Examples, testing::ValuesIn(mesh_examples()), [](const auto& info) { return std::string(info.param.code); });

}  // namespace
}  // namespace sluice
