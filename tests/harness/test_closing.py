"""The end of connections, packet by packet: every order of two FINs, lost FINs, resets, orphans (RFC 9293 3.6, 2525 2.17)."""

import pytest
from scapy.layers.inet import TCP

import sluice_tcp as th_
from scripted import MS, SECOND, Peer, data_of, seq_add


def test_they_close_first(th):
    peer = Peer(th)
    s = peer.open()
    peer.send("FA")
    peer.take("A", ack=peer.seq)
    assert s.info().state == th_.CLOSE_WAIT and s.recv() == b""
    s.send(b"still open this way")
    peer.take("PA", b"still open this way")
    s.close()
    peer.take("FA", ack=peer.seq)
    peer.send("A")
    assert th.usage().connections == 0 and th.usage().time_wait == 0


def test_we_close_first(th):
    peer = Peer(th)
    s = peer.open()
    s.shutdown(1)
    peer.take("FA", ack=peer.seq)
    assert s.info().state == th_.FIN_WAIT1
    peer.send("A")
    assert s.info().state == th_.FIN_WAIT2
    peer.send("PA", b"last words")
    assert s.recv() == b"last words"
    peer.send("FA")
    packets = peer.all()
    assert packets[-1][TCP].ack == peer.seq
    assert s.recv() == b"" and s.info().state == th_.TIME_WAIT and th.usage().time_wait == 1


def test_text_and_fin_leave_together(th):
    peer = Peer(th)
    s = peer.open()
    peer.send("A", window=0)
    s.send(b"goodbye")
    s.shutdown(1)
    peer.silence()
    peer.send("A", window=1000)
    packet = peer.one()
    assert str(packet[TCP].flags) == "FPA" and data_of(packet) == b"goodbye"


def test_both_close_at_once(th):
    """Figure 13: FINs cross, both go through CLOSING."""
    peer = Peer(th)
    s = peer.open()
    s.shutdown(1)
    fin = peer.one()
    peer.send("FA", ack=fin[TCP].seq)
    peer.take("A", ack=peer.seq)
    assert s.info().state == th_.CLOSING
    peer.send("A", ack=fin[TCP].seq + 1)
    assert s.info().state == th_.TIME_WAIT and th.usage().time_wait == 1


def test_fin_and_ack_in_one_segment(th):
    peer = Peer(th)
    s = peer.open()
    s.shutdown(1)
    peer.take("FA")
    peer.send("FA")
    peer.take("A", ack=peer.seq)
    assert s.info().state == th_.TIME_WAIT


def test_a_lost_fin_is_sent_again(th):
    peer = Peer(th)
    s = peer.open()
    s.shutdown(1)
    fin = peer.one()
    th.after(3 * SECOND)
    again = peer.all()
    assert again and all(str(p[TCP].flags) == "FA" and p[TCP].seq == fin[TCP].seq for p in again)
    peer.ack = seq_add(fin[TCP].seq, 1)
    peer.send("A")
    assert s.info().state == th_.FIN_WAIT2


def test_a_fin_before_its_turn_waits(th):
    peer = Peer(th)
    s = peer.open()
    peer.send("FPA", b"world", seq=peer.seq + 5)
    peer.all()
    assert s.info().state == th_.ESTABLISHED
    peer.send("A", b"hello", seq=peer.seq)
    peer.seq = seq_add(peer.seq, 11)
    assert peer.all()[-1][TCP].ack == peer.seq
    assert s.recv() == b"helloworld" and s.recv() == b"" and s.info().state == th_.CLOSE_WAIT


def test_text_after_their_fin_is_ignored(th):
    peer = Peer(th)
    s = peer.open()
    peer.send("FA")
    peer.take("A")
    peer.send("PA", b"ghost", seq=peer.seq)
    peer.all()
    assert s.recv() == b"" and s.recv() == b""


def test_close_with_unread_text_resets(th):
    peer = Peer(th)
    s = peer.open()
    peer.send("PA", b"unread")
    s.close()
    assert str(peer.all()[-1][TCP].flags) == "RA"
    assert list(th.usage())[:3] == [0, 0, 0]


def test_text_after_close_resets(th):
    """RFC 2525 2.17: nobody will read it, and the sender must learn so."""
    peer = Peer(th)
    s = peer.open()
    s.close()
    peer.take("FA")
    peer.send("A")
    peer.send("PA", b"too late")
    assert str(peer.one()[TCP].flags)[0] == "R"
    assert list(th.usage())[:3] == [0, 0, 0]


def test_a_reset_closes_every_state(th):
    for number, steps in enumerate(["", "f", "fa", "F", "Ff"]):
        peer = Peer(th, port=43000 + number)
        s = peer.open()
        for step in steps:
            if step == "f":
                s.shutdown(1)
                peer.take("FA")
            elif step == "a":
                peer.send("A")
            elif step == "F":
                peer.send("FA")
                peer.take("A")
        peer.send("R")
        assert s.info().state == th_.CLOSE, steps
        peer.silence()
        s.close()
    assert th.usage().connections == 0 and th.usage().time_wait == 0


@pytest.mark.parametrize("answered", [False, True])
def test_an_orphan_in_fin_wait_2_is_given_up(th, answered):
    """THREATS.md 6: a peer that never closes holds nothing for ever."""
    peer = Peer(th)
    s = peer.open()
    s.close()
    peer.take("FA")
    if answered:
        peer.send("A")
    th.after(50 * SECOND)
    assert th.usage().connections == 1
    th.after(130 * SECOND)
    assert list(th.usage())[:3] == [0, 0, 0]
    peer.all()


def test_shutdown_of_reading_says_nothing_to_the_peer(th):
    peer = Peer(th)
    s = peer.open()
    s.shutdown(0)
    peer.silence()
    assert s.recv() == b"" and s.poll() & th_.POLLRDHUP
    th.after(100 * MS)
    s.send(b"out")
    peer.take("PA", b"out")
