// Segments as bytes. New text leaves in the mbufs that it lies in, the header written in front of it; a repeat, or text in an mbuf
// that someone else looks at, gets a header mbuf with the payload attached behind it where the port takes chains, else copied.
// In: header fields and a record. Out: a datagram whose checksum is finished or left to the port.
// A frame holds references of the send queue's mbufs until the driver has sent them. RFC 9293 3.1.
#include <algorithm>
#include <cstring>

#include "base/checksum.h"
#include "tcp/stack_impl.h"

namespace sluice::tcp {

/// Calls piece(slice, offset, length) for each part of a slice that the record covers.
template <typename Piece>
static void for_each_piece(const TxRecord& record, Piece&& piece) {
    const SliceNode* node = record.node;
    uint32_t offset = record.offset;
    for (uint32_t left = record.payload_bytes; left > 0; node = node->next, offset = 0) {
        const uint32_t n = std::min(left, node->slice.size() - offset);
        if (n > 0) piece(node->slice, offset, n);
        left -= n;
    }
}

/// Nobody else looks at this mbuf: what lies around the slice may be written, and the mbuf may be part of a frame itself. Once it
/// is (see lend()), it is so no more until the driver has freed the frame.
static bool is_sole(const Slice& slice) {
    const rte_mbuf* m = slice.segment();
    return RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
}

/// The mbuf of a sole slice as a frame's segment that begins `before` bytes ahead of these bytes. The slice knows its place by itself
/// (base/slice.h), and freeing an mbuf undoes its links: what is set here is the frame's alone.
static rte_mbuf* lend(const Slice& slice, uint32_t offset, uint32_t length, uint32_t before = 0) {
    rte_mbuf* const m = slice.segment();
    rte_mbuf_refcnt_update(m, 1);
    m->data_off = static_cast<uint16_t>(slice.offset() + offset - before);
    m->data_len = static_cast<uint16_t>(before + length);
    m->pkt_len = before + length;
    m->next = nullptr;
    m->nb_segs = 1;
    m->ol_flags = 0;
    m->packet_type = 0;
    m->tx_offload = 0;
    return m;
}

/// The record's bytes from `skip` on as a chain of mbufs: their own where `fresh` allows and nobody else looks at them, else
/// indirect ones. Null: too many pieces, or no mbufs.
rte_mbuf* Stack::Impl::attach_payload(const TxRecord& record, bool fresh, uint32_t skip) {
    uint32_t pieces = 0;
    for_each_piece(record, [&](const Slice&, uint32_t, uint32_t) { pieces++; });
    const uint32_t room = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
    const bool fits_one_mbuf = record.payload_bytes + kHeaderBytesMax <= room;
    if (fits_one_mbuf && pieces > kPiecesMax) return nullptr;
    rte_mbuf* head = nullptr;
    rte_mbuf** tail = &head;
    bool whole = true;
    uint16_t segments = 0;
    for_each_piece(record, [&](const Slice& slice, uint32_t offset, uint32_t length) {
        if (skip > 0) {   // whole pieces alone
            skip -= length;
            return;
        }
        rte_mbuf* m = nullptr;
        if (fresh && is_sole(slice)) {
            m = lend(slice, offset, length);
        } else {
            m = whole ? rte_pktmbuf_alloc(pool) : nullptr;
            if (!m) {
                whole = false;
                return;
            }
            rte_pktmbuf_attach(m, slice.segment());
            m->data_off = static_cast<uint16_t>(slice.offset() + offset);
            m->data_len = static_cast<uint16_t>(length);
            m->pkt_len = length;
        }
        *tail = m;
        tail = &m->next;
        segments++;
    });
    if (!whole) {
        while (head) rte_pktmbuf_free_seg(std::exchange(head, head->next));
        return nullptr;
    }
    head->nb_segs = segments;
    return head;
}

/// A message's head and the body behind it: the head is copied into the room in front of the body, where the head that the body came
/// with lay, most times. One mbuf, and one descriptor, where the port takes chains; no copy of the body where it takes none.
/// Null: they do not lie so.
rte_mbuf* Stack::Impl::frame_of_two(const TxRecord& record, std::span<const uint8_t> header) {
    const Slice& first = record.node->slice;
    if (first.size() > kJoinBytesMax || first.size() >= record.payload_bytes || !record.node->next) return nullptr;
    const Slice& second = record.node->next->slice;
    const uint32_t length = record.payload_bytes - first.size();
    const auto before = static_cast<uint32_t>(header.size()) + first.size();
    if (length > second.size() || second.offset() < before + net::kTransportHeadroom || !is_sole(second)) return nullptr;
    rte_mbuf* const m = lend(second, 0, length, before);
    auto* const at = rte_pktmbuf_mtod(m, uint8_t*);
    std::memcpy(at, header.data(), header.size());
    std::memcpy(at + header.size(), first.data(), first.size());
    counters.bytes_copied_tx += first.size();
    counters.bytes_attached_tx += length;
    return m;
}

/// New text as its own frame, `header` in front of the first slice. Null: it does not lie so.
rte_mbuf* Stack::Impl::frame_in_place(const Tcb& t, const TxRecord& record, std::span<const uint8_t> header) {
    if (record.offset != 0) return nullptr;
    if (rte_mbuf* const joined = frame_of_two(record, header)) return joined;
    const Slice& first = record.node->slice;
    const auto header_bytes = static_cast<uint32_t>(header.size());
    if (first.offset() < header_bytes + net::kTransportHeadroom || !is_sole(first)) return nullptr;
    const uint32_t length = std::min(record.payload_bytes, first.size());
    rte_mbuf* rest = nullptr;
    if (length < record.payload_bytes && (!t.multi_segment || !(rest = attach_payload(record, true, length)))) return nullptr;
    rte_mbuf* const m = lend(first, 0, length, header_bytes);
    std::memcpy(rte_pktmbuf_mtod(m, uint8_t*), header.data(), header_bytes);
    if (rest) {
        m->next = rest;
        m->nb_segs = static_cast<uint16_t>(1 + rest->nb_segs);
        m->pkt_len = header_bytes + record.payload_bytes;
    }
    counters.bytes_attached_tx += record.payload_bytes;
    return m;
}

/// A header mbuf, with the payload attached to it or copied behind it. Null: no mbufs.
rte_mbuf* Stack::Impl::frame_of_copy(const Tcb& t, const TxRecord* payload, std::span<const uint8_t> header, bool fresh) {
    rte_mbuf* const m = rte_pktmbuf_alloc(pool);
    const uint32_t bytes = payload ? payload->payload_bytes : 0;
    rte_mbuf* attached = nullptr;
    if (m && bytes >= kCopyBreakBytes && t.multi_segment) attached = attach_payload(*payload, fresh, 0);
    if (!m || (bytes > 0 && !attached && bytes + kHeaderBytesMax > rte_pktmbuf_tailroom(m))) {
        if (m) rte_pktmbuf_free(m);
        return nullptr;
    }
    const auto header_bytes = static_cast<uint16_t>(header.size());
    std::memcpy(rte_pktmbuf_mtod(m, uint8_t*), header.data(), header_bytes);
    m->data_len = header_bytes;
    m->pkt_len = header_bytes + bytes;
    if (attached) {
        m->next = attached;
        m->nb_segs = static_cast<uint16_t>(attached->nb_segs + 1);
        counters.bytes_attached_tx += bytes;
    } else if (bytes > 0) {
        copy_payload(*payload, rte_pktmbuf_mtod_offset(m, uint8_t*, header_bytes));
        m->data_len = static_cast<uint16_t>(header_bytes + bytes);
        counters.bytes_copied_tx += bytes;
    }
    return m;
}

void Stack::Impl::copy_payload(const TxRecord& record, uint8_t* to) {
    for_each_piece(record, [&](const Slice& slice, uint32_t offset, uint32_t length) {
        std::memcpy(to, slice.data() + offset, length);
        to += length;
    });
}

bool Stack::Impl::build(Tcb& t, const HeaderFields& fields, const TxRecord* payload, bool fresh, net::DatagramOut& out) {
    uint8_t written[kHeaderBytesMax];
    const uint8_t header_bytes = write_header(fields, written);
    const std::span<const uint8_t> text(written, header_bytes);
    const uint32_t bytes = payload ? payload->payload_bytes : 0;
    rte_mbuf* m = fresh && bytes > 0 ? frame_in_place(t, *payload, text) : nullptr;
    if (!m) m = frame_of_copy(t, payload, text, fresh);
    if (!m) {
        counters.no_memory++;
        starved = true;
        return false;
    }
    auto* const header = rte_pktmbuf_mtod(m, uint8_t*);
    const bool cut_by_port = bytes > t.snd_mss && !payload->has(TxRecord::kMtuProbe);
    const uint64_t pseudo = pseudo_header_sum(t.tuple.local.ip, t.tuple.remote.ip, net::kProtocolTcp,
                                              cut_by_port ? 0 : header_bytes + bytes);
    const uint16_t checksum = t.tx_checksum ? checksum_fold(pseudo)
                                            : checksum_finish(checksum_add_mbuf(m, 0, header_bytes + bytes, pseudo));
    store_checksum(header + 16, checksum);
    out.source = t.tuple.local.ip;
    out.destination = t.tuple.remote.ip;
    out.mbuf = m;
    out.protocol = net::kProtocolTcp;
    out.ecn = fields.ecn_capable ? kEct0 : 0;
    out.dscp = t.dscp;
    out.checksum_complete = !t.tx_checksum;
    out.l4_header_length = header_bytes;
    out.tso_segment_bytes = cut_by_port ? t.snd_mss : 0;
    out.route_hint = t.route_hint;
    return true;
}

/// A segment that belongs to no control block (any more): RST, cookie, TIME-WAIT's ACK. Dropped when the ring is full.
void Stack::Impl::push_control(const FourTuple& tuple, const HeaderFields& fields) {
    rte_mbuf* const m = control_count < kControlMax ? rte_pktmbuf_alloc(pool) : nullptr;
    if (!m) return void(counters.no_memory++);
    auto* header = rte_pktmbuf_mtod(m, uint8_t*);
    const uint8_t header_bytes = write_header(fields, header);
    m->data_len = header_bytes;
    m->pkt_len = header_bytes;
    const uint64_t pseudo = pseudo_header_sum(tuple.local.ip, tuple.remote.ip, net::kProtocolTcp, header_bytes);
    store_checksum(header + 16, checksum_finish(checksum_add(header, header_bytes, pseudo)));
    net::DatagramOut& out = control[(control_head + control_count) % kControlMax];
    control_count++;
    out = {};
    out.source = tuple.local.ip;
    out.destination = tuple.remote.ip;
    out.mbuf = m;
    out.protocol = net::kProtocolTcp;
    out.dscp = config.dscp & 63;
    out.checksum_complete = true;
    out.l4_header_length = header_bytes;
}

/// RFC 9293 3.10.7.1: RST that the sender of `s` will believe.
void Stack::Impl::reset_for(const FourTuple& tuple, const Segment& s) {
    if (s.has(kRst)) return;
    HeaderFields f;
    f.source_port = tuple.local.port;
    f.destination_port = tuple.remote.port;
    if (s.has(kAck)) {
        f.seq = s.ack;
        f.flags = kRst;
    } else {
        f.ack = s.end();
        f.flags = kRst | kAck;
    }
    counters.resets_out++;
    push_control(tuple, f);
}

}  // namespace sluice::tcp
