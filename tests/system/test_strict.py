"""What HTTP/1.1 forbids is refused with 400 (414, 431, 501, 505) and a close; nothing of it is forwarded.

In: raw bytes from a client. Out: the status, a closed connection, backends that recorded no malformed byte.
RFC 9112; THREATS 19 to 21: ambiguous framing is refused, never repaired.
"""

import pytest
from harness import mesh
from harness.bench import BACKENDS

H = "Host: shop.example\r\n"
POST = "POST /evil HTTP/1.1\r\n" + H

REFUSED = {
    "CL and TE": POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": POST + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two CL that differ": POST + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "two CL alike": POST + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of CL": POST + "Content-Length: 5, 5\r\n\r\nhello",
    "signed CL": POST + "Content-Length: +5\r\n\r\nhello",
    "negative CL": POST + "Content-Length: -5\r\n\r\nhello",
    "hex CL": POST + "Content-Length: 0x5\r\n\r\nhello",
    "blank CL": POST + "Content-Length: \r\n\r\nhello",
    "CL beyond 64 bits": POST + "Content-Length: 99999999999999999999999\r\n\r\nhello",
    "TE unknown": POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE chunked not last": POST + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "TE chunked twice": POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE leading comma": POST + "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "TE with HTTP/1.0": "POST /evil HTTP/1.0\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE with vertical tab": POST + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunk size 0x": POST + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size signed": POST + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "chunk size underscore": POST + "Transfer-Encoding: chunked\r\n\r\n1_0\r\nhello\r\n0\r\n\r\n",
    "chunk size overflow": POST + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "chunk size empty": POST + "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n",
    "chunk ended by LF": POST + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "chunk data too long": POST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n",
    "chunk extension with bare CR": POST + "Transfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n",
    "trailer without colon": POST + "Transfer-Encoding: chunked\r\n\r\n0\r\nbad\r\n\r\n",
    "bare LF after request line": "GET /evil HTTP/1.1\n" + H + "\r\n",
    "bare LF after header": "GET /evil HTTP/1.1\r\nHost: shop.example\n\r\n",
    "bare CR in header": "GET /evil HTTP/1.1\r\n" + H + "A: b\rc\r\n\r\n",
    "NUL in header": "GET /evil HTTP/1.1\r\n" + H + "A: b\0c\r\n\r\n",
    "obs-fold": "GET /evil HTTP/1.1\r\n" + H + "A: b\r\n c\r\n\r\n",
    "first header folded": "GET /evil HTTP/1.1\r\n " + H + "\r\n",
    "space before colon": "GET /evil HTTP/1.1\r\n" + H + "A : b\r\n\r\n",
    "space before colon of CL": POST + "Content-Length : 5\r\n\r\nhello",
    "empty header name": "GET /evil HTTP/1.1\r\n" + H + ": b\r\n\r\n",
    "junk in header name": "GET /evil HTTP/1.1\r\n" + H + "A(b): c\r\n\r\n",
    "header without colon": "GET /evil HTTP/1.1\r\n" + H + "nothing\r\n\r\n",
    "no host": "GET /evil HTTP/1.1\r\n\r\n",
    "two hosts": "GET /evil HTTP/1.1\r\n" + H + "Host: other.example\r\n\r\n",
    "host with userinfo": "GET /evil HTTP/1.1\r\nHost: me@shop.example\r\n\r\n",
    "host with a path": "GET /evil HTTP/1.1\r\nHost: shop.example/x\r\n\r\n",
    "host with a bad port": "GET /evil HTTP/1.1\r\nHost: shop.example:99999\r\n\r\n",
    "two spaces in request line": "GET  /evil HTTP/1.1\r\n" + H + "\r\n",
    "tab in request line": "GET\t/evil\tHTTP/1.1\r\n" + H + "\r\n",
    "space in target": "GET /evil /x HTTP/1.1\r\n" + H + "\r\n",
    "control byte in target": "GET /evil\x01 HTTP/1.1\r\n" + H + "\r\n",
    "8-bit byte in target": "GET /evil\xff HTTP/1.1\r\n" + H + "\r\n",
    "lower-case version": "GET /evil http/1.1\r\n" + H + "\r\n",
    "version 1.1.1": "GET /evil HTTP/1.1.1\r\n" + H + "\r\n",
    "method with junk": "G(T /evil HTTP/1.1\r\n" + H + "\r\n",
    "HTTP/0.9": "GET /evil\r\n\r\n",
    "binary": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.fixture
def web(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    return bench


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_400_and_a_close(web, name):
    with web.connect() as wire:
        wire.send(REFUSED[name] + "GET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        response = wire.response()
        assert response.status in (400, 501, 505), f"{response}"
        assert wire.is_closed()
    # A header refused late (a bad chunk) may have opened an upstream request; it never completes there.
    assert web.ask("/after").status == 200
    assert "/smuggled" not in web.backends[0].paths()
    for request in web.backends[0].requests:
        assert request.target == "/after", f"{name}: the backend received {request}"


def test_a_refused_request_is_logged_with_a_reason(web):
    with web.connect() as wire:
        wire.send(REFUSED["CL and TE"])
        wire.response()
    line = web.access_lines(" 400 ")[-1]
    assert "DPE" in line and "reason" in line, line


def test_version_2_is_refused(web):
    with web.connect() as wire:
        wire.send("GET / HTTP/2.0\r\n" + H + "\r\n")
        assert wire.response().status in (400, 505)
        assert wire.is_closed()


def test_header_too_large_is_431(web):
    with web.connect() as wire:
        try:
            wire.send("GET /evil HTTP/1.1\r\n" + H + "".join(f"X-{i}: {'a' * 1000}\r\n" for i in range(70)) + "\r\n")
        except OSError:
            pass
        assert wire.response().status == 431
        assert wire.is_closed()


def test_too_many_headers_is_431(web):
    with web.connect() as wire:
        wire.send("GET /evil HTTP/1.1\r\n" + H + "".join(f"X-{i}: a\r\n" for i in range(150)) + "\r\n")
        assert wire.response().status == 431


def test_header_without_end_is_431_not_memory(web):
    with web.connect() as wire:
        try:
            wire.send("GET /evil HTTP/1.1\r\n" + H + "X: " + "a" * 200000)
        except OSError:
            pass
        assert wire.response().status == 431


def test_target_too_long_is_414(web):
    with web.connect() as wire:
        wire.send("GET /" + "a" * 40000 + " HTTP/1.1\r\n" + H + "\r\n")
        assert wire.response().status == 414
        assert wire.is_closed()


def test_headers_within_the_limit_pass(web):
    with web.connect() as wire:
        wire.send("GET /big HTTP/1.1\r\n" + H + "".join(f"X-{i}: {'a' * 500}\r\n" for i in range(80)) + "\r\n")
        assert wire.response().status == 200
    assert web.backends[0].find("/big").get("x-79") == "a" * 500


def test_absolute_form_names_the_host(web):
    """RFC 9112 3.2.2: the host of the target wins; the backend sees origin form."""
    with web.connect() as wire:
        wire.send("GET http://shop.example/abs?x HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response().status == 200
    request = web.backends[0].find("/abs")
    assert request.target == "/abs?x" and request.get("host") == "shop.example"


def test_header_values_cannot_split_the_log(web):
    with web.connect() as wire:
        wire.send('GET /log?"\\x HTTP/1.1\r\n' + H + 'User-Agent: a" 200 "\\x0a\xe9\r\n\r\n'.encode().decode("latin-1"))
        status = wire.response().status
    lines = web.access_lines("/log?" if status == 200 else " 400 ")
    assert len(lines) == 1 and "\n" not in lines[0] and "\xe9" not in lines[0]


def test_idle_connections_end_by_themselves_or_wait(web):
    """A head that trickles in is no reason to stop serving others (THREATS 20)."""
    slow = [web.connect() for _ in range(50)]
    for wire in slow:
        wire.send("GET /slow HTTP/1.1\r\nHo")
    assert all(web.ask("/fast").status == 200 for _ in range(20))
    for wire in slow:
        wire.send("st: shop.example\r\n\r\n")
        assert wire.response().status == 200
        wire.close()
