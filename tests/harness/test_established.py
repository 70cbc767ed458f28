"""An open connection, packet by packet: blind attacks (RFC 5961), PAWS (7323), SACK (2018), windows and probes, urgent data,
delayed ACKs, repeats."""

import pytest
from scapy.layers.inet import IP, TCP

import sluice_tcp as th_
from scripted import FULL, MS, SECOND, Peer, data_of, option, sack_option, seq_add


# --- RFC 5961 ------------------------------------------------------------------------------------


def test_only_the_exact_number_resets(th):
    """3.2: in the window but not exact is challenged, outside is ignored."""
    peer = Peer(th)
    s = peer.open()
    peer.send("R", seq=peer.seq + 1)
    peer.take("A", ack=peer.seq)
    peer.send("R", seq=peer.seq - 1)
    peer.send("R", seq=peer.seq + 300_000)
    peer.silence()
    assert s.info().state == th_.ESTABLISHED
    peer.send("R")
    peer.silence()
    with pytest.raises(ConnectionResetError):
        s.recv()


@pytest.mark.parametrize("offset", [0, 100, -1, 1_000_000])
def test_a_syn_is_challenged(th, offset):
    """4.2: whatever its number."""
    peer = Peer(th)
    s = peer.open()
    peer.send("S", seq=peer.seq + offset)
    peer.take("A", seq=peer.ack, ack=peer.seq)
    assert s.info().state == th_.ESTABLISHED


def test_acks_of_what_was_never_sent_are_challenged(th):
    """5.2: beyond SND.NXT, or older than the largest window, with their text thrown away."""
    peer = Peer(th)
    s = peer.open()
    peer.send("A", b"evil", seq=peer.seq, ack=peer.ack + 1)
    peer.take("A", ack=peer.seq)
    th.after(SECOND)
    peer.send("A", b"evil", seq=peer.seq, ack=peer.ack - 70_000)
    peer.take("A", ack=peer.seq)
    with pytest.raises(BlockingIOError):
        s.recv()
    peer.send("A", b"good", ack=peer.ack - 100)  # old but possible
    assert s.recv() == b"good"


def test_challenges_are_limited_per_connection(th):
    """7, and nothing global to measure (CVE-2016-5696)."""
    peer, other = Peer(th), Peer(th, port=40001)
    peer.open()
    other.open()
    for _ in range(100):
        peer.send("S", seq=peer.seq)
    assert len(peer.all()) == 1
    other.send("S", seq=other.seq)
    other.take("A")
    th.after(480 * MS)
    peer.send("S", seq=peer.seq)
    peer.silence()
    th.after(30 * MS)
    peer.send("S", seq=peer.seq)
    peer.take("A")


# --- RFC 7323 ------------------------------------------------------------------------------------


def test_paws_throws_old_timestamps_away(th):
    """5.3 R1: and answers with an ACK."""
    peer = Peer(th)
    s = peer.open(FULL)
    peer.send("PA", b"one", tsval=2000)
    th.after(100 * MS)
    peer.take("A", ack=peer.seq)
    peer.send("PA", b"old", seq=peer.seq, tsval=1999)
    answer = peer.take("A", ack=peer.seq)
    assert option(answer, "Timestamp")[1] == 2000, "TS.Recent did not move"
    peer.send("PA", b"one", seq=peer.seq - 3, tsval=1999)
    assert option(peer.take("A", ack=peer.seq), "SAck") == (peer.seq - 3, peer.seq), "a late original (RFC 2883)"
    peer.send("PA", b"two", tsval=2000)
    assert s.recv() == b"onetwo"
    th.after(100 * MS)
    peer.all()
    peer.send("PA", b"wrap", tsval=2000 + 2**31 - 1)
    assert s.recv() == b"wrap"
    th.after(100 * MS)
    peer.all()
    peer.send("PA", b"behind", seq=peer.seq, tsval=2000)
    assert option(peer.take("A"), "Timestamp")[1] == 2000 + 2**31 - 1


def test_segments_without_the_agreed_timestamp_are_dropped(th):
    """3.2; a RST may come without."""
    peer = Peer(th)
    s = peer.open(FULL)
    peer.send("PA", b"bare", seq=peer.seq, options=[])
    peer.silence()
    with pytest.raises(BlockingIOError):
        s.recv()
    peer.send("R", options=[])
    with pytest.raises(ConnectionResetError):
        s.recv()


def test_ts_recent_comes_from_the_last_ack_sent_only(th):
    """4.3 (2): an out-of-order segment must not move it."""
    peer = Peer(th)
    peer.open(FULL)
    peer.send("PA", b"B" * 10, seq=peer.seq + 10, tsval=5000)
    assert option(peer.take("A"), "Timestamp")[1] < 5000
    peer.send("PA", b"A" * 10, tsval=4000)
    assert option(peer.take("A"), "Timestamp")[1] == 4000


