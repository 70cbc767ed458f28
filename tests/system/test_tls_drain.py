"""TLS connections when the gateway stops, or a listener goes or changes: requests under way complete, everybody is told, nothing hangs.

In: clients by Python's ssl that tell close_notify from a cut, a TLS backend that does too; SIGTERM, edits of the mesh.
Out: answers, how each connection ended, the gateway's exit. RFC 8446 6.1; RFC 9112 9.6; Envoy's draining.
"""

import signal
import ssl
import threading
import time

import certs
import pytest
from harness import mesh
from harness.backend import answer
from harness.bench import BACKENDS
from harness.tls import BACKEND_PORT, HOST, TLS12, TLS13, TlsBackend, client_rule, context, plain_server, request, server


class Noting(ssl.SSLSocket):
    """Tells what each connection ended with."""

    ends = []

    def recv(self, *arguments, **more):
        self.suppress_ragged_eofs = False
        try:
            data = super().recv(*arguments, **more)
        except ssl.SSLEOFError:
            Noting.ends.append("cut")
            raise
        if not data:
            Noting.ends.append("close_notify")
        return data


@pytest.fixture
def slow(tls):
    """A service whose /slow answers when `gate` is set."""
    Noting.ends.clear()
    tls.gate = threading.Event()

    def late(wire, _):
        assert tls.gate.wait(30)
        wire.send(answer(200, "whole"))

    tls.backends[0].on("/slow", late)
    yield tls
    tls.gate.set()


def connect(tls, version):
    made = context(tls.pki.ca, minimum=version, maximum=version)
    made.sslsocket_class = Noting
    return tls.connect(using=made)


def begin(tls, wire, target="/slow"):
    wire.send(request(target))
    tls.backends[0].find(target)


def ends_well(wire):
    """close_notify, then the end: a cut raises."""
    assert wire.sock.recv(100) == b""
    wire.close()


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_sigterm(slow, version):
    slow.simple()
    slow.bench.may_end = True
    busy, idle = connect(slow, version), connect(slow, version)
    idle.send(request("/idle"))
    assert idle.response().status == 200
    begin(slow, busy)
    silent, half = slow.raw(), slow.raw()
    half.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")   # the beginning of a hello
    slow.gateway.process.send_signal(signal.SIGTERM)
    ends_well(idle)
    assert slow.gateway.running(), "a request is under way"
    slow.gate.set()
    response = busy.response()
    assert response.body == b"whole" and response.get("connection", "").lower() == "close"
    ends_well(busy)
    assert slow.gateway.process.wait(15) == 0, "handshakes that never end do not outlive the drain's deadline"
    for sock in (silent, half):
        sock.close()


def test_a_handshake_in_progress_may_finish_while_the_gateway_drains(slow):
    slow.simple()
    slow.bench.may_end = True
    busy = connect(slow, TLS13)
    begin(slow, busy)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context(slow.pki.ca).wrap_bio(incoming, outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    sock, first = slow.raw(), outgoing.read()
    sock.sendall(first[:100])
    time.sleep(0.1)   # it is there before the signal
    slow.gateway.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    sock.sendall(first[100:])
    while True:
        try:
            session.do_handshake()
            break
        except ssl.SSLWantReadError:
            incoming.write(sock.recv(65536))
    session.write(request("/late"))
    sock.sendall(outgoing.read())
    text = b""
    while b"\r\n\r\n" not in text:
        try:
            text += session.read(65536)
        except ssl.SSLWantReadError:
            data = sock.recv(65536)
            assert data, "ended instead of an answer"
            incoming.write(data)
    assert text.startswith(b"HTTP/1.1 200") and b"connection: close" in text.lower()
    sock.close()
    slow.gate.set()
    assert busy.response().body == b"whole"
    busy.close()
    assert slow.gateway.process.wait(15) == 0


@pytest.mark.parametrize("change", ["removed", "of another mode", "with another certificate"])
def test_a_listener_that_goes_or_changes(slow, change):
    slow.simple()
    busy, idle = connect(slow, TLS13), connect(slow, TLS13)
    idle.send(request("/idle"))
    assert idle.response().status == 200
    begin(slow, busy)
    if change == "removed":
        slow.apply([plain_server()], [])
    elif change == "of another mode":
        slow.apply([server("shop", mode="MUTUAL", caCertificates=slow.pki.ca.certificate)], [slow.secret()])
    else:
        slow.apply([server()], [slow.secret(pair=slow.pki.ca.issue("again", dns=[HOST]))])
    slow.gate.set()
    response = busy.response()
    assert response.body == b"whole"
    if change == "with another certificate":   # no listener changed: everything goes on
        for wire in (busy, idle):
            wire.send(request("/after"))
            assert wire.response().status == 200
            wire.close()
        assert slow.ask("/new").status == 200
        return
    assert response.get("connection", "").lower() == "close"
    ends_well(busy)
    ends_well(idle)
    if change == "removed":
        with pytest.raises(OSError):
            slow.connect()
    else:
        assert "CERTIFICATE_REQUIRED" in slow.refused(context(slow.pki.ca))


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_backends_are_told_too(slow, version):
    """Connections of the pool end with close_notify when the gateway stops."""
    pair = slow.pki.ca.issue("web", dns=[mesh.fqdn("web")], usage=[certs.SERVER])
    backend = TlsBackend(slow.backends_host, BACKENDS[0], pair, minimum=version, maximum=version)
    backend.context.sslsocket_class = Noting
    try:
        slow.apply([plain_server(["*"])], [], routes=[{"route": [mesh.to("web", port=BACKEND_PORT)]}],
                   more=[mesh.service("web", [BACKENDS[0]], port=BACKEND_PORT), client_rule("SIMPLE", caCertificates=slow.pki.ca.certificate)])
        for i in range(3):
            assert slow.bench.ask(f"/k{i}").status == 200
        slow.bench.may_end = True
        slow.gateway.process.send_signal(signal.SIGTERM)
        assert slow.gateway.process.wait(15) == 0
        deadline = time.monotonic() + 5
        while not Noting.ends and time.monotonic() < deadline:
            time.sleep(0.02)
        assert Noting.ends and set(Noting.ends) == {"close_notify"}, Noting.ends
    finally:
        backend.stop()


def test_the_deadline_cuts_what_does_not_end(slow):
    """Without close_notify, and with a reset: nobody takes the part for the whole."""
    slow.bench.standing = {**slow.bench.standing, "drain": {"deadline": "1s"}}
    slow.simple()
    slow.bench.may_end = True
    wire = connect(slow, TLS13)
    begin(slow, wire)
    slow.gateway.process.send_signal(signal.SIGTERM)
    with pytest.raises((OSError, EOFError)):
        wire.sock.recv(100)
        raise ConnectionResetError("an end, and no answer")
    assert slow.gateway.process.wait(15) == 0
    wire.close()
