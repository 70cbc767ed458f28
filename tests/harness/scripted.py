"""A peer played by hand against libsluice_tcp.so: exact packets in, exact packets out, virtual time.

In: flags, numbers and options of each segment to send. Out: scapy packets as they left the stack. Addresses and ports are fixed
per peer; seq and ack are kept as a well-behaved peer would, and can be given to misbehave. RFC numbers stand in the tests.
"""

import logging
import struct

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)  # scapy warns about interfaces that nobody uses here

from scapy.config import conf  # noqa: E402

conf.route_autoload = conf.route6_autoload = False  # the machine's own routes do not matter here

from scapy.layers.inet import ICMP, IP, TCP  # noqa: E402
from scapy.layers.inet6 import ICMPv6PacketTooBig, ICMPv6DestUnreach, IPv6  # noqa: E402

import sluice_tcp  # noqa: E402

MS, SECOND = 1000, 1_000_000
US4, THEM4, US6, THEM6 = "192.0.2.1", "192.0.2.9", "2001:db8::1", "2001:db8::9"
PORT = 80
FULL = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1000, 0)), ("NOP", None), ("WScale", 7)]


def seq_add(number, n):
    return (number + n) & 0xFFFFFFFF


def stack(**fields):
    fields.setdefault("seed", 42)
    fields.setdefault("now_us", 0)
    fields.setdefault("max_sockets", 200)
    return sluice_tcp.Stack(US4 + "/24", US6 + "/64", **fields)


def tcp_of(packet):
    return packet[TCP]


def option(packet, name):
    """Value of a TCP option, None if it is not there."""
    for kind, value in packet[TCP].options:
        if kind == name:
            return value if value is not None else True
    return None


class Peer:
    def __init__(self, th, port=40000, v6=False, isn=5000, timestamps=False):
        self.th, self.v6, self.sport, self.dport = th, v6, port, PORT
        self.seq, self.ack = isn, 0
        self.timestamps, self.tsval, self.tsecr = timestamps, 1000, 0
        self.last = None

    def ip(self, **fields):
        return IPv6(src=THEM6, dst=US6, **fields) if self.v6 else IP(src=THEM4, dst=US4, id=1, **fields)

    def send(self, flags, payload=b"", seq=None, ack=None, options=None, window=65535, tsval=None, advance=None, urgent=0):
        """One segment. What it occupies of sequence space is counted on, unless seq was given."""
        if options is None:
            options = []
            if self.timestamps:
                self.tsval = self.tsval + 1 if tsval is None else self.tsval
                options = [("NOP", None), ("NOP", None), ("Timestamp", (self.tsval if tsval is None else tsval, self.tsecr))]
        segment = TCP(sport=self.sport, dport=self.dport, flags=flags, window=window, urgptr=urgent, options=options,
                      seq=self.seq if seq is None else seq & 0xFFFFFFFF,
                      ack=(self.ack if ack is None else ack & 0xFFFFFFFF) if "A" in flags else 0)
        packet = self.ip() / segment
        self.th.packet_in(bytes(packet / payload) if payload else bytes(packet))
        if advance if advance is not None else seq is None:
            self.seq = seq_add(self.seq, len(payload) + ("S" in flags) + ("F" in flags))

    def all(self):
        packets = [(IPv6 if raw[0] >> 4 == 6 else IP)(raw) for raw in self.th.packets()]
        for packet in packets:
            if TCP in packet:
                self.last = packet
                stamp = option(packet, "Timestamp")
                if stamp:
                    self.tsecr = stamp[0]
        return packets

    def one(self):
        """The only packet there is."""
        packets = self.all()
        assert len(packets) == 1, [p.summary() for p in packets]
        return packets[0]

    def silence(self):
        packets = self.all()
        assert packets == [], [p.summary() for p in packets]

    def take(self, flags, payload=b"", seq=None, ack=None):
        """The only packet, which must be this; it is acknowledged by what is sent next."""
        packet = self.one()
        segment = packet[TCP]
        assert str(segment.flags) == flags, packet.summary()
        assert bytes(segment.payload)[:len(payload)] == payload and data_of(packet) == payload
        if seq is not None:
            assert segment.seq == seq & 0xFFFFFFFF
        if ack is not None:
            assert segment.ack == ack & 0xFFFFFFFF
        self.ack = seq_add(segment.seq, len(payload) + ("S" in flags) + ("F" in flags))
        return packet

    def open(self, options=(("MSS", 1460),), window=65535, listener=None):
        """The peer's active open; the accepted socket."""
        listener = listener or getattr(self.th, "listener", None)
        if listener is None:
            listener = self.th.listener = self.th.listen(PORT, family=10 if self.v6 else 2)
        options = list(options)
        self.send("S", options=options, window=window)
        self.take("SA")
        self.timestamps = any(kind == "Timestamp" for kind, _ in options)
        self.send("A", window=window)
        return listener.accept()


def data_of(packet):
    segment = packet[TCP]
    ip_length = packet[IPv6].plen if IPv6 in packet else packet[IP].len - packet[IP].ihl * 4
    return bytes(packet[TCP])[segment.dataofs * 4:ip_length]


def checksums_right(raw):
    """Rebuilds a packet with its checksums left to scapy: the bytes must come out the same."""
    packet = (IPv6 if raw[0] >> 4 == 6 else IP)(raw)
    again = packet.copy()
    if IP in again:
        del again[IP].chksum
    if TCP in again:
        del again[TCP].chksum
    return bytes(again) == raw


def frag_needed(quoted, mtu, v6=False):
    """The ICMP error a router would send about a packet of ours."""
    if v6:
        return bytes(IPv6(src="2001:db8::ffff", dst=US6) / ICMPv6PacketTooBig(mtu=mtu) / bytes(quoted)[:1200])
    return bytes(IP(src="192.0.2.254", dst=US4) / ICMP(type=3, code=4, nexthopmtu=mtu) / bytes(quoted)[:28])


def unreachable(quoted, code, v6=False):
    if v6:
        return bytes(IPv6(src="2001:db8::ffff", dst=US6) / ICMPv6DestUnreach(code=code) / bytes(quoted)[:1200])
    return bytes(IP(src="192.0.2.254", dst=US4) / ICMP(type=3, code=code) / bytes(quoted)[:28])


def sack_option(*edges):
    return [("NOP", None), ("NOP", None), ("SAck", tuple(e & 0xFFFFFFFF for e in edges))]


def raw_option(kind, body):
    return struct.pack("!BB", kind, len(body) + 2) + body
