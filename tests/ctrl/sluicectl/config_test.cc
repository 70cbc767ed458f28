// config history, diff, apply, rollback: words and exit codes, against a gateway whose control thread is a function.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/ctrl/sluicectl/tool.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class Config : public test::Tool {
 protected:
    void SetUp() override {
        Tool::SetUp();
        add(6, "weight: 90\n", control::Fate::kApplied);
        add(7, "weight: 50\n", control::Fate::kApplied);
        gateway.history = &history;
        gateway.state.in_force.content = *history.files_of(7);
        gateway.directory = *history.files_of(7);
        gateway.on_apply = [this](control::ApplyRequest request) {
            applied = std::move(request);
            return answer;
        };
        gateway.on_rollback = [this](control::RollbackRequest request) {
            rollbacks.push_back(request);
            auto out = answer;
            if (request.dry_run) out.outcome = control::EditAnswer::Outcome::kValid;
            out.rolled_back_to = request.revision ? request.revision : 6;
            return out;
        };
        answer.outcome = control::EditAnswer::Outcome::kApplied;
        answer.revision = answer.in_force = 7, answer.files = 1;
        answer.changes.changed = {"a.yaml"};
    }
    void add(uint64_t revision, const std::string& text, control::Fate fate) {
        auto files = source::make_file_set({{"a.yaml", "spec:\n" + text}});
        control::Record r;
        r.revision = revision, r.fate = fate, r.origin = control::Origin::kEdit, r.hash = files->hash, r.files = 1, r.bytes = files->bytes;
        r.since = std::chrono::system_clock::now() - std::chrono::minutes(2);
        r.changes.changed = {"a.yaml"};
        if (fate == control::Fate::kRefused) r.diagnostics.push_back({.file = "mesh/a.yaml", .line = 2, .column = 1, .message = "unknown field", .source_line = text});
        history.add(std::move(r), files);
    }
    std::string file(const std::string& name, const std::string& text) const {
        std::ofstream(folder / name) << text;
        return folder / name;
    }
    control::History history{{.directory = ""}, [](control::Level, const std::string&) {}};
    control::EditAnswer answer;
    control::ApplyRequest applied;
    std::vector<control::RollbackRequest> rollbacks;
};

TEST_F(Config, HistoryIsATable) {
    add(8, "wieght: 1\n", control::Fate::kRefused);
    start();
    EXPECT_EQ(run({"config", "history"}), 0) << err;
    EXPECT_THAT(out, HasSubstr("REVISION  WHEN    FROM  OUTCOME   FILES  HASH"));
    EXPECT_THAT(out, HasSubstr("       8  2m ago  edit  refused"));
    EXPECT_THAT(out, HasSubstr("1 error: ~a.yaml\n"));
    EXPECT_THAT(out, HasSubstr("       7  2m ago  edit  in force"));
    EXPECT_THAT(out, HasSubstr("kept in memory alone"));
    gateway.state.serving_last_good = true;
    EXPECT_EQ(run({"config", "history"}), 1);
    EXPECT_THAT(out, HasSubstr("SERVING THE LAST GOOD REVISION"));
    gateway.state.serving_last_good = false;
    gateway.state.history.error = "/var/lib/sluice: No space left on device";
    EXPECT_EQ(run({"config", "history", "-o", "json"}), 1);
    EXPECT_EQ(json::parse(out)["revisions"].size(), 3u);
    EXPECT_EQ(run({"status"}), 1);
    EXPECT_THAT(out, HasSubstr("state   /var/lib/sluice: No space left on device\n"));
}

