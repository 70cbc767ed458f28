"""sluicectl into the running cores: connections, capture, drops, runtime, top, log tail.

In: a gateway under traffic that the tests shape. Out: what an operator reads is what happened; the
gateway serves on. Captures are read back by Wireshark's own tool and by scapy.
"""

import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import threading
import time

import pytest
from gateway import program
from harness import mesh, packets
from harness.backend import answer
from harness.bench import ADDRESS, BACKENDS, CLIENT, NOBODY_THERE
from harness.packets import ACK, SYN


@pytest.fixture
def web(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    return bench


@pytest.fixture
def held(web):
    """A backend that answers /held only when the test lets it."""
    release = threading.Event()

    def hold(wire, request):
        release.wait(20)
        wire.send(answer(200, "late"))

    web.backends[0].on("/held", hold)
    web.release = release
    yield web
    release.set()


def data(bench, *arguments, codes=(0,)):
    done = bench.gateway.ctl("-o", "json", *arguments)
    assert done.returncode in codes, f"{arguments}: exit {done.returncode}: {done.stderr or done.stdout}"
    return json.loads(done.stdout)


def connections(bench, *arguments):
    return data(bench, "connections", "list", *arguments)["connections"]


def until(look, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def start_ctl(bench, *arguments, **popen):
    return subprocess.Popen([program("sluicectl"), "--target", bench.admin_socket, *arguments], text=popen.pop("text", True), **popen)


# --- connections ---------------------------------------------------------------------------------


def test_a_request_under_way_is_seen_from_both_sides(held):
    with held.connect() as wire:
        local = "%s:%d" % wire.sock.getsockname()
        wire.send("GET /first HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response().status == 200
        wire.send("GET /held?x=1 HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        held.backends[0].find("/held")
        rows = {row["role"]: row for row in connections(held, "--host", "shop.example")}
        down, up = rows["downstream"], rows["upstream"]
        assert down["remote"] == local and down["local"] == f"{ADDRESS}:80" and down["state"] == "established"
        assert down["requests"] == 2 and down["phase"] == "waiting for upstream"
        assert down["request"]["method"] == "GET" and down["request"]["path"] == "/held?x=1"
        assert up["remote"] == f"{BACKENDS[0]}:9080" and "web.shop" in up["owner"]
        assert down["pair"] == {"id": up["id"], "remote": up["remote"]} and up["pair"]["id"] == down["id"]
        shown = data(held, "connections", "show", down["id"])
        assert shown["tcp"]["cwnd_bytes"] > 1000 and shown["tcp"]["mss_bytes"] > 500
        text = held.gateway.ctl("connections", "show", down["id"], check=True).stdout
        assert local in text and "GET shop.example/held?x=1" in text and "cwnd" in text
        assert "/held" in held.gateway.ctl("connections", "list").stdout
        held.release.set()
        assert wire.response().body == b"late"


def test_filters_and_order(web):
    wires = [web.connect() for _ in range(6)]
    for n, wire in enumerate(wires):
        for _ in range(n + 1):
            wire.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            assert wire.response().status == 200
    ports = [wire.sock.getsockname()[1] for wire in wires]
    mine = [row for row in connections(web, "--state", "downstream") if int(row["remote"].rsplit(":", 1)[1]) in ports]
    assert len(mine) == 6 and {row["role"] for row in mine} == {"downstream"}
    assert [row["remote"] for row in connections(web, "--port", str(ports[2]))] == [f"{CLIENT}:{ports[2]}"]
    first = connections(web, "--state", "downstream", "--sort", "requests", "--limit", "1")
    assert [row["remote"] for row in first] == [f"{CLIENT}:{ports[5]}"]
    assert all(row["remote"].startswith("10.0.0.") for row in connections(web, "--peer", "10.0.0.0/16"))
    assert connections(web, "--cluster", "web") and not connections(web, "--cluster", "nothing")
    assert not connections(web, "--idle", "1h")
    assert web.gateway.ctl("connections", "list", "--state", "nonsense").returncode == 1
    for wire in wires:
        wire.close()


def test_close_in_order_and_by_reset(held):
    idle, busy, cut = held.connect(), held.connect(), held.connect()
    for wire in (idle, busy, cut):
        wire.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response().status == 200
    by_port = {int(row["remote"].rsplit(":", 1)[1]): row["id"] for row in connections(held, "--state", "downstream")}
    names = [by_port[wire.sock.getsockname()[1]] for wire in (idle, busy, cut)]

    closed = data(held, "connections", "close", names[0], "--wait", "0s", codes=(0, 1))
    assert closed["outcome"] == "closed"
    assert idle.sock.recv(1) == b"", "an orderly end"
    idle.close()
    assert until(lambda: held.gateway.ctl("connections", "show", names[0]).returncode == 1)

    busy.send("GET /held HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    held.backends[0].find("/held")
    assert data(held, "connections", "close", names[1], "--wait", "0s", codes=(1,))["outcome"] == "after_request"
    held.release.set()
    last = busy.response()
    assert last.body == b"late" and last.get("connection") == "close"
    busy.close()

    assert data(held, "connections", "close", names[2], "--reset")["outcome"] == "reset"
    with pytest.raises(ConnectionResetError):
        cut.sock.recv(1)
    cut.close()

    # A name is never given again: those that took the slots are not hit.
    with held.connect() as other:
        other.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert other.response().status == 200
        for name in names:
            done = held.gateway.ctl("connections", "close", name, "--reset")
            assert done.returncode == 1 and "has ended" in done.stderr
        other.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert other.response().status == 200
    assert held.gateway.ctl("connections", "show", "rubbish").returncode == 1


def test_closing_what_leads_to_a_backend(held):
    """A connection out of the pool: its request, of which nothing was answered, goes to another (RFC 9110 9.2.2)."""
    with held.connect() as wire:
        wire.send("GET /first HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response().status == 200
        wire.send("GET /held HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        held.backends[0].find("/held")
        up = connections(held, "--state", "upstream", "--host", "shop.example")[0]
        assert up["requests"] > 1
        assert data(held, "connections", "close", up["id"], "--reset")["outcome"] == "reset"
        assert until(lambda: held.backends[0].paths().count("/held") == 2)
        assert connections(held, "--state", "upstream", "--host", "shop.example")[0]["id"] != up["id"]
        held.release.set()
        assert wire.response().body == b"late"


def test_listing_under_traffic(web):
    wrk = web.start_wrk(2, connections=32)
    seen = 0
    while wrk.poll() is None:
        seen = max(seen, len(connections(web, "--state", "downstream", "--limit", "1000")))
    requests, failed = web.finish_wrk(wrk)
    assert requests > 0 and failed == 0
    assert seen >= 32


# --- capture -------------------------------------------------------------------------------------


def tshark(path, *arguments):
    done = subprocess.run(["tshark", "-n", "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_capture_of_one_port_by_a_filter(web, tmp_path):
    assert shutil.which("tshark"), "tshark is not installed: run scripts/setup"
    path = str(tmp_path / "outside.pcapng")
    with start_ctl(web, "capture", "--port", "outside", "--filter", f"tcp port 80 and host {CLIENT}", "-w", path, stderr=subprocess.PIPE) as capture:
        assert until(lambda: os.path.exists(path) and os.path.getsize(path) > 0)
        for n in range(5):
            assert web.ask(f"/captured-{n}").status == 200
        capture.send_signal(signal.SIGINT)
        summary = capture.communicate(timeout=10)[1]
    assert capture.returncode == 0 and "none lost" in summary, summary
    rows = [line.split("\t") for line in tshark(path, "-T", "fields", "-e", "ip.src", "-e", "tcp.flags.syn", "-e", "frame.interface_name", "-e", "frame.packet_flags_direction",
                                                "-e", "tcp.checksum.status", "-e", "ip.checksum.status").splitlines()]
    assert {row[0] for row in rows} == {CLIENT, ADDRESS}, "both directions"
    assert {row[2] for row in rows} == {"outside"}
    assert {(row[0], int(row[3], 0)) for row in rows} == {(CLIENT, 1), (ADDRESS, 2)}, "directions are told"
    assert {row[4] for row in rows} == {"1"} and {row[5] for row in rows} == {"1"}, "every checksum is right"
    uris = tshark(path, "-Y", "http.request", "-T", "fields", "-e", "http.request.uri").split()
    assert uris == [f"/captured-{n}" for n in range(5)]
    assert re.search(rf"{len(rows)} frames", summary), summary
    assert os.stat(path).st_mode & 0o077 == 0, "payload is for its owner alone"
    from scapy.utils import PcapNgReader

    assert sum(1 for _ in PcapNgReader(path)) == len(rows)


def test_capture_to_stdout_count_and_snap(web):
    with start_ctl(web, "capture", "--filter", "tcp", "--count", "8", "--snap", "60", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False) as capture:
        end = time.monotonic() + 20
        while capture.poll() is None and time.monotonic() < end:   # it begins when it is there
            assert web.ask("/counted").status == 200
        out, summary = capture.communicate(timeout=20)
    assert capture.returncode == 0, summary
    lengths = subprocess.run(["tshark", "-n", "-r", "-", "-T", "fields", "-e", "frame.cap_len"], input=out, capture_output=True).stdout.split()
    assert len(lengths) == 8 and max(map(int, lengths)) <= 60


def test_capture_of_a_connection_and_its_pair(held, tmp_path):
    path = str(tmp_path / "one.pcapng")
    with held.connect() as wire:
        wire.send("GET /held HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        held.backends[0].find("/held")
        down = connections(held, "--state", "downstream", "--host", "shop.example")[0]
        with start_ctl(held, "capture", "--connection", down["id"], "-w", path, stderr=subprocess.PIPE) as capture:
            assert until(lambda: os.path.exists(path) and os.path.getsize(path) > 0)
            assert held.ask("/elsewhere").status == 200
            held.release.set()
            assert wire.response().body == b"late"
            capture.send_signal(signal.SIGINT)
            capture.communicate(timeout=10)
    text = tshark(path, "-T", "fields", "-e", "ip.addr", "-e", "http.request.uri")
    assert BACKENDS[0] in text and CLIENT in text and "/elsewhere" not in text


def test_capture_says_what_is_wrong(web):
    for arguments, words in ((["--filter", "tcp prot 80", "--count", "1"], "syntax error"), (["--port", "nowhere", "--count", "1"], "no port `nowhere`"),
                             (["--connection", "0.9999.1", "--count", "1"], "is not open")):
        done = web.gateway.ctl("capture", *arguments)
        assert done.returncode == 1 and words in done.stderr, done.stderr


def test_a_capture_whose_reader_dies_is_taken_off(web):
    for _ in range(6):   # more than may be under way at once
        with start_ctl(web, "capture", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False) as capture:
            assert capture.stdout.read(8)
            capture.kill()
        assert web.ask("/").status == 200
        done = until(lambda: not (r := web.gateway.ctl("capture", "--count", "1", "--duration", "1s", "--filter", "tcp")).returncode and r)
        assert done, "the taps of the dead are still on"


# --- drops ---------------------------------------------------------------------------------------


def frames(bench):
    return data(bench, "drops", "--zeros")


def test_every_frame_is_explained(web):
    """Good and bad frames mixed: each bad one under its reason, and the sums balance."""
    seed = int(os.environ.get("SLUICE_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SLUICE_SEED={seed}")
    rng = random.Random(seed)
    injector = packets.Injector(web.client, "eth0", web.gateway_host.mac("outside0"))
    syn = packets.tcp(CLIENT, ADDRESS, 40000, 80, 1, 0, SYN)
    bad_sum = bytearray(syn)
    bad_sum[36] ^= 0x55
    bad_ip = bytearray(syn)
    bad_ip[8] ^= 0x55   # TTL, and with it the header's checksum
    kinds = {
        ("ip", "source_loopback"): packets.tcp("127.0.0.1", ADDRESS, 40000, 80, 1, 0, SYN),
        ("ip", "source_ours"): packets.tcp(ADDRESS, ADDRESS, 40000, 80, 1, 0, SYN),
        ("ip", "source_other_port"): packets.tcp(BACKENDS[0], ADDRESS, 40000, 80, 1, 0, SYN),
        ("ip", "checksum"): bytes(bad_ip),
        ("ip", "not_our_address"): packets.tcp(CLIENT, "192.0.2.77", 40000, 80, 1, 0, SYN),
        ("ip", "no_protocol"): packets.ipv4(CLIENT, ADDRESS, b"x" * 30, protocol=17),
        ("tcp", "checksum"): bytes(bad_sum),
        ("tcp", "no_connection"): packets.tcp(CLIENT, ADDRESS, 40000, 8099, 1, 0, ACK),
        ("fragments", "tiny_first"): packets.fragments(syn, 8)[0],
        ("icmp", "bad_quote"): packets.icmp(CLIENT, ADDRESS, 3, 1, bytes(32)),
        ("icmp", "redirect_ignored"): packets.icmp(CLIENT, ADDRESS, 5, 1, bytes(32)),
    }
    web.ask("/")
    before = frames(web)
    sent = dict.fromkeys(kinds, 0)
    for _ in range(400):
        kind = rng.choice(list(kinds))
        injector.packet(kinds[kind])
        sent[kind] += 1
        if rng.random() < 0.05:
            assert web.ask("/between").status == 200
    assert web.ask("/").status == 200
    injector.close()
    after = frames(web)
    counts = [{(r["layer"], r["reason"]): r["count"] for r in look["reasons"]} for look in (before, after)]
    assert {kind: counts[1][kind] - counts[0][kind] for kind in kinds} == sent
    settled = until(lambda: frames(web)["frames"]["unexplained"] == 0)
    assert settled, frames(web)["frames"]
    look = frames(web)["frames"]
    assert look["received"] + look["reassembled"] == sum(look["delivered"].values()) + look["dropped"] + look["in_flight"]
    text = web.gateway.ctl("drops", check=True).stdout
    assert "source_loopback" in text and "forges addresses" in text and "unexplained 0" in text


def test_drops_that_came_in_an_interval(web):
    done = data(web, "drops", "--delta", "100ms")
    assert all(r["count"] > 0 for r in done["reasons"])


# --- runtime, top --------------------------------------------------------------------------------


def test_busy_cycles_are_accounted_for(web):
    wrk = web.start_wrk(3)
    time.sleep(0.5)
    cores = data(web, "runtime", "--interval", "1s")
    requests, failed = web.finish_wrk(wrk)
    assert requests > 0 and failed == 0
    for core in cores:
        assert core["requests_per_s"] > 0
        assert core["unaccounted"] < 0.03, core
        assert abs(sum(core["busy_by_stage"].values()) + core["unaccounted"] - 1) < 0.05, core
        assert 0 < core["measuring"] < 0.10, core


def test_top_without_a_terminal(web):
    wrk = web.start_wrk(3)
    lines = web.gateway.ctl("-o", "json", "top", "--count", "2", "--interval", "500ms", check=True).stdout.splitlines()
    web.finish_wrk(wrk)
    views = [json.loads(line) for line in lines]
    assert len(views) == 2
    assert views[1]["requests_per_s"] > 0 and views[1]["p99_ms"] >= views[1]["p50_ms"] > 0
    assert [cluster["name"] for cluster in views[1]["clusters"]] == ["web.shop"]
    assert views[1]["listeners"][0]["connections"] >= 16


def test_top_on_a_terminal(web):
    """A real pty: a full screen that q ends, and the terminal is left as it was."""
    import pty
    import termios

    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (20, 70))
    before = termios.tcgetattr(slave)
    top = start_ctl(web, "top", "--interval", "100ms", stdin=slave, stdout=slave, stderr=slave, text=False)
    screen = b""

    def read_on():
        return os.read(master, 65536) if select.select([master], [], [], 0.1)[0] else b""

    end = time.monotonic() + 20
    while screen.count(b"LISTENER") < 3 and time.monotonic() < end:
        screen += read_on()
    os.write(master, b"q")
    end = time.monotonic() + 10
    while top.poll() is None and time.monotonic() < end:
        screen += read_on()
    assert top.wait(5) == 0
    while more := read_on():
        screen += more
    assert b"\x1b[?1049h" in screen and b"\x1b[?1049l" in screen
    assert termios.tcgetattr(slave) == before
    last = screen.split(b"\x1b[H")[-2].decode()
    assert all(len(line) <= 70 for line in re.sub(r"\x1b\[[?0-9]*[A-Za-z]", "", last).replace("\r", "").split("\n"))
    os.close(master)
    os.close(slave)


# --- log tail ------------------------------------------------------------------------------------


def test_log_tail_tells_why_a_request_got_a_503(bench):
    bench.apply([mesh.gateway(), mesh.service("web", [BACKENDS[0]]), mesh.service("gone", [BACKENDS[1]], port=9081),
                 mesh.virtual_service([{"match": [{"uri": {"prefix": "/gone"}}], "route": [mesh.to("gone", port=9081)]}, {"route": [mesh.to("web")]}])])
    wrk = bench.start_wrk(2)
    with start_ctl(bench, "-o", "json", "log", "tail", "--status", "5xx", "-n", "0", stdout=subprocess.PIPE) as tail:
        time.sleep(0.3)
        assert bench.ask("/gone/7").status == 503
        record = json.loads(tail.stdout.readline())
        tail.kill()
    bench.finish_wrk(wrk)
    assert record["path"] == "/gone/7" and record["status"] == 503 and record["flags"] == "UF"
    assert record["upstream"] == f"{BACKENDS[1]}:9081"
    assert "refused" in record["reason"] and BACKENDS[1] in record["reason"]
    # Afterwards, too: failures are kept apart from the flood of what went well.
    text = bench.gateway.ctl("log", "tail", "--flags", "UF", "--path", "/gone", "--no-follow", check=True).stdout
    assert f"503 UF GET {mesh.HOST}/gone/7 -> {BACKENDS[1]}:9081" in text and "refused" in text
    assert not bench.gateway.ctl("log", "tail", "--host", "elsewhere.example", "--no-follow", check=True).stdout


def test_log_tail_without_an_access_log(bench):
    bench.write_mesh(mesh.simple(BACKENDS[0], routes=[{"match": [{"uri": {"prefix": "/ok"}}], "route": [mesh.to("web")]}]))
    bench.start(bench.config({"accessLog": {"path": ""}}))
    try:
        assert bench.ask("/nowhere").status == 404
        assert bench.ask("/ok/unseen").status == 200
        past = until(lambda: bench.gateway.ctl("log", "tail", "--no-follow").stdout)
        assert "404 NR GET" in past and "/ok/unseen" not in past, "without a log only failures are told"
        with start_ctl(bench, "log", "tail", "-n", "0", stdout=subprocess.PIPE) as tail:
            line = ""
            while "/ok/seen" not in line:   # the first ones may be before it follows
                assert bench.ask("/ok/seen").status == 200
                if select.select([tail.stdout], [], [], 0.2)[0]:
                    line = tail.stdout.readline()
            tail.kill()
        assert bench.gateway.ctl("log", "reopen").returncode == 1
    finally:
        bench.stop()


def test_a_reader_that_stops_reading_loses_lines_and_nobody_else(web):
    with start_ctl(web, "-o", "json", "log", "tail", stdout=subprocess.PIPE) as tail:
        assert web.ask("/begin").status == 200
        assert tail.stdout.readline(), "it follows"
        tail.send_signal(signal.SIGSTOP)
        # One after another: more than a follower may have waiting, never more than the telemetry thread keeps up with.
        requests = 6000
        with web.connect(timeout_s=60) as wire:
            for _ in range(requests):
                wire.send("GET /many HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                assert wire.response().status == 200
        tail.send_signal(signal.SIGCONT)
        lost = seen = 0
        while lost == 0 and seen < requests:
            record = json.loads(tail.stdout.readline())
            lost += record.get("lost", 0)
            seen += "path" in record
        tail.kill()
    assert lost > 0 or seen >= requests
    assert web.metric("sluice_access_log_dropped_total") == 0


def test_nobody_there_is_told_in_words(bench):
    bench.apply(mesh.simple(NOBODY_THERE))
    assert bench.ask("/void", timeout_s=20).status == 503
    line = until(lambda: bench.gateway.ctl("log", "tail", "--path", "/void", "--no-follow").stdout)
    assert "503 UF" in line and NOBODY_THERE in line
