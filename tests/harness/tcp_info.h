// A connection's tcp::Info in the shape of Linux's struct tcp_info.
// In: a socket in any state. Out: the struct; what this stack does not keep is zero. Owns nothing.
#pragma once

#include <netinet/in.h>
// netinet/tcp.h would define the same names.
#include <linux/tcp.h>

#include "tests/harness/socket.h"

namespace sluice::harness {

tcp_info read_tcp_info(const Socket& socket);

}  // namespace sluice::harness