TEST_F(Config, DiffIsOneOfDiffU) {
    start();
    EXPECT_EQ(run({"config", "diff", "6", "7"}), 1) << err;
    EXPECT_EQ(out, "--- revision 6/a.yaml\n+++ revision 7/a.yaml\n@@ -1,2 +1,2 @@\n spec:\n-weight: 90\n+weight: 50\n");
    EXPECT_EQ(run({"config", "diff"}), 0);
    EXPECT_EQ(out, "revision 7 and directory are the same\n");
    gateway.directory = source::make_file_set({{"b.yaml", "x\033[2J\n"}});
    EXPECT_EQ(run({"config", "diff"}), 1);
    EXPECT_THAT(out, HasSubstr("--- revision 7/a.yaml\n+++ /dev/null\n"));
    EXPECT_THAT(out, HasSubstr("+x?[2J\n")) << "no escapes reach a terminal";
    EXPECT_EQ(run({"config", "diff", "5"}), 2);
    EXPECT_THAT(err, HasSubstr("revision 5 is not in the history"));
    EXPECT_EQ(run({"config", "diff", "yesterday"}), 2);
    EXPECT_EQ(run({"config", "diff", "6", "-o", "json"}), 1);
    EXPECT_THAT(json::parse(out)["diff"].get<std::string>(), HasSubstr("-weight: 90"));
}

TEST_F(Config, ShowOfARevisionHasItsFiles) {
    start();
    EXPECT_EQ(run({"config", "show", "--revision", "6", "--files"}), 0) << err;
    EXPECT_THAT(out, HasSubstr("revision 6  "));
    EXPECT_THAT(out, HasSubstr("# ---- a.yaml\nspec:\nweight: 90\n"));
    EXPECT_EQ(run({"config", "show", "--revision", "99"}), 1);
}

TEST_F(Config, ApplySendsFilesAndWaits) {
    start();
    const auto path = file("a.yaml", "one\n"), other = file("b.yml", "two\n");
    gateway.state.in_force.live_everywhere = false;
    on_sleep = [this] { gateway.state.in_force.live_everywhere = true; };
    EXPECT_EQ(run({"config", "apply", path, other, "--delete", "old.yaml"}), 0) << err;
    EXPECT_EQ(out, "~a.yaml\nrevision 7 is live on all cores after 11.0 ms\n");
    ASSERT_EQ(applied.files.size(), 2u);
    EXPECT_EQ(applied.files[1].name, "b.yml");
    EXPECT_EQ(applied.files[1].text, "two\n");
    EXPECT_EQ(applied.remove, std::vector<std::string>{"old.yaml"});
    EXPECT_FALSE(applied.prune || applied.dry_run || applied.by.empty());
    EXPECT_EQ(run({"config", "apply", folder, "--prune"}), 0) << err;
    EXPECT_EQ(applied.files.size(), 2u);
    EXPECT_TRUE(applied.prune);
    gateway.state.in_force.live_everywhere = false;
    on_sleep = [] {};
    EXPECT_EQ(run({"config", "apply", path, "--wait", "2s"}), 1);
    EXPECT_THAT(err, HasSubstr("not on every core yet"));
    EXPECT_EQ(run({"config", "apply", path, "--wait", "0s"}), 0);
    EXPECT_EQ(run({"config", "apply", path, "--wait", "0s", "-o", "json"}), 0);
    EXPECT_EQ(json::parse(out)["outcome"], "applied");
}

TEST_F(Config, ApplyTellsWhatIsWrong) {
    start();
    const auto path = file("a.yaml", "wieght: 1\n");
    answer.outcome = control::EditAnswer::Outcome::kRefused;
    answer.diagnostics.push_back({.file = "mesh/a.yaml", .line = 1, .column = 1, .code = "SLC0104", .message = "unknown field", .source_line = "wieght: 1", .cure = "did you mean `weight`?", .caret_width = 6});
    EXPECT_EQ(run({"config", "apply", path}), 1);
    EXPECT_THAT(out, HasSubstr("^~~~~~ did you mean `weight`?\n"));
    EXPECT_THAT(err, HasSubstr("nothing was changed, revision 7 stays in force"));
    answer.outcome = control::EditAnswer::Outcome::kConflict;
    answer.diagnostics.clear();
    answer.message = "mesh was changed by somebody else meanwhile", answer.cure = "apply again";
    EXPECT_EQ(run({"config", "apply", path}), 1);
    EXPECT_EQ(err, "sluicectl: mesh was changed by somebody else meanwhile: apply again\n");
    gateway.on_apply = [](control::ApplyRequest) { return std::nullopt; };
    EXPECT_EQ(run({"config", "apply", path}), 1);
    EXPECT_THAT(err, HasSubstr("control thread is busy"));
}

