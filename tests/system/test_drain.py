"""Draining one endpoint: picked no more, its requests finish, every later revision keeps it out.

In: a gateway with two endpoints of one service. Out: who answered, what sluicectl and status say.
"""

import json
import threading

import pytest
from harness import mesh
from harness.backend import answer
from harness.bench import BACKENDS

FIRST, SECOND = f"{BACKENDS[0]}:9080", f"{BACKENDS[1]}:9080"


@pytest.fixture
def pair(bench):
    bench.apply(mesh.simple(BACKENDS[0], BACKENDS[1]))
    yield bench
    for endpoint in (FIRST, SECOND):
        bench.gateway.ctl("undrain", "--endpoint", endpoint)


def served_by(bench, count=20):
    return {bench.ask("/who").body.decode() for _ in range(count)}


def test_a_drained_endpoint_is_picked_no_more(pair):
    assert served_by(pair) == {"b1", "b2"}
    done = pair.gateway.ctl("drain", "--endpoint", FIRST, "--wait", "5s")
    assert done.returncode == 0, done.stderr
    assert f"{FIRST} of 1 cluster is picked no more; no request under way" in done.stdout
    assert served_by(pair) == {"b2"}
    assert f"{FIRST} draining (by an operator)" in pair.gateway.ctl("status").stdout
    rows = json.loads(pair.gateway.ctl("-o", "json", "pc", "endpoints").stdout)
    assert {row["address"]: row["state"] for row in rows} == {FIRST: "draining", SECOND: "up"}
    assert pair.gateway.ctl("undrain", "--endpoint", FIRST).returncode == 0
    assert served_by(pair, 40) == {"b1", "b2"}
    assert "draining" not in pair.gateway.ctl("status").stdout


def test_what_is_under_way_finishes(pair):
    gate = threading.Event()

    def slow(wire, request):
        assert gate.wait(30)
        wire.send(answer(200, "late"))

    for backend in pair.backends[:2]:
        backend.on("/slow", slow)
    # Until one of them is at the first backend: which one a request goes to is the balancer's choice.
    wires = []
    while not any(path.startswith("/slow") for path in pair.backends[0].paths()):
        wire = pair.connect(timeout_s=40)
        wire.send(f"GET /slow/{len(wires)} HTTP/1.1\r\nHost: {mesh.HOST}\r\n\r\n".encode())
        wires.append(wire)
        assert len(wires) < 50
        for backend in pair.backends[:2]:
            if f"/slow/{len(wires) - 1}" in backend.paths():
                break
        else:
            pair.ask("/who")   # a moment for it to arrive
    waits = pair.gateway.ctl("drain", "--endpoint", FIRST, "--wait", "300ms")
    assert waits.returncode == 1 and "under way" in waits.stdout, waits.stdout + waits.stderr
    assert served_by(pair) == {"b2"}
    gate.set()
    for wire in wires:
        response = wire.response()
        assert response.status == 200 and response.body == b"late"
        wire.close()
    assert pair.gateway.ctl("drain", "--endpoint", FIRST, "--wait", "5s").returncode == 0


def test_a_later_revision_keeps_it_out(pair):
    pair.gateway.ctl("drain", "--endpoint", FIRST, check=True)
    pair.apply(mesh.simple(BACKENDS[0], BACKENDS[1], routes=[{"match": [{"uri": {"prefix": "/"}}], "route": [mesh.to("web")]}]))
    assert served_by(pair) == {"b2"}


def test_the_last_endpoint_wants_force(pair):
    pair.gateway.ctl("drain", "--endpoint", FIRST, check=True)
    refused = pair.gateway.ctl("drain", "--endpoint", SECOND)
    assert refused.returncode == 1
    assert "no endpoint left" in refused.stderr and "--force" in refused.stderr
    assert served_by(pair, 5) == {"b2"}
    assert pair.gateway.ctl("drain", "--endpoint", SECOND, "--force").returncode == 0
    response = pair.ask("/none")
    assert response.status == 503
    assert " UH " in pair.access_lines("/none")[-1]


def test_an_endpoint_that_is_not_there(pair):
    done = pair.gateway.ctl("drain", "--endpoint", "10.9.9.9:1")
    assert done.returncode == 1 and "10.9.9.9:1" in done.stderr and "pc endpoints" in done.stderr
    done = pair.gateway.ctl("drain", "--endpoint", "reviews")
    assert done.returncode == 1 and "is not an endpoint" in done.stderr
