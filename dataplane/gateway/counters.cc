// See counters.h.
#include "gateway/counters.h"

namespace sluice::gateway {

void add_drops(const worker::Worker& worker, admin::CoreDrops& into) {
    const worker::WorkerCounters& c = worker.counters();
    into.pressure += c.pressure_dropped.get(), into.news += c.news_dropped.get();
    into.kernel_own += c.kernel_own.get(), into.kernel_vlan += c.kernel_vlan.get(), into.kernel_address += c.kernel_address.get();
    into.kernel_protocol += c.kernel_protocol.get(), into.kernel_no_connection += c.kernel_no_connection.get();
    into.kernel_lost += c.kernel_lost.get();
    for (uint32_t p = 0; p < worker.ports(); p++) {
        into.frames_received += worker.port(p).counters().rx_frames.get();
        into.linearize_no_mbuf += worker.port(p).counters().no_mbuf.get();
    }
}

}  // namespace sluice::gateway