TEST_F(Config, ApplyRefusesWhatIsNoMeshFile) {
    start();
    EXPECT_EQ(run({"config", "apply", folder / "none.yaml"}), 2);
    EXPECT_THAT(err, HasSubstr("No such file"));
    EXPECT_EQ(run({"config", "apply", file("a.txt", "x")}), 2);
    EXPECT_THAT(err, HasSubstr("end in .yaml"));
    EXPECT_EQ(run({"config", "apply", file("latin.yaml", "name: caf\xe9\n")}), 2);
    EXPECT_THAT(err, HasSubstr("not UTF-8"));
    EXPECT_EQ(run({"config", "apply"}), 2);
    std::filesystem::create_directory(folder / "two");
    EXPECT_EQ(run({"config", "apply", file("a.yaml", "x"), file("two/a.yaml", "y")}), 2);
    EXPECT_THAT(err, HasSubstr("another a.yaml"));
    EXPECT_TRUE(applied.files.empty());
}

TEST_F(Config, ADryRunShowsTheDifference) {
    start();
    answer.outcome = control::EditAnswer::Outcome::kValid;
    EXPECT_EQ(run({"config", "apply", file("a.yaml", "spec:\nweight: 10\n"), "--dry-run"}), 0) << err;
    EXPECT_THAT(out, HasSubstr("-weight: 50\n+weight: 10\n"));
    EXPECT_THAT(out, HasSubstr("nothing was changed"));
    EXPECT_TRUE(applied.dry_run);
}

TEST_F(Config, RollbackDoesWhatItShowed) {
    start();
    EXPECT_EQ(run({"config", "rollback"}), 0) << err;
    EXPECT_THAT(out, HasSubstr("-weight: 50\n+weight: 90\nback to revision 6\n"));
    EXPECT_THAT(out, HasSubstr("revision 7 is live on all cores"));
    ASSERT_EQ(rollbacks.size(), 2u);
    EXPECT_TRUE(rollbacks[0].dry_run);
    EXPECT_EQ(rollbacks[1].revision, 6u) << "not whatever is the one before by then";
    EXPECT_FALSE(rollbacks[1].dry_run);
    rollbacks.clear();
    EXPECT_EQ(run({"config", "rollback", "6", "--dry-run"}), 0);
    EXPECT_EQ(rollbacks.size(), 1u);
    EXPECT_EQ(run({"config", "rollback", "0"}), 2);
}

TEST_F(Config, WaitKnowsOldRefusals) {
    add(8, "bad", control::Fate::kRefused);
    add(9, "good", control::Fate::kApplied);
    gateway.state.in_force.revision = 9;
    start();
    EXPECT_EQ(run({"wait", "revision", "8"}), 1);
    EXPECT_THAT(err, HasSubstr("revision 8 was rejected"));
    EXPECT_EQ(run({"wait", "revision", "7"}), 0);
}

TEST_F(Config, TheGatewayBoundsWhatItReads) {
    start();
    const auto status = [&](const std::string& head) {
        const std::string command = "curl -s -o /dev/null -w '%{http_code}' --unix-socket " + socket() + " -X POST " + head + " http://x/v1/config/apply";
        FILE* pipe = popen(command.c_str(), "r");
        char text[16] = {};
        [[maybe_unused]] const auto got = fread(text, 1, sizeof text - 1, pipe);
        pclose(pipe);
        return std::string(text);
    };
    EXPECT_EQ(status("-d nonsense"), "400");
    EXPECT_EQ(status("-d '{\"files\": 7}'"), "400");
    EXPECT_EQ(status("-d '{\"files\": [{\"name\": 1}]}'"), "400");
    EXPECT_EQ(status("-H 'Transfer-Encoding: chunked' -d '{}'"), "411");
    EXPECT_EQ(status("-H 'Content-Encoding: gzip' -d '{}'"), "411");
    EXPECT_EQ(status("-H 'Content-Length: 99999999999'"), "413");
    EXPECT_TRUE(applied.files.empty());
}

}  // namespace
}  // namespace sluice::ctl
