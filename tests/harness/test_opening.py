"""Handshakes, packet by packet: options, repeats, refusals, simultaneous open, TIME-WAIT reuse, SYN cookies (RFC 9293 3.5, 4987)."""

import errno

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

import sluice_tcp as th_
from scripted import FULL, MS, PORT, SECOND, THEM4, THEM6, Peer, checksums_right, data_of, option, raw_option, seq_add


def test_syn_ack_answers_what_was_offered(make):
    th = make()
    th.listen(PORT)
    peer = Peer(th)
    peer.send("S", options=FULL)
    answer = peer.take("SA", ack=5001)
    kinds = [kind for kind, _ in answer[TCP].options]
    assert kinds == ["MSS", "SAckOK", "Timestamp", "NOP", "WScale"]
    assert option(answer, "MSS") == 1460 and option(answer, "WScale") == 3 and option(answer, "Timestamp")[1] == 1000
    assert answer[TCP].window == 65535 and answer[IP].flags == "DF" and answer[IP].ttl == 64


@pytest.mark.parametrize("offered, expected", [
    ([], ["MSS"]),
    ([("MSS", 1460)], ["MSS"]),
    ([("MSS", 1460), ("NOP", None), ("WScale", 0)], ["MSS", "NOP", "WScale"]),
    ([("NOP", None), ("NOP", None), ("SAckOK", b"")], ["MSS", "NOP", "NOP", "SAckOK"]),
    ([("NOP", None), ("NOP", None), ("Timestamp", (7, 0))], ["MSS", "NOP", "NOP", "Timestamp"]),
], ids=["none", "mss", "wscale", "sack", "timestamp"])
def test_nothing_is_answered_that_was_not_offered(th, offered, expected):
    th.listen(PORT)
    peer = Peer(th)
    peer.send("S", options=offered)
    assert [kind for kind, _ in peer.take("SA")[TCP].options] == expected


@pytest.mark.parametrize("field, absent", [("no_sack", "SAckOK"), ("no_timestamps", "Timestamp"), ("no_window_scale", "WScale")])
def test_what_is_switched_off_is_neither_offered_nor_taken(make, field, absent):
    th = make(**{field: 1})
    th.listen(PORT)
    peer = Peer(th)
    peer.send("S", options=FULL)
    assert option(peer.take("SA"), absent) is None
    th.connect((THEM4, PORT))
    assert option(peer.one(), absent) is None


def test_a_small_buffer_still_scales_the_peers_window(th):
    """A SYN-ACK without the option would leave the peer's windows unscaled while we scale them (RFC 7323 2.2)."""
    listener = th.listen(PORT)
    listener.setsockopt(1, 8, 30000)  # SO_RCVBUF: shift 0
    peer = Peer(th)
    peer.send("S", options=FULL)
    assert option(peer.take("SA"), "WScale") == 0


def test_active_open(th):
    s = th.connect((THEM4, PORT))
    peer = Peer(th)
    syn = peer.one()
    assert str(syn[TCP].flags) == "S" and syn[TCP].ack == 0
    assert [kind for kind, _ in syn[TCP].options] == ["MSS", "SAckOK", "Timestamp", "NOP", "WScale"]
    peer.dport, peer.sport, peer.ack = syn[TCP].sport, PORT, seq_add(syn[TCP].seq, 1)
    peer.send("SA", options=[("MSS", 1000)], window=5000)
    ack = peer.take("A", seq=syn[TCP].seq + 1, ack=5001)
    assert ack[TCP].options == []
    assert s.poll() == th_.POLLOUT and s.info().options == 0 and s.info().snd_mss == 1000


def test_ipv6_offers_its_own_mss(th):
    th.listen(PORT, family=10)
    peer = Peer(th, v6=True)
    peer.send("S", options=FULL)
    answer = peer.take("SA")
    assert option(answer, "MSS") == 1440 and answer[IPv6].hlim == 64
    th.connect((THEM6, 81), family=10)
    assert option(peer.one(), "MSS") == 1440


def test_unknown_and_broken_options_do_no_harm(th):
    th.listen(PORT)
    for number, tail in enumerate([raw_option(77, b"abcd") + b"\x02\x04\x02\x58", b"\x02\x00\x05\xb4", b"\x02\xff\x05\xb4", b"\x01\x01\x01\x08",
                                   b"\x00\xff\xff\xff"]):
        peer = Peer(th, port=41000 + number)
        tail += bytes(-len(tail) % 4)
        segment = bytearray(bytes(peer.ip() / TCP(sport=peer.sport, dport=PORT, flags="S", seq=peer.seq, dataofs=5 + len(tail) // 4,
                                                  chksum=0) / tail))
        packet = IP(bytes(segment))
        del packet[IP].len, packet[IP].chksum, packet[TCP].chksum
        th.packet_in(bytes(packet))
        assert option(peer.one(), "MSS") == 1460


