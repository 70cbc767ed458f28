// Commands as CLI11 sees them. Options of the whole tool may stand anywhere. Wrong use is exit code 2 and one line.
#include "ctrl/sluicectl/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>

#include "ctrl/host/gateway_host.h"

namespace sluice::ctl {

namespace {

constexpr char kDefaultTarget[] = "/run/sluice/admin.sock";

struct Options {
    std::string target = kDefaultTarget, form = "table";
    Filters filters;
    std::string host, port, filter, level, shell;
    std::string interval = "1s", delta = "0", timeout = "30s";
    uint64_t revision = 0;
};

using Action = std::function<int(const Context&)>;

Duration duration(const std::string& text) { return *host::parse_duration(text); }   // checked by is_duration

std::string is_duration(const std::string& text) {
    return host::parse_duration(text) ? "" : fmt::format("`{}` is not a duration: 500ms, 5s, 1m30s", text);
}

/// A whole number between two bounds, said in words (CLI11's own checks print types).
auto is_number(uint64_t min, uint64_t max) {
    return [min, max](const std::string& text) -> std::string {
        uint64_t n = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
        if (error == std::errc{} && end == text.data() + text.size() && n >= min && n <= max) return "";
        return max == UINT64_MAX ? fmt::format("`{}` is not a number from {} on", text, min) : fmt::format("`{}` is not a number from {} to {}", text, min, max);
    };
}

class CommandLine {
 public:
    CommandLine() : app_("sluicectl: asks and steers a Sluice gateway.", "sluicectl") {
        app_.option_defaults()->always_capture_default();
        app_.add_option("--target", o_.target, "The gateway's admin.socket")->type_name("SOCK");
        app_.add_option("-o,--output", o_.form, "table, wide, json or yaml")->type_name("FORM")->check(CLI::IsMember({"table", "wide", "json", "yaml"}, CLI::ignore_case));
        app_.option_defaults()->always_capture_default(false);
        app_.require_subcommand(1);
        app_.footer("Exit codes: 0 ok, 1 degraded or findings, 2 down or wrong use.\nExample:\n  sluicectl status");
        add_status();
        add_proxy_config();
        add_counters();
        add_wait();
        add_actions();
    }

    CLI::App& app() { return app_; }
    const Action& action() const { return action_; }
    const Options& options() const { return o_; }

 private:
    CLI::App* command(CLI::App* parent, const std::string& name, const std::string& what, const std::string& examples, Action action) {
        CLI::App* sub = parent->add_subcommand(name, what);
        sub->fallthrough();
        sub->footer((examples.find('\n') == std::string::npos ? "Example:\n  " : "Examples:\n  ") + examples);
        if (action) sub->callback([this, action = std::move(action)] { action_ = action; });
        else sub->require_subcommand(1);
        return sub;
    }

    void add_status() {
        command(&app_, "status", "What the gateway does now; 1 if anything needs an operator", "sluicectl status\n  sluicectl status -o json", status);
        CLI::App* config = command(&app_, "config", "The configuration in force", "sluicectl config show", nullptr);
        command(config, "show", "Revision in force, and what was rejected, with its place and cure", "sluicectl config show", config_show);
    }

    void add_proxy_config() {
        CLI::App* pc = command(&app_, "pc", "Proxy config: the tables in force, with counters", "sluicectl pc routes --host shop.example", nullptr);
        pc->alias("proxy-config");
        const auto table = [&](const char* name, const char* what, const char* examples, int (*show)(const Context&, const Filters&), const char* host) {
            CLI::App* sub = command(pc, name, what, examples, [this, show](const Context& c) {
                Filters filters;
                if (!o_.host.empty()) filters["host"] = o_.host;
                if (!o_.port.empty()) filters["port"] = o_.port;
                return show(c, filters);
            });
            if (host) sub->add_option("--host", o_.host, host)->type_name("NAME");
            sub->add_option("--port", o_.port, host ? "Only this port of it" : "Only this port")->type_name("PORT")->check(is_number(1, 65535));
        };
        table("listeners", "Where the gateway listens", "sluicectl pc listeners --port 80", listeners, nullptr);
        table("routes", "Routes in the order they are tried, with hits and where they were written", "sluicectl pc routes --host shop.example\n  sluicectl pc routes -o wide", routes,
              "Only the virtual host that serves this name");
        table("clusters", "Services and their subsets", "sluicectl pc clusters --host reviews.shop", clusters, "Only this service");
        table("endpoints", "Addresses behind services, up or down", "sluicectl pc endpoints --host reviews.shop --port 9080", endpoints, "Only this service");
    }

