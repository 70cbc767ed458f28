// sluiced: the gateway's command line. What it does is in gateway/.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <memory>
#include <string>

#include "gateway/check.h"
#include "gateway/gateway.h"
#include "gateway/setup.h"
#include "tls/openssl_init.h"

namespace sluice::gateway {
namespace {

int run(const std::string& path, const std::string& user) {
    auto host = read_host(path);
    if (!host) return kUnusable;
    if (!user.empty()) host->process.user = user;
    try {
        return Gateway(std::move(*host)).run();
    } catch (const std::exception& e) {  // surprises only: what users write wrong is told above
        spdlog::critical("{}", e.what());
        return kUnusable;
    }
}

}  // namespace
}  // namespace sluice::gateway

int main(int argc, char** argv) {
    sluice::tls::initialise_openssl();   // before any library does it with a configuration file
    CLI::App app{"sluiced: a mesh gateway that owns its NIC queues, its TCP and its routing."};
    std::string config, user;
    bool check = false;
    std::string output = "text";
    app.add_option("-c,--config", config, "the gateway's own file (kind GatewayHost)")->required()->type_name("FILE");
    app.add_option("--user", user, "whom to become once ports are open, instead of the file's process.user")->type_name("NAME");
    app.add_flag("--check", check, "read and validate the file and everything it refers to, then exit: 0 ok, 1 errors, 2 unusable");
    app.add_option("-o,--output", output, "of --check: text, or json (one object, as `sluicectl analyze -o json`)")
        ->type_name("FORM")
        ->check(CLI::IsMember({"text", "json"}));
    app.set_version_flag("--version", std::string("sluiced ") + SLUICE_VERSION);
    app.footer("Examples:\n  sluiced --config /etc/sluice/sluice.yaml\n  sluiced --check --config sluice.yaml\n  sluiced --check --output json --config sluice.yaml");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? sluice::gateway::kOk : sluice::gateway::kUnusable;
    }
    auto logger = std::make_shared<spdlog::logger>("sluiced", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    spdlog::set_default_logger(std::move(logger));
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    return check ? sluice::gateway::check(config, output == "json") : sluice::gateway::run(config, user);
}
