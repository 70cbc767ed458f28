"""Packets that no honest kernel sends: floods, forgeries, fragments, noise (THREATS 1 to 10, 41).

In: raw frames from the client's end of the wire. Out: honest clients are served all the while, and
memory is where it was. Random tests print their seed; SLUICE_SEED=N repeats it.
"""

import os
import random
import socket
import time

import pytest
from harness import mesh, packets
from harness.bench import ADDRESS, BACKENDS, CLIENT
from harness.packets import ACK, PSH, RST, SYN


@pytest.fixture
def web(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    return bench


@pytest.fixture
def injector(web):
    made = packets.Injector(web.client, "eth0", web.gateway_host.mac("outside0"))
    yield made
    made.close()


@pytest.fixture
def rng():
    seed = int(os.environ.get("SLUICE_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SLUICE_SEED={seed}")
    return random.Random(seed)


def far_away(rng):
    """An address behind the client: answers to it go there and are dropped."""
    return f"100.{64 + rng.randrange(64)}.{rng.randrange(256)}.{1 + rng.randrange(254)}"


def resident_mib(bench):
    with open(f"/proc/{bench.gateway.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def served(bench, count=20):
    return all(bench.ask("/honest").status == 200 for _ in range(count))


def test_syn_flood(web, injector, rng):
    """More half-open connections than the backlog: cookies answer, honest clients get through (RFC 4987)."""
    served(web)
    before = resident_mib(web)
    for start in range(0, 20000, 1000):
        for _ in range(1000):
            injector.packet(packets.tcp(far_away(rng), ADDRESS, rng.randrange(1024, 65536), 80, rng.randrange(1 << 32), 0, SYN,
                                        options=b"\x02\x04\x05\xb4"))
        assert web.ask("/honest").status == 200, f"after {start + 1000} SYNs"
    assert web.metric("sluice_tcp_syn_cookies_sent_total") > 0
    assert resident_mib(web) - before < 16


def test_blind_resets_hit_nothing(web, injector, rng):
    """RFC 5961 3: a reset must carry exactly the next sequence number."""
    with web.connect() as wire:
        wire.send("GET /one HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        wire.response()
        port = wire.sock.getsockname()[1]
        for _ in range(20000):
            injector.packet(packets.tcp(CLIENT, ADDRESS, port, 80, rng.randrange(1 << 32), rng.randrange(1 << 32), RST | ACK))
        wire.send("GET /two HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response().status == 200


@pytest.mark.parametrize("flags", [SYN, PSH | ACK])
def test_blind_segments_change_nothing(web, injector, rng, flags):
    """RFC 5961 4 and 5: a SYN is answered by a challenge, data with a wild ACK is dropped."""
    with web.connect() as wire:
        wire.send("GET /one HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        wire.response()
        port = wire.sock.getsockname()[1]
        for _ in range(5000):
            payload = b"GET /forged HTTP/1.1\r\nHost: x\r\n\r\n" if flags & PSH else b""
            injector.packet(packets.tcp(CLIENT, ADDRESS, port, 80, rng.randrange(1 << 32), rng.randrange(1 << 32), flags, payload))
        wire.send("GET /two HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response().status == 200
    assert "/forged" not in web.backends[0].paths()


def test_tiny_segments(web):
    """CVE-2019-11477 and its kin: a client with the smallest MSS its kernel offers gets its bytes, others too."""
    web.backends[0].on("/big", lambda wire, request: wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 262144\r\n\r\n" + b"s" * 262144))
    sock = web.client.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 88)
    sock.settimeout(20)
    sock.connect((ADDRESS, 80))
    from harness.http1 import Wire

    with Wire(sock, 20) as wire:
        wire.send("GET /big HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert web.ask("/other").status == 200
        assert wire.response().body == b"s" * 262144


def test_byte_by_byte_requests(web):
    """SegmentSmack's cousin: a megabyte in one-byte segments costs no more than its limit."""
    with web.connect() as wire:
        wire.send("POST /bytes HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 20000\r\n\r\n")
        for _ in range(20000):
            wire.send(b"b")
        assert wire.response().status == 200
    assert web.backends[0].find("/bytes").body == b"b" * 20000


def test_fragment_flood(web, injector, rng):
    """Parts whose rest never comes (FragmentSmack): the oldest give way, nothing grows, nobody waits."""
    served(web)
    before = resident_mib(web)
    for _ in range(10000):
        injector.packet(packets.ipv4(far_away(rng), ADDRESS, rng.randbytes(64), ident=rng.randrange(65536), fragment=0x2000))
        injector.packet(packets.ipv4(far_away(rng), ADDRESS, rng.randbytes(64), ident=rng.randrange(65536), fragment=0x2000 | rng.randrange(1, 8000)))
    assert served(web) and resident_mib(web) - before < 16
    assert web.metric("sluice_net_fragments_evicted_total") > 1000


@pytest.mark.parametrize("order", ["in order", "reversed"])
def test_a_request_in_fragments(web, injector, rng, order):
    """A client's request in IP fragments, a flood of others' around them: put together and answered."""
    client = packets.RawClient(injector, web.client, "eth0", far_away(rng), ADDRESS, port=rng.randrange(1024, 65536))
    ident = 0

    def send(packet, *cuts):
        nonlocal ident
        ident += 1
        parts = packets.fragments(packet, *cuts, ident=ident)
        for part in parts if order == "in order" else reversed(parts):
            injector.packet(part)
            for _ in range(20):
                injector.packet(packets.ipv4(far_away(rng), ADDRESS, rng.randbytes(64), ident=rng.randrange(65536), fragment=0x2008))

    injector.packet(client.segment(SYN, options=b"\x02\x04\x05\xb4"))   # a header may not be cut: it is all there is
    flags, _ = client.receive()
    assert flags == SYN | ACK
    client.seq += 1
    request = b"GET /in-parts HTTP/1.1\r\nHost: shop.example\r\nX-Long: " + b"l" * 3000 + b"\r\nConnection: close\r\n\r\n"
    send(client.segment(ACK | PSH, request), 24, 64, 1480, 2960)
    client.seq += len(request)
    answer = b""
    while b"b1" not in answer.partition(b"\r\n\r\n")[2]:
        flags, payload = client.receive()
        assert not flags & RST, answer
        answer += payload
    assert answer.startswith(b"HTTP/1.1 200 OK")
    client.close()
    assert "/in-parts" in web.backends[0].paths()


def test_forged_and_impossible_packets_are_counted_by_reason(web, injector, rng):
    """Each kind of packet that no honest host sends, and the counter that says so."""
    syn = packets.tcp(CLIENT, ADDRESS, 40000, 80, 1, 0, SYN)

    def from_(source):
        return packets.tcp(source, ADDRESS, 40000, 80, 1, 0, SYN)

    kinds = {
        "rx_source_loopback": from_("127.0.0.1"), "rx_source_reserved": from_("240.0.0.1"), "rx_source_group": from_("224.0.0.5"),
        "rx_source_ours": from_(ADDRESS), "rx_source_other_port": from_(BACKENDS[0]),
        "fragments_tiny_first": packets.fragments(syn, 8)[0], "fragments_bad": packets.ipv4(CLIENT, ADDRESS, b"x" * 100, fragment=0x1FFE),
        "icmp_redirect_ignored": packets.icmp(CLIENT, ADDRESS, 5, 1, socket.inet_aton("192.0.2.66") + bytes(28)),
        "icmp_bad_quote": packets.icmp(CLIENT, ADDRESS, 3, 1, bytes(32)),
    }
    names = {name: f"sluice_net_{name}_total" for name in kinds}
    before = {name: web.metric(metric) for name, metric in names.items()}
    for packet in kinds.values():
        for _ in range(7):
            injector.packet(packet)
    assert served(web)
    counted = {name: web.metric(metric) - before[name] for name, metric in names.items()}
    assert counted == dict.fromkeys(kinds, 7)


def test_arp_flood(web, injector, rng):
    """THREATS 10: a hundred thousand neighbours that are not there."""
    before = resident_mib(web)
    for _ in range(20000):
        mac = "02:" + ":".join(f"{rng.randrange(256):02x}" for _ in range(5))
        sender = f"192.0.2.{rng.randrange(11, 255)}"
        injector.frame(packets.ethernet("ff:ff:ff:ff:ff:ff", mac, packets.ETH_ARP,
                                        packets.arp(rng.choice((1, 2)), mac, sender, "00:00:00:00:00:00", ADDRESS)))
    assert served(web) and resident_mib(web) - before < 16


def test_forged_arp_for_the_client_does_not_stick(web, injector, rng):
    """An answer nobody asked for does not take over an address in use at once; honest traffic goes on."""
    assert served(web)
    liar = "02:00:00:00:00:66"
    for _ in range(200):
        injector.frame(packets.ethernet(injector.peer, liar, packets.ETH_ARP, packets.arp(2, liar, CLIENT, injector.peer, ADDRESS)))
    assert served(web)


def test_noise(web, injector, rng):
    """Honest packets with bytes changed, cut and added: dropped or answered, never fatal."""
    honest = [packets.tcp(CLIENT, ADDRESS, 40000, 80, 1, 0, SYN, options=b"\x02\x04\x05\xb4\x01\x03\x03\x07"),
              packets.tcp(CLIENT, ADDRESS, 40000, 80, 2, 1, ACK | PSH, b"GET / HTTP/1.1\r\n\r\n"),
              packets.ipv4(CLIENT, ADDRESS, b"\x08\0\xf7\xff\0\0\0\0", protocol=1),
              packets.ipv4(CLIENT, ADDRESS, b"\x03\x04\0\0\0\0\x02\x00" + packets.tcp(ADDRESS, CLIENT, 80, 40000, 1, 1, ACK)[:28], protocol=1)]
    for _ in range(20000):
        data = bytearray(rng.choice(honest))
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(1, len(data)):]
        if rng.random() < 0.1:
            data += rng.randbytes(rng.randrange(64))
        injector.frame(packets.ethernet(injector.peer, injector.mac, rng.choice((0x0800, 0x0800, 0x86DD, 0x0806, 0x8100, rng.randrange(65536))),
                                        bytes(data)))
    assert served(web)


def test_no_mbuf_is_lost(web):
    """THREATS 41: after aborted, refused and served requests, as many frames are free as before."""
    def free():
        return web.metric("sluice_worker_mbufs_free")

    def storm():
        for i in range(100):
            with web.connect() as wire:
                wire.send("GET /half HTTP/1.1\r\nHo" if i % 3 == 0 else "GET /x HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                if i % 3 == 1:
                    wire.response()
            web.ask("/bad", headers=["Content-Length: 5", "Transfer-Encoding: chunked"])

    storm()
    time.sleep(1.5)
    before = free()
    for _ in range(3):
        storm()
    deadline = time.monotonic() + 10
    while free() < before - 64 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert free() >= before - 64, f"{before - free():.0f} frames are missing"
