// The ring's records: a fixed part with the numbers and the texts' lengths, the captured headers' lengths, then all texts. A record
// never wraps: where it does not fit before the block's end, a gap record fills the rest. Positions grow for ever; the mask makes them offsets.
#include "telemetry/access_log_ring.h"

#include <algorithm>
#include <bit>

#include "base/short_copy.h"

namespace sluice::telemetry {

namespace {
using Text = std::string_view AccessLogEntry::*;
constexpr Text kTextFields[AccessLogRing::kTexts] = {
    &AccessLogEntry::method,        &AccessLogEntry::path,       &AccessLogEntry::original_path, &AccessLogEntry::authority,
    &AccessLogEntry::user_agent,    &AccessLogEntry::forwarded_for, &AccessLogEntry::request_id, &AccessLogEntry::route_name,
    &AccessLogEntry::cluster,       &AccessLogEntry::reason,     &AccessLogEntry::listener,      &AccessLogEntry::details,
};

/// The line is written next: another core has it, or no cache any more. (g++ has a name for this instruction only where all CPUs of -march do.)
constexpr uint32_t kPrefetchBytes = 768;
inline void prefetch_for_write(const void* line) { asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(line))); }
}  // namespace

struct AccessLogRing::Record {
    uint32_t bytes;            // of the whole record, a multiple of 8
    uint16_t core;
    uint16_t status;           // kGap: no entry, skip
    uint64_t start_unix_us, duration_us, upstream_response_us, request_us, first_byte_us, bytes_received, bytes_sent;
    uint32_t flags, attempts, log_set;
    SocketAddress downstream_remote, downstream_local, upstream_remote, upstream_local;
    IpAddress client;
    http::Version version;
    bool https;
    uint8_t captured;          // so many lengths follow the record
    uint16_t lengths[kTexts];
    static constexpr uint16_t kGap = UINT16_MAX;
};

AccessLogRing::AccessLogRing(uint32_t bytes) {
    static_assert(sizeof(Record) + 8 <= 512 && kFieldBytesMax <= UINT16_MAX);
    const uint32_t size = std::bit_ceil(std::max(bytes, 4 * kRecordBytesMax));
    bytes_ = std::make_unique<std::byte[]>(size);   // zeroed: pages are there before the first request
    mask_ = size - 1;
}