    void add_counters() {
        command(&app_, "runtime", "Cores: busy share, requests, cycles for each request by stage", "sluicectl runtime\n  sluicectl runtime --interval 5s",
                [this](const Context& c) { return runtime(c, duration(o_.interval)); })
            ->add_option("--interval", o_.interval, "Measure for so long [1s]")->type_name("TIME")->check(is_duration);
        CLI::App* sub = command(&app_, "stats", "Counters by name, or how they grow", "sluicectl stats upstream_cx\n  sluicectl stats --delta 5s",
                                [this](const Context& c) { return stats(c, o_.filter, duration(o_.delta)); });
        sub->add_option("FILTER", o_.filter, "Only names that contain this");
        sub->add_option("--delta", o_.delta, "Watch for so long, show what changed")->type_name("TIME")->check(is_duration);
    }

    void add_wait() {
        CLI::App* wait = command(&app_, "wait", "Wait for a state", "sluicectl wait ready --timeout 10s\n  sluicectl wait revision 8", nullptr);
        const auto timeout = [this](CLI::App* sub) {
            sub->add_option("--timeout", o_.timeout, "Give up after [30s]")->type_name("TIME")->check(is_duration);
        };
        timeout(command(wait, "ready", "Until a revision is live on all cores", "sluicectl wait ready --timeout 10s",
                        [this](const Context& c) { return wait_ready(c, duration(o_.timeout)); }));
        CLI::App* revision = command(wait, "revision", "Until this revision or a later one is live on all cores; 1 if it is rejected", "sluicectl wait revision 8",
                                     [this](const Context& c) { return wait_revision(c, o_.revision, duration(o_.timeout)); });
        revision->add_option("N", o_.revision, "The revision")->type_name("")->required()->check(is_number(1, UINT64_MAX));
        timeout(revision);
    }

    void add_actions() {
        command(&app_, "drain", "Finish open requests, accept no new connections; /ready says so", "sluicectl drain", [](const Context& c) { return drain(c, true); });
        command(&app_, "undrain", "Accept connections again after drain", "sluicectl undrain", [](const Context& c) { return drain(c, false); });
        CLI::App* log = command(&app_, "log", "The access log, and the gateway's own", "sluicectl log reopen\n  sluicectl log level debug", nullptr);
        command(log, "reopen", "Open the access log's file again, as logrotate wants", "sluicectl log reopen", log_reopen);
        command(log, "level", "Show or set the level of the gateway's own log", "sluicectl log level\n  sluicectl log level debug",
                [this](const Context& c) { return log_level(c, o_.level); })
            ->add_option("LEVEL", o_.level, "debug, info, warning or error");
        command(&app_, "completion", "Print a completion script for your shell",
                "sluicectl completion bash > /etc/bash_completion.d/sluicectl\n  sluicectl completion zsh > ~/.zfunc/_sluicectl\n  sluicectl completion fish > ~/.config/fish/completions/sluicectl.fish",
                [this](const Context& c) { return c.out << completion(app_, o_.shell), 0; })
            ->add_option("SHELL", o_.shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
    }

    Options o_;
    Action action_;
    CLI::App app_;
};

Form form_of(const std::string& text) {
    if (text == "json") return Form::kJson;
    if (text == "yaml") return Form::kYaml;
    return text == "wide" ? Form::kWide : Form::kTable;
}

Instant steady_now() {
    return {static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count())};
}

}  // namespace

int run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err) {
    return run(std::move(arguments), out, err, [](Duration d) { std::this_thread::sleep_for(std::chrono::microseconds(d.us)); }, steady_now);
}

int run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err, std::function<void(Duration)> sleep, std::function<Instant()> now) {
    CommandLine line;
    std::reverse(arguments.begin(), arguments.end());   // as CLI11 takes them
    try {
        line.app().parse(std::move(arguments));
    } catch (const CLI::CallForHelp&) {
        out << line.app().help();
        return 0;
    } catch (const CLI::ParseError& e) {
        err << "sluicectl: " << e.what() << ": sluicectl --help lists the commands\n";
        return 2;
    }
    const Context context{Client(line.options().target), form_of(line.options().form), out, err, std::move(sleep), std::move(now)};
    try {
        return line.action()(context);
    } catch (const nlohmann::json::exception& e) {
        return fail(context, {2, fmt::format("the gateway's answer is not understood ({}): is it of another version?", e.what())});
    }
}

}  // namespace sluice::ctl
