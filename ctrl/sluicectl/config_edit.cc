// config apply and config rollback: the files are read here, everything else is the gateway's work. Then the wait until the new
// revision is live on all cores. Exit codes: 0 live (or a dry run that would be), 1 refused, in conflict or late, 2 wrong use.
#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "ctrl/source/files.h"
#include "ctrl/sluicectl/config_commands.h"
#include "ctrl/sluicectl/findings.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

constexpr size_t kBytesMax = 24u << 20;   // of all files; the gateway takes 32 MiB of JSON
constexpr Duration kPoll = milliseconds(20);

/// For the history: who typed this, also behind sudo.
std::string who() {
    const char* sudo = std::getenv("SUDO_USER");
    const passwd* user = getpwuid(getuid());
    const std::string name = user ? user->pw_name : fmt::format("uid {}", getuid());
    return sudo && *sudo ? fmt::format("{} ({})", sudo, name) : name;
}

Result<std::string, Failure> text_of_file(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status {};
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        const std::string why = fd < 0 ? std::strerror(errno) : "not a regular file";
        if (fd >= 0) close(fd);
        return unexpected(Failure{2, fmt::format("{}: {}", path, why)});
    }
    std::string text;
    char buffer[65536];
    ssize_t got = 0;
    while ((got = read(fd, buffer, sizeof buffer)) > 0 && text.size() <= kBytesMax) text.append(buffer, static_cast<size_t>(got));
    const int error = got < 0 ? errno : 0;
    close(fd);
    if (error) return unexpected(Failure{2, fmt::format("{}: {}", path, std::strerror(error))});
    return text;
}

Result<void, Failure> add_file(Json& files, size_t& bytes, const std::string& path, std::string name, std::string text) {
    if (!source::is_config_name(name)) return unexpected(Failure{2, fmt::format("{}: mesh files end in .yaml, .yml or .json and do not begin with a dot", path)});
    if ((bytes += text.size()) > kBytesMax) return unexpected(Failure{2, fmt::format("more than {} MiB: copy such files into the mesh directory", kBytesMax >> 20)});
    for (const Json& file : files)
        if (file["name"] == name) return unexpected(Failure{2, fmt::format("{}: another {} is given too: files of one name are one file in the mesh directory", path, name)});
    try {
        static_cast<void>(Json(text).dump());
    } catch (const Json::type_error&) {
        return unexpected(Failure{2, fmt::format("{}: not UTF-8: YAML must be", path)});
    }
    files.push_back({{"name", std::move(name)}, {"text", std::move(text)}});
    return {};
}

/// Every PATH a file, or a folder of them.
Result<Json, Failure> read_paths(const std::vector<std::string>& paths) {
    Json files = Json::array();
    size_t bytes = 0;
    for (const std::string& path : paths) {
        std::error_code ignored;
        if (std::filesystem::is_directory(path, ignored)) {
            const source::Files found = source::read_files(path, path);
            if (!found.errors.empty()) {
                const Diagnostic& d = found.errors.front();
                return unexpected(Failure{2, fmt::format("{}: {}", d.file, d.message)});
            }
            for (const source::File& file : found.set->files)
                if (auto added = add_file(files, bytes, path + "/" + file.name, file.name, file.text); !added) return unexpected(added.error());
            continue;
        }
        auto text = text_of_file(path);
        if (!text) return unexpected(text.error());
        if (auto added = add_file(files, bytes, path, std::filesystem::path(path).filename(), std::move(*text)); !added) return unexpected(added.error());
    }
    return files;
}

/// Until the revision, or a later one, is live on all cores: how long it took in ms, or nothing.
Result<std::optional<double>, Failure> await(const Context& c, uint64_t revision, Duration timeout) {
    for (const Instant end = c.now() + timeout;; c.sleep(kPoll)) {
        const auto config = c.client.get("/v1/config");
        if (!config) return unexpected(config.error());
        const Json& in_force = child_of(*config, "in_force");
        if (number_of(in_force, "revision") >= revision && flag_of(in_force, "live_everywhere")) return std::optional(real_of(in_force, "time_to_live_ms"));
        if (c.now() >= end) return std::optional<double>();
    }
}

void print_findings(const Context& c, const Json& answer) {
    const auto findings = diagnostics_of(child_of(answer, "diagnostics"));
    if (!findings.empty()) c.out << render(findings, number_of(answer, "files"));
}

std::string detail(const Json& answer) {
    const std::string cure = text_of(answer, "cure");
    return text_of(answer, "message") + (cure.empty() ? "" : ": " + cure);
}