def test_syn_and_syn_ack_are_repeated_with_backoff(th):
    th.listen(PORT)
    peer = Peer(th)
    peer.send("S", options=FULL)
    first = peer.take("SA")
    times = []
    while th.deadline() != th_.NEVER:
        th.advance(th.deadline())
        for packet in peer.all():
            assert packet[TCP].seq == first[TCP].seq and str(packet[TCP].flags) == "SA"
            times.append(round(th.now / SECOND))
    assert times == [1, 3, 7, 15, 31]
    start = th.now
    th.connect((THEM4, PORT))
    times = []
    while th.deadline() != th_.NEVER:
        times += [round((th.now - start) / SECOND) for _ in peer.all()]
        th.advance(th.deadline())
    assert times == [0, 1, 3, 7, 15, 31, 63]


def test_refusals_have_the_numbers_that_will_be_believed(th):
    """RFC 9293 3.10.7.1: without ACK seq 0 and ack their end; with ACK seq is their ack."""
    peer = Peer(th)
    peer.send("S", options=FULL)
    packet = peer.one()
    assert (str(packet[TCP].flags), packet[TCP].seq, packet[TCP].ack) == ("RA", 0, 5001)
    peer.send("A", seq=9000, ack=7777)
    packet = peer.one()
    assert (str(packet[TCP].flags), packet[TCP].seq) == ("R", 7777)
    peer.send("FA", payload=b"abc", seq=9000, ack=7777)
    assert str(peer.one()[TCP].flags) == "R"
    peer.send("R", seq=9000)
    peer.send("RA", seq=9000, ack=1)
    peer.silence()


def test_a_wrong_ack_of_our_syn_is_reset_and_survived(th):
    s = th.connect((THEM4, PORT))
    peer = Peer(th)
    syn = peer.one()
    peer.dport, peer.sport = syn[TCP].sport, PORT
    peer.send("SA", ack=syn[TCP].seq + 2, seq=5000)
    packet = peer.one()
    assert (str(packet[TCP].flags), packet[TCP].seq) == ("R", seq_add(syn[TCP].seq, 2))
    peer.send("R", seq=0)  # blind: without an ACK it proves nothing
    peer.send("RA", seq=0, ack=syn[TCP].seq)
    peer.silence()
    assert s.info().state == th_.SYN_SENT
    peer.send("RA", seq=0, ack=syn[TCP].seq + 1)
    assert s.error() == errno.ECONNREFUSED


def test_simultaneous_open(th):
    """RFC 9293 figure 8."""
    s = th.connect((THEM4, PORT))
    peer = Peer(th)
    syn = peer.one()
    peer.dport, peer.sport = syn[TCP].sport, PORT
    peer.send("S", options=FULL)
    answer = peer.one()
    assert (str(answer[TCP].flags), answer[TCP].seq, answer[TCP].ack) == ("SA", syn[TCP].seq, 5001)
    assert s.info().state == th_.SYN_RECV
    peer.ack, peer.timestamps, peer.tsecr = seq_add(syn[TCP].seq, 1), True, option(answer, "Timestamp")[0]
    peer.send("SA", seq=5000, advance=False, options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1002, peer.tsecr)), ("NOP", None),
                                                      ("WScale", 7)])
    assert s.info().state == th_.ESTABLISHED and s.poll() == th_.POLLOUT
    peer.all()
    peer.tsval = 1002
    peer.send("PA", b"hello")
    assert s.recv() == b"hello"
    s.send(b"world")
    assert b"".join(data_of(p) for p in peer.all()) == b"world"


def close_into_time_wait(th, peer, s):
    s.shutdown(1)
    peer.take("FA")
    peer.send("FA")
    peer.take("A")
    s.close()
    assert th.usage().time_wait == 1


def test_time_wait_answers_but_does_not_die(th):
    """RFC 1337: a RST must not end it. A repeated FIN is acknowledged and starts the wait again."""
    peer = Peer(th)
    s = peer.open()
    close_into_time_wait(th, peer, s)
    th.after(SECOND)
    peer.send("R", seq=peer.seq)
    peer.send("RA", seq=peer.seq)
    peer.silence()
    assert th.usage().time_wait == 1
    peer.send("FA", seq=seq_add(peer.seq, -1))
    peer.take("A", seq=peer.ack, ack=peer.seq)
    th.after(59 * SECOND + 500 * MS)
    assert th.usage().time_wait == 1
    th.after(SECOND)
    assert th.usage().time_wait == 0


