"""The same smoke test on both software drivers: AF_XDP and AF_PACKET.

In: the driver's name. Out: pings, requests, bodies and a load without an error.
"""

import hashlib
import os
import random

import pytest
from harness import mesh, nginx
from harness.backend import answer
from harness.bench import ADDRESS, ADDRESS6, BACKENDS


@pytest.fixture(params=["af_xdp", "af_packet"])
def web(bench, request):
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    bench.start(bench.config(driver=request.param))
    return bench


def test_smoke(web):
    for address in (ADDRESS, ADDRESS6):
        done = web.client.run("ping", "-c", "3", "-i", "0.05", "-W", "2", address, check=False)
        assert " 0% packet loss" in done.stdout, done.stdout
    assert web.ask("/").body == b"b1" and web.ask("/", ipv6=True).body == b"b1"
    data = random.Random(1).randbytes(4 << 20)
    web.backends[0].on("/echo", lambda wire, request: wire.send(answer(200, request.body)))
    assert hashlib.sha256(web.ask("/echo", "POST", body=data).body).digest() == hashlib.sha256(data).digest()


def test_load(web):
    web.backends[0].stop()
    server = nginx.start(web.backends_host, os.path.join(web.work, "drivers"), BACKENDS[0])
    try:
        requests, failed = web.finish_wrk(web.start_wrk(2, connections=32, path="/1k"))
        assert failed == 0 and requests > 1000, f"{failed} failed of {requests}"
    finally:
        server.terminate()
        server.wait()


def test_restart_on_the_same_ports(web):
    """Queues, programs and sockets of the first are gone when the second starts."""
    for _ in range(2):
        web.start(web.settings)
        assert web.ask("/").body == b"b1"
