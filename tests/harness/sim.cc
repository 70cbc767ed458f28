// The calls of sluice_tcp_sim.h: a stack with trouble built in, and looks inside it.
// In: th_config and what goes beyond it. Out: stacks, sockets with news, what is out of bounds. Owns nothing itself.
#include "tests/harness/sluice_tcp_sim.h"

#include <cstring>

#include "tests/harness/stack.h"
#include "tcp/connection_impl.h"

using namespace sluice;
using namespace sluice::harness;

namespace {

constexpr uint32_t kBufferSlack = 65536;

/// No state grows beyond its limit, whatever the network does.
const char* check(const tcp::Tcb& t) {
    const uint64_t held_max = 2 * uint64_t{t.receive_limit} + kBufferSlack;
    if (t.reassembly.runs() > tcp::Reassembly::kRunsMax) return "more runs out of order than allowed";
    if (t.reassembly.charge() > held_max) return "more memory out of order than allowed";
    if (t.receive_queue.bytes() > t.receive_limit) return "more text received than the buffer's limit";
    if (t.send_queue.bytes() > 2 * uint64_t{t.send_limit} + kBufferSlack) return "more text queued than the buffer's limit";
    if (t.pipe() > (1u << 30)) return "the pipe's account is below zero";
    uint32_t records = 0;
    for (const tcp::TxRecord* r = t.tx_head; r; r = r->next) records++;
    return records == t.records_out ? nullptr : "records are miscounted";
}

}  // namespace

extern "C" {

int sluice_tcp_next_news(th_stack* stack) { return stack ? stack->next_news() : -1; }

const char* sluice_tcp_check(th_stack* stack, int fd) {
    const Socket* const socket = stack ? stack->sockets.find(fd) : nullptr;
    if (!socket || !socket->connection) return nullptr;
    return check(*static_cast<const tcp::Tcb*>(socket->connection));
}

void sluice_tcp_count(const th_stack* stack, struct sluice_tcp_counts* counts) {
    if (!counts) return;
    *counts = {};
    if (!stack) return;
    counts->withheld = stack->faults.happened();
    counts->damaged = stack->tcp.counters().bad_checksum + stack->tcp.counters().bad_header;
    counts->bad_frames = stack->port.bad_frames();
}

}  // extern "C"
