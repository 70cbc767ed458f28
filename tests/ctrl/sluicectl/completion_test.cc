// Completion scripts offer what the tool has; bash is asked itself.
#include <gmock/gmock.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "tests/ctrl/sluicectl/tool.h"

namespace sluice::ctl {
namespace {

using testing::HasSubstr;
using test::Tool;

class Completion : public Tool {
 protected:
    /// What bash offers after these words.
    std::string offers(const std::string& words) {
        const std::string script = folder / "completion.bash";
        run_as_is({"completion", "bash"});
        std::ofstream(script) << out << "COMP_WORDS=(sluicectl " << words << ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_sluicectl\necho \"${COMPREPLY[*]}\"\n";
        FILE* shell = popen(("bash " + script + " 2>&1").c_str(), "r");
        std::string text;
        std::array<char, 4096> buffer;
        while (size_t n = fread(buffer.data(), 1, buffer.size(), shell)) text.append(buffer.data(), n);
        EXPECT_EQ(pclose(shell), 0) << text;
        return text;
    }
};

TEST_F(Completion, BashOffersCommandsAndOptions) {
    EXPECT_EQ(offers("sta"), "status stats\n");
    EXPECT_THAT(offers("''"), HasSubstr("runtime"));
    EXPECT_THAT(offers("pc ''"), HasSubstr("listeners routes clusters endpoints"));
    EXPECT_EQ(offers("proxy-config rou"), "routes\n");
    EXPECT_EQ(offers("pc routes --ho"), "--host\n");
    EXPECT_EQ(offers("pc routes --host x --po"), "--port\n");
    EXPECT_EQ(offers("status -o ya"), "yaml\n");
    EXPECT_EQ(offers("--target /x wait re"), "ready revision\n");
    EXPECT_EQ(offers("completion f"), "fish\n");
}

TEST_F(Completion, ZshAndFish) {
    EXPECT_EQ(run_as_is({"completion", "zsh"}), 0);
    EXPECT_THAT(out, testing::StartsWith("#compdef sluicectl\n"));
    EXPECT_EQ(run_as_is({"completion", "fish"}), 0);
    EXPECT_THAT(out, HasSubstr("complete -c sluicectl -f -n '__fish_seen_subcommand_from pc' -a routes -d "));
    EXPECT_THAT(out, HasSubstr("-l target"));
}

}  // namespace
}  // namespace sluice::ctl
