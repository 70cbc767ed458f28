// Placing pieces, and joining them (see reassembly.h).
// A piece is put behind the last one or before the first one at once, which is how fragments come; otherwise at most
// `fragments_each` pieces are passed, so that no order of arrival costs more than that.
#include "net/reassembly.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace sluice::net {

namespace {
uint64_t true_bytes(const rte_mbuf* m) {
    uint64_t bytes = 0;
    for (; m; m = m->next) bytes += m->buf_len + uint64_t{sizeof(rte_mbuf)};
    return bytes;
}

/// Cuts a chain to `length` bytes: link padding goes, and with it segments that hold nothing else.
void cut(rte_mbuf* head, uint32_t length) {
    head->pkt_len = length;
    rte_mbuf* m = head;
    uint16_t segments = 1;
    for (; length > m->data_len && m->next; m = m->next) length -= m->data_len, segments++;
    m->data_len = static_cast<uint16_t>(std::min<uint32_t>(m->data_len, length));
    rte_pktmbuf_free(std::exchange(m->next, nullptr));
    head->nb_segs = segments;
}
}  // namespace

bool merge_ecn(uint8_t seen, uint8_t& ecn) {
    constexpr uint8_t kNotEct = 1 << 0, kEct1 = 1 << 1, kEct0 = 1 << 2, kCe = 1 << 3;
    if (seen & kCe) {
        ecn = 3;
        return (seen & kNotEct) == 0;
    }
    ecn = seen & kNotEct ? 0 : seen & kEct0 ? 2 : (seen & kEct1) ? 1 : 0;
    return true;
}

Reassembler::Reassembler(const ReassemblyLimits& limits, const SipKey& key)
    : limits_(limits),
      key_(key),
      entries_(std::clamp<uint32_t>(limits.datagrams, 1, 65534)),
      // An mbuf takes more than 512 bytes of any pool we make: more pieces than this can never be paid for.
      pieces_(std::max<uint64_t>(1, std::min({limits.bytes / 512, uint64_t{limits.datagrams} * limits.fragments_each, uint64_t{65534}}))),
      buckets_(std::bit_ceil(entries_.size() * 2)) {
    free_entries_.reserve(entries_.size());
    for (size_t i = entries_.size(); i > 0; i--) free_entries_.push_back(static_cast<uint16_t>(i));
    free_pieces_.reserve(pieces_.size());
    for (size_t i = pieces_.size(); i > 0; i--) free_pieces_.push_back(static_cast<uint16_t>(i));
}

Reassembler::~Reassembler() {
    for (Entry& e : entries_) free_pieces(e);
}

uint32_t Reassembler::bucket(const IpAddress& source, const IpAddress& destination, uint32_t id, uint8_t protocol) const {
    SipHash13 h(key_);
    for (const IpAddress* a : {&source, &destination}) {
        uint64_t words[2];
        std::memcpy(words, a->bytes.data(), 16);
        h.word(words[0]);
        h.word(words[1]);
    }
    h.word(uint64_t{id} << 8 | protocol);
    return static_cast<uint32_t>(h.finish()) & static_cast<uint32_t>(buckets_.size() - 1);
}

Reassembler::Entry* Reassembler::find(const DatagramIn& f) {
    const uint8_t protocol = f.source.is_v4() ? f.protocol : uint8_t{0};
    for (uint16_t i = buckets_[bucket(f.source, f.destination, f.fragment_id, protocol)]; i != 0; i = entries_[i - 1].hash_next) {
        Entry& e = entries_[i - 1];
        if (e.id == f.fragment_id && e.key_protocol == protocol && e.source == f.source && e.destination == f.destination) return &e;
    }
    return nullptr;
}

