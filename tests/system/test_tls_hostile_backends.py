"""What a hostile or broken TLS backend can try: no handshake, an endless one, garbage or plain text or silence within an answer, early ends.

In: raw TCP and Python's ssl in the backends' namespace. Out: what the client gets (an error, never a part that looks whole), the log's
flag, and that the next request to an honest backend is served. RFC 8446 5 and 6; RFC 9112 8; THREATS 11, 12, 16.
"""

import os
import socket
import struct
import threading
import time

import certs
import pytest
from harness import mesh
from harness.backend import answer
from harness.bench import BACKENDS
from harness.http1 import Malformed
from harness.tls import BACKEND_PORT, TLS12, TLS13, TlsBackend, client_rule, plain_server, server

PART = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"p" * 20000
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4e20\r\n" + b"p" * 20000 + b"\r\n"


def under(wire):
    """The TCP socket below TLS."""
    return socket.socket(fileno=os.dup(wire.sock.fileno()))


def then_raw(data, part=PART):
    def rule(wire, _):
        wire.send(part)
        raw = under(wire)
        try:
            raw.sendall(data)
            time.sleep(0.3)
        except OSError:
            pass
        finally:
            raw.close()
            wire.close()
    return rule


def then_reset(wire, _):
    wire.send(PART)
    time.sleep(0.1)
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


def then_close_notify(part):
    def rule(wire, _):
        wire.send(part)
        try:
            wire.sock.unwrap()
        except OSError:
            pass
        wire.close()
    return rule


def then_fin(part):
    def rule(wire, _):
        wire.send(part)
        raw = under(wire)
        raw.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        raw.close()
        wire.close()
    return rule


CUTS = {
    "garbage": then_raw(b"\x17\x03\x03\x00\x40" + b"\x5a" * 64),
    "plain text": then_raw(b"p" * 80000),
    "a record of 2^14+257": then_raw(b"\x17\x03\x03\x41\x01" + b"x" * 16641),
    "a fatal alert in clear text": then_raw(b"\x15\x03\x03\x00\x02\x02\x50"),
    "a handshake record in clear text": then_raw(b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"),
    "half a record": then_raw(b"\x17\x03\x03\x10\x00" + b"x" * 100),
    "a reset": then_reset,
    "FIN alone": then_fin(PART),
    "FIN alone within chunks": then_fin(CHUNKED),
    "close_notify too early": then_close_notify(PART),
    "close_notify within chunks": then_close_notify(CHUNKED),
}


@pytest.fixture(params=[TLS12, TLS13])
def hostile(tls, request):
    pair = tls.pki.ca.issue("web", dns=[mesh.fqdn("web")], usage=[certs.SERVER])
    backend = TlsBackend(tls.backends_host, BACKENDS[0], pair, minimum=request.param, maximum=request.param)
    apply(tls)
    yield backend
    backend.stop()


def apply(tls, **policy):
    rule = client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate)
    rule["spec"]["trafficPolicy"].update(policy)
    tls.apply([server(), plain_server(["*"])], [tls.secret()], routes=[{"route": [mesh.to("web", port=BACKEND_PORT)]}],
              more=[mesh.service("web", [BACKENDS[0]], port=BACKEND_PORT), rule])


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_answer_is_an_error_at_the_client(tls, hostile, cut):
    hostile.on("/cut", CUTS[cut])
    for ask in (tls.bench.ask, tls.ask):
        with pytest.raises((Malformed, OSError)):
            response = ask("/cut")
            raise AssertionError(f"passed as whole: {response}")
    line = tls.access_lines("/cut")[-1]
    assert " UC " in line or " UPE " in line, line
    assert tls.bench.ask("/after").status == 200, "the next one gets a connection of its own"
    deadline = time.monotonic() + 5
    while tls.handshake_objects() > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert tls.handshake_objects() == 0


def test_an_early_end_before_the_answer_is_503(tls, hostile):
    hostile.on("/none", then_raw(b"\x15\x03\x03\x00\x02\x02\x50", part=b""))
    assert tls.bench.ask("/none", method="POST", body=b"x").status == 503
    assert tls.bench.ask("/after").status == 200


def test_an_answer_that_nobody_asked_for_is_nobodys(tls, hostile):
    """Behind a whole answer comes another: the next client must not get it."""
    hostile.on("/double", lambda wire, _: wire.send(answer(200, "asked") + answer(200, "evil")))
    for i in range(5):
        assert tls.bench.ask(f"/double{i}").body == b"asked"
        assert tls.bench.ask(f"/honest{i}").body == b"secure"


class Raw:
    """A listener that does with each connection what it is told, and knows nothing of TLS."""

    def __init__(self, host, serve):
        self.serve, self.count = serve, 0
        self.listener = host.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((BACKENDS[0], BACKEND_PORT))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(10)
        try:
            sock.recv(65536)   # the hello
            self.serve(sock)
        except OSError:
            pass
        finally:
            sock.close()

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


def endless(sock):
    """A message that promises 16 MiB, and keeps its word."""
    sock.sendall(b"\x16\x03\x03\x10\x00\x02\xff\xff\xff" + b"x" * 4092)
    for _ in range(4096):
        sock.sendall(b"\x16\x03\x03\x10\x00" + b"x" * 4096)


def crumbs(sock):
    """Bytes of a server hello that never ends, one in a while."""
    for byte in b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + b"r" * 200:
        sock.sendall(bytes([byte]))
        time.sleep(0.1)


HANDSHAKES = {
    "garbage": lambda sock: sock.sendall(os.urandom(5000)),
    "HTTP": lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
    "an alert": lambda sock: sock.sendall(b"\x15\x03\x03\x00\x02\x02\x28"),
    "warnings without end": lambda sock: [sock.sendall(b"\x15\x03\x03\x00\x02\x01\x5a" * 100) for _ in range(1000)],
    "empty records without end": lambda sock: [sock.sendall(b"\x16\x03\x03\x00\x00" * 100) for _ in range(1000)],
    "an end": lambda sock: None,
    "a reset": lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
    "a message of 16 MiB": endless,
    "a hello in crumbs": crumbs,
}


@pytest.mark.parametrize("how", HANDSHAKES)
def test_what_is_no_handshake_is_503_and_bounded(tls, how):
    apply(tls, connectionPool={"tcp": {"connectTimeout": "2s"}})
    raw = Raw(tls.backends_host, HANDSHAKES[how])
    try:
        for i in range(3):
            assert tls.bench.ask(f"/no{i}", method="POST", body=b"x", timeout_s=20).status == 503
        line = tls.access_lines("/no0")[-1]
        assert " UF " in line, line
        assert raw.count >= 1
        deadline = time.monotonic() + 5
        while tls.handshake_objects() > 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert tls.handshake_objects() == 0
    finally:
        raw.stop()
