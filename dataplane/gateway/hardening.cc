// The order of hardening (see hardening.h and docs/decisions/0106): find out, open, drop, confine, and only then start threads.
#include "gateway/hardening.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "ctrl/doctor/nic_use.h"
#include "worker/interface.h"

namespace sluice::gateway {

namespace {

bool is_af_xdp(const host::Port& port) { return port.device.starts_with("af_xdp:"); }

/// What later needs CAP_NET_ADMIN: taking an XDP program off again, making a deleted TAP device anew.
bool needs_keeper(const host::GatewayHost& host) {
    return std::any_of(host.ports.begin(), host.ports.end(), [](const host::Port& p) { return is_af_xdp(p) || !p.exception.empty(); });
}

static_assert(static_cast<int>(host::Process::Seccomp::kEnforce) == static_cast<int>(control::Seccomp::kEnforce) &&
              static_cast<int>(host::Process::Seccomp::kLog) == static_cast<int>(control::Seccomp::kLog) &&
              static_cast<int>(host::Process::Seccomp::kOff) == static_cast<int>(control::Seccomp::kOff));

}  // namespace

Hardening::~Hardening() {
    if (!keeper_ || !opened_) return;   // what never opened is not ours: another gateway may run on it
    // DPDK's driver could not take its program off any more: it is no longer root.
    keeper_->run([this] {
        for (const host::Port& port : host_.ports)
            if (is_af_xdp(port)) worker::detach_xdp(host::interface_of(port));
    });
}

Result<void> Hardening::prepare() {
    const doctor::Machine machine;
    for (const host::Port& port : host_.ports)
        if (const std::string refusal = doctor::takeover_refusal(machine, port); !refusal.empty())
            return unexpected(fmt::format("port {}: {}: not taken. Choose another NIC; or give the port an exception and move the kernel's "
                                          "addresses there; or write takeover: true", port.name, refusal));
    // One program for each interface, attached without a dispatcher that only root could take off again (libxdp).
    setenv("LIBXDP_SKIP_DISPATCHER", "1", 0);
    if (host_.process.user.empty()) return {};
    auto user = control::find_user(host_.process.user);
    if (!user) return unexpected(user.error());
    user_ = std::move(*user);
    if (geteuid() == user_->uid) return {};
    if (geteuid() != 0) return unexpected(fmt::format("process.user: cannot become {}: start as root, or leave process.user out", user_->name));
    if (auto made = control::make_directory_for(std::filesystem::path(host_.admin.socket).parent_path(), *user_); !made) return made;
    if (!host_.state.directory.empty())
        if (auto made = control::make_directory_for(host_.state.directory, *user_); !made) return made;
    const auto log = std::filesystem::path(host_.access_log.path);
    if (!log.empty() && !host_.access_log.path.starts_with("/dev/"))
        if (auto made = control::make_directory_for(log.parent_path(), *user_); !made) return made;
    if (needs_keeper(host_) && user_->uid != 0) keeper_ = std::make_unique<control::Keeper>();
    return {};
}

Result<void> Hardening::settle() {
    opened_ = true;
    if (user_) {
        if (auto done = control::become(*user_); !done) return done;
        if (keeper_)
            if (auto done = keeper_->settle(); !done) return done;
        if (auto done = check_readable(); !done) return done;
    }
    control::set_core_dumps(host_.process.core_dumps);
    state_ = control::process_state();
    if (auto done = control::confine_process(seccomp()); !done) return done;
    state_.seccomp = control::to_string(seccomp());
    tell();
    return {};
}

/// What root could read and the user cannot, said now and not as an empty configuration later.
Result<void> Hardening::check_readable() const {
    const std::string& mesh = host_.mesh.directory;
    struct stat status {};
    if (stat(mesh.c_str(), &status) == 0 && !S_ISDIR(status.st_mode)) return {};   // the reader says so, and the last good revision serves
    if (access(mesh.c_str(), F_OK) == 0 ? access(mesh.c_str(), R_OK | X_OK) == 0 : errno == ENOENT) return {};
    return unexpected(fmt::format("mesh.directory {}: user {} cannot read it: chgrp -R {} {} && chmod -R g+rX {}, and let that group pass the directories above it",
                                  mesh, user_->name, user_->gid, mesh, mesh));
}

void Hardening::tell() const {
    const std::string capabilities = state_.capabilities.empty() ? "no capabilities" : fmt::format("capabilities {}", fmt::join(state_.capabilities, " "));
    spdlog::info("running as {}, seccomp {}, {}, core dumps {}", state_.user, state_.seccomp, capabilities, state_.core_dumps ? "on" : "off");
    if (geteuid() == 0) spdlog::warn("still root after start: give it a user (process: {{user: sluice}}, or --user sluice)");
    if (seccomp() != control::Seccomp::kEnforce) spdlog::warn("process.seccomp: {}: system calls that a gateway never makes are not refused", state_.seccomp);
    if (state_.core_dumps) spdlog::warn("process.coreDumps: true: a dump holds keys; payload is left out");
}

std::function<void(const std::function<void()>&)> Hardening::privileged() const {
    if (!keeper_) return {};
    return [keeper = keeper_.get()](const std::function<void()>& action) { keeper->run(action); };
}

}  // namespace sluice::gateway
