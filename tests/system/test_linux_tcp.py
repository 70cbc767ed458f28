"""Our TCP against Linux's, every byte checked: all combinations of options, MSS extremes, loss, half close, resets, zero windows,
keep-alive, simultaneous open, cookies. One process plays the wire (harness/tun.py); the kernel's end lives in a namespace.
"""

import errno
import os
import random
import socket
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "scripts", "lib"), os.path.join(ROOT, "tests", "harness")]

import netlab  # noqa: E402
import sluice_tcp as th_  # noqa: E402
from harness.tun import Wire  # noqa: E402

US4, LINUX4, US6, LINUX6 = "10.77.0.2", "10.77.0.1", "fd77::2", "fd77::1"
SYN, RST, ACK, ECE, CWR = 2, 4, 16, 64, 128
OPTIONS = ["tcp_timestamps", "tcp_sack", "tcp_window_scaling"]  # in the order of TCPI_OPT's bits


@pytest.fixture(scope="module")
def host():
    lab = netlab.Lab("harness-linux-")
    yield lab.host("peer")
    removed, left = lab.destroy()
    assert (removed, left) == (1, 0)


@pytest.fixture(scope="module")
def wire(host):
    made = Wire(host, "tun0", LINUX4 + "/24", LINUX6 + "/64")
    yield made
    made.close()


class Ends:
    """A wire with a fresh stack on it, and ways to connect both ends."""

    def __init__(self, host, wire, mtu=1500, **config):
        self.host, self.wire = host, wire
        wire.set_mtu(mtu)
        self.th = wire.attach(th_.Stack(US4 + "/24", US6 + "/64" if mtu >= 1280 else None, seed=random.getrandbits(32), mtu=mtu,
                                        max_sockets=500, **config))

    def kernel_socket(self, v6=False):
        s = self.host.socket(socket.AF_INET6 if v6 else socket.AF_INET)
        s.setblocking(False)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return s

    def kernel_listener(self, v6=False, **options):
        s = self.kernel_socket(v6)
        for name, value in options.items():
            s.setsockopt(socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP, getattr(socket, name), value)
        s.bind((LINUX6 if v6 else LINUX4, 0))
        s.listen(16)
        return s

    def connect(self, we_open, v6=False, kernel=None, ours=None, port=80):
        """(our socket, the kernel's), established. `ours` is told of our socket before it connects or listens."""
        family = socket.AF_INET6 if v6 else socket.AF_INET
        mine = self.th.socket(family)
        if ours:
            ours(mine)
        if we_open:
            listener = kernel or self.kernel_listener(v6)
            with pytest.raises(BlockingIOError) as started:
                mine.connect(listener.getsockname())
            assert started.value.errno == errno.EINPROGRESS
            self.wire.until(lambda: mine.poll() & th_.POLLOUT, "our connect")
            theirs = self._accept(listener)
            listener.close()
        else:
            mine.bind(("::" if v6 else "0.0.0.0", port))
            mine.listen()
            theirs = kernel or self.kernel_socket(v6)
            theirs.connect_ex((US6 if v6 else US4, port))
            self.wire.until(lambda: mine.poll() & th_.POLLIN, "the kernel's connect")
            listener, mine = mine, mine.accept()
            self.wire.run(0.005)
            listener.close()
        theirs.setblocking(False)
        return mine, theirs

    def _accept(self, listener):
        accepted = []

        def done():
            try:
                accepted.append(listener.accept()[0])
            except BlockingIOError:
                pass
            return accepted

        self.wire.until(done, "the kernel's accept")
        return accepted[0]


def data(length, salt):
    return random.Random(salt).randbytes(length)


def drain(recv, into):
    """Takes what is there; True at the end of the stream."""
    while True:
        try:
            part = recv(65536)
        except BlockingIOError:
            return False
        if not part:
            return True
        into.extend(part)


def feed(send, view, at):
    try:
        while at < len(view):
            at += send(view[at:at + 65536])
    except BlockingIOError:
        pass
    return at