Reassembler::Entry* Reassembler::open(const DatagramIn& f, Instant now) {
    if (free_entries_.empty() && !evict_for(nullptr)) return nullptr;
    Entry& e = entries_[free_entries_.back() - 1];
    free_entries_.pop_back();
    count_++;
    e = Entry{};
    e.source = f.source;
    e.destination = f.destination;
    e.id = f.fragment_id;
    e.v4 = f.source.is_v4();
    e.key_protocol = e.v4 ? f.protocol : uint8_t{0};
    e.protocol = f.protocol;
    e.port = f.port;
    e.deadline = now + (e.v4 ? kReassemblyTime4 : kReassemblyTime6);
    uint16_t& head = buckets_[bucket(e.source, e.destination, e.id, e.key_protocol)];
    e.hash_next = std::exchange(head, index(e));
    Age& age = ages_[e.v4];
    e.older = age.youngest;
    (age.youngest ? entries_[age.youngest - 1].younger : age.oldest) = index(e);
    age.youngest = index(e);
    return &e;
}

void Reassembler::free_pieces(Entry& e) {
    for (uint16_t i = e.first; i != 0;) {
        Piece& p = pieces_[i - 1];
        rte_pktmbuf_free(std::exchange(p.mbuf, nullptr));
        free_pieces_.push_back(i);
        i = std::exchange(p.next, uint16_t{0});
    }
    bytes_ -= e.charge;
    e.first = e.last = e.pieces = 0;
    e.held = 0, e.charge = 0;
}

void Reassembler::release(Entry& e) {
    free_pieces(e);
    uint16_t* link = &buckets_[bucket(e.source, e.destination, e.id, e.key_protocol)];
    while (*link != index(e)) link = &entries_[*link - 1].hash_next;
    *link = e.hash_next;
    Age& age = ages_[e.v4];
    (e.older ? entries_[e.older - 1].younger : age.oldest) = e.younger;
    (e.younger ? entries_[e.younger - 1].older : age.youngest) = e.older;
    free_entries_.push_back(index(e));
    count_--;
}

/// The oldest datagram but `keep` gives way: honest fragments come within milliseconds, so a flood displaces itself.
bool Reassembler::evict_for(const Entry* keep) {
    Entry* victim = nullptr;
    for (const Age& age : ages_) {
        uint16_t i = age.oldest;
        if (i != 0 && &entries_[i - 1] == keep) i = keep->younger;
        if (i == 0) continue;
        Entry& e = entries_[i - 1];
        const auto opened = [](const Entry& x) { return x.deadline - (x.v4 ? kReassemblyTime4 : kReassemblyTime6); };
        if (!victim || opened(e) < opened(*victim)) victim = &e;
    }
    if (!victim) return false;
    release(*victim);
    evicted_++;
    return true;
}

Reassembler::Result Reassembler::add(const DatagramIn& f, Instant now, DatagramIn& whole) {
    Entry* e = find(f);
    if (!e) e = open(f, now);
    if (!e || e->abandoned) {
        rte_pktmbuf_free(f.mbuf);
        return Result::kRefused;
    }
    const uint64_t charge = true_bytes(f.mbuf);
    while (bytes_ + charge > limits_.bytes || free_pieces_.empty()) {
        if (evict_for(e)) continue;
        rte_pktmbuf_free(f.mbuf);
        if (e->pieces == 0) release(*e);
        return Result::kRefused;
    }
    const Result result = place(*e, f);
    if (result == Result::kDuplicate) {
        rte_pktmbuf_free(f.mbuf);
        return result;
    }
    if (result == Result::kAbandoned) {
        rte_pktmbuf_free(f.mbuf);
        free_pieces(*e);
        e->abandoned = true;   // until its time is over, so that a later fragment begins no new datagram
        return result;
    }
    e->charge += charge;
    bytes_ += charge;
    if (e->total == 0 || e->held != e->total) return Result::kKept;
    const bool joined = assemble(*e, whole);
    release(*e);
    return joined ? Result::kWhole : Result::kAbandoned;
}

