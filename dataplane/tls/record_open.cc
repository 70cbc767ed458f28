// Opening records in place: header, limits, AEAD, the inner type, and what to do with the content. In: the transport's receive queue in
// any cut. Out: plain slices of the same mbufs. A record that fails leaves nothing behind: neither plain bytes nor the rest of the queue.
// RFC 8446 5.1-5.4, RFC 5246 6.2.3.3.
#include <algorithm>
#include <cstring>

#include "tls/record_format.h"
#include "tls/record_protect.h"

namespace sluice::tls {

/// Of the record at the front of the queue.
struct Records::Header {
    uint8_t bytes[kRecordHeaderBytes];
    uint32_t payload;                            // behind the header
    uint8_t type() const { return bytes[0]; }
    uint32_t total() const { return kRecordHeaderBytes + payload; }
};

namespace {

/// Calls piece(data, bytes) for each part of stream bytes [from, from + bytes); stops where it returns false.
template <typename Piece>
bool for_each_piece(const SliceQueue& queue, uint32_t from, uint32_t bytes, Piece&& piece) {
    for (const SliceNode* node = queue.head(); bytes > 0; node = node->next) {
        const uint32_t size = node->slice.size();
        if (from >= size) {
            from -= size;
            continue;
        }
        const uint32_t n = std::min(bytes, size - from);
        if (!piece(node->slice.data() + from, n)) return false;
        bytes -= n;
        from = 0;
    }
    return true;
}

/// The last byte that is not zero of `bytes` stream bytes from `from`: 1.3's content type, padding stripped. Its offset from `from`;
/// `bytes` where all are zero.
uint32_t find_inner_type(const SliceQueue& queue, uint32_t from, uint32_t bytes, uint8_t& type) {
    uint32_t at = bytes, seen = 0;
    for_each_piece(queue, from, bytes, [&](const uint8_t* data, uint32_t n) {
        for (uint32_t i = n; i-- > 0;) {
            if (data[i] == 0) continue;
            at = seen + i;
            type = data[i];
            break;
        }
        seen += n;
        return true;
    });
    return at;
}

/// Contents up to this size are copied behind what waits already; as TCP does with small segments.
constexpr uint32_t kCopyBreakBytes = 512;

/// Copies small contents into an mbuf that they share, so that a peer who sends single bytes as records pins an mbuf for thousands of
/// them and not one for each. False: there is no mbuf or node for that.
bool gather_small(const SliceQueue& in, uint32_t skip, uint32_t bytes, SliceQueue& plain, rte_mempool* mbufs) {
    uint8_t content[kCopyBreakBytes];
    in.peek(skip, {content, bytes});
    if (plain.append_copy({content, bytes})) return true;
    rte_mbuf* m = rte_pktmbuf_alloc(mbufs);
    if (!m) return false;
    Slice slice(m, m->data_off, bytes);
    std::memcpy(slice.data(), content, bytes);
    return plain.push_back(std::move(slice));
}

/// Moves stream bytes [skip, skip + bytes) to `plain` and drops the rest of the record. Precondition: one node is free.
bool hand_on(SliceQueue& in, uint32_t skip, uint32_t bytes, uint32_t total, SliceQueue& plain, rte_mempool* mbufs) {
    if (bytes <= kCopyBreakBytes && !plain.empty() && gather_small(in, skip, bytes, plain, mbufs)) {
        in.consume(total);
        return true;
    }
    const uint32_t front = in.front().size();
    if (front == total) {   // the record and nothing else: its slice goes on
        Slice slice = in.pop_front();
        slice.remove_prefix(skip);
        slice.truncate(bytes);
        return plain.push_back(std::move(slice));
    }
    if (front > total) {
        if (!plain.push_back(in.front().share(skip, bytes))) return false;
        in.consume(total);
        return true;
    }
    in.consume(skip);
    if (!in.split_to(bytes, plain)) return false;
    in.consume(total - skip - bytes);
    return true;
}

/// An indirect mbuf shows bytes of another's buffer.
bool has_clone(const SliceQueue& in, uint32_t bytes) {
    for (const SliceNode* node = in.head();; node = node->next) {
        if (RTE_MBUF_CLONED(node->slice.segment())) return true;
        if (node->slice.size() >= bytes) return false;
        bytes -= node->slice.size();
    }
}

}  // namespace

Records::Status Records::open(SliceQueue& in, SliceQueue& plain, uint64_t plain_max) {
    if (state_ != kOpen) [[unlikely]] {
        in.clear();
        return state_ == kPeerClosed ? Status::kClosed : state_ == kPeerAlerted ? Status::kPeerAlert : Status::kError;
    }
    while (plain.bytes() < plain_max && in.bytes() >= kRecordHeaderBytes) {
        Header header;
        if (in.front().size() >= kRecordHeaderBytes) std::memcpy(header.bytes, in.front().data(), kRecordHeaderBytes);
        else in.peek(0, header.bytes);
        header.payload = load_be16(header.bytes + 3);
        if (Alert why; !check_header(header, why)) [[unlikely]] {
            engine_->counters.bad_record++;
            return fail(in, why);
        }
        if (in.bytes() < header.total()) return Status::kOk;
        if (in.nodes().available() == 0) [[unlikely]] {   // nothing is half done: the caller comes again
            engine_->counters.no_mbuf++;
            return Status::kOk;
        }
        const Status status = has_clone(in, header.total()) ? open_copy(in, plain, header) : open_record(in, plain, header);
        if (status != Status::kOk) return status;
    }
    return Status::kOk;
}

/// What the header alone tells, before its record is there. Lengths are public: no secret is needed to refuse them.
bool Records::check_header(const Header& header, Alert& why) const {
    if (load_be16(header.bytes + 1) != kWireVersion) {
        why = Alert::kProtocolVersion;
        return false;
    }
    // After the peer's Finished nothing comes unprotected: no change_cipher_spec (RFC 8446 5), no alert, no handshake message.
    const bool known = version_ == Version::kTls13 ? header.type() == kTypeApplicationData
                                                   : header.type() >= kTypeAlert && header.type() <= kTypeApplicationData;
    if (!known) {
        why = Alert::kUnexpectedMessage;
        return false;
    }
    const uint32_t least = explicit_bytes() + kTagBytes;
    if (header.payload > least + kPlaintextMax + inner_type_bytes()) {
        why = Alert::kRecordOverflow;
        return false;
    }
    if (header.payload < least) {
        why = Alert::kBadRecordMac;
        return false;
    }
    return true;
}

/// Its bytes are another's (a clone): they are opened in mbufs of our own.
Records::Status Records::open_copy(SliceQueue& in, SliceQueue& plain, const Header& header) {
    SliceQueue own(in.nodes());
    for (uint32_t done = 0; done < header.total();) {
        const uint32_t n = std::min(header.total() - done, engine_->mbuf_room);
        rte_mbuf* m = rte_pktmbuf_alloc(engine_->mbufs);
        Slice slice(m, m ? m->data_off : 0, m ? n : 0);
        if (m) in.peek(done, {slice.data(), n});
        if (!m || !own.push_back(std::move(slice)) || own.nodes().available() == 0) {
            engine_->counters.no_mbuf++;
            return fail(in, Alert::kInternalError);
        }
        done += n;
    }
    in.consume(header.total());
    const Status status = open_record(own, plain, header);
    if (status != Status::kOk && status != Status::kPostHandshake) in.clear();
    return status;
}

/// In place. False: the tag is wrong.
bool Records::decrypt(SliceQueue& in, const Header& header) {
    const uint32_t skip = kRecordHeaderBytes + explicit_bytes();
    const uint32_t bytes = header.total() - skip - kTagBytes;
    alignas(16) uint8_t tag[kTagBytes], theirs[kTagBytes], explicit_nonce[8];
    const bool whole = in.front().size() >= header.total();
    uint8_t* const record = in.front().data();
    if (explicit_bytes() > 0) {
        if (whole) std::memcpy(explicit_nonce, record + kRecordHeaderBytes, 8);
        else in.peek(kRecordHeaderBytes, explicit_nonce);
    }
    const Protection protection(version_, receive_, header.bytes, bytes, explicit_bytes() > 0 ? explicit_nonce : nullptr);
    if (whole) {
        std::memcpy(theirs, record + skip + bytes, kTagBytes);
        protect_whole<false>(*engine_, aead_, receive_, protection, record + skip, record + skip, bytes, tag);
    } else {
        AeadPass<false> pass(*engine_, aead_, receive_, protection);
        for_each_piece(in, skip, bytes, [&](uint8_t* data, uint32_t n) {
            pass.update(data, data, n);
            return true;
        });
        pass.finish(tag);
        in.peek(skip + bytes, theirs);
    }
    return same_tag(tag, theirs);
}

Records::Status Records::open_record(SliceQueue& in, SliceQueue& plain, const Header& header) {
    RecordCounters& counters = engine_->counters;
    if (receive_.sequence == UINT64_MAX) return fail(in, Alert::kInternalError);   // RFC 8446 5.3: never wraps
    if (!tickets_over_) {   // OpenSSL wants a ticket's record as it came
        in.peek(0, {engine_->kept.get(), header.total()});
        engine_->kept_bytes = header.total();
    }
    const bool whole = in.front().size() >= header.total();
    if (!decrypt(in, header)) {
        counters.bad_mac++;
        return fail(in, Alert::kBadRecordMac);
    }
    receive_.sequence++;
    counters.records_in++;
    (whole ? counters.opened_in_place : counters.gathered)++;
    if (receive_.sequence == engine_->key_records_max + engine_->key_records_max / 2 && version_ == Version::kTls13) control_ |= kAskUpdate;

    const uint32_t skip = kRecordHeaderBytes + explicit_bytes();
    uint32_t bytes = header.payload - explicit_bytes() - kTagBytes;
    uint8_t type = header.type();
    if (version_ == Version::kTls13) {
        const uint8_t* last = whole && bytes > 0 ? in.front().data() + skip + bytes - 1 : nullptr;
        if (last && *last != 0) [[likely]] {
            type = *last;
            bytes--;
        } else {
            const uint32_t at = find_inner_type(in, skip, bytes, type);
            if (at == bytes) {   // nothing but padding
                counters.bad_record++;
                return fail(in, Alert::kUnexpectedMessage);
            }
            bytes = at;
        }
    }
    return dispatch(in, plain, header, type, bytes);
}

/// `bytes` of content of this type lie behind the header (and explicit nonce).
Records::Status Records::dispatch(SliceQueue& in, SliceQueue& plain, const Header& header, uint8_t type, uint32_t bytes) {
    RecordCounters& counters = engine_->counters;
    const uint32_t skip = kRecordHeaderBytes + explicit_bytes();
    Alert why = Alert::kUnexpectedMessage;
    if (type == kTypeApplicationData && handshake_have_ == 0) [[likely]] {
        tickets_over_ = true;
        if (bytes > 0) [[likely]] {
            without_data_ = warnings_ = 0;
            counters.bytes_in += bytes;
            return hand_on(in, skip, bytes, header.total(), plain, engine_->mbufs) ? Status::kOk : fail(in, Alert::kInternalError);
        }
        if (++without_data_ <= kRecordsWithoutDataMax) {
            in.consume(header.total());
            return Status::kOk;
        }
        counters.floods++;
        return fail(in, why);
    }
    if (type == kTypeAlert && bytes == 2) {
        uint8_t content[2];
        in.peek(skip, content);
        in.consume(header.total());
        tickets_over_ = true;
        return handle_alert(in, content);
    }
    if (type == kTypeHandshake && bytes > 0) {
        const bool flood = ++without_data_ > kRecordsWithoutDataMax;
        if (flood) counters.floods++;
        ticket_in_record_ = false;
        const bool wanted = !tickets_over_;
        const auto piece = [&](const uint8_t* data, uint32_t n) { return handshake_piece({data, n}, (bytes -= n) == 0, why); };
        if (!flood && for_each_piece(in, skip, bytes, piece)) {
            in.consume(header.total());
            if (!wanted || !ticket_in_record_) return Status::kOk;
            engine_->kept_for = this;
            return Status::kPostHandshake;
        }
        if (flood) return fail(in, why);
    }
    if (type == kTypeAlert && bytes != 0) why = Alert::kDecodeError;   // RFC 8446 5.1, 5.4: an empty one is unexpected
    counters.bad_record++;
    return fail(in, why);
}

/// Nothing more is taken, nothing of it is handed on; the peer is told why.
Records::Status Records::fail(SliceQueue& in, Alert why) {
    in.clear();
    state_ = kFailed;
    alert_ = why;
    if (!closing_) control_ = kSendAlert;
    closing_ = true;
    return Status::kError;
}

}  // namespace sluice::tls