def exchange(ends, mine, theirs, out=200_000, back=200_000, close=True):
    """`out` bytes to the kernel and `back` from it at the same time, both ends of stream, every byte as sent."""
    sent, given = data(out, 1), data(back, 2)
    got, taken = bytearray(), bytearray()
    state = {"out": 0, "back": 0, "mine_shut": False, "theirs_shut": False, "mine_end": False, "theirs_end": False}

    def step():
        state["out"] = feed(mine.send, sent, state["out"])
        state["back"] = feed(theirs.send, given, state["back"])
        if close and state["out"] == out and not state["mine_shut"]:
            mine.shutdown(socket.SHUT_WR)
            state["mine_shut"] = True
        if close and state["back"] == back and not state["theirs_shut"]:
            theirs.shutdown(socket.SHUT_WR)
            state["theirs_shut"] = True
        state["mine_end"] = state["mine_end"] or drain(mine.recv, taken)
        state["theirs_end"] = state["theirs_end"] or drain(theirs.recv, got)
        if close:
            return state["mine_end"] and state["theirs_end"]
        return len(got) == out and len(taken) == back

    ends.wire.until(step, "the exchange")
    assert bytes(got) == sent and bytes(taken) == given
    if close:
        mine.close()
        theirs.close()


def set_kernel(host, mask):
    for bit, name in enumerate(OPTIONS):
        host.sysctl(f"net.ipv4.{name}", mask >> bit & 1)


@pytest.fixture
def all_options(host):
    set_kernel(host, 7)
    yield
    set_kernel(host, 7)


COMBINATIONS = [pytest.param(mask, id="+".join(n.removeprefix("tcp_") for b, n in enumerate(OPTIONS) if mask >> b & 1) or "none")
                for mask in range(8)]


@pytest.mark.parametrize("we_open", [True, False], ids=["we-open", "they-open"])
@pytest.mark.parametrize("mask", COMBINATIONS)
def test_kernels_options(host, wire, all_options, mask, we_open):
    set_kernel(host, mask)
    ends = Ends(host, wire)
    mine, theirs = ends.connect(we_open)
    assert mine.info().options & 7 == mask, "agreed on what the kernel has"
    exchange(ends, mine, theirs)


@pytest.mark.parametrize("we_open", [True, False], ids=["we-open", "they-open"])
@pytest.mark.parametrize("mask", COMBINATIONS)
def test_our_options_over_ipv6(host, wire, all_options, mask, we_open):
    ends = Ends(host, wire, no_timestamps=1 - (mask & 1), no_sack=1 - (mask >> 1 & 1), no_window_scale=1 - (mask >> 2))
    mine, theirs = ends.connect(we_open, v6=True)
    assert mine.info().options & 7 == mask
    kernel = theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert kernel[5] & 7 == mask, "the kernel thinks so too"
    exchange(ends, mine, theirs)


@pytest.mark.parametrize("we_open", [True, False], ids=["we-open", "they-open"])
@pytest.mark.parametrize("mask", COMBINATIONS)
def test_every_tenth_packet_lost(host, wire, all_options, mask, we_open):
    set_kernel(host, mask)
    ends = Ends(host, wire)
    mine, theirs = ends.connect(we_open)
    ends.wire.lose = lambda ours, number: number % 10 == (3 if ours else 7)
    exchange(ends, mine, theirs, 60_000, 60_000)
    assert min(ends.wire.counts) > 20, "losses happened both ways"


@pytest.mark.parametrize("we_open", [True, False], ids=["we-open", "they-open"])
@pytest.mark.parametrize("kernel", [0, 1])
@pytest.mark.parametrize("ours", [0, 1])
def test_ecn(host, wire, all_options, ours, kernel, we_open):
    """Agreed only if both have it on; a mark on our text halves our window once, a mark on theirs is told to the kernel."""
    host.sysctl("net.ipv4.tcp_ecn", kernel)
    try:
        ends = Ends(host, wire, ecn=ours)
        mine, theirs = ends.connect(we_open)
    finally:
        host.sysctl("net.ipv4.tcp_ecn", 2)
    agreed = bool(ours and kernel)
    assert bool(mine.info().options & 8) == agreed
    if agreed:
        ends.wire.mark = lambda from_us, number: number in (30, 31, 32)
    exchange(ends, mine, theirs)
    seen = [p[33] for from_us, p in ends.wire.seen if from_us and p[0] >> 4 == 4]
    told = any(f & ECE and not f & SYN for f in seen)
    reduced = any(f & CWR and not f & SYN for f in seen)
    assert (told, reduced) == (agreed, agreed)


@pytest.mark.parametrize("we_open", [True, False], ids=["we-open", "they-open"])
@pytest.mark.parametrize("mss", [536, 1000])
def test_kernel_asks_for_small_segments(host, wire, all_options, mss, we_open):
    ends = Ends(host, wire)
    kernel = ends.kernel_listener(TCP_MAXSEG=mss) if we_open else ends.kernel_socket()
    if not we_open:
        kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
    mine, theirs = ends.connect(we_open, kernel=kernel)
    assert mine.info().snd_mss == mss - 12
    exchange(ends, mine, theirs, 50_000, 50_000)
    assert max(len(p) for ours, p in ends.wire.seen if ours) == mss + 40


