// Segmentation as ports do it: each part gets the headers, its own lengths, numbers and checksums; PSH and FIN go with the last
// (see port.h). What the stack wrote into the checksum field is checked: ports add to it without looking.
#include "tests/harness/port.h"

#include <algorithm>
#include <cstring>

#include "base/checksum.h"
#include "base/endian.h"

namespace sluice::harness {

namespace {

/// Sum over the pseudo header of a packet.
uint64_t pseudo_sum(const uint8_t* ip, uint32_t tcp_length) {
    const bool v4 = ip[0] >> 4 == 4;
    uint8_t rest[8] = {0, 0, static_cast<uint8_t>(tcp_length >> 8), static_cast<uint8_t>(tcp_length), 0, 0, 0, 6};
    return checksum_add(v4 ? ip + 12 : ip + 8, v4 ? 8 : 32, checksum_add(rest, sizeof rest, 0));
}

constexpr uint8_t kFinPsh = 0x09;

}  // namespace

void Port::transmit(rte_mbuf* frame) {
    std::vector<uint8_t> bytes(frame->pkt_len);
    uint32_t at = 0, segments = 0;
    for (const rte_mbuf* m = frame; m; m = m->next, segments++) {
        if (at + m->data_len <= bytes.size()) std::memcpy(bytes.data() + at, rte_pktmbuf_mtod(m, const uint8_t*), m->data_len);
        at += m->data_len;
    }
    const bool asks = (frame->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM) != 0, many = (frame->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
    const uint32_t ip_bytes = frame->l3_len, tcp_bytes = frame->l4_len, part_max = many ? frame->tso_segsz : UINT16_MAX;
    bool good = at == bytes.size() && segments == frame->nb_segs && (segments == 1 || offloads_.chains);
    good = good && (!asks || offloads_.checksum) && (!many || offloads_.cuts) && part_max > 0;
    good = good && (!asks || ip_bytes + tcp_bytes <= bytes.size());
    good = good && (many ? ip_bytes + tcp_bytes + part_max : bytes.size()) <= mtu_;
    rte_pktmbuf_free(frame);
    if (!good) {
        bad_frames_++;
    } else if (asks) {
        cut(bytes, ip_bytes, tcp_bytes, part_max, many);
    } else {
        packets_.push_back(std::move(bytes));
    }
}

void Port::cut(const std::vector<uint8_t>& frame, uint32_t ip_bytes, uint32_t tcp_bytes, uint32_t part_max, bool many) {
    const uint32_t header = ip_bytes + tcp_bytes, total = static_cast<uint32_t>(frame.size());
    uint16_t left_by_stack;
    std::memcpy(&left_by_stack, frame.data() + ip_bytes + 16, 2);
    if (left_by_stack != checksum_fold(pseudo_sum(frame.data(), many ? 0 : total - ip_bytes))) bad_frames_++;
    uint32_t from = header;
    uint16_t number = 0;
    do {
        const uint32_t n = std::min(part_max, total - from);
        std::vector<uint8_t> packet(frame.begin(), frame.begin() + header);
        packet.insert(packet.end(), frame.begin() + from, frame.begin() + from + n);
        uint8_t* const ip = packet.data();
        if (ip[0] >> 4 == 4) {
            store_be16(ip + 2, static_cast<uint16_t>(header + n));
            store_be16(ip + 4, static_cast<uint16_t>(load_be16(ip + 4) + number++));
            std::memset(ip + 10, 0, 2);
            store_checksum(ip + 10, checksum_finish(checksum_add(ip, ip_bytes, 0)));
        } else {
            store_be16(ip + 4, static_cast<uint16_t>(tcp_bytes + n + ip_bytes - 40));
        }
        uint8_t* const tcp = ip + ip_bytes;
        store_be32(tcp + 4, load_be32(tcp + 4) + (from - header));
        if (from + n < total) tcp[13] = static_cast<uint8_t>(tcp[13] & ~kFinPsh);
        std::memset(tcp + 16, 0, 2);
        store_checksum(tcp + 16, checksum_finish(checksum_add(tcp, tcp_bytes + n, pseudo_sum(ip, tcp_bytes + n))));
        packets_.push_back(std::move(packet));
        from += n;
    } while (from < total);
}

}  // namespace sluice::harness
