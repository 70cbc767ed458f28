"""Access logs of a running gateway: formats with headers of one's own, rotation, and files and pipes that fail.

In: a gateway whose log goes to a file or a pipe of the test. Out: lines, and traffic that never notices.
"""

import json
import os
import select
import shutil
import signal
import time

import pytest

from harness import mesh
from harness.bench import BACKENDS, USER


def wait_for(what, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout_s:.0f} s")


def lines_of(path, needle):
    try:
        with open(path, errors="replace") as file:
            return [line for line in file if needle in line]
    except FileNotFoundError:
        return []


def start(bench, **log):
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    return bench.start(bench.config({"accessLog": log}))


@pytest.fixture
def pipe(bench):
    path = os.path.join(bench.work, "access.pipe")
    os.mkfifo(path)
    shutil.chown(path, USER)
    yield path
    os.unlink(path)


def test_any_header_in_a_template_with_types(bench):
    start(bench, omitEmptyValues=True, format={
        "user": "%REQ(X-User?User-Agent)%", "type": "%RESP(Content-Type)%", "code": "%RESPONSE_CODE%", "from": "%REQ(X-None)%",
        "backend": {"address": "%UPSTREAM_HOST%", "took": "%DURATION% ms"}, "path": "%PATH(NQ)%", "q": "%QUERY_PARAM(q)%"})
    answer = bench.ask("/typed?q=a%20b", headers=['X-User: ann "\\', "User-Agent: tester"])
    entry = json.loads(bench.access_lines("/typed")[-1])
    assert entry["user"] == 'ann "\\' and entry["code"] == 200 and entry["path"] == "/typed" and entry["q"] == "a b"
    assert entry["backend"]["address"] == "10.0.0.21:9080" and entry["backend"]["took"].endswith(" ms")
    assert entry.get("type") == answer.get("content-type")
    assert "from" not in entry
    bench.ask("/fallback", headers=["User-Agent: tester"])
    assert json.loads(bench.access_lines("/fallback")[-1])["user"] == "tester"


def test_an_unknown_operator_is_refused_with_a_guess(bench):
    bench.may_end = True
    settings = bench.config({"accessLog": {"format": "%RESPONSE_CDOE%"}})
    gateway = bench.start(settings, ready=False)
    assert gateway.process.wait(10) != 0
    assert "accessLog.format: unknown operator %RESPONSE_CDOE%" in gateway.log_tail()
    assert "did you mean %RESPONSE_CODE%?" in gateway.log_tail()


def test_rotation_by_signal_and_by_command(bench):
    gateway = start(bench)
    moved = [bench.access_log + ".1", bench.access_log + ".2"]
    bench.ask("/before")
    bench.access_lines("/before")
    os.rename(bench.access_log, moved[0])
    bench.ask("/still-old")
    wait_for(lambda: lines_of(moved[0], "/still-old"))
    gateway.process.send_signal(signal.SIGHUP)
    wait_for(lambda: os.path.exists(bench.access_log))
    bench.ask("/by-signal")
    bench.access_lines("/by-signal")
    os.rename(bench.access_log, moved[1])
    gateway.ctl("log", "reopen", check=True)
    assert os.stat(bench.access_log).st_mode & 0o027 == 0, "others may read who visited"
    bench.ask("/by-command")
    bench.access_lines("/by-command")
    assert not lines_of(moved[0], "/by-signal") and not lines_of(moved[1], "/by-command")


def test_a_deleted_file_is_made_anew(bench):
    gateway = start(bench)
    bench.ask("/one")
    bench.access_lines("/one")
    os.unlink(bench.access_log)
    wait_for(lambda: os.path.exists(bench.access_log))
    bench.ask("/two")
    bench.access_lines("/two")
    assert "somebody deleted it" in gateway.log_tail()


def test_a_pipe_without_a_reader_holds_nothing_up(bench, pipe):
    gateway = start(bench, path=pipe)
    for _ in range(3):
        assert bench.ask("/unread").status == 200
    wait_for(lambda: bench.metric("sluice_access_log_write_failed_total") == 3)
    assert "nobody reads this pipe; lines are being dropped" in gateway.log_tail()
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        def line_arrives():
            bench.ask("/read")
            return select.select([reader], [], [], 0.2)[0] and b"/read" in os.read(reader, 65536)
        wait_for(line_arrives)
    finally:
        os.close(reader)
    assert "written again; lines lost: " in gateway.log_tail()


def test_a_stuck_reader_costs_lines_not_requests(bench, pipe):
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        gateway = start(bench, path=pipe)
        asked = 0
        with bench.connect() as wire:
            while bench.metric("sluice_access_log_write_failed_total") == 0:   # more than the pipe holds
                for _ in range(100):
                    asked += 1
                    wire.send(f"GET /stuck HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: {'x' * 2000}\r\n\r\n")
                    assert wire.response().status == 200
                assert asked < 10000, "the pipe took everything"
            assert "its reader takes nothing; lines are being dropped" in gateway.log_tail()
            while select.select([reader], [], [], 0.2)[0] and os.read(reader, 65536):
                pass

            def line_arrives():
                wire.send("GET /again HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                wire.response()
                return select.select([reader], [], [], 0.2)[0] and b"/again" in os.read(reader, 65536)
            wait_for(line_arrives)
        assert "written again; lines lost: " in gateway.log_tail()
    finally:
        os.close(reader)


def test_a_full_disk_is_told_once_and_counted(bench):
    gateway = start(bench, path="/dev/full")
    for _ in range(5):
        assert bench.ask("/full").status == 200
    wait_for(lambda: bench.metric("sluice_access_log_write_failed_total") == 5)
    assert gateway.log_tail().count("No space left on device") == 1