def test_time_wait_is_reused_by_a_newer_timestamp(th):
    """RFC 6191: a SYN whose timestamp moved on is a new connection, whatever its number; an older one is not."""
    peer = Peer(th)
    s = peer.open(FULL)
    close_into_time_wait(th, peer, s)
    th.after(2 * SECOND)
    old_end = peer.seq
    peer.send("S", seq=old_end + 1000, options=[("NOP", None), ("NOP", None), ("Timestamp", (10, 0))])
    assert str(peer.one()[TCP].flags) == "A", "an old duplicate gets the last ACK again"
    peer.send("S", seq=old_end - 5000, options=[("NOP", None), ("NOP", None), ("Timestamp", (5_000_000, 0))])
    packet = peer.one()
    assert str(packet[TCP].flags) == "SA" and packet[TCP].ack == seq_add(old_end, -4999)
    assert th.usage().time_wait == 0 and th.usage().half_open == 1


def test_time_wait_is_reused_by_a_higher_number(th):
    peer = Peer(th)
    s = peer.open()
    close_into_time_wait(th, peer, s)
    our_end = peer.ack
    peer.send("S", seq=peer.seq - 10, options=[])
    assert str(peer.one()[TCP].flags) == "A"
    peer.send("S", seq=peer.seq + 1000, options=[])
    packet = peer.one()
    assert str(packet[TCP].flags) == "SA"
    assert 0 < seq_add(packet[TCP].seq, -our_end) < 2**31, "the new ISN lies above the old numbers"


def test_a_bound_port_is_reused_out_of_time_wait(th):
    s = th.connect((THEM4, PORT), local_port=5555)
    peer = Peer(th)
    syn = peer.one()
    peer.dport, peer.sport, peer.ack = 5555, PORT, seq_add(syn[TCP].seq, 1)
    peer.send("SA", options=FULL)
    peer.take("A")
    peer.timestamps = True
    close_into_time_wait(th, peer, s)
    with pytest.raises(OSError) as refused:
        th.connect((THEM4, PORT), local_port=5555)
    assert refused.value.errno == errno.EADDRNOTAVAIL, "not within the second"
    th.socket()
    th.after(2 * SECOND)
    th.lib.th_close(th.handle, 3)
    th.connect((THEM4, PORT), local_port=5555)
    again = peer.one()
    assert str(again[TCP].flags) == "S" and again[TCP].sport == 5555 and th.usage().time_wait == 0


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_cookies_keep_the_options_in_the_timestamp(make, v6):
    th = make(syn_backlog=1)
    listener = th.listen(PORT, family=10 if v6 else 2)
    filler = Peer(th, port=50000, v6=v6)
    filler.send("S", options=FULL)
    filler.take("SA")
    assert th.usage().half_open == 1
    before = list(th.usage())
    peer = Peer(th, v6=v6, timestamps=True)
    peer.send("S", options=[("MSS", 1300), ("SAckOK", b""), ("Timestamp", (1000, 0)), ("NOP", None), ("WScale", 9)])
    cookie = peer.take("SA")
    assert option(cookie, "SAckOK") is not None and option(cookie, "WScale") is not None
    assert list(th.usage()) == before, "a SYN beyond the backlog costs nothing"
    th.after(5 * SECOND)
    filler.all()
    peer.send("A", window=2)
    s = listener.accept()
    info = s.info()
    assert info.state == th_.ESTABLISHED and info.options & 7 == 7 and info.wscale & 15 == 9
    assert info.snd_mss <= 1300 - 12
    peer.all()
    s.send(b"x" * 5000)
    sent = sum(len(data_of(p)) for p in peer.all())
    assert sent == 1024, "the window of 2 is worth 2 << 9"


def test_a_wrong_cookie_opens_nothing(make):
    th = make(syn_backlog=1)
    th.listen(PORT)
    filler = Peer(th, port=50000)
    filler.send("S", options=FULL)
    filler.all()
    peer = Peer(th)
    peer.send("S", options=FULL)
    peer.take("SA")
    right = peer.ack
    for wrong in (right + 1, right ^ 0x1000000, right + 0x8000000, 0):
        peer.send("A", ack=wrong)
    th.after(200 * SECOND)
    peer.all()
    peer.send("A", ack=right)
    assert str(peer.one()[TCP].flags) == "R", "an old cookie is no cookie"
    assert th.usage().connections == 0


def test_every_packet_has_right_checksums(th):
    for v6 in (False, True):
        peer = Peer(th, v6=v6, port=42000 + v6)
        listener = th.listen(PORT, family=10 if v6 else 2)
        s = peer.open(FULL, listener=listener)
        s.setsockopt(6, 1, 1)  # TCP_NODELAY
        s.send(bytes(range(256)) * 11 + b"odd")
        raws = th.packets()
        assert [len(raw) for raw in raws] == ([1500, 1463] if v6 else [1500, 1423])
        for raw in raws:
            assert checksums_right(raw)
