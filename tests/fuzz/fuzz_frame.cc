// libFuzzer target: frames into net::Stack. Input: a first byte of choices, then frames as (16-bit length, bytes), each an
// exact-size heap buffer (ASan sees overreads), some cut into segments. Everything the stack sends must be well formed, and
// no mbuf may be lost.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/checksum.h"
#include "net/ip_headers.h"
#include "net/stack.h"
#include "tests/support/eal.h"

namespace {

using namespace sluice;
using namespace sluice::net;

rte_mbuf* make_frame(const uint8_t* data, size_t size, size_t segment) {
    rte_mbuf* head = nullptr;
    rte_mbuf* tail = nullptr;
    for (size_t at = 0; at < size || !head; at += segment) {
        const size_t n = size - at < segment ? size - at : segment;
        Slice slice = test::heap_slice(std::span(data + at, n));
        rte_mbuf* m = slice.segment();
        rte_mbuf_refcnt_update(m, 1);
        if (!head) head = m;
        else tail->next = m, head->nb_segs++, head->pkt_len += m->data_len;
        tail = m;
    }
    return head;
}

void check_sent(Stack& stack) {
    rte_mbuf* m;
    while (stack.poll_transmit(0, &m, 1) == 1) {
        const uint16_t type = load_be16(rte_pktmbuf_mtod_offset(m, const uint8_t*, 12));
        if (type == kEtherTypeIpv4) {
            const auto* h = rte_pktmbuf_mtod_offset(m, const Ipv4Header*, 14);
            if (checksum_finish(checksum_add(h, 20)) != 0 || h->total_length.value() + 14u != m->pkt_len) std::abort();
        } else if (type == kEtherTypeIpv6) {
            const auto* h = rte_pktmbuf_mtod_offset(m, const Ipv6Header*, 14);
            if (h->payload_length.value() + 54u != m->pkt_len) std::abort();
        }
        rte_pktmbuf_free(m);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    test::test_eal();
    if (size < 1) return 0;
    const uint8_t choices = data[0];
    data++, size--;
    const unsigned before = rte_mempool_in_use_count(test::test_mempool());
    {
        StackConfig config;
        PortConfig port;
        port.mac = {2, 0, 0, 0, 0, 1};
        port.addresses = {*IpPrefix::parse("192.0.2.10/24"), *IpPrefix::parse("2001:db8::10/64")};
        port.routes = {{*IpPrefix::parse("0.0.0.0/0"), *IpAddress::parse("192.0.2.1")},
                       {*IpPrefix::parse("::/0"), *IpAddress::parse("2001:db8::1")}};
        port.vlan = choices & 1 ? 120 : 0;
        port.multi_segment = (choices & 2) != 0;
        config.ports = {port};
        config.neighbors_max = 16;
        config.pending_packets_max = 8;
        config.transmit_queue_frames = 64;
        Stack stack(config, test::test_mempool());
        const size_t segment = choices & 4 ? 64 + (choices >> 4) : 65535;
        Instant now{1'000'000};
        while (size >= 2) {
            size_t n = static_cast<size_t>(data[0] << 8 | data[1]) % 4096;
            data += 2, size -= 2;
            if (n > size) n = size;
            DatagramIn d;
            switch (stack.handle_frame(make_frame(data, n, segment), 0, now, d)) {
                case Verdict::kTransport:
                    if (d.payload_offset + uint32_t{d.payload_length} > d.mbuf->pkt_len || d.protocol != kProtocolTcp) std::abort();
                    [[fallthrough]];
                case Verdict::kException:
                    stack.send_port_unreachable(d, now);
                    rte_pktmbuf_free(d.mbuf);
                    break;
                case Verdict::kConsumed: break;
            }
            IcmpError error;
            while (stack.poll_icmp_error(error)) stack.update_path_mtu(error.tuple.remote.ip, error.path_mtu, now);
            check_sent(stack);
            data += n, size -= n;
            now = now + milliseconds(100);
            if (stack.poll_timeout() <= now) stack.handle_timeout(now);
        }
        check_sent(stack);
    }
    if (rte_mempool_in_use_count(test::test_mempool()) != before) std::abort();
    return 0;
}