@pytest.mark.parametrize("we_open", [True, False], ids=["we-open", "they-open"])
@pytest.mark.parametrize("mss", [88, 536])
def test_we_ask_for_small_segments(host, wire, all_options, mss, we_open):
    ends = Ends(host, wire)
    mine, theirs = ends.connect(we_open, ours=lambda s: s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss))
    exchange(ends, mine, theirs, 30_000, 30_000)
    assert max(len(p) for ours, p in ends.wire.seen if not ours) == mss + 40


@pytest.mark.parametrize("we_open", [True, False], ids=["we-open", "they-open"])
@pytest.mark.parametrize("mtu", [576, 9000, 65000])
def test_mtu(host, wire, all_options, mtu, we_open):
    ends = Ends(host, wire, mtu=mtu)
    mine, theirs = ends.connect(we_open)
    assert mine.info().snd_mss == mtu - 52
    exchange(ends, mine, theirs, 400_000, 400_000)
    for side in (True, False):
        assert max(len(p) for ours, p in ends.wire.seen if ours == side) <= mtu
    assert max(len(p) for ours, p in ends.wire.seen if ours) == mtu


@pytest.fixture
def ends(host, wire, all_options):
    return Ends(host, wire)


def test_half_close_by_us(ends):
    mine, theirs = ends.connect(True)
    mine.send(b"question")
    mine.shutdown(socket.SHUT_WR)
    got = bytearray()
    ends.wire.until(lambda: drain(theirs.recv, got), "our FIN")
    assert got == b"question"
    ends.wire.until(lambda: mine.info().state == th_.FIN_WAIT2, "our FIN's ACK")
    exchange_one_way(ends, theirs, mine)


def test_half_close_by_the_kernel(ends):
    mine, theirs = ends.connect(False)
    theirs.send(b"question")
    theirs.shutdown(socket.SHUT_WR)
    got = bytearray()
    ends.wire.until(lambda: drain(mine.recv, got), "the kernel's FIN")
    assert got == b"question" and mine.info().state == th_.CLOSE_WAIT
    exchange_one_way(ends, mine, theirs)


def exchange_one_way(ends, source, sink, length=300_000):
    sent, got, state = data(length, 3), bytearray(), {"at": 0}

    def step():
        state["at"] = feed(source.send, sent, state["at"])
        if state["at"] == length and not state.get("closed"):
            source.close()
            state["closed"] = True
        return drain(sink.recv, got)

    ends.wire.until(step, "one way")
    assert bytes(got) == sent
    sink.close()


def test_our_reset(ends):
    mine, theirs = ends.connect(True)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    mine.close()
    ends.wire.run(0.02)
    with pytest.raises(ConnectionResetError):
        theirs.recv(1)
    assert ends.th.usage().connections == 0


def test_kernels_reset(ends):
    mine, theirs = ends.connect(True)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()
    ends.wire.until(lambda: mine.poll() & th_.POLLERR, "the reset")
    with pytest.raises(ConnectionResetError):
        mine.recv()
    assert mine.recv() == b""


def test_close_with_unread_bytes(ends):
    for we in (True, False):
        mine, theirs = ends.connect(we, port=80 + we)
        closer, other = (mine, theirs) if we else (theirs, mine)
        other.send(b"nobody reads this")
        ends.wire.run(0.02)
        closer.close()
        ends.wire.run(0.02)
        with pytest.raises(ConnectionResetError):
            other.recv(1)


def test_nobody_listens(ends):
    s = ends.th.socket()
    with pytest.raises(BlockingIOError):
        s.connect((LINUX4, 9))
    ends.wire.until(lambda: s.poll() & th_.POLLERR, "the refusal")
    assert s.error() == errno.ECONNREFUSED
    theirs = ends.kernel_socket()
    theirs.connect_ex((US4, 9))
    ends.wire.run(0.02)
    assert theirs.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_a_slow_reader_at_the_kernels_end(ends):
    listener = ends.kernel_listener(SO_RCVBUF=8000)
    mine, theirs = ends.connect(True, kernel=listener)
    sent, state = data(150_000, 4), {"at": 0}

    def stuck():
        state["at"] = feed(mine.send, sent, state["at"])
        return mine.info().unacked == 0 and mine.info().notsent_bytes > 0 and mine.info().probes > 0

    ends.wire.until(stuck, "a closed window that is probed")
    got = bytearray()

    def step():
        state["at"] = feed(mine.send, sent, state["at"])
        drain(theirs.recv, got)
        return len(got) == len(sent)

    ends.wire.until(step, "the rest")
    assert bytes(got) == sent


