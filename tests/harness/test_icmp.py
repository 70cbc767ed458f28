"""ICMP errors about our segments: path MTU (RFC 1191, 8201), hard and soft errors, and what a forger gets (RFC 5927)."""

import errno

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6EchoReply, IPv6

import sluice_tcp as th_
from scripted import MS, PORT, SECOND, THEM4, THEM6, US4, US6, Peer, data_of, frag_needed, option, unreachable


@pytest.fixture(params=[False, True], ids=["v4", "v6"])
def family(request):
    return request.param


def flight(th, v6):
    """A connection with ten segments in flight."""
    peer = Peer(th, v6=v6)
    listener = th.listen(PORT, family=10 if v6 else 2)
    s = peer.open([("MSS", 1440), ("SAckOK", b"")], listener=listener)
    s.send(bytes(i % 251 for i in range(14400)))
    sent = peer.all()
    assert len(sent) == 10 and all(len(data_of(p)) == 1440 for p in sent)
    return peer, s, sent


def received(packets, base):
    """What a receiver has in order after these packets."""
    stream = b""
    for p in sorted(packets, key=lambda p: p[TCP].seq):
        at = p[TCP].seq - base
        if at <= len(stream) < at + len(data_of(p)):
            stream = stream[:at] + data_of(p)
    return stream


def test_too_big_is_believed_and_repaired_at_once(th, family):
    peer, s, sent = flight(th, family)
    th.packet_in(frag_needed(sent[0], 1300, family))
    assert s.info().pmtu == 1300
    mss = 1300 - (60 if family else 40)
    assert s.info().snd_mss == mss
    base = sent[0][TCP].seq
    again = peer.all()
    assert again and again[0][TCP].seq == base, "at once, from the first byte"
    for _ in range(20):  # a receiver that got none of the large ones acknowledges what it has in order
        stream = received(again, base)
        if len(stream) == 14400:
            break
        peer.send("A", ack=base + len(stream))
        th.after(300 * MS)
        again += peer.all()
    assert stream == bytes(i % 251 for i in range(14400))
    assert max(len(data_of(p)) for p in again) == mss
    assert s.info().snd_ssthresh >= 10, "a path's size is no congestion"


def test_the_next_connection_knows_the_path(th, family):
    _, s, sent = flight(th, family)
    th.packet_in(frag_needed(sent[0], 1300, family))
    th.packets()
    second = th.connect((THEM6 if family else THEM4, 99), family=10 if family else 2)
    peer = Peer(th, v6=family)
    assert option(peer.one(), "MSS") == 1500 - (60 if family else 40), "what comes in may take another path (RFC 9293 MUST-67)"
    assert second.info().pmtu == 1300
    th.after(601 * SECOND)  # and forgets it (RFC 1191 6.3)
    th.packets()
    third = th.connect((THEM6 if family else THEM4, 98), family=10 if family else 2)
    assert third.info().pmtu == 1500


def test_forged_ones_are_not_believed(th, family):
    """A number that is not in flight, a stranger's ports, a larger MTU, an absurd one."""
    peer, s, sent = flight(th, family)
    for change in ({"seq": sent[0][TCP].seq - 1}, {"seq": sent[-1][TCP].seq + 2000}, {"sport": 81}, {"dport": 1}):
        quoted = sent[0].copy()
        for name, value in change.items():
            setattr(quoted[TCP], name, value & 0xFFFFFFFF)
        th.packet_in(frag_needed(quoted, 1300, family))
        assert s.info().pmtu == 1500, change
    th.packet_in(frag_needed(sent[0], 9000, family))
    assert s.info().pmtu == 1500
    peer.silence()
    th.packet_in(frag_needed(sent[0], 68, family))
    assert s.info().pmtu == (1280 if family else 576), "the least that is believed"


def test_unreachable_refuses_an_opening_and_spares_an_open_connection(th, family):
    s = th.connect((THEM6 if family else THEM4, PORT), family=10 if family else 2)
    peer = Peer(th, v6=family)
    syn = peer.one()
    th.packet_in(unreachable(syn, 4 if family else 3, family))
    assert s.error() == errno.ECONNREFUSED
    s = th.connect((THEM6 if family else THEM4, PORT), family=10 if family else 2)
    th.packet_in(unreachable(peer.one(), 0, family))
    assert s.error() == errno.EHOSTUNREACH
    _, s, sent = flight(th, family)
    for code in (0, 1, 3, 4) if family else (0, 1, 2, 3, 13):
        th.packet_in(unreachable(sent[0], code, family))
    assert s.info().state == th_.ESTABLISHED and s.error() == 0


def test_echo_is_answered(th, family):
    if family:
        th.packet_in(bytes(IPv6(src=THEM6, dst=US6) / ICMPv6EchoRequest(id=7, seq=1, data=b"ping")))
        answer = IPv6(th.packets()[0])
        assert answer[ICMPv6EchoReply].data == b"ping" and answer.dst == THEM6
    else:
        th.packet_in(bytes(IP(src=THEM4, dst=US4) / ICMP(id=7, seq=1) / b"ping"))
        answer = IP(th.packets()[0])
        assert answer[ICMP].type == 0 and bytes(answer[ICMP].payload) == b"ping" and answer.dst == THEM4
