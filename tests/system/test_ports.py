"""Several ports: the source address towards backends is the one of the port that leads there; and what happens when its ports are out.

In: the bench's outside and inside ports. Out: who backends see, and a clear answer when no source port is left.
"""

import threading

from harness import mesh
from harness.backend import Backend, answer
from harness.bench import ADDRESS, BACKENDS, merge

INSIDE, INSIDE6, BACKEND6 = "10.0.0.10", "2001:db8:1::10", "2001:db8:1::21"


def test_backends_see_the_inside_address(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    assert bench.ask("/").body == b"b1"
    assert {peer[0] for peer in bench.backends[0].peers} == {INSIDE}


def test_backends_see_the_inside_address_of_their_family(bench):
    backend = Backend(bench.backends_host, BACKEND6, name="six")
    try:
        bench.apply(mesh.simple(BACKEND6))
        assert bench.ask("/").body == b"six" and bench.ask("/", ipv6=True).body == b"six"
        assert {peer[0] for peer in backend.peers} == {INSIDE6}
    finally:
        backend.stop()


def test_a_backend_on_the_outside_network_sees_the_outside_address(bench):
    """The route decides, not the port's name: 192.0.2.2 is on link on the port where clients are."""
    backend = Backend(bench.client, "192.0.2.2", name="near")
    try:
        bench.apply(mesh.simple("192.0.2.2"))
        assert bench.ask("/").body == b"near"
        assert {peer[0] for peer in backend.peers} == {ADDRESS}
    finally:
        backend.stop()


def test_no_source_port_left_is_said_and_counted(bench):
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    bench.start(merge(bench.config(), {"limits": {"ephemeralPorts": "40000-40003"}}))
    go_on = threading.Event()

    def slow(wire, request):
        go_on.wait(20)
        wire.send(answer(200, "late"))

    bench.backends[0].on("/slow", slow)
    wires = [bench.connect() for _ in range(4)]
    try:
        for wire in wires:
            wire.send(f"GET /slow HTTP/1.1\r\nHost: {mesh.HOST}\r\n\r\n".encode())
        for _ in range(300):
            if len([p for p in bench.backends[0].paths() if p == "/slow"]) == 4:
                break
            threading.Event().wait(0.01)
        for number in range(3):
            refused = bench.ask(f"/more{number}")
            assert refused.status == 503 and b"local connection failure" in refused.body
        line = bench.access_lines("/more0")[0]
        assert " 503 UF " in line and 'reason="no free source port towards upstream 10.0.0.21:9080"' in line
        assert bench.metric("sluice_tcp_ports_exhausted_total") == 3
        go_on.set()
        assert [wire.response("GET").body for wire in wires] == [b"late"] * 4
        assert bench.ask("/again").body == b"b1", "connections that are free again serve"
    finally:
        go_on.set()
        for wire in wires:
            wire.close()
    assert {peer[1] for peer in bench.backends[0].peers} == {40000, 40001, 40002, 40003}
