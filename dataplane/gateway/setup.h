// From the operator's file to what each part of the program wants: translate, worker, the choice of CPUs.
// Pure functions of the file and of the machine's CPUs. sluiced and its --check share them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ctrl/analyze/proxy_node.h"
#include "ctrl/apply/nack.h"
#include "ctrl/host/gateway_host.h"
#include "ctrl/model/diagnostic.h"
#include "tls/handshake.h"
#include "worker/crew.h"

namespace sluice::gateway {

/// Exit codes of sluiced.
inline constexpr int kOk = 0, kFindings = 1, kUnusable = 2;

using analyze::proxy_node;

/// CPUs of the workers: as listed, else the last ones that this process may use and that are not the handshake threads'.
std::vector<unsigned> worker_cores(const host::GatewayHost& host);

worker::CrewSetup crew_setup(const host::GatewayHost& host, const std::vector<unsigned>& cores);

/// Of connections to clients and backends.
tcp::Options tcp_options(const host::GatewayHost& host);
/// Of TLS: they run where the workers do not. What is wrong with handshakeCores on this machine, now that it may be asked:
std::string wrong_handshake_cores(const host::GatewayHost& host);
tls::HandshakeThreads::Options handshake_threads(const host::GatewayHost& host, const std::vector<unsigned>& cores);

/// Threads started from here on (log, management) stay off the workers' cores, where there are others.
void keep_off(const std::vector<unsigned>& cores);

/// Reads the file and says on stderr what is wrong with it. Empty: unusable, already told.
std::optional<host::GatewayHost> read_host(const std::string& path);

/// The mesh directory's name as messages show it.
std::string shown_directory(const host::GatewayHost& host);

/// Refusals of resources, with the lines of the mesh files that they came from.
std::vector<Diagnostic> as_diagnostics(const std::vector<apply::Nack>& nacks, const host::GatewayHost& host);

}  // namespace sluice::gateway
