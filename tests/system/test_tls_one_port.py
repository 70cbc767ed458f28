"""Plain text and mutual TLS on one port: what Istio calls PERMISSIVE. The first bytes of a connection decide.

In: two servers of a Gateway with one port number; clients that speak either, slowly, in pieces, without a certificate. Out: answers,
identities at the backend, reasons at both ends. Istio's Gateway; Envoy's tls_inspector and FilterChainMatch.transport_protocol.
"""

import re
import socket
import time

import pytest
from harness.tls import HOST, PORT, TLS12, TLS13, context, plain_server, request, server

from test_tls_hostile import finish, get, hello


@pytest.fixture(params=["MUTUAL", "ISTIO_MUTUAL"])
def both(request, tls):
    """On one port: HTTP, and TLS that wants a certificate."""
    mesh = request.param == "ISTIO_MUTUAL"
    tls.apply([plain_server(port=PORT), server(credential=None if mesh else "shop", mode=request.param)], [] if mesh else [tls.secret(ca=tls.pki.ca.pem)])
    tls.ca = tls.pki.mesh_ca if mesh else tls.pki.ca
    tls.pair = tls.pki.mesh_ca.identity("reviews", "shop") if mesh else tls.pki.client
    return tls


def using(tls, pair, version=None):
    return context(tls.ca, pair, minimum=version or TLS12, maximum=version or TLS13, name_checked=False)


def plain(tls, target, sock=None, pieces=None):
    """The answer's first bytes to a request in plain text, sent in these pieces."""
    sock = sock or tls.raw()
    with sock:
        for piece in pieces or [request(target, headers=["Connection: close"])]:
            sock.sendall(piece)
            time.sleep(0.005)   # a segment of its own
        data = b""
        while more := sock.recv(65536):
            data += more
        return data


def test_each_client_gets_what_it_speaks(both):
    for i in range(5):
        assert plain(both, f"/plain{i}").startswith(b"HTTP/1.1 200")
        for version in (TLS12, TLS13):
            assert both.ask(f"/tls{i}", using=using(both, both.pair, version)).status == 200
    assert all(r.get("x-forwarded-client-cert") is None for r in both.backends[0].requests if r.target.startswith("/plain"))
    told = [r.get("x-forwarded-client-cert") for r in both.backends[0].requests if r.target.startswith("/tls")]
    assert len(told) == 10 and all("URI=spiffe://cluster.local/ns/" in one for one in told), told


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_tls_without_a_certificate_is_refused_and_plain_text_is_not(both, version):
    since = both.mark()
    told = both.refused(using(both, None, version))
    assert re.search("HANDSHAKE_FAILURE" if version == TLS12 else "CERTIFICATE_REQUIRED", told), told
    assert "no_certificate" in both.logged("192.0.2.2.*no_certificate|no_certificate.*192.0.2.2", since)
    assert plain(both, "/still").startswith(b"HTTP/1.1 200")
    assert "/refused" not in both.backends[0].paths()


def test_a_slow_first_byte(both):
    """Nothing is decided while nothing was said; both kinds wait and are served."""
    waiting = [both.raw() for _ in range(4)]
    time.sleep(1.5)
    assert plain(both, "/slow-plain", waiting[0]).startswith(b"HTTP/1.1 200")
    first, session, incoming, outgoing = hello(using(both, both.pair))
    waiting[1].sendall(first[:1])
    waiting[2].sendall(b"G")
    time.sleep(0.5)
    waiting[1].sendall(first[1:])
    finish(waiting[1], session, incoming, outgoing)
    assert get(waiting[1], session, incoming, outgoing, "/slow-tls").startswith(b"HTTP/1.1 200")
    assert plain(both, "/slow-split", waiting[2], [request("/slow-split", headers=["Connection: close"])[1:]]).startswith(b"HTTP/1.1 200")
    for sock in waiting:
        sock.close()


@pytest.mark.parametrize("piece", [1, 3, 50])
def test_first_bytes_in_pieces(both, piece):
    text = request(f"/plain-by-{piece}", headers=["Connection: close"])
    assert plain(both, "", pieces=[text[at:at + piece] for at in range(0, 12, piece)] + [text[len(range(0, 12, piece)) * piece:]]).startswith(b"HTTP/1.1 200")
    first, session, incoming, outgoing = hello(using(both, both.pair))
    sock = both.raw()
    for at in range(0, len(first), piece):
        sock.sendall(first[at:at + piece])
        if at < 64:
            time.sleep(0.002)
    finish(sock, session, incoming, outgoing)
    assert get(sock, session, incoming, outgoing, f"/tls-by-{piece}").startswith(b"HTTP/1.1 200")
    sock.close()


@pytest.mark.parametrize("name, bytes_", [("a handshake record that holds no hello", b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"), ("SSL 2", b"\x80\x2e\x01\x00\x02" + bytes(41)),
                                          ("zeros", bytes(64)), ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n")])
def test_what_is_neither_is_ended_and_reaches_nobody(both, name, bytes_):
    with both.raw() as sock:
        sock.sendall(bytes_)
        try:   # it may have been reset by now
            sock.shutdown(socket.SHUT_WR)
            answer = sock.recv(65536)
        except OSError:
            answer = b""
    assert not answer or answer[:1] == b"\x15" or answer.startswith(b"HTTP/1.1 400"), answer
    assert both.backends[0].requests == []
    assert plain(both, "/after").startswith(b"HTTP/1.1 200") and both.ask("/after", using=using(both, both.pair)).status == 200


def test_curl_and_openssl_on_one_port(both):
    """The clients that people have."""
    done = both.bench.client.run("curl", "-sS", "--max-time", "10", "--resolve", f"{HOST}:{PORT}:192.0.2.10", f"http://{HOST}:{PORT}/curl", check=False)
    assert done.returncode == 0 and done.stdout == "b1", done.stdout + done.stderr
    done = both.curl("--cert", both.pair.certificate, "--key", both.pair.key, "-k", f"https://{HOST}/curl-tls")
    assert done.returncode == 0 and done.stdout == "b1", done.stdout + done.stderr
    assert "HTTP/1.1 200" in both.s_client("-cert", both.pair.certificate, "-key", both.pair.key)
