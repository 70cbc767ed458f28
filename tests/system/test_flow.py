"""Back pressure from end to end: one slow peer holds no more than its limit, and no one else up.

In: readers that do not read, senders that trickle. Out: others' answers, the gateway's memory, whole bodies.
"""

import os
import threading
import time

import pytest
from harness import mesh, nginx
from harness.backend import answer, before_body
from harness.bench import BACKENDS

MIB = 1 << 20


@pytest.fixture
def files(bench):
    """A real nginx with large files instead of the first backend."""
    bench.apply(mesh.simple(BACKENDS[0]))
    bench.backends[0].stop()
    process = nginx.start(bench.backends_host, os.path.join(bench.work, "flow"), BACKENDS[0])
    yield bench
    process.terminate()
    process.wait()


def resident_mib(bench):
    with open(f"/proc/{bench.gateway.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def test_64_mib_arrive_whole(files):
    response = files.ask("/64m", timeout_s=60)
    assert len(response.body) == 64 * MIB and not response.body.strip(b"\0")


def test_one_unread_response_stops_nobody(files):
    for _ in range(20):
        files.ask("/1k")
    before = resident_mib(files)
    slow = [files.connect(receive_buffer=4096, timeout_s=60) for _ in range(8)]
    for wire in slow:
        wire.send("GET /64m HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    time.sleep(1)
    requests, failed = files.finish_wrk(files.start_wrk(2, connections=8, path="/1k"))
    assert failed == 0 and requests > 500, f"{failed} failed of {requests} beside unread responses"
    assert resident_mib(files) - before < 64, "unread responses are piling up in the gateway"
    wire = slow[0]
    response = wire.response()
    assert len(response.body) == 64 * MIB, "the slow reader gets everything once it reads"
    for wire in slow:
        wire.close()
    assert files.ask("/1k").status == 200


def test_slow_upload_to_a_backend_that_does_not_read(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    gate = threading.Event()

    @before_body
    def wait_then_read(wire, request):
        gate.wait(20)
        wire.read_body(request)
        wire.send(answer(200, str(len(request.body))))

    bench.backends[0].on("/upload", wait_then_read)
    with bench.connect(timeout_s=1) as wire:
        wire.send(f"POST /upload HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {32 * MIB}\r\n\r\n")
        sent, block = 0, b"u" * 65536
        try:
            while sent < 32 * MIB:
                sent += wire.sock.send(block[: 32 * MIB - sent])
        except OSError:
            pass
        assert sent < 16 * MIB, f"{sent} bytes taken in while the backend read none"
        assert bench.ask("/other").body == b"b1"
        gate.set()
        wire.sock.settimeout(30)
        while sent < 32 * MIB:
            sent += wire.sock.send(block[: 32 * MIB - sent])
        assert wire.response().body == str(32 * MIB).encode()


def test_slow_sender_finishes(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    with bench.connect() as wire:
        wire.send("POST /trickle HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 30\r\n\r\n")
        for _ in range(30):
            wire.send("t")
            time.sleep(0.01)
        assert wire.response().status == 200
    assert bench.backends[0].find("/trickle").body == b"t" * 30


def test_slow_backend_finishes(bench):
    bench.apply(mesh.simple(BACKENDS[0]))

    def trickle(wire, _):
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n")
        for _ in range(30):
            wire.send(b"t")
            time.sleep(0.01)

    bench.backends[0].on("/trickle", trickle)
    assert bench.ask("/trickle").body == b"t" * 30


def test_large_bodies_pass_uncopied_or_are_counted(files):
    """`bytes_copied{reason}` keeps us honest: what the driver forces us to copy is on the counter."""
    files.ask("/64m", timeout_s=60)
    text = files.gateway.admin("/stats/prometheus")[1]
    assert "bytes_copied" in text and "reason=" in text


def test_many_clients_at_once(files):
    requests, failed = files.finish_wrk(files.start_wrk(3, connections=512, path="/1k"))
    assert failed == 0 and requests > 500


def test_connections_and_memory_come_back(files):
    files.finish_wrk(files.start_wrk(1, connections=256, path="/1k"))
    time.sleep(0.5)
    before = resident_mib(files)
    for _ in range(3):
        files.finish_wrk(files.start_wrk(1, connections=256, path="/1k"))
    time.sleep(0.5)
    assert resident_mib(files) - before < 16
    assert files.ask("/1k").status == 200