# --- RFC 2018, 2883 -------------------------------------------------------------------------------


def test_sack_blocks_last_grown_first(th):
    peer = Peer(th)
    s = peer.open([("MSS", 1460), ("SAckOK", b"")])
    base = peer.seq

    def block(at, length=100):
        peer.send("A", b"x" * length, seq=base + at)
        return [e - base for e in option(peer.take("A", ack=base), "SAck")]

    assert block(100) == [100, 200]
    assert block(300) == [300, 400, 100, 200]
    assert block(500) == [500, 600, 300, 400, 100, 200]
    assert block(700) == [700, 800, 500, 600, 300, 400, 100, 200]
    assert block(900) == [900, 1000, 700, 800, 500, 600, 300, 400], "four fit"
    assert block(200) == [100, 400, 900, 1000, 700, 800, 500, 600], "two became one"
    assert block(300)[:4] == [300, 400, 100, 400], "a duplicate is told first (RFC 2883)"
    peer.send("A", b"y" * 100, seq=base)
    answer = peer.take("A", ack=base + 400)
    assert [e - base for e in option(answer, "SAck")][:2] == [900, 1000]
    assert s.recv() == b"y" * 100 + b"x" * 300


def test_no_sack_means_one_duplicate_ack_a_segment(make):
    th = make(no_sack=1)
    peer = Peer(th)
    peer.open()
    for i in range(1, 4):
        peer.send("A", b"x" * 100, seq=peer.seq + 100 * i)
        answer = peer.take("A", ack=peer.seq)
        assert answer[TCP].options == []


def test_a_sacked_hole_is_repeated_and_nothing_else(th):
    peer = Peer(th)
    s = peer.open([("MSS", 1000), ("SAckOK", b"")])
    s.send(b"".join(bytes([65 + i]) * 1000 for i in range(6)))
    sent = peer.all()
    assert len(sent) == 6
    base = sent[0][TCP].seq
    th.after(20 * MS)
    peer.send("A", ack=base, options=sack_option(base + 1000, base + 4000))
    th.after(20 * MS)
    again = [p for p in peer.all() if p[TCP].seq == base]
    assert len(again) == 1 and data_of(again[0]) == b"A" * 1000
    assert s.info().sacked == 3 and s.info().total_retrans == 1
    peer.send("A", ack=base + 6000)
    assert s.info().unacked == 0


# --- Windows -------------------------------------------------------------------------------------


def test_a_zero_window_is_probed_with_backoff(th):
    """RFC 9293 3.8.6.1."""
    peer = Peer(th)
    s = peer.open()
    s.send(b"first")
    packet = peer.take("PA", b"first")
    end = packet[TCP].seq + 5
    peer.send("A", ack=end, window=0)
    s.send(b"held back")
    peer.silence()
    times = []
    while len(times) < 5:
        th.advance(th.deadline())
        for probe in peer.all():
            assert probe[TCP].seq == seq_add(end, -1) and data_of(probe) == b"", "an old number that must be answered"
            times.append(th.now)
            peer.send("A", ack=end, window=0)
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert all(1.8 < b / a < 2.2 for a, b in zip(gaps, gaps[1:])), gaps
    assert s.info().state == th_.ESTABLISHED, "an answered probe never ends a connection"
    peer.send("A", ack=end, window=1000)
    peer.take("PA", b"held back", seq=end)


def test_a_window_that_opens_lets_text_go(th):
    peer = Peer(th)
    s = peer.open()
    peer.send("A", window=0)
    s.send(b"later")
    peer.silence()
    peer.send("A", window=1000)
    peer.take("PA", b"later")


def test_probes_nobody_answers_end_the_connection(th):
    peer = Peer(th)
    s = peer.open()
    peer.send("A", window=0)
    s.send(b"never")
    while s.info().state == th_.ESTABLISHED:
        assert th.deadline() != th_.NEVER
        th.advance(th.deadline())
        peer.all()
    with pytest.raises(TimeoutError):
        s.recv()


def test_our_closed_window_keeps_text_out_and_acks_in(th):
    peer = Peer(th)
    listener = th.listen(80)
    listener.setsockopt(1, 8, 2000)  # SO_RCVBUF
    s = peer.open(listener=listener)
    s.send(b"ours")
    packet = peer.take("PA", b"ours")
    peer.send("A", b"a" * 1000, ack=packet[TCP].seq)
    peer.send("A", b"b" * 1000, ack=packet[TCP].seq)
    assert peer.all()[-1][TCP].window == 0
    peer.send("A", b"c", seq=peer.seq, ack=packet[TCP].seq + 4)  # a probe that brings an ACK
    answer = peer.one()
    assert answer[TCP].window == 0 and answer[TCP].ack == peer.seq
    assert s.info().unacked == 0, "the ACK counted"
    assert s.recv() == b"a" * 1000 + b"b" * 1000
    assert peer.one()[TCP].window == 2000, "reading tells the peer at once"


