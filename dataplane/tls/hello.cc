// The look at a client hello: record headers first, so that an unfinished hello costs no more than a walk over them; a finished one is
// gathered once and read field by field. In: a receive queue, untouched. Out: names and versions, or why not. Every length is checked
// against what encloses it; no allocation. RFC 8446 4.1.2, 4.2, 5.1; RFC 6066 3; RFC 7301 3.1.
#include "tls/hello.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/endian.h"
#include "tls/record_format.h"
#include "tls/types.h"

namespace sluice::tls {

namespace {

constexpr uint32_t kHelloRecordsMax = 64;         // a hello cut into more is nobody's
constexpr uint32_t kMessageHeaderBytes = 4;
constexpr uint16_t kExtensionServerName = 0, kExtensionAlpn = 16, kExtensionSupportedVersions = 43;
constexpr uint16_t kVersion12 = 0x0303, kVersion13 = 0x0304;

/// Bytes of a queue in order.
class Cursor {
 public:
    explicit Cursor(const SliceQueue& queue) : node_(queue.head()), left_(queue.bytes()) {}
    uint64_t left() const { return left_; }
    /// Copies `bytes` (at most left()) to `to`, or skips them where that is nullptr.
    void take(uint32_t bytes, uint8_t* to) {
        left_ -= bytes;
        while (bytes > 0) {
            const uint32_t n = std::min(bytes, node_->slice.size() - offset_);
            if (to) std::memcpy(to, node_->slice.data() + offset_, n), to += n;
            bytes -= n, offset_ += n;
            if (offset_ == node_->slice.size()) node_ = node_->next, offset_ = 0;
        }
    }

 private:
    const SliceNode* node_;
    uint64_t left_;
    uint32_t offset_ = 0;
};

/// Fields of a message, each within what is left; once one is not, good() is false and everything is empty.
class Reader {
 public:
    explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
    bool good() const { return good_; }
    bool empty() const { return bytes_.empty(); }
    size_t size() const { return bytes_.size(); }
    std::span<const uint8_t> take(size_t n) {
        if (n > bytes_.size()) {
            good_ = false;
            bytes_ = {};
            return {};
        }
        const auto part = bytes_.first(n);
        bytes_ = bytes_.subspan(n);
        return part;
    }
    uint8_t u8() {
        const auto b = take(1);
        return b.empty() ? uint8_t{0} : b[0];
    }
    uint16_t u16() {
        const auto b = take(2);
        return b.empty() ? uint16_t{0} : load_be16(b.data());
    }
    std::span<const uint8_t> vector8() { return take(u8()); }
    std::span<const uint8_t> vector16() { return take(u16()); }