def test_a_slow_reader_at_our_end(ends):
    mine, theirs = ends.connect(False, ours=lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 6000))
    sent, state, got = data(60_000, 5), {"at": 0}, bytearray()

    def closed():
        state["at"] = feed(theirs.send, sent, state["at"])
        return mine.info().bytes_received == 6000

    ends.wire.until(closed, "a window that is full")
    ends.wire.run(0.5)  # the kernel probes
    assert mine.info().bytes_received == 6000, "not a byte beyond the window"

    def step():
        state["at"] = feed(theirs.send, sent, state["at"])
        try:
            got.extend(mine.recv(700))
        except BlockingIOError:
            pass
        return len(got) == len(sent)

    ends.wire.until(step, "the rest")
    assert bytes(got) == sent


def test_keep_alive_by_us(ends):
    mine, theirs = ends.connect(True)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    mine.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    ends.wire.run(0.1)
    ends.wire.seen.clear()
    ends.wire.until(lambda: len(ends.wire.flags(True, mine)) >= 1 and len(ends.wire.flags(False, mine)) >= 1, "a probe and its answer")
    assert ends.wire.flags(True, mine) == [ACK] and ends.wire.flags(False, mine) == [ACK]
    assert mine.info().probes == 0, "answered"
    exchange(ends, mine, theirs, 1000, 1000)


def test_keep_alive_by_the_kernel(ends):
    mine, theirs = ends.connect(False)
    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    ends.wire.run(0.1)
    ends.wire.seen.clear()
    ends.wire.until(lambda: len(ends.wire.flags(True, mine)) >= 1, "our answer to a probe")
    assert ends.wire.flags(False, mine) == [ACK]
    exchange(ends, mine, theirs, 1000, 1000)


def test_simultaneous_open(ends):
    """Both SYNs are out before either arrives."""
    theirs = ends.kernel_socket()
    theirs.bind((LINUX4, 7001))
    ends.wire.held = True
    mine = ends.th.connect((LINUX4, 7001), local_port=7000)
    theirs.connect_ex((US4, 7000))
    ends.wire.held = False
    ends.wire.until(lambda: mine.info().state == th_.ESTABLISHED, "the handshake")
    assert ends.wire.flags(True, mine)[0] == SYN and ends.wire.flags(False, mine)[0] & 0x3F == SYN
    exchange(ends, mine, theirs, 20_000, 20_000)


def test_both_close_at_once(ends):
    mine, theirs = ends.connect(True)
    ends.wire.held = True
    mine.shutdown(socket.SHUT_WR)
    theirs.shutdown(socket.SHUT_WR)
    ends.wire.held = False
    ends.wire.until(lambda: ends.th.usage().time_wait == 1, "TIME-WAIT")
    assert mine.recv() == b"" and theirs.recv(1) == b""


def test_the_kernel_comes_back_to_a_tuple_in_time_wait(ends):
    """We closed first and wait; a SYN with a newer timestamp opens the tuple again (RFC 6191)."""
    listener = ends.th.listen(81)
    for round_number in range(3):
        theirs = ends.kernel_socket()
        theirs.bind((LINUX4, 7100))
        theirs.connect_ex((US4, 81))
        ends.wire.until(lambda: listener.poll() & th_.POLLIN, f"connection {round_number}")
        mine = listener.accept()
        mine.shutdown(socket.SHUT_WR)
        ends.wire.until(lambda: mine.info().state == th_.FIN_WAIT2, "our FIN's ACK")
        theirs.close()
        ends.wire.until(lambda: ends.th.usage().time_wait == 1, "TIME-WAIT")
        mine.close()
        ends.wire.run(0.01)


def test_cookies(host, wire, all_options):
    ends = Ends(host, wire, syn_backlog=1)
    listener = ends.th.listen(82)
    ends.wire.lose = lambda ours, number: ours  # its SYN comes in, the answer is lost: half open
    hanging = ends.kernel_socket()
    hanging.connect_ex((US4, 82))
    ends.wire.until(lambda: ends.th.usage().half_open == 1, "a full backlog")
    ends.wire.lose = None
    theirs = ends.kernel_socket()
    theirs.connect_ex((US4, 82))
    ends.wire.until(lambda: listener.poll() & th_.POLLIN, "a connection by cookie")
    mine = listener.accept()
    assert mine.getpeername() == theirs.getsockname() and mine.info().options & 7 == 7
    exchange(ends, mine, theirs, 100_000, 100_000)
