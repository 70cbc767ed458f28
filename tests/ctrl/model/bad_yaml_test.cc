// Every kind of mistake, and the exact words it is answered with.
// In: bad_yaml.txt, cases of "=== name", the file mesh/bad.yaml, "---- expect", the findings.
// Each case is read together with base.yaml, as one revision of two files.
// To see what a new case says: run this test, it prints the findings it got. SLUICE_REWRITE=FILE writes all cases with what they
// say now, to be read before it replaces bad_yaml.txt.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "ctrl/model/check.h"
#include "ctrl/model/object_reader.h"

namespace sluice::model {
namespace {

struct Case {
    std::string name;
    std::string yaml;
    std::string expected;
};

std::string slurp(const std::string& name) {
    std::ifstream in(std::string(TEST_DIR) + "/" + name);
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
}

std::vector<Case> cases() {
    std::vector<Case> out;
    std::istringstream in(slurp("bad_yaml.txt"));
    std::string* into = nullptr;
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("=== ")) {
            out.push_back({line.substr(4), "", ""});
            into = &out.back().yaml;
        } else if (line == "---- expect" && into) {
            into = &out.back().expected;
        } else if (into) {
            *into += line + "\n";
        }
    }
    return out;
}

std::string findings(const std::string& yaml) {
    MeshConfig mesh;
    std::vector<Diagnostic> out;
    read_objects(yaml::parse("mesh/a-base.yaml", slurp("base.yaml"), out), mesh, out);
    EXPECT_TRUE(out.empty()) << render(out, 1);
    read_objects(yaml::parse("mesh/bad.yaml", yaml, out), mesh, out);
    check(mesh, out.empty(), out);
    sort_by_place(out);
    return render(out, 2);
}

class BadYaml : public testing::TestWithParam<Case> {};

TEST_P(BadYaml, IsAnsweredInTheseWords) {
    const std::string got = findings(GetParam().yaml);
    EXPECT_EQ(got, GetParam().expected);
    EXPECT_NE(got, "0 errors in 2 files\n");
}

std::string test_name(const testing::TestParamInfo<Case>& info) {
    std::string out;
    for (char c : info.param.name) out += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return out;
}

INSTANTIATE_TEST_SUITE_P(Model, BadYaml, testing::ValuesIn(cases()), test_name);

TEST(BadYamlFile, HasCases) { EXPECT_GE(cases().size(), 40u); }

// SLUICE_REWRITE=FILE writes the file anew, as the findings are now.
TEST(BadYamlFile, IsRewrittenOnRequest) {
    const char* path = std::getenv("SLUICE_REWRITE");
    if (!path) return;
    std::ofstream out(path);
    for (const Case& one : cases()) out << "=== " << one.name << "\n" << one.yaml << "---- expect\n" << findings(one.yaml);
}

}  // namespace
}  // namespace sluice::model
