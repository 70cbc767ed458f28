// Blocks as the draft lays them out, in this machine's byte order (the section header tells readers which).
#include "ctrl/admin/pcapng.h"

#include <fmt/format.h>
#include <rte_mbuf.h>

#include <cstring>

#include "base/checksum.h"
#include "base/endian.h"
#include "base/ip_address.h"

namespace sluice::admin {

namespace {

constexpr uint32_t kSection = 0x0a0d0d0a, kInterface = 1, kStatistics = 5, kFrame = 6, kByteOrder = 0x1a2b3c4d;
constexpr uint16_t kEnd = 0, kComment = 1, kIfName = 2, kIfResolution = 9, kFrameFlags = 2, kUserApplication = 4;
constexpr uint16_t kReceived = 4, kDropped = 5, kAccepted = 6;
constexpr uint16_t kEthernet = 1;                      // LINKTYPE_ETHERNET
constexpr uint32_t kInbound = 1, kOutbound = 2;
constexpr uint16_t kTcpChecksumAt = 16, kUdpChecksumAt = 6;

class Block {
 public:
    Block(uint32_t type, std::string& out) : out_(out), start_(out.size()) { u32(type), u32(0); }
    void u16(uint16_t v) { raw(&v, sizeof v); }
    void u32(uint32_t v) { raw(&v, sizeof v); }
    void time(uint64_t us) { u32(static_cast<uint32_t>(us >> 32)), u32(static_cast<uint32_t>(us)); }
    void padded(const void* bytes, size_t n) {
        raw(bytes, n);
        out_.append((4 - n % 4) % 4, '\0');
    }
    void option(uint16_t code, const void* bytes, size_t n) {
        u16(code), u16(static_cast<uint16_t>(n));
        padded(bytes, n);
    }
    void option(uint16_t code, const std::string& text) { option(code, text.data(), std::min<size_t>(text.size(), UINT16_MAX)); }
    void option(uint16_t code, uint64_t n) { option(code, &n, sizeof n); }
    void end() {
        u16(kEnd), u16(0);
        const auto bytes = static_cast<uint32_t>(out_.size() - start_ + 4);
        u32(bytes);
        std::memcpy(out_.data() + start_ + 4, &bytes, sizeof bytes);
    }

 private:
    void raw(const void* bytes, size_t n) { out_.append(static_cast<const char*>(bytes), n); }
    std::string& out_;
    size_t start_;
};

void note(PcapngFrame& frame, const std::string& text) { frame.comment += (frame.comment.empty() ? "" : "; ") + text; }

}  // namespace

void pcapng_begin(const std::vector<std::string>& ports, uint32_t snap_bytes, std::string& out) {
    Block section(kSection, out);
    section.u32(kByteOrder), section.u16(1), section.u16(0);
    section.u32(UINT32_MAX), section.u32(UINT32_MAX);   // length of the section: not known
    section.option(kUserApplication, std::string("sluice"));
    section.end();
    for (const std::string& name : ports) {
        Block port(kInterface, out);
        port.u16(kEthernet), port.u16(0), port.u32(snap_bytes);
        port.option(kIfName, name);
        const uint8_t microseconds = 6;
        port.option(kIfResolution, &microseconds, 1);
        port.end();
    }
}

void pcapng_frame(const PcapngFrame& frame, std::string& out) {
    Block block(kFrame, out);
    block.u32(frame.port);
    block.time(frame.unix_us);
    block.u32(static_cast<uint32_t>(frame.bytes.size())), block.u32(frame.length);
    block.padded(frame.bytes.data(), frame.bytes.size());
    const uint32_t flags = frame.sent ? kOutbound : kInbound;
    block.option(kFrameFlags, &flags, sizeof flags);
    if (!frame.comment.empty()) block.option(kComment, frame.comment);
    block.end();
}

void pcapng_statistics(const PcapngStatistics& s, std::string& out) {
    Block block(kStatistics, out);
    block.u32(s.port);
    block.time(s.unix_us);
    block.option(kReceived, s.received);
    block.option(kDropped, s.dropped);
    block.option(kAccepted, s.accepted);
    block.end();
}

void finish_offloads(uint64_t ol_flags, uint16_t l2_bytes, uint16_t l3_bytes, uint16_t segment_bytes, PcapngFrame& frame) {
    const uint64_t l4 = ol_flags & RTE_MBUF_F_TX_L4_MASK;
    const bool segments = (ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0, tcp = segments || l4 == RTE_MBUF_F_TX_TCP_CKSUM;
    const bool v4 = (ol_flags & RTE_MBUF_F_TX_IPV4) != 0;
    auto* const bytes = reinterpret_cast<uint8_t*>(frame.bytes.data());
    const size_t size = frame.bytes.size(), payload = size_t{l2_bytes} + l3_bytes;
    if (segments) note(frame, fmt::format("cut by the device into segments of {} bytes", segment_bytes));
    if ((ol_flags & RTE_MBUF_F_TX_IP_CKSUM) && size >= payload && l3_bytes >= 20) {
        store_be16(bytes + l2_bytes + 10, 0);
        store_checksum(bytes + l2_bytes + 10, checksum_finish(checksum_add(bytes + l2_bytes, l3_bytes)));
    }
    if (!tcp && l4 != RTE_MBUF_F_TX_UDP_CKSUM) return;
    if (size < frame.length || size < payload + kTcpChecksumAt + 2) return note(frame, "checksum left to the device, and the frame is cut");
    const auto length = static_cast<uint32_t>(size - payload);
    const IpAddress source = v4 ? IpAddress::v4(load_be32(bytes + l2_bytes + 12)) : IpAddress::v6(bytes + l2_bytes + 8);
    const IpAddress destination = v4 ? IpAddress::v4(load_be32(bytes + l2_bytes + 16)) : IpAddress::v6(bytes + l2_bytes + 24);
    uint8_t* const field = bytes + payload + (tcp ? kTcpChecksumAt : kUdpChecksumAt);
    store_be16(field, 0);
    const uint64_t pseudo = pseudo_header_sum(source, destination, tcp ? 6 : 17, length);
    store_checksum(field, checksum_finish(checksum_add(bytes + payload, length, pseudo)));
}

}  // namespace sluice::admin
