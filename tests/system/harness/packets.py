"""Frames and packets made by hand, for what no honest kernel would send.

In: fields. Out: bytes of Ethernet, ARP, IPv4, ICMP and TCP with right checksums, and Injector, which sends
them from the client's end of the wire. RFC 791, 792, 826, 9293.
"""

import socket
import struct

ETH_IPV4, ETH_ARP = 0x0800, 0x0806
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(destination, source, kind, payload):
    return bytes.fromhex(destination.replace(":", "")) + bytes.fromhex(source.replace(":", "")) + struct.pack("!H", kind) + payload


def ipv4(source, destination, payload, protocol=6, ident=0, fragment=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, fragment, 64, protocol, 0, socket.inet_aton(source),
                       socket.inet_aton(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def tcp(source, destination, source_port, port, seq, ack, flags, payload=b"", window=65535, options=b""):
    """A whole IPv4 packet with one segment; options must fill words."""
    offset = (20 + len(options)) // 4
    head = struct.pack("!HHIIBBHHH", source_port, port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, offset << 4, flags, window, 0, 0) + options
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, 6, len(head) + len(payload))
    total = checksum(pseudo + head + payload)
    return ipv4(source, destination, head[:16] + struct.pack("!H", total) + head[18:] + payload)


def icmp(source, destination, kind, code, rest):
    head = struct.pack("!BBH", kind, code, 0)
    return ipv4(source, destination, head[:2] + struct.pack("!H", checksum(head + rest)) + rest, protocol=1)


def arp(operation, sender_mac, sender, target_mac, target):
    return struct.pack("!HHBBH", 1, ETH_IPV4, 6, 4, operation) + bytes.fromhex(sender_mac.replace(":", "")) + socket.inet_aton(sender) \
        + bytes.fromhex(target_mac.replace(":", "")) + socket.inet_aton(target)


def fragments(packet, *cuts, ident=1):
    """An IPv4 packet without options in parts that end at these offsets of its payload (multiples of 8)."""
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    payload, begin, parts = packet[20:], 0, []
    for end in (*cuts, len(payload)):
        more = 0x2000 if end < len(payload) else 0
        parts.append(ipv4(source, destination, payload[begin:end], packet[9], ident, begin // 8 | more))
        begin = end
    return parts


class RawClient:
    """The client's side of one TCP connection, each segment as the test wants it, from an address that no kernel has.

    `send(packet)` puts what it is given on the wire; the answers are read off the injector's device.
    """

    def __init__(self, injector, host, dev, source, destination, port=40000, seq=1000):
        self.injector, self.source, self.destination, self.port, self.seq, self.ack = injector, source, destination, port, seq, 0
        self.sniffer = host.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sniffer.bind((dev, ETH_IPV4))
        self.sniffer.settimeout(5)

    def segment(self, flags, payload=b"", **options):
        return tcp(self.source, self.destination, self.port, 80, self.seq, self.ack, flags, payload, **options)

    def receive(self):
        """(flags, payload) of the next segment to us."""
        while True:
            frame = self.sniffer.recv(65536)
            ip = frame[14:]
            if ip[9] != 6 or ip[12:20] != socket.inet_aton(self.destination) + socket.inet_aton(self.source):
                continue
            ip = ip[:struct.unpack("!H", ip[2:4])[0]]
            segment = ip[(ip[0] & 15) * 4:]
            if struct.unpack("!HH", segment[:4]) == (80, self.port):
                payload = segment[(segment[12] >> 4) * 4:]
                self.ack = (struct.unpack("!I", segment[4:8])[0] + len(payload) + (1 if segment[13] & (SYN | FIN) else 0)) & 0xFFFFFFFF
                return segment[13], payload

    def close(self):
        self.sniffer.close()


class Injector:
    """Sends raw frames from a device of a test host; knows both ends' hardware addresses."""

    def __init__(self, host, dev, peer_mac):
        self.mac, self.peer = host.mac(dev), peer_mac
        self.sock = host.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.bind((dev, 0))

    def frame(self, data):
        self.sock.send(data)

    def packet(self, data):
        self.frame(ethernet(self.peer, self.mac, ETH_IPV4, data))

    def close(self):
        self.sock.close()
