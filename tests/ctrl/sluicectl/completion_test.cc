// Completion scripts offer what the tool has; bash is asked itself.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>

#include "ctrl/sluicectl/command_tree.h"
#include "ctrl/sluicectl/tree_walk.h"
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

TEST_F(Completion, BashOffersValuesAndFiles) {
    EXPECT_EQ(offers("-o y"), "yaml\n");
    EXPECT_EQ(offers("pc routes --output wi"), "wide\n");
    std::ofstream(folder / "admin.sock") << "x";
    EXPECT_EQ(offers("--target " + (folder / "adm").string()), (folder / "admin.sock").string() + "\n");
    // The word after an option that takes a value is not a command, the one after a flag may be.
    EXPECT_EQ(offers("--target wait st"), "status stats\n");
    // An argument does not hide the command's options.
    EXPECT_EQ(offers("stats upstream --del"), "--delta\n");
}

TEST_F(Completion, EveryOptionIsSpelledOneWay) {
    CommandTree tree;
    add_all_commands(tree);
    std::map<std::string, bool> takes_value;
    walk(tree.app(), [&](const CLI::App& command, const std::string& path) {
        for (const OptionView& option : options(command)) {
            EXPECT_FALSE(option.help.empty()) << path << " " << option.usage();
            if (option.long_name.empty()) continue;
            const auto [known, fresh] = takes_value.emplace(option.long_name, option.takes_value());
            EXPECT_TRUE(fresh || known->second == option.takes_value()) << path << ": --" << option.long_name << " takes a value in one command and none in another";
        }
        if (!path.empty()) {
            EXPECT_FALSE(examples(command).empty()) << path << " has no example";
            for (const std::string& example : examples(command)) EXPECT_TRUE(example.starts_with("sluicectl ")) << path << ": " << example;
        }
    });
}

TEST_F(Completion, Zsh) {
    EXPECT_EQ(run_as_is({"completion", "zsh"}), 0);
    EXPECT_THAT(out, testing::StartsWith("#compdef sluicectl\n"));
    EXPECT_THAT(out, HasSubstr("complete -F _sluicectl sluicectl\n"));
}

TEST_F(Completion, FishOffersCommandsAndValues) {
    ASSERT_EQ(run_as_is({"completion", "fish"}), 0);
    const std::string script = folder / "sluicectl.fish";
    std::ofstream(script) << out;
    const auto fish_offers = [&](const std::string& line) {
        FILE* shell = popen(fmt::format("HOME={} fish --no-config -c 'source {}; complete -C \"{}\"' 2>&1 | cut -f1", folder.string(), script, line).c_str(), "r");
        std::string text;
        std::array<char, 4096> buffer;
        while (size_t n = fread(buffer.data(), 1, buffer.size(), shell)) text.append(buffer.data(), n);
        pclose(shell);
        return text;
    };
    EXPECT_EQ(fish_offers("sluicectl stat"), "stats\nstatus\n");
    EXPECT_EQ(fish_offers("sluicectl proxy-config rou"), "routes\n");
    EXPECT_EQ(fish_offers("sluicectl pc routes --ho"), "--host\n");
    EXPECT_EQ(fish_offers("sluicectl --target /x status -o ya"), "yaml\n");
}

TEST_F(Completion, ManualPagesAreCleanRoff) {
    ASSERT_EQ(run_as_is({"man", "--all", folder / "man", "--date", "2026-11-27"}), 0) << err;
    size_t pages = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder / "man")) {
        FILE* roff = popen(fmt::format("groff -man -ww -z -Tutf8 {} 2>&1", file.path().string()).c_str(), "r");
        std::array<char, 4096> buffer;
        const size_t n = fread(buffer.data(), 1, buffer.size(), roff);
        EXPECT_EQ(pclose(roff), 0);
        EXPECT_EQ(std::string(buffer.data(), n), "") << file.path();
        pages++;
    }
    EXPECT_GT(pages, 15u);
    EXPECT_EQ(run_as_is({"man", "proxy-config", "routes"}), 0);
    EXPECT_THAT(out, HasSubstr(".SH NAME\nsluicectl\\-pc\\-routes \\- "));
    EXPECT_THAT(out, HasSubstr(".B \\-\\-host NAME\n"));
    EXPECT_EQ(run_as_is({"man", "nothing"}), 2);
    EXPECT_THAT(err, HasSubstr("no command `nothing`"));
}

}  // namespace
}  // namespace sluice::ctl
