// Records: keys taken over from a handshake, the small answers, and the wiping at the end. Opening, sealing and control records are in
// record_open.cc, record_seal.cc and record_control.cc. In: TrafficKeys. Owns its raw keys; expanded ones are the engine's.
#include "tls/records.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>

#include "tls/record_engine.h"

namespace sluice::tls {

static void take_over(Records::Direction& to, const DirectionKeys& from) {
    std::memcpy(to.key, from.key.data(), sizeof to.key);
    std::memcpy(to.secret, from.secret.data(), sizeof to.secret);
    std::memcpy(to.iv, from.iv.data(), sizeof to.iv);
    to.slot = UINT32_MAX;
    to.sequence = from.sequence;
}

Records::Records(RecordEngine& engine, TrafficKeys& keys)
    : engine_(engine.impl_.get()), role_(keys.role), version_(keys.version), aead_(keys.aead), digest_(keys.digest) {
    take_over(receive_, keys.receive);
    take_over(transmit_, keys.transmit);
    if (explicit_bytes() > 0) {
        const uint64_t ahead = keys.transmit.explicit_nonce - keys.transmit.sequence;
        std::memcpy(transmit_.secret, &ahead, sizeof ahead);
    }
    tickets_over_ = role_ == Role::kServer || version_ != Version::kTls13;
    keys.wipe();
}

Records::~Records() {
    engine_->give_back(receive_);
    engine_->give_back(transmit_);
    if (engine_->kept_for == this) engine_->kept_for = nullptr;
    OPENSSL_cleanse(&receive_, sizeof receive_);
    OPENSSL_cleanse(&transmit_, sizeof transmit_);
}

std::span<const uint8_t> Records::post_handshake_record() const {
    if (engine_->kept_for != this) return {};
    return {engine_->kept.get(), engine_->kept_bytes};
}

void Records::set_segment_bytes(uint32_t bytes) {
    segment_bytes_ = static_cast<uint16_t>(std::clamp(bytes, kSegmentBytesMin, std::max(kSegmentBytesMin, engine_->mbuf_room)));
}

void Records::set_sequence_for_test(uint64_t receive, uint64_t transmit) {
    receive_.sequence = receive;
    transmit_.sequence = transmit;
}

uint64_t Records::plain_room(uint64_t wire_bytes) {
    constexpr uint64_t kOverheadMax = kRecordHeaderBytes + 8 + kTagBytes;   // 1.2 AES-GCM
    constexpr uint64_t kKeyUpdateBytes = 64;                                // may come in front
    const uint64_t bytes = wire_bytes - std::min(wire_bytes, kKeyUpdateBytes);
    const uint64_t records = bytes / kSegmentBytesMin, rest = bytes % kSegmentBytesMin;
    return records * (kSegmentBytesMin - kOverheadMax) + rest - std::min(rest, kOverheadMax);
}

}  // namespace sluice::tls
