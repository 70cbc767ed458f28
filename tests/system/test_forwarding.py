"""A request and its answer through the gateway: methods, bodies, connections, both IP versions.

In: the bench. Out: what clients read and what backends recorded must be equal, byte by byte.
RFC 9110, 9112.
"""

import hashlib
import os
import random

import pytest
from harness import mesh
from harness.backend import answer, before_body
from harness.bench import ADDRESS, ADDRESS6, BACKENDS, CLIENT

GET = "GET {} HTTP/1.1\r\nHost: shop.example\r\n\r\n"


@pytest.fixture
def web(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    return bench


def test_get_reaches_the_backend(web):
    response = web.ask("/hello?a=1")
    assert (response.status, response.body) == (200, b"b1")
    request = web.backends[0].find("/hello")
    assert (request.method, request.target, request.get("host")) == ("GET", "/hello?a=1", "shop.example")


def test_curl_reads_it_too(web):
    done = web.curl("-i", "http://shop.example/curl")
    assert done.stdout.startswith("HTTP/1.1 200") and done.stdout.endswith("b1"), done.stderr


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_methods(web, method):
    body = b"payload" if method in ("POST", "PUT", "PATCH") else None
    response = web.ask("/m", method, body=body)
    request = web.backends[0].find("/m")
    assert response.status == 200 and request.method == method and request.body == (body or b"")
    assert response.body == (b"" if method == "HEAD" else b"b1")


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_keep_the_connection(web, status):
    web.backends[0].on("/none", f"HTTP/1.1 {status} None\r\netag: \"x\"\r\n\r\n".encode())
    with web.connect() as wire:
        for _ in range(3):
            wire.send(GET.format("/none"))
            assert wire.response().status == status
        wire.send(GET.format("/after"))
        assert wire.response().body == b"b1"


def test_head_keeps_content_length_and_the_connection(web):
    with web.connect() as wire:
        wire.send("HEAD /h HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response("HEAD").get("content-length") == "2"
        wire.send(GET.format("/after"))
        assert wire.response().body == b"b1"


@pytest.mark.parametrize("size", [0, 1, 1400, 1460, 65536, 1 << 20, 16 << 20])
def test_bodies_of_both_directions_by_hash(web, size):
    data = random.Random(size).randbytes(size)
    web.backends[0].on("/echo", lambda wire, request: wire.send(answer(200, request.body)))
    response = web.ask("/echo", "POST", body=data)
    assert hashlib.sha256(response.body).digest() == hashlib.sha256(data).digest()


def test_chunked_request_with_trailers(web):
    with web.connect() as wire:
        wire.send("POST /chunked HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
                  "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nx-sum: 11\r\n\r\n")
        assert wire.response().status == 200
    request = web.backends[0].find("/chunked")
    assert request.body == b"hello world" and ("x-sum", "11") in request.trailers


def test_chunked_response_with_trailers(web):
    web.backends[0].on("/chunked", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n"
                                   b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 11\r\n\r\n")
    with web.connect() as wire:
        for _ in range(2):
            wire.send("GET /chunked HTTP/1.1\r\nHost: shop.example\r\nTE: trailers\r\n\r\n")
            response = wire.response()
            assert response.body == b"hello world" and ("x-sum", "11") in response.trailers


def test_response_until_close(web):
    def until_close(wire, _):
        wire.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"z" * 100000)
        wire.close()

    web.backends[0].on("/close", until_close)
    assert web.ask("/close").body == b"z" * 100000


def test_expect_100_continue(web):
    """The client holds its body back until an interim response says go (RFC 9110 10.1.1)."""
    with web.connect() as wire:
        wire.send("POST /expect HTTP/1.1\r\nHost: shop.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        interim = wire.head()
        assert interim.status == 100
        wire.send("body")
        assert wire.response().status == 200
    assert web.backends[0].find("/expect").body == b"body"


def test_expectation_refused_by_the_backend(web):
    """A final answer before the body: no desynchronisation, whatever the client sends after it."""

    @before_body
    def refuse(wire, request):
        wire.send(answer(417, "no", ["connection: close"]))
        wire.close()

    web.backends[0].on("/refuse", refuse)
    with web.connect() as wire:
        wire.send("POST /refuse HTTP/1.1\r\nHost: shop.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        interim = []
        response = wire.response(interim=interim)
        assert response.status == 417


def test_pipelining_answers_in_order(web):
    with web.connect() as wire:
        wire.send("".join(GET.format(f"/p{i}") for i in range(20)))
        web.backends[0].on("/p", lambda w, r: w.send(answer(200, r.target)))
        bodies = [wire.response().body for _ in range(20)]
    assert bodies[5:] == [f"/p{i}".encode() for i in range(5, 20)]
    assert [p for p in web.backends[0].paths()] == [f"/p{i}" for i in range(20)]


def test_requests_cut_at_every_byte(web):
    text = GET.format("/cut").encode()
    with web.connect() as wire:
        for cut in range(1, len(text), 3):
            wire.send(text[:cut])
            wire.send(text[cut:])
            assert wire.response().status == 200


def test_connection_close_is_honoured(web):
    with web.connect() as wire:
        wire.send("GET /bye HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
        response = wire.response()
        assert response.status == 200 and response.get("connection", "").lower() == "close"
        assert wire.is_closed()


def test_http_1_0_is_answered_and_closed(web):
    with web.connect() as wire:
        wire.send("GET /old HTTP/1.0\r\nHost: shop.example\r\n\r\n")
        assert wire.response().body == b"b1"
        assert wire.is_closed()


def test_client_connections_share_upstream_ones(web):
    for _ in range(20):
        assert web.ask("/reuse").status == 200
    assert web.backends[0].connections <= 3, "upstream keep-alive does not work"


def test_one_client_connection_serves_many_requests(web):
    with web.connect() as wire:
        for i in range(200):
            wire.send(GET.format(f"/k{i}"))
            assert wire.response().body == b"b1"
    assert len(web.backends[0].requests) == 200


def test_hop_by_hop_headers_stay_on_their_hop(web):
    web.backends[0].on("/hop", answer(200, "x", ["connection: x-secret", "x-secret: 1", "keep-alive: timeout=5", "x-stay: 1"]))
    with web.connect() as wire:
        wire.send("GET /hop HTTP/1.1\r\nHost: shop.example\r\nConnection: X-Mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: 1\r\n"
                  "Proxy-Connection: keep-alive\r\nX-Stay: 1\r\n\r\n")
        response = wire.response()
    request = web.backends[0].find("/hop")
    for name in ("x-mine", "keep-alive", "proxy-connection"):
        assert request.get(name) is None, name
    assert request.get("x-stay") == "1" and response.get("x-stay") == "1"
    assert response.get("x-secret") is None and response.get("keep-alive") is None


def test_headers_keep_their_order_and_repeats(web):
    with web.connect() as wire:
        wire.send("GET /order HTTP/1.1\r\nHost: shop.example\r\nA: 1\r\nB: 2\r\na: 3\r\nCookie: x\r\nCookie: y\r\n\r\n")
        wire.response()
    request = web.backends[0].find("/order")
    assert request.all("a") == ["1", "3"] and request.all("cookie") in (["x", "y"], ["x; y"])


def test_early_answer_while_the_body_still_comes(web):
    """The backend answers 413 without reading the body; the client reads it, the pool stays clean."""

    @before_body
    def early(wire, request):
        wire.send(answer(413, "too much", ["connection: close"]))
        wire.close()

    web.backends[0].on("/early", early)
    with web.connect() as wire:
        wire.send("POST /early HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10000000\r\n\r\n")
        try:
            wire.send(b"x" * 200000)
        except OSError:
            pass
        assert wire.response().status in (413, 502, 503)
    for i in range(5):
        assert web.ask(f"/after{i}").body == b"b1"
    assert web.backends[0].malformed == []


def test_ipv6_client(web):
    assert web.ask("/six", ipv6=True).body == b"b1"
    done = web.curl("-g", f"http://[{ADDRESS6}]/six", "-H", "Host: shop.example")
    assert done.stdout == "b1", done.stderr


def test_ipv6_backend(bench):
    from harness.backend import Backend

    six = Backend(bench.backends_host, "2001:db8:1::21", name="six")
    try:
        bench.apply(mesh.simple("2001:db8:1::21"))
        assert bench.ask("/v6").body == b"six"
    finally:
        six.stop()


@pytest.mark.parametrize("address", [ADDRESS, ADDRESS6])
@pytest.mark.parametrize("size", [56, 1400])
def test_ping(bench, address, size):
    bench.ensure()
    done = bench.client.run("ping", "-c", "5", "-i", "0.05", "-W", "2", "-s", str(size), address, check=False)
    assert " 0% packet loss" in done.stdout, done.stdout


def test_ping_from_the_backends_side(bench):
    bench.ensure()
    done = bench.backends_host.run("ping", "-c", "3", "-i", "0.05", "-W", "2", "10.0.0.10", check=False)
    assert " 0% packet loss" in done.stdout, done.stdout


def test_a_closed_port_is_refused(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    with pytest.raises(ConnectionRefusedError):
        bench.connect(port=81, timeout_s=3)


def test_no_service_on_the_inside_port(bench):
    """Gateways open on ports with `listen: true` only."""
    bench.apply(mesh.simple(BACKENDS[0]))
    done = bench.backends_host.run("curl", "-sS", "--max-time", "2", "http://10.0.0.10/", check=False)
    assert done.returncode == 7, f"curl exit {done.returncode}: {done.stderr}"


def test_load_of_wrk_without_an_error(web):
    """Thousands of requests over 64 connections; every answer is whole, nothing is left open."""
    web.backends[0].stop()
    log = os.path.join(web.work, "load")
    nginx = start_nginx(web, log)
    try:
        requests, failed = web.finish_wrk(web.start_wrk(3, connections=64, path="/1k"))
        assert failed == 0 and requests > 1000, f"{failed} failed of {requests}"
    finally:
        nginx.terminate()
        nginx.wait()


def start_nginx(bench, folder, address=BACKENDS[0]):
    from harness.nginx import start

    return start(bench.backends_host, folder, address)


def test_client_source_address_is_seen(web):
    web.ask("/from")
    assert web.backends[0].find("/from").get("x-forwarded-for") == CLIENT
