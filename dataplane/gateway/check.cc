// The same readers, checks, translation and build as the running gateway uses; only publishing is left out.
#include "gateway/check.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "ctrl/apply/apply.h"
#include "ctrl/control/mesh_loader.h"
#include "ctrl/host/ephemeral.h"
#include "gateway/setup.h"
#include "snapshot/snapshot.h"

namespace sluice::gateway {

int check(const std::string& path) {
    auto host = read_host(path);
    if (!host) return std::filesystem::exists(path) ? kFindings : kUnusable;
    auto loaded = control::load_mesh(host->mesh.directory, shown_directory(*host), proxy_node(*host));
    if (!loaded) {
        fmt::print(stderr, "{}", render(loaded.error().diagnostics, loaded.error().files));
        return kFindings;
    }
    snapshot::Publisher publisher(1);
    auto snapshot = apply::build(*loaded->resources, nullptr, publisher, 1, loaded->content_hash, {.path = host->access_log.path});
    if (!snapshot) {
        fmt::print(stderr, "{}", render(as_diagnostics(snapshot.error()), loaded->files));
        return kFindings;
    }
    if (!loaded->warnings.empty()) fmt::print(stderr, "{}", render(loaded->warnings, loaded->files));
    // The kernel's range is this machine's, which need not be the gateway's: told, not refused.
    if (const auto ephemeral = host::ephemeral_ports(*host, host::kernel_ephemeral_ports()); !ephemeral)
        fmt::print(stderr, "{}: warning SLC0011: {}\n", path, ephemeral.error());
    size_t routes = 0;
    for (const auto& table : (*snapshot)->routes)
        for (const auto& virtual_host : table->virtual_hosts()) routes += virtual_host.routes.size();
    fmt::print("ok: {} mesh file{}, {} listener{}, {} route{}, {} cluster{}\n", loaded->files, loaded->files == 1 ? "" : "s",
               (*snapshot)->listeners.size(), (*snapshot)->listeners.size() == 1 ? "" : "s", routes, routes == 1 ? "" : "s",
               loaded->resources->clusters.size(), loaded->resources->clusters.size() == 1 ? "" : "s");
    return kOk;
}

}  // namespace sluice::gateway
