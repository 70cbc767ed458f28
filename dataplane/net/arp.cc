// ARP for IPv4 over Ethernet: answers requests for our addresses, learns answers to our own, asks and announces.
// In: frames whose link header was parsed. Out: frames queued on the port. Makes no cache entry from what a peer says.
// RFC 826, RFC 5227 (probes and claims: addresses.cc decides).
#include <cstring>

#include "net/impl.h"

namespace sluice::net {

namespace {
constexpr uint16_t kArpRequest = 1, kArpReply = 2, kHardwareEthernet = 1;
}

void Stack::Impl::handle_arp(rte_mbuf* frame, const LinkHeader& link, uint8_t port, Instant now) {
    ArpPacket arp;
    const bool readable = frame->data_len >= link.length + sizeof arp;
    if (readable) std::memcpy(&arp, rte_pktmbuf_mtod_offset(frame, const void*, link.length), sizeof arp);
    rte_pktmbuf_free(frame);
    if (!readable || arp.hardware_type.value() != kHardwareEthernet || arp.protocol_type.value() != kEtherTypeIpv4 ||
        arp.hardware_length != 6 || arp.protocol_length != 4 || is_group_mac(arp.sender_mac) || is_zero_mac(arp.sender_mac)) {
        counters.rx_bad_link++;
        return;
    }
    counters.arp_rx++;
    const IpAddress sender = ip_from_v4(arp.sender_ip), target = ip_from_v4(arp.target_ip);
    const uint16_t operation = arp.operation.value();
    if (operation != kArpRequest && operation != kArpReply) return;
    MacAddress mac;
    std::memcpy(mac.data(), arp.sender_mac, 6);
    if (mac == ports[port].config.mac) return;   // our own frame came back
    if (const LocalAddress* ours = routes.local(sender)) {
        if (ours->port == port) claimed(*routes.local_on(sender, port), mac, false, now);
        else counters.address_claimed++;
        if (ours->usable()) return;   // else the sender has it, and is a neighbour like others
    }
    LocalAddress* asked_for = operation == kArpRequest ? routes.local_on(target, port) : nullptr;
    if (sender.is_unspecified()) {   // RFC 5227 2.1.1: a probe, answered if the address is ours for good, never learnt
        if (asked_for) claimed(*asked_for, mac, true, now);
        if (asked_for && asked_for->state() != AddressState::kUsed) return;
    } else if (!routes.on_link(sender, port)) {
        counters.neighbor_off_link++;
        return;
    } else {
        heard(port, sender, mac, operation == kArpReply && !link.group, true, now);
    }
    if (!asked_for || !asked_for->usable()) return;
    if (answer_bucket.take(now, random)) send_arp(port, kArpReply, arp.sender_mac, target, arp.sender_mac, sender);
    else counters.neighbor_answer_limited++;
}

void Stack::Impl::send_arp(uint8_t port, uint16_t operation, const uint8_t* link_destination, const IpAddress& sender,
                           const uint8_t* target_mac, const IpAddress& target) {
    rte_mbuf* m = make_packet(sizeof(ArpPacket));
    if (!m) return;
    ArpPacket arp{};
    arp.hardware_type = be16_t(kHardwareEthernet);
    arp.protocol_type = be16_t(kEtherTypeIpv4);
    arp.hardware_length = 6;
    arp.protocol_length = 4;
    arp.operation = be16_t(operation);
    std::memcpy(arp.sender_mac, ports[port].config.mac.data(), 6);
    std::memcpy(arp.sender_ip, sender.bytes.data() + 12, 4);
    if (target_mac) std::memcpy(arp.target_mac, target_mac, 6);
    std::memcpy(arp.target_ip, target.bytes.data() + 12, 4);
    std::memcpy(rte_pktmbuf_mtod(m, void*), &arp, sizeof arp);
    if (emit(m, port, link_destination, kEtherTypeArp)) counters.arp_tx++;
}

}  // namespace sluice::net
