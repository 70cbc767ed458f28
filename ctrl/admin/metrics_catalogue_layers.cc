// What the counters of net and tcp count, by the names of their fields. A field without words here is shown by its name.
#include <algorithm>
#include <iterator>
#include <utility>

#include "ctrl/admin/metrics_catalogue.h"

namespace sluice::admin {

namespace {

constexpr std::pair<std::string_view, std::string_view> kHelp[] = {
    // net::Counters
    {"rx_frames", "Frames received"},
    {"rx_bytes", "Bytes of frames received"},
    {"tx_frames", "Frames sent"},
    {"tx_bytes", "Bytes of frames sent"},
    {"rx_bad_link", "Dropped: malformed frames"},
    {"rx_other_host", "Dropped: frames for another MAC address"},
    {"rx_other_vlan", "Dropped: frames not of the port's VLAN"},
    {"rx_stacked_vlan", "Dropped: frames with two VLAN tags"},
    {"rx_bad_ip", "Dropped: IP headers whose lengths or version are wrong"},
    {"rx_bad_checksum", "Dropped: IPv4 headers whose checksum is wrong"},
    {"rx_not_ours", "Dropped: packets for an address that is not ours"},
    {"rx_no_protocol", "Dropped: packets of a protocol that we do not speak"},
    {"rx_source_routed", "Dropped: packets that ask for a route of their sender's choice"},
    {"rx_bad_extension", "Dropped: extension headers or options that RFC 8200 refuses"},
    {"rx_extension_limit", "Dropped: more extension headers than we look at"},
    {"rx_source_ours", "Dropped: packets from one of our own addresses"},
    {"rx_source_loopback", "Dropped: packets from a loopback address"},
    {"rx_source_group", "Dropped: packets from a multicast or broadcast address"},
    {"rx_source_reserved", "Dropped: packets from a reserved address"},
    {"rx_source_mapped", "Dropped: packets from an IPv4-mapped address"},
    {"rx_source_other_port", "Dropped: packets from the network of another port"},
    {"rx_source_no_route", "Dropped: packets from where no route leads (reversePath)"},
    {"rx_destination_loopback", "Dropped: packets to a loopback address"},
    {"rx_destination_group", "Dropped: packets to a group where one host is meant"},
    {"rx_destination_duplicate", "Dropped: packets to an address that another host has too"},
    {"rx_fragments", "Fragments received"},
    {"fragments_reassembled", "Datagrams made whole of fragments"},
    {"fragments_bad", "Dropped: fragments whose lengths are wrong"},
    {"fragments_tiny_first", "Dropped: first fragments that cut the headers in two"},
    {"fragments_duplicate", "Dropped: fragments received twice"},
    {"fragments_abandoned", "Dropped: fragments that overlap, and what follows them"},
    {"fragments_refused", "Dropped: fragments of an abandoned datagram, or without room"},
    {"fragments_evicted", "Dropped: fragments that gave way to newer ones"},
    {"fragments_timeout", "Dropped: fragments whose rest did not come in time"},
    {"icmp_rx", "ICMP messages received"},
    {"icmp_tx", "ICMP messages sent"},
    {"icmp_rate_limited", "ICMP errors not sent because too many were asked for"},
    {"echo_rate_limited", "Echo replies not sent because too many were asked for"},
    {"icmp_redirect_ignored", "ICMP redirects ignored"},
    {"icmp_bad_quote", "ICMP errors ignored: what they quote is none of ours"},
    {"icmp_error_dropped", "ICMP errors ignored: too many at once"},
    {"arp_rx", "ARP messages received"},
    {"arp_tx", "ARP messages sent"},
    {"nd_rx", "Neighbor Discovery messages received"},
    {"nd_tx", "Neighbor Discovery messages sent"},
    {"nd_bad", "Neighbor Discovery messages refused"},
    {"nd_router_ignored", "Router advertisements ignored"},
    {"neighbor_off_link", "ARP or ND from an address that is not on the link, ignored"},
    {"neighbor_answer_limited", "ARP or ND answers not sent because too many were asked for"},
    {"neighbor_solicit_limited", "ARP or ND questions not sent because there were too many"},
    {"neighbor_conflict", "Neighbours that two MAC addresses claim"},
    {"address_claimed", "Claims of others to one of our addresses"},
    {"address_duplicate", "Addresses of ours given up because another host has them"},
    {"no_route", "Not sent: no route"},
    {"neighbor_unresolved", "Not sent: the next hop does not answer"},
    {"neighbor_full", "Not sent: no room for one more neighbour"},
    {"pending_dropped", "Not sent: too many packets wait for the next hop's address"},
    {"tx_no_mbuf", "Not sent: no packet buffer"},
    {"bytes_linearized", "Bytes copied because the port takes no chained frames"},
    {"tx_queue_full", "Not sent: the transmit queue is full"},
    {"tx_too_big", "Not sent: longer than the path takes"},
    // tcp::Counters
    {"segments_in", "Segments received"},
    {"segments_out", "Segments sent"},
    {"bytes_in", "Payload bytes received"},
    {"bytes_out", "Payload bytes sent"},
    {"bad_header", "Dropped: malformed segments"},
    {"bad_checksum", "Dropped: segments whose checksum is wrong"},
    {"no_connection", "Segments of no connection, answered with a reset"},
    {"resets_in", "Resets received and believed"},
    {"resets_out", "Resets sent"},
    {"accepted", "Connections accepted"},
    {"connected", "Connections made"},
    {"connect_failed", "Connections that could not be made"},
    {"syn_dropped", "SYNs dropped"},
    {"syn_cookies_sent", "SYN cookies sent"},
    {"syn_cookies_good", "SYN cookies that came back good"},
    {"listen_overflow", "Connections refused because the backlog was full"},
    {"retransmits", "Segments sent again"},
    {"fast_recoveries", "Loss episodes noticed by acknowledgements"},
    {"timeouts", "Loss episodes noticed by the retransmission timer"},
    {"tlp_probes", "Tail loss probes sent (RFC 8985)"},
    {"out_of_order", "Segments received out of order"},
    {"duplicates", "Segments received again"},
    {"paws_dropped", "Dropped: segments with an old timestamp (RFC 7323)"},
    {"challenge_acks", "Challenge ACKs sent (RFC 5961)"},
    {"keepalive_probes", "Keep-alive probes sent"},
    {"time_wait_reused", "Connections that took the place of one in TIME-WAIT"},
    {"no_memory", "Connections or segments dropped because a pool was empty"},
    {"bytes_copied_tx", "Payload bytes copied into segments"},
    {"bytes_attached_tx", "Payload bytes attached to segments without a copy"},
    {"spurious", "Recoveries taken back: the original had only been late"},
    {"ecn_connections", "Connections with ECN"},
    {"ecn_marks_in", "Segments received with a congestion mark"},
    {"ecn_reductions", "Congestion windows reduced because of marks"},
    {"mtu_black_holes", "Paths found to swallow large segments"},
    {"mtu_probes", "Probes for a larger path MTU"},
    {"mtu_raised", "Path MTUs raised after a probe"},
    {"ports_exhausted", "Connections not made: every source port towards the remote is taken"},
};

}  // namespace

std::string_view layer_counter_help(std::string_view field) {
    const auto* found = std::find_if(std::begin(kHelp), std::end(kHelp), [&](const auto& entry) { return entry.first == field; });
    return found == std::end(kHelp) ? std::string_view() : found->second;
}

}  // namespace sluice::admin
