"""Backends that are dead, slow, gone or hostile: the status, Envoy's flag and the log line a user gets.

In: rules that make a backend misbehave. Out: 502, 503, 504 with UF, UC, UT, UPE, URX-free retries, NC, UH.
THREATS 22: what an upstream sends cannot hurt the client's connection or the next request.
"""

import socket
import struct
import time

import pytest
from harness import mesh
from harness.backend import answer, before_body
from harness.bench import BACKENDS, NOBODY_THERE
from harness.http1 import Malformed
from harness.mesh import to


@pytest.fixture
def web(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    return bench


def flag_of(bench, needle):
    """(status, flag) of the newest access-log line with this text, in Envoy's default format."""
    line = bench.access_lines(needle)[-1]
    words = line.split('" ', 1)[1].split(" ")
    return int(words[0]), words[1]


def test_refused_is_503_uf(web):
    web.backends[0].stop()
    response = web.ask("/refused")
    assert response.status == 503
    assert flag_of(web, "/refused") == (503, "UF")


def test_nobody_there_is_503_uf(bench):
    bench.apply(mesh.simple(NOBODY_THERE) + [mesh.destination_rule("web", connectionPool={"tcp": {"connectTimeout": "1s"}})])
    assert bench.ask("/nobody").status == 503
    assert flag_of(bench, "/nobody")[1] == "UF"


def test_connect_timeout(bench):
    """An endpoint that never answers SYN: its packets are dropped on its own host."""
    host = bench.backends_host
    host.run("ip", "route", "add", "blackhole", "10.0.0.10", check=False)
    try:
        bench.apply(mesh.simple(BACKENDS[3]) + [mesh.destination_rule("web", connectionPool={"tcp": {"connectTimeout": "500ms"}})])
        assert bench.ask("/syn").status == 503
        assert flag_of(bench, "/syn")[1] == "UF"
    finally:
        host.run("ip", "route", "del", "blackhole", "10.0.0.10", check=False)


def test_route_timeout_is_504_ut(bench):
    bench.apply(mesh.simple(BACKENDS[0], routes=[{"route": [to("web")], "timeout": "0.3s"}]))
    bench.backends[0].on("/slow", lambda wire, request: time.sleep(2) or wire.send(answer(200, "late")))
    with bench.connect() as wire:
        wire.send("GET /slow HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response().status == 504
        wire.send("GET /next HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response().body == b"b1", "the connection goes on, without the late answer"
    assert flag_of(bench, "/slow") == (504, "UT")


def test_a_timeout_lets_the_fast_pass(bench):
    bench.apply(mesh.simple(BACKENDS[0], routes=[{"route": [to("web")], "timeout": "1s"}]))
    bench.backends[0].on("/brief", lambda wire, request: time.sleep(0.1) or wire.send(answer(200, "in time")))
    assert bench.ask("/brief").body == b"in time"


def test_closed_before_an_answer_is_503_uc(web):
    """A fresh connection closed without a byte; a body of unknown fate is never sent twice."""
    web.backends[0].on("/die", lambda wire, request: wire.close())
    assert web.ask("/die", "POST", body="x").status == 503
    assert flag_of(web, "/die")[1] == "UC"
    assert web.backends[0].paths().count("/die") == 1


GARBAGE = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "CL and TE": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two CL": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "bare CR in a header": b"HTTP/1.1 200 OK\r\nx: a\rb: c\r\ncontent-length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "obs-fold": b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "NUL in a header": b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 Low\r\ncontent-length: 0\r\n\r\n",
    "status 1000": b"HTTP/1.1 1000 High\r\ncontent-length: 0\r\n\r\n",
    "HTTP/3.0": b"HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "an unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw bytes",
    "endless header": b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300000,
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: a\r\n" % i for i in range(1000)) + b"\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_from_a_backend_is_502(web, name):
    web.backends[0].on("/bad", GARBAGE[name])
    with web.connect() as wire:
        wire.send("POST /bad HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n")
        assert wire.response().status == 502
    assert flag_of(web, "/bad")[1] == "UPE"
    assert web.ask("/after").body == b"b1"


def test_more_bytes_than_promised_poison_nothing(web):
    """The surplus may not become the answer of the next request on that connection."""
    web.backends[0].on("/more", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong")
    for _ in range(5):
        assert web.ask("/more").body == b"ok"
        assert web.ask("/next").body == b"b1"


def test_a_flood_of_interim_answers_ends(web):
    def flood(wire, _):
        for _ in range(100000):
            wire.send(b"HTTP/1.1 102 Processing\r\n\r\n")

    web.backends[0].on("/1xx", flood)
    with web.connect(timeout_s=10) as wire:
        wire.send("GET /1xx HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response().status == 502
    assert web.ask("/after").status == 200


def test_a_body_cut_short_reaches_the_client_as_cut(web):
    def cut(wire, _):
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * 500)
        time.sleep(0.1)
        wire.close()

    web.backends[0].on("/cut", cut)
    with web.connect() as wire:
        wire.send("GET /cut HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        with pytest.raises((Malformed, ConnectionResetError)):
            wire.response()
    assert web.ask("/after").body == b"b1"


def test_a_bad_chunk_midway_reaches_the_client_as_cut(web):
    web.backends[0].on("/chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nZZ\r\n")
    with web.connect() as wire:
        wire.send("GET /chunk HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        with pytest.raises((Malformed, ConnectionResetError, AssertionError)):
            response = wire.response()
            assert response.status == 200
    assert web.ask("/after").body == b"b1"


def test_stale_pooled_connection_is_tried_again_once(web):
    """The backend closes the idle connection just as a request is sent on it: one more try on a new one."""
    backend = web.backends[0]
    state = {"seen": 0}

    def once(wire, request):
        state["seen"] += 1
        if state["seen"] == 1:
            wire.close()     # as if it had been closing when the request arrived
        else:
            wire.send(answer(200, "second"))

    assert web.ask("/warm").status == 200
    backend.on("/stale", once)
    assert web.ask("/stale").body == b"second"
    assert state["seen"] == 2


def test_a_post_on_a_stale_connection_is_not_repeated(web):
    backend = web.backends[0]
    assert web.ask("/warm").status == 200
    backend.on("/once", lambda wire, request: wire.close())
    assert web.ask("/once", "POST", body="pay").status == 503
    assert backend.paths().count("/once") == 1


def test_pooled_connections_closed_by_the_backend_harm_nobody(web):
    for i in range(10):
        assert web.ask(f"/a{i}").status == 200
        web.backends[0].drop_connections()
        time.sleep(0.02)
    assert web.ask("/last").status == 200


def test_backend_death_and_return(bench):
    bench.apply(mesh.simple(BACKENDS[0], BACKENDS[1]))
    assert {bench.ask("/x").body for _ in range(10)} == {b"b1", b"b2"}
    bench.backends[0].stop()
    answers = [bench.ask("/x") for _ in range(10)]
    assert b"b2" in {a.body for a in answers} and {a.status for a in answers} <= {200, 503}
    bench.backends[0].start()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and bench.ask("/x").body != b"b1":
        pass
    assert {bench.ask("/x").body for _ in range(10)} == {b"b1", b"b2"}


def test_a_route_to_an_unknown_host_is_refused_by_name(bench):
    """Where Envoy would answer 503 NC, the whole edit is refused: nothing that served before suffers."""
    bench.apply(mesh.simple(BACKENDS[0]))
    bench.write_mesh([mesh.gateway(), mesh.service("web", [BACKENDS[0]]), mesh.virtual_service([{"route": [to("ghost")]}])])
    deadline = time.monotonic() + 5
    while "ghost" not in bench.gateway.ctl("status").stdout and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "ghost.shop.svc.cluster.local" in bench.gateway.ctl("status").stdout
    assert bench.ask("/x").body == b"b1"


def test_no_endpoint_is_503_uh(bench):
    """A selector that no workload matches (yet)."""
    service = mesh.service("web", [])
    del service["spec"]["endpoints"]
    service["spec"]["workloadSelector"] = {"labels": {"app": "web"}}
    bench.apply([mesh.gateway(), service, mesh.virtual_service([{"route": [to("web")]}])])
    assert bench.ask("/empty").status == 503
    assert flag_of(bench, "/empty")[1] == "UH"


def test_a_client_that_leaves_is_logged_dc(web):
    web.backends[0].on("/leave", lambda wire, request: time.sleep(0.5) or wire.send(answer(200, "x")))
    with web.connect() as wire:
        wire.send("GET /leave HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        web.backends[0].find("/leave")
        # A reset, not a FIN: a client that only closed its sending side still reads its answer.
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert flag_of(web, "/leave")[1] == "DC"


def test_connection_limit_of_a_cluster(bench):
    """maxConnections: 1 means 1, however many clients ask at once."""
    bench.apply(mesh.simple(BACKENDS[0]) + [mesh.destination_rule("web", connectionPool={"tcp": {"maxConnections": 1}})])
    used = []

    def slow(wire, request):
        used.append(wire)
        time.sleep(0.05)
        wire.send(answer(200, "q"))

    bench.backends[0].on("/q", slow)
    wires = [bench.connect() for _ in range(8)]
    for wire in wires:
        wire.send("GET /q HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    statuses = [wire.response().status for wire in wires]
    # By who carried a request: what an earlier test left may still be closing at the backend's end.
    assert len(set(map(id, used))) == 1 and set(statuses) <= {200, 503} and 200 in statuses
    for wire in wires:
        wire.close()


def test_unread_request_body_is_not_taken_for_the_next_request(web):
    """CL.0 (THREATS 19): the backend ignores the body; the gateway must not reuse that connection for it."""

    @before_body
    def ignores(wire, request):
        wire.send(answer(200, "ignored"))

    web.backends[0].on("/ignore", ignores)
    with web.connect() as wire:
        wire.send("POST /ignore HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 45\r\n\r\n")
        assert wire.response().status == 200
        try:
            wire.send("GET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n"[:45])
        except OSError:
            pass
    assert web.ask("/after").body == b"b1"
    assert "/smuggled" not in web.backends[0].paths()