 private:
    std::span<const uint8_t> bytes_;
    bool good_ = true;
};

/// A handshake record's header, as far as it is there. First record: is it TLS at all?
HelloStatus check_header(const uint8_t* header, uint64_t have, bool first) {
    const HelloStatus no = first ? HelloStatus::kNotTls : HelloStatus::kBad;
    if (have > 0 && header[0] != kTypeHandshake) return no;
    if (have > 1 && header[1] != 3) return no;
    if (have > 2 && header[2] > 4) return no;
    if (have < kRecordHeaderBytes) return HelloStatus::kNeedMore;
    const uint16_t bytes = load_be16(header + 3);
    return bytes == 0 || bytes > kPlaintextMax ? HelloStatus::kBad : HelloStatus::kHello;
}

/// Walks records until the message is whole; with `to` copies it there, header of the message left out. kHello: whole, `bytes` is its size.
HelloStatus gather(const SliceQueue& received, uint8_t* to, uint32_t& bytes) {
    Cursor cursor(received);
    uint8_t message[kMessageHeaderBytes];
    uint32_t have = 0;                            // of the message with its header
    for (uint32_t records = 0; records < kHelloRecordsMax; records++) {
        uint8_t header[kRecordHeaderBytes];
        const uint64_t there = std::min<uint64_t>(cursor.left(), kRecordHeaderBytes);
        cursor.take(static_cast<uint32_t>(there), header);
        const HelloStatus status = check_header(header, there, records == 0);
        if (status != HelloStatus::kHello) return status;
        for (uint32_t left = load_be16(header + 3); left > 0;) {
            if (cursor.left() == 0) return HelloStatus::kNeedMore;
            if (have < kMessageHeaderBytes) {
                cursor.take(1, &message[have++]);
                left--;
                if (message[0] != kClientHello) return HelloStatus::kBad;
                if (have < kMessageHeaderBytes) continue;
                bytes = uint32_t{message[1]} << 16 | uint32_t{message[2]} << 8 | message[3];
                if (bytes == 0 || bytes > kHelloBytesMax - kMessageHeaderBytes) return HelloStatus::kBad;
                continue;
            }
            const uint32_t rest = bytes + kMessageHeaderBytes - have;
            if (left > rest) return HelloStatus::kBad;   // nothing may follow a hello before its answer
            const auto n = static_cast<uint32_t>(std::min<uint64_t>(left, cursor.left()));
            cursor.take(n, to);
            if (to) to += n;
            have += n, left -= n;
            if (have == bytes + kMessageHeaderBytes) return HelloStatus::kHello;
        }
    }
    return HelloStatus::kBad;
}

/// Lower-case, no trailing dot, letters, digits, - and _ in labels of 1 to 63; not an address. False: not a host name.
bool copy_host_name(std::span<const uint8_t> name, char (&to)[256]) {
    if (!name.empty() && name.back() == '.') name = name.first(name.size() - 1);
    if (name.empty() || name.size() > 253) return false;
    size_t label = 0;
    bool last_label_numeric = true;
    char lower[256];
    for (size_t i = 0; i < name.size(); i++) {
        const uint8_t c = name[i];
        if (c == '.') {
            if (label == 0) return false;
            label = 0;
            last_label_numeric = true;
            lower[i] = '.';
            continue;
        }
        const bool upper = c >= 'A' && c <= 'Z', digit = c >= '0' && c <= '9';
        if (!upper && !digit && !(c >= 'a' && c <= 'z') && c != '-' && c != '_') return false;
        if (++label > 63) return false;
        last_label_numeric = last_label_numeric && digit;
        lower[i] = static_cast<char>(upper ? c + 32 : c);
    }
    if (label == 0 || last_label_numeric) return false;   // RFC 6066: no literal addresses; no top-level domain is a number
    std::memcpy(to, lower, name.size());
    to[name.size()] = '\0';
    return true;
}

bool read_server_name(Reader extension, Hello& out) {
    Reader list(extension.vector16());
    if (!extension.good() || !extension.empty() || list.empty()) return false;
    bool seen = false;
    while (!list.empty()) {
        const uint8_t type = list.u8();
        const auto name = list.vector16();
        if (!list.good() || name.empty()) return false;
        if (type != 0) continue;
        if (std::exchange(seen, true)) return false;
        if (name.size() > 255 || std::find(name.begin(), name.end(), 0) != name.end()) return false;
        copy_host_name(name, out.server_name);
    }
    return true;
}

bool read_alpn(Reader extension, Hello& out) {
    Reader list(extension.vector16());
    if (!extension.good() || !extension.empty() || list.empty()) return false;
    while (!list.empty()) {
        const auto protocol = list.vector8();
        if (!list.good() || protocol.empty()) return false;
        const bool fits = protocol.size() < sizeof out.alpn[0] && std::find(protocol.begin(), protocol.end(), 0) == protocol.end();
        if (!fits || out.alpn_count == kAlpnProtocolsMax) continue;
        char* const to = out.alpn[out.alpn_count++];
        std::memcpy(to, protocol.data(), protocol.size());
        to[protocol.size()] = '\0';
    }
    return true;
}

bool read_supported_versions(Reader extension, Hello& out) {
    Reader list(extension.vector8());
    if (!extension.good() || !extension.empty() || list.empty() || list.size() % 2 != 0) return false;
    out.offers_tls12 = out.offers_tls13 = false;          // this list alone counts (RFC 8446 4.2.1)
    while (!list.empty()) {
        const uint16_t version = list.u16();
        out.offers_tls12 |= version == kVersion12;
        out.offers_tls13 |= version == kVersion13;
    }
    return true;
}

bool read_extensions(Reader extensions, Hello& out) {
    uint32_t seen = 0;
    const auto once = [&](uint32_t bit) { return (std::exchange(seen, seen | bit) & bit) == 0; };
    while (!extensions.empty()) {
        const uint16_t type = extensions.u16();
        const Reader body(extensions.vector16());
        if (!extensions.good()) return false;
        if (type == kExtensionServerName && !(once(1) && read_server_name(body, out))) return false;
        if (type == kExtensionAlpn && !(once(2) && read_alpn(body, out))) return false;
        if (type == kExtensionSupportedVersions && !(once(4) && read_supported_versions(body, out))) return false;
    }
    return true;
}

bool read_hello(Reader hello, Hello& out) {
    const uint16_t version = hello.u16();
    hello.take(32);   // random
    const auto session_id = hello.vector8();
    const auto cipher_suites = hello.vector16();
    const auto compression = hello.vector8();
    if (!hello.good() || version >> 8 != 3 || session_id.size() > 32 || cipher_suites.empty() || cipher_suites.size() % 2 != 0) return false;
    if (std::find(compression.begin(), compression.end(), 0) == compression.end()) return false;
    out.offers_tls12 = version >= kVersion12;
    if (hello.empty()) return true;   // RFC 5246 7.4.1.2: extensions may be absent
    const Reader extensions(hello.vector16());
    return hello.good() && hello.empty() && read_extensions(extensions, out);
}

}  // namespace

HelloStatus inspect_hello(const SliceQueue& received, Hello& out) {
    uint32_t bytes = 0;
    const HelloStatus status = gather(received, nullptr, bytes);
    if (status != HelloStatus::kHello) return status;
    uint8_t message[kHelloBytesMax];
    gather(received, message, bytes);
    out = {};
    if (read_hello(Reader({message, bytes}), out)) return HelloStatus::kHello;
    out = {};
    return HelloStatus::kBad;
}

}  // namespace sluice::tls
