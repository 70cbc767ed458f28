"""Frames and packets made by hand, for what no honest kernel would send.

In: fields. Out: bytes of Ethernet, ARP, IPv4 and TCP with right checksums, and Injector, which sends
them from the client's end of the wire. RFC 791, 826, 9293.
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


def arp(operation, sender_mac, sender, target_mac, target):
    return struct.pack("!HHBBH", 1, ETH_IPV4, 6, 4, operation) + bytes.fromhex(sender_mac.replace(":", "")) + socket.inet_aton(sender) \
        + bytes.fromhex(target_mac.replace(":", "")) + socket.inet_aton(target)


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
