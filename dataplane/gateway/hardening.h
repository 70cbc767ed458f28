// What becomes of the process around the gateway's start: no NIC is taken that somebody needs, then, with ports open, the process
// becomes its user, loses capabilities, and may make only the system calls of a gateway (ctrl/control/privileges.h, sandbox.h).
// In: the operator's file. Out: refusals with their cure, what is true now. Owns the one thread that keeps CAP_NET_ADMIN.
// Control thread only; destroyed after the ports, so that their interfaces are left as they were found.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "ctrl/control/privileges.h"
#include "ctrl/control/sandbox.h"
#include "ctrl/host/gateway_host.h"

namespace sluice::gateway {

class Hardening {
 public:
    explicit Hardening(const host::GatewayHost& host) : host_(host) {}
    ~Hardening();

    /// Before ports are opened: may this machine's devices be taken, is there such a user.
    Result<void> prepare();
    /// Ports are open, no other thread of ours runs yet.
    Result<void> settle();
    /// On a worker's own thread, before its first turn.
    Result<void> confine_worker() const { return control::confine_worker(seccomp()); }
    /// Runs what needs CAP_NET_ADMIN. Empty: the caller has it, or nobody does.
    std::function<void(const std::function<void()>&)> privileged() const;
    /// As status shows it.
    const control::ProcessState& state() const { return state_; }

 private:
    control::Seccomp seccomp() const { return static_cast<control::Seccomp>(host_.process.seccomp); }
    Result<void> check_readable() const;
    void tell() const;

    const host::GatewayHost& host_;
    std::optional<control::User> user_;
    std::unique_ptr<control::Keeper> keeper_;
    control::ProcessState state_;
    bool opened_ = false;   // the ports are
};

}  // namespace sluice::gateway
