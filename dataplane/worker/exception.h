// The way between a port and the kernel, for packets that are not the gateway's: SSH, BGP, DHCP on a one-NIC machine.
// In, on a core: frames that the stack does not want, or that both must hear. Out: frames of the kernel, for the wire.
// Copies bytes into rings of its own, so frame buffers never leave their core; the other end is exception_thread.h.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/ethernet.h"
#include "worker/counter.h"
#include "worker/frame_ring.h"

namespace sluice::worker {

/// The rings of one port. Made before the cores run; each ring has one core at one end and the exception thread at the other.
struct ExceptionPort {
    static constexpr uint32_t kToKernel = 512, kFromKernel = 512;

    ExceptionPort(std::string device, uint32_t cores, uint32_t sending_core) : name(std::move(device)), sender(sending_core) {
        for (uint32_t i = 0; i < cores; i++) to_kernel.push_back(std::make_unique<FrameRing>(kToKernel));
    }

    std::string name;                                   // of the TAP device
    std::vector<std::unique_ptr<FrameRing>> to_kernel;  // by core
    FrameRing from_kernel{kFromKernel};                 // sent by one core, so that a flow keeps its order
    uint32_t sender;
    RelaxedCounter written, refused;                    // exception thread: what the kernel took, what it did not
};

/// Who is to see a frame of a port that has an exception path.
enum class Audience : uint8_t {
    kGateway,   // the stack first; the kernel if the stack does not want it
    kBoth,      // ARP, ND and the rest of ICMP: the kernel shares the MAC and may share the addresses
    kKernel,    // pieces of what only the kernel reassembles
};
/// Looks at link, IP and ICMP headers; whatever is malformed is the stack's to drop.
Audience audience(const rte_mbuf* frame, const net::MacAddress& own);

/// One core's end of a port's path. Counters are read by any thread.
class ExceptionEnd {
 public:
    ExceptionEnd(ExceptionPort& port, uint32_t core)
        : port_(port), to_kernel_(*port.to_kernel[core]), sends_(port.sender == core) {}

    /// Copies the frame; it stays the caller's. False: dropped and counted, the ring is full or the frame longer than any MTU here.
    bool to_kernel(const rte_mbuf* frame);
    /// The kernel's next frame in an mbuf of `pool`, or null. Only the sending core gets any.
    rte_mbuf* from_kernel(rte_mempool* pool);

    uint64_t dropped() const { return dropped_.get(); }
    uint64_t sent() const { return sent_.get(); }

 private:
    ExceptionPort& port_;
    FrameRing& to_kernel_;
    const bool sends_;
    RelaxedCounter dropped_, sent_;
};

}  // namespace sluice::worker