/// Puts f among its datagram's pieces. The caller frees f.mbuf unless the answer is kKept.
Reassembler::Result Reassembler::place(Entry& e, const DatagramIn& f) {
    const uint32_t begin = f.fragment_offset, end = begin + f.payload_length;
    if (!f.more_fragments && e.total != 0 && e.total != end) return Result::kAbandoned;   // two ends
    const uint32_t total = f.more_fragments ? e.total : end;
    if (total != 0 && (end > total || (e.last != 0 && pieces_[e.last - 1].end > total))) return Result::kAbandoned;
    uint16_t before = 0;   // the last piece that begins before f
    if (e.last != 0 && pieces_[e.last - 1].begin < begin) {
        before = e.last;
    } else {
        for (uint16_t i = e.first; i != 0 && pieces_[i - 1].begin < begin; i = pieces_[i - 1].next) before = i;
    }
    const uint16_t after = before != 0 ? pieces_[before - 1].next : e.first;
    if (after != 0 && pieces_[after - 1].begin == begin && pieces_[after - 1].end == end) return Result::kDuplicate;
    if ((before != 0 && pieces_[before - 1].end > begin) || (after != 0 && pieces_[after - 1].begin < end) ||
        e.pieces == limits_.fragments_each)
        return Result::kAbandoned;
    const uint16_t i = free_pieces_.back();
    free_pieces_.pop_back();
    pieces_[i - 1] = {f.mbuf, static_cast<uint16_t>(begin), static_cast<uint16_t>(end), f.payload_offset, after};
    (before != 0 ? pieces_[before - 1].next : e.first) = i;
    if (after == 0) e.last = i;
    e.pieces++;
    e.held += end - begin;
    e.total = total;
    e.ecn_seen |= static_cast<uint8_t>(1 << f.ecn);
    if (begin == 0) e.protocol = f.protocol, e.port = f.port;   // RFC 8200 4.5: the first fragment's next header counts
    return Result::kKept;
}

/// One chain out of a complete entry's pieces; the first keeps its headers.
bool Reassembler::assemble(Entry& e, DatagramIn& whole) {
    whole = DatagramIn{};
    if (!merge_ecn(e.ecn_seen, whole.ecn)) return false;
    rte_mbuf* head = nullptr;
    rte_mbuf* tail = nullptr;
    for (uint16_t i = e.first; i != 0; i = pieces_[i - 1].next) {
        Piece& p = pieces_[i - 1];
        rte_mbuf* m = std::exchange(p.mbuf, nullptr);
        cut(m, uint32_t{p.payload_offset} + p.end - p.begin);
        if (!head) {
            head = m;
            whole.payload_offset = p.payload_offset;
        } else {
            rte_pktmbuf_adj(m, p.payload_offset);   // the headers lie in its first segment
            head->pkt_len += m->pkt_len;
            head->nb_segs = static_cast<uint16_t>(head->nb_segs + m->nb_segs);
            tail->next = m;
        }
        tail = rte_pktmbuf_lastseg(m);
    }
    whole.source = e.source;
    whole.destination = e.destination;
    whole.mbuf = head;
    whole.payload_length = static_cast<uint16_t>(e.total);
    whole.protocol = e.protocol;
    whole.port = e.port;
    return true;
}

Instant Reassembler::poll_timeout() const {
    Instant earliest = Instant::never();
    for (const Age& age : ages_)
        if (age.oldest != 0) earliest = std::min(earliest, entries_[age.oldest - 1].deadline);
    return earliest;
}

bool Reassembler::expire(Instant now, DatagramIn& first) {
    for (const Age& age : ages_) {
        if (age.oldest == 0) continue;
        Entry& e = entries_[age.oldest - 1];
        if (e.deadline > now) continue;
        first = DatagramIn{};
        if (e.first != 0 && pieces_[e.first - 1].begin == 0) {
            Piece& p = pieces_[e.first - 1];
            first.source = e.source;
            first.destination = e.destination;
            first.mbuf = std::exchange(p.mbuf, nullptr);
            first.payload_offset = p.payload_offset;
            first.payload_length = static_cast<uint16_t>(p.end - p.begin);
            first.protocol = e.protocol;
            first.port = e.port;
        }
        release(e);
        return true;
    }
    return false;
}

}  // namespace sluice::net
