// OpenSSL made ready before anything else: no configuration file is read (also not later, below the list of system calls), error texts
// are loaded. Called once at start by main; whoever makes contexts or handshakes calls it too, which then costs nothing. Any thread.
#pragma once

namespace sluice::tls {

void initialise_openssl();

}  // namespace sluice::tls
