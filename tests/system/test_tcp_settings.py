"""The `tcp` section of the gateway's own file, as it is seen on the wire.

In: a gateway with settings of its own, one request, one silent client. Out: the frames that its backend and its client got.
"""

import select
import socket
import struct

from harness import mesh
from harness.bench import ADDRESS, BACKENDS, merge

ECE_CWR, SYN, ACK = 0xC0, 0x02, 0x10
SETTINGS = {"tcp": {"dscp": 46, "hopLimit": 99, "ecn": "on", "congestionControl": "newreno",
                    "keepAlive": {"idle": "1s", "interval": "1s", "probes": 100}}}


def sniffer(host, dev):
    sock = host.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((dev, 0x0800))
    return sock


def packets(sock, source, wanted, timeout_s=10.0):
    """The first IPv4 packet with TCP from `source` for which `wanted(ip, tcp)` holds."""
    seen = 0
    while select.select([sock], [], [], timeout_s)[0]:
        ip = sock.recv(65536)[14:]
        if ip[9] != socket.IPPROTO_TCP or ip[12:16] != socket.inet_aton(source):
            continue
        seen += 1
        tcp = ip[(ip[0] & 15) * 4:struct.unpack("!H", ip[2:4])[0]]
        if wanted(ip, tcp):
            return ip, tcp
    raise AssertionError(f"none of {seen} packets from {source}")


def test_what_is_set_is_on_the_wire(bench):
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    bench.start(merge(bench.config(), SETTINGS))
    inside, outside = sniffer(bench.backends_host, "eth0"), sniffer(bench.client, "eth0")
    try:
        assert bench.ask("/").body == b"b1"
        ip, tcp = packets(inside, "10.0.0.10", lambda ip, tcp: tcp[13] & SYN)
        assert tcp[13] & ECE_CWR == ECE_CWR, "asks for ECN"
        assert (ip[1], ip[8]) == (46 << 2, 99), "DSCP, hop limit"
        with bench.connect() as wire:
            port = wire.sock.getsockname()[1]
            _, syn_ack = packets(outside, ADDRESS, lambda ip, tcp: tcp[13] & SYN and tcp[2:4] == struct.pack("!H", port))
            # A keep-alive probe repeats the number before the first byte: that of the SYN.
            ip, tcp = packets(outside, ADDRESS, lambda ip, tcp: tcp[13] == ACK and tcp[2:8] == syn_ack[2:8])
            assert (ip[1], ip[8]) == (46 << 2, 99)
    finally:
        inside.close()
        outside.close()


def test_defaults_are_linuxs(bench):
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    bench.ensure()
    inside = sniffer(bench.backends_host, "eth0")
    try:
        assert bench.ask("/").body == b"b1"
        ip, tcp = packets(inside, "10.0.0.10", lambda ip, tcp: tcp[13] & SYN)
        assert (ip[1], ip[8], tcp[13] & ECE_CWR) == (0, 64, 0)
    finally:
        inside.close()
