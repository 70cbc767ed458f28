// Everything that was dropped or refused, by reason: how often, what it means, what to do about it. And the balance that holds
// the list to be complete: frames received = frames that reached somebody + frames of the reasons below.
// In: the sources' counters. Out: one entry a reason, in the order of a frame's way through the gateway. Any thread; pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ctrl/admin/sources.h"

namespace sluice::admin {

/// What one count of a reason stands for.
enum class DropUnit : uint8_t { kFrameIn, kFrameOut, kDatagram, kConnection, kRequest, kRecord };
std::string_view to_string(DropUnit unit);   // frame in, frame out, datagram, connection, request, record

struct DropReason {
    std::string layer;          // driver, link, ip, fragments, icmp, neighbors, tcp, worker, exception, proxy, telemetry
    std::string reason;         // short, stable, unique in its layer: a label
    uint64_t count = 0;
    DropUnit unit = DropUnit::kFrameIn;
    bool balanced = false;      // a received frame that ended here, and nowhere else
    std::string_view meaning;   // one sentence
    std::string_view cure;      // what an operator does about it
};

/// Where every received frame went. `unexplained` is what the rest does not add up to: 0 but for frames that were on their way
/// while the counters were read.
struct FrameBalance {
    uint64_t received = 0;      // by the cores, out of the ports' queues
    uint64_t reassembled = 0;   // datagrams made whole out of fragments: they go on like frames
    std::vector<std::pair<std::string_view, uint64_t>> delivered;   // tcp, icmp, neighbors, fragments, kernel
    uint64_t dropped = 0;       // the balanced reasons' sum
    uint64_t in_flight = 0;     // between two cores
    int64_t unexplained = 0;
};

struct DropReport {
    std::vector<DropReason> reasons;
    FrameBalance balance;
};
/// Both out of one look at the counters.
DropReport drop_report(const Sources& sources);

/// All reasons, those never seen included: a bounded list, the same on every call but for the counts.
std::vector<DropReason> drop_reasons(const Sources& sources);

}  // namespace sluice::admin