def test_the_window_is_not_opened_by_crumbs(th):
    """RFC 9293 3.8.6.2.2: silly windows."""
    peer = Peer(th)
    listener = th.listen(80)
    listener.setsockopt(1, 8, 4000)
    s = peer.open(listener=listener)
    for _ in range(4):
        peer.send("A", b"x" * 1000)
    assert peer.all()[-1][TCP].window == 0
    for _ in range(9):
        s.recv(100)
        peer.silence()
    s.recv(100)
    assert peer.one()[TCP].window >= 1000


def test_small_writes_wait_for_the_last_ack(th):
    """Nagle, RFC 9293 3.7.4."""
    peer = Peer(th)
    s = peer.open()
    for text in (b"a", b"b", b"c"):
        s.send(text)
    packet = peer.take("PA", b"a")
    peer.send("A", ack=packet[TCP].seq + 1)
    peer.take("PA", b"bc")


# --- Text ----------------------------------------------------------------------------------------


def test_urgent_text_comes_in_line(th):
    """RFC 6093 3.1: the pointer is not believed, no byte is lost or moved."""
    peer = Peer(th)
    s = peer.open()
    peer.send("PAU", b"abc", urgent=2)
    peer.send("AU", b"", urgent=500)
    peer.send("PAU", b"def", urgent=65535)
    assert s.recv() == b"abcdef"
    assert s.poll() == th_.POLLOUT


def test_acks_wait_for_the_second_segment_or_40_ms(th):
    peer = Peer(th)
    s = peer.open()
    s.setsockopt(6, 12, 0)  # TCP_QUICKACK off
    peer.send("PA", b"small")
    peer.silence()
    th.after(39 * MS)
    peer.silence()
    th.after(2 * MS)
    peer.take("A", ack=peer.seq)
    peer.send("A", b"x" * 1000)
    peer.all()
    peer.send("A", b"x" * 1000)
    peer.take("A", ack=peer.seq)


def test_delayed_ack_us_is_kept(make):
    th = make(delayed_ack_us=200_000)
    peer = Peer(th)
    s = peer.open()
    s.setsockopt(6, 12, 0)
    peer.send("PA", b"small")
    th.after(190 * MS)
    peer.silence()
    th.after(11 * MS)
    peer.take("A")


@pytest.mark.parametrize("min_rto_ms", [200, 1000])
def test_repeats_back_off_from_the_smallest_rto(make, min_rto_ms):
    th = make(no_sack=1, min_rto_us=min_rto_ms * MS)  # without SACK there is no tail probe before it
    peer = Peer(th)
    s = peer.open()
    th.after(10 * MS)
    s.send(b"lost")
    first = peer.take("PA", b"lost")
    start, times = th.now, []
    while len(times) < 4:
        th.advance(th.deadline())
        for packet in peer.all():
            assert packet[TCP].seq == first[TCP].seq and data_of(packet) == b"lost"
            times.append((th.now - start) / 1000 / min_rto_ms)
    assert [round(t) for t in times] == [1, 3, 7, 15]


def test_initial_window_and_slow_start(make):
    th = make(initial_cwnd=4)
    peer = Peer(th)
    s = peer.open([("MSS", 1000)])
    s.send(b"x" * 100_000)
    sent = peer.all()
    assert len(sent) == 4
    peer.send("A", ack=sent[-1][TCP].seq + 1000)
    assert len(peer.all()) == 8


def test_wrong_checksums_are_dropped(th):
    peer = Peer(th)
    s = peer.open()
    for damage in (lambda p: setattr(p[TCP], "chksum", 0x1234), lambda p: setattr(p[IP], "chksum", 0x1234)):
        packet = peer.ip() / TCP(sport=peer.sport, dport=80, flags="PA", seq=peer.seq, ack=peer.ack) / b"bad"
        damage(packet)
        th.packet_in(bytes(packet))
    peer.silence()
    with pytest.raises(BlockingIOError):
        s.recv()


def test_a_keep_alive_probe_is_an_old_number_without_text(th):
    peer = Peer(th)
    s = peer.open()
    s.setsockopt(1, 9, 1)   # SO_KEEPALIVE
    s.setsockopt(6, 4, 5)   # TCP_KEEPIDLE
    th.after(4900 * MS)
    peer.silence()
    th.after(200 * MS)
    peer.take("A", b"", seq=peer.ack - 1, ack=peer.seq)
    peer.ack = seq_add(peer.ack, 1)
    peer.send("A")
    # Theirs is answered.
    peer.send("A", seq=peer.seq - 1)
    peer.take("A", ack=peer.seq)