bool AccessLogRing::push(const AccessLogEntry& entry) {
    uint16_t lengths[kTexts];
    const auto captured = static_cast<uint32_t>(std::min<size_t>(entry.captured.size(), kCapturedHeadersMax));
    uint32_t size = static_cast<uint32_t>(sizeof(Record) + captured * sizeof(uint16_t));
    bool cut = false;
    for (uint32_t i = 0; i < kTexts; i++) {
        const size_t length = (entry.*kTextFields[i]).size();
        lengths[i] = static_cast<uint16_t>(std::min<size_t>(length, kFieldBytesMax));
        cut |= length > kFieldBytesMax;
        size += lengths[i];
    }
    for (uint32_t i = 0; i < captured; i++) {
        const size_t length = entry.captured[i].size();
        cut |= length > kFieldBytesMax;
        size += static_cast<uint32_t>(std::min<size_t>(length, kFieldBytesMax));
    }
    size = (size + 7) & ~7u;

    const uint64_t head = head_.load(std::memory_order_relaxed);
    const uint32_t offset = static_cast<uint32_t>(head) & mask_;
    const uint32_t to_end = mask_ + 1 - offset;
    const uint32_t gap = size > to_end ? to_end : 0;
    if (head + gap + size - known_tail_ > uint64_t{mask_} + 1) {
        known_tail_ = tail_.load(std::memory_order_acquire);
        if (head + gap + size - known_tail_ > uint64_t{mask_} + 1) {
            dropped_.add();
            return false;
        }
    }
    if (gap) {   // only the first eight bytes of a gap are written: they always fit
        auto* skip = reinterpret_cast<Record*>(bytes_.get() + offset);
        skip->bytes = gap;
        skip->status = Record::kGap;
    }
    auto* record = reinterpret_cast<Record*>(bytes_.get() + (gap ? 0 : offset));
    record->bytes = size;
    record->core = entry.core;
    record->status = entry.status;
    record->start_unix_us = entry.start_unix_us;
    record->duration_us = entry.duration_us;
    record->upstream_response_us = entry.upstream_response_us;
    record->request_us = entry.request_us;
    record->first_byte_us = entry.first_byte_us;
    record->bytes_received = entry.bytes_received;
    record->bytes_sent = entry.bytes_sent;
    record->flags = entry.flags;
    record->attempts = entry.attempts;
    record->log_set = entry.log_set;
    record->client = entry.client;
    record->captured = static_cast<uint8_t>(captured);
    record->downstream_remote = entry.downstream_remote;
    record->downstream_local = entry.downstream_local;
    record->upstream_remote = entry.upstream_remote;
    record->upstream_local = entry.upstream_local;
    record->version = entry.version;
    record->https = entry.https;
    auto* captured_lengths = reinterpret_cast<uint16_t*>(record + 1);
    auto* text = reinterpret_cast<char*>(captured_lengths + captured);
    for (uint32_t i = 0; i < kTexts; i++) {
        record->lengths[i] = lengths[i];
        text = copy_short(text, {(entry.*kTextFields[i]).data(), lengths[i]});
    }
    for (uint32_t i = 0; i < captured; i++) {
        const std::string_view value = entry.captured[i];
        captured_lengths[i] = static_cast<uint16_t>(std::min<size_t>(value.size(), kFieldBytesMax));
        text = copy_short(text, {value.data(), captured_lengths[i]});
    }
    const uint64_t next = head + gap + size;
    head_.store(next, std::memory_order_release);
    pushed_.add();
    if (cut) truncated_.add();
    // The next record is as long as this one, most times, and there is a request to be served before it is written.
    for (uint32_t ahead = 0; ahead < std::min(size, kPrefetchBytes) + 64; ahead += 64)
        prefetch_for_write(bytes_.get() + (static_cast<uint32_t>(next + ahead) & mask_));
    return true;
}

bool AccessLogRing::read(uint64_t& at, AccessLogEntry& entry, Captured& captured) const {
    const auto* record = reinterpret_cast<const Record*>(bytes_.get() + (static_cast<uint32_t>(at) & mask_));
    at += record->bytes;
    if (record->status == Record::kGap) return false;
    entry.core = record->core;
    entry.status = record->status;
    entry.start_unix_us = record->start_unix_us;
    entry.duration_us = record->duration_us;
    entry.upstream_response_us = record->upstream_response_us;
    entry.request_us = record->request_us;
    entry.first_byte_us = record->first_byte_us;
    entry.bytes_received = record->bytes_received;
    entry.bytes_sent = record->bytes_sent;
    entry.flags = record->flags;
    entry.attempts = record->attempts;
    entry.log_set = record->log_set;
    entry.client = record->client;
    entry.downstream_remote = record->downstream_remote;
    entry.downstream_local = record->downstream_local;
    entry.upstream_remote = record->upstream_remote;
    entry.upstream_local = record->upstream_local;
    entry.version = record->version;
    entry.https = record->https;
    const auto* captured_lengths = reinterpret_cast<const uint16_t*>(record + 1);
    const auto* text = reinterpret_cast<const char*>(captured_lengths + record->captured);
    for (uint32_t i = 0; i < kTexts; i++) {
        entry.*kTextFields[i] = {text, record->lengths[i]};
        text += record->lengths[i];
    }
    for (uint32_t i = 0; i < record->captured; i++) {
        captured[i] = {text, captured_lengths[i]};
        text += captured_lengths[i];
    }
    entry.captured = std::span(captured.data(), record->captured);
    return true;
}

}  // namespace sluice::telemetry
