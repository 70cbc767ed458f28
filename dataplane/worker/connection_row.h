// One connection as an operator sees it: what TCP knows, and what the application above says it is doing. Plain values, copied
// out of a core by a job (mailbox.h): nothing in it points into the core. Texts of peers are cut, not escaped.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/ip_address.h"
#include "tcp/stack.h"

namespace sluice::worker {

/// A text that is cut where its room ends.
template <uint16_t kBytes>
struct CutText {
    uint16_t size = 0;
    bool cut = false;
    std::array<char, kBytes> bytes;

    void set(std::string_view text) {
        size = static_cast<uint16_t>(std::min<size_t>(text.size(), kBytes));
        cut = text.size() > kBytes;
        if (size != 0) std::memcpy(bytes.data(), text.data(), size);
    }
    std::string_view view() const { return {bytes.data(), size}; }
};

struct ConnectionRow {
    enum class Role : uint8_t { kHandshake, kDownstream, kUpstream, kClosing /* nobody above holds it any more */ };

    uint32_t core = 0;                   // index of the worker
    tcp::ConnectionId id;
    Role role = Role::kHandshake;
    FourTuple tuple;
    tcp::Info tcp;
    uint64_t bytes_received = 0, bytes_sent = 0;
    uint64_t receive_queue_bytes = 0, send_queue_bytes = 0;   // not yet read by us; not yet acknowledged by the peer
    uint64_t age_us = 0, idle_us = 0;

    // By the application. Views are of texts that live as long as the program.
    std::string_view protocol, phase;    // HTTP/1.1; idle, request, response, ...
    std::string_view tls;                // TLSv1.3; empty: plain text, or not yet
    CutText<96> owner;                   // the listener's name, or the cluster's
    uint64_t requests = 0;               // so far
    bool in_request = false;
    uint64_t request_age_us = 0;
    uint16_t status = 0;                 // once the answer began
    CutText<16> method;
    CutText<80> host;
    CutText<160> path;
    CutText<64> route;
    CutText<96> cluster;
    tcp::ConnectionId pair;              // the other side of the proxied request
    SocketAddress pair_remote;
};

/// What becomes of a connection that an operator closes.
enum class CloseOutcome : uint8_t {
    kGone,           // it had ended before
    kClosed,         // idle: an orderly end is under way
    kAfterRequest,   // it ends with the request that it carries
    kReset,          // cut: RST
    kClosing,        // it was ending already
};

}  // namespace sluice::worker
