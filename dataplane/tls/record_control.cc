// What travels in records besides data: alerts, key updates, a client's session tickets; renegotiation is refused. In: authenticated
// contents. Out: a new state, answers that wait for take_control(). Messages may be cut over records and follow one another in one; only
// their headers are kept. RFC 8446 4.6, 5.1, 6; RFC 5246 7.2; what BoringSSL answers where the RFCs leave a choice.
#include <cstring>

#include "tls/record_engine.h"
#include "tls/record_format.h"

namespace sluice::tls {

void Records::close_notify() {
    if (closing_ || state_ == kPeerAlerted || state_ == kFailed) return;
    closing_ = true;
    alert_ = Alert::kCloseNotify;
    control_ |= kSendAlert;
}

void Records::send_alert(Alert alert) {
    if (state_ == kPeerAlerted || state_ == kFailed) return;   // the first alert stands
    const bool sent = closing_ && (control_ & kSendAlert) == 0;
    state_ = kFailed;
    alert_ = alert;
    closing_ = true;
    control_ = sent ? 0 : kSendAlert;
}

bool Records::take_control(SliceQueue& out) {
    if ((control_ & (kAnswerUpdate | kAskUpdate)) != 0 && !update_transmit_key(out)) return false;
    if ((control_ & kSendAlert) == 0) return true;
    const bool fatal = alert_ != Alert::kCloseNotify;
    const uint8_t content[2] = {fatal ? kLevelFatal : kLevelWarning, static_cast<uint8_t>(alert_)};
    const bool sealed = seal_control(content, kTypeAlert, out);
    if (!sealed && transmit_.sequence != UINT64_MAX) return false;
    control_ = 0;
    engine_->counters.alerts_out += sealed;
    return true;
}

/// A KeyUpdate record under the old key, everything behind it under the next. RFC 8446 4.6.3
bool Records::update_transmit_key(SliceQueue& out) {
    const uint8_t ask = (control_ & kAskUpdate) != 0 ? kUpdateRequested : kUpdateNotRequested;
    const uint8_t message[5] = {kKeyUpdate, 0, 0, 1, ask};
    if (!seal_control(message, kTypeHandshake, out)) return false;
    engine_->next_keys(transmit_, aead_, digest_);
    control_ &= static_cast<uint8_t>(~(kAnswerUpdate | kAskUpdate));
    engine_->counters.key_updates_out++;
    return true;
}

/// 1.3: the level means nothing, all but two end the connection (RFC 8446 6). 1.2: warnings are passed over, a few in a row.
Records::Status Records::handle_alert(SliceQueue& in, const uint8_t content[2]) {
    const auto alert = static_cast<Alert>(content[1]);
    engine_->counters.alerts_in++;
    if (alert == Alert::kCloseNotify) {
        in.clear();   // RFC 8446 6.1: what follows is ignored
        if (handshake_have_ != 0) return fail(in, Alert::kUnexpectedMessage);
        state_ = kPeerClosed;
        return Status::kClosed;
    }
    const bool level_known = content[0] == kLevelWarning || content[0] == kLevelFatal;
    if (version_ == Version::kTls12 && !level_known) return fail(in, Alert::kIllegalParameter);
    const bool warning = version_ == Version::kTls13 ? alert == Alert::kUserCanceled : content[0] == kLevelWarning;
    if (!warning) {
        in.clear();
        state_ = kPeerAlerted;
        alert_ = alert;
        control_ = 0;
        return Status::kPeerAlert;
    }
    if (++warnings_ <= kWarningAlertsMax) return Status::kOk;
    engine_->counters.floods++;
    return fail(in, Alert::kUnexpectedMessage);
}

/// Part of the handshake stream. `last_piece`: the record ends with it.
bool Records::handshake_piece(std::span<const uint8_t> piece, bool last_piece, Alert& why) {
    while (!piece.empty()) {
        if (handshake_have_ < sizeof handshake_header_) {
            handshake_header_[handshake_have_++] = piece[0];
            piece = piece.subspan(1);
            if (handshake_have_ < sizeof handshake_header_) continue;
            if (!handshake_header_done(why)) return false;
            continue;
        }
        const size_t n = std::min<size_t>(handshake_left_, piece.size());
        const uint8_t last_byte = piece[n - 1];
        piece = piece.subspan(n);
        handshake_left_ -= static_cast<uint32_t>(n);
        if (handshake_left_ > 0) break;
        handshake_have_ = 0;
        if (!handshake_message_done(last_byte, last_piece && piece.empty(), why)) return false;
    }
    return true;
}

/// Type and length decide before the body is there; every message that is let through has a body.
bool Records::handshake_header_done(Alert& why) {
    const uint8_t type = handshake_header_[0];
    handshake_left_ = uint32_t{handshake_header_[1]} << 16 | uint32_t{handshake_header_[2]} << 8 | handshake_header_[3];
    if (version_ == Version::kTls12) {   // as BoringSSL: renegotiation is fatal on either side
        const bool renegotiation = role_ == Role::kServer || (type == kHelloRequest && handshake_left_ == 0);
        why = renegotiation ? Alert::kNoRenegotiation : Alert::kUnexpectedMessage;
        return false;
    }
    if (type == kKeyUpdate) {
        why = Alert::kDecodeError;
        return handshake_left_ == 1;
    }
    if (type != kNewSessionTicket || role_ != Role::kClient) {
        why = Alert::kUnexpectedMessage;
        return false;
    }
    constexpr uint32_t kTicketMessageMin = 4 + 4 + 1 + 2 + 1 + 2;   // lifetime, age_add, nonce<0..255>, ticket<1..>, extensions<0..>
    ticket_in_record_ = true;
    why = handshake_left_ < kTicketMessageMin ? Alert::kDecodeError : Alert::kIllegalParameter;
    return handshake_left_ >= kTicketMessageMin && handshake_left_ <= kTicketMessageMax;
}

bool Records::handshake_message_done(uint8_t last_byte, bool record_done, Alert& why) {
    if (handshake_header_[0] != kKeyUpdate) return true;
    if (!record_done) {   // RFC 8446 5.1: a message before a key change ends its record
        why = Alert::kUnexpectedMessage;
        return false;
    }
    if (last_byte != kUpdateNotRequested && last_byte != kUpdateRequested) {
        why = Alert::kIllegalParameter;
        return false;
    }
    engine_->counters.key_updates_in++;
    engine_->next_keys(receive_, aead_, digest_);
    // One answer for however many requests came since: RFC 8446 4.6.3 allows it, and a flood costs no queue.
    if (last_byte == kUpdateRequested && !closing_) control_ |= kAnswerUpdate;
    tickets_over_ = true;
    return true;
}

}  // namespace sluice::tls