/// What became of it in words; the exit code.
int tell(const Context& c, const Json& answer, Duration wait) {
    const std::string outcome = text_of(answer, "outcome");
    const uint64_t revision = number_of(answer, "revision");
    const std::string changes = changes_text(child_of(answer, "changes"), SIZE_MAX);
    print_findings(c, answer);
    if (outcome == "refused") {
        const uint64_t in_force = number_of(answer, "in_force");
        return fail(c, {1, in_force ? fmt::format("refused; nothing was changed, revision {} stays in force", in_force) : "refused; nothing was changed"});
    }
    if (outcome == "conflict") return fail(c, {1, detail(answer)});
    if (outcome == "impossible") return fail(c, {1, detail(answer)});
    if (!changes.empty()) c.out << changes << "\n";
    if (outcome == "valid") c.out << (changes.empty() ? "good, and nothing would change\n" : "good: it would be applied; nothing was changed\n");
    if (outcome == "unchanged") c.out << fmt::format("the directory holds revision {}, which is in force\n", revision);
    if (outcome != "applied") return 0;
    if (wait.us == 0) {
        c.out << fmt::format("revision {} is in force, on its way to all cores\n", revision);
    } else if (child_of(answer, "live").is_null()) {
        return fail(c, {1, fmt::format("revision {} is in force, but not on every core yet: sluicectl status says why", revision)});
    } else {
        c.out << fmt::format("revision {} is live on all cores after {:.1f} ms\n", revision, real_of(answer, "time_to_live_ms"));
    }
    return 0;
}

int finish(const Context& c, Json answer, Duration wait) {
    answer["live"] = nullptr;
    answer["time_to_live_ms"] = nullptr;
    if (text_of(answer, "outcome") == "applied" && wait.us > 0) {
        const auto live = await(c, number_of(answer, "revision"), wait);
        if (!live) return fail(c, live.error());
        if (*live) answer["live"] = true, answer["time_to_live_ms"] = **live;
    }
    const std::string outcome = text_of(answer, "outcome");
    const bool good = outcome == "valid" || outcome == "unchanged" || (outcome == "applied" && (wait.us == 0 || flag_of(answer, "live")));
    if (write_data(c, answer)) return good ? 0 : 1;
    return tell(c, answer, wait);
}

}  // namespace

int config_apply(const Context& c, const ApplyOptions& options) {
    auto files = read_paths(options.paths);
    if (!files) return fail(c, files.error());
    const Json request{{"files", *files}, {"remove", options.remove}, {"prune", options.prune}, {"dry_run", options.dry_run}, {"by", who()}};
    const bool shows_diff = options.dry_run && c.form != Form::kJson && c.form != Form::kYaml;
    if (shows_diff) {
        const auto now = c.client.get("/v1/config/revision", {{"revision", "directory"}});
        if (!now) return fail(c, now.error());
        Json after{{"content", *files}};
        for (const Json& file : child_of(*now, "content")) {
            const std::string name = text_of(file, "name");
            const bool given = std::any_of(files->begin(), files->end(), [&](const Json& f) { return f["name"] == name; });
            const bool goes = options.prune || std::find(options.remove.begin(), options.remove.end(), name) != options.remove.end();
            if (!given && !goes) after["content"].push_back(file);
        }
        c.out << files_diff(*now, after, "directory", "applied");
    }
    const auto answer = c.client.post_json("/v1/config/apply", request);
    if (!answer) return fail(c, answer.error());
    return finish(c, *answer, options.wait);
}

int config_rollback(const Context& c, uint64_t revision, bool dry_run, Duration wait) {
    std::map<std::string, std::string> parameters{{"by", who()}, {"dry_run", "true"}};
    if (revision) parameters["revision"] = std::to_string(revision);
    const bool shows_diff = c.form != Form::kJson && c.form != Form::kYaml;
    if (shows_diff || dry_run) {   // first what would be done: which revision it is, and the diff to it
        const auto plan = c.client.post("/v1/config/rollback", parameters);
        if (!plan) return fail(c, plan.error());
        const uint64_t target = number_of(*plan, "rolled_back_to");
        if (target && shows_diff) {
            const auto now = c.client.get("/v1/config/revision", {{"revision", "directory"}});
            const auto then = c.client.get("/v1/config/revision", {{"revision", std::to_string(target)}});
            if (now && then) c.out << files_diff(*now, *then, "directory", fmt::format("revision {}", target));
            c.out << fmt::format("back to revision {}\n", target);
        }
        if (dry_run || text_of(*plan, "outcome") != "valid") return finish(c, *plan, wait);
        parameters["revision"] = std::to_string(target);   // what was shown is what is done
    }
    parameters.erase("dry_run");
    const auto answer = c.client.post("/v1/config/rollback", parameters);
    if (!answer) return fail(c, answer.error());
    return finish(c, *answer, wait);
}

}  // namespace sluice::ctl
