"""What operators see and do: sluicectl, the admin endpoint, access logs, forwarded headers, stopping.

In: a running gateway. Out: exit codes, texts, metrics, log lines and signals as docs/operating.md says.
THREATS 30, 37, 38.
"""

import json
import os
import re
import signal
import socket
import time
import uuid

import pytest
from harness import mesh
from harness.backend import answer
from harness.bench import BACKENDS, CLIENT


@pytest.fixture
def web(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    return bench


def test_status(web):
    done = web.gateway.ctl("status")
    assert done.returncode == 0
    for word in ("test-1", "serving", "revision", "outside", "backend"):
        assert word in done.stdout, done.stdout


@pytest.mark.parametrize("arguments,words", [
    (["config", "show"], ["revision", "live on all cores"]),
    (["pc", "listeners"], ["80"]),
    (["pc", "routes"], ["prefix /", "web", "mesh.yaml:", "404 NR"]),
    (["pc", "routes", "--host", "shop.example"], ["web"]),
    (["pc", "clusters"], ["web.shop.svc.cluster.local", "9080", "LEAST_REQUEST"]),
    (["pc", "endpoints"], [BACKENDS[0], "9080"]),
    (["runtime"], ["CORE", "BUSY", "CYCLES/REQ"]),
    (["stats"], ["envoy_http_downstream"]),
])
def test_sluicectl(web, arguments, words):
    for _ in range(3):
        web.ask("/")
    done = web.gateway.ctl(*arguments)
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout, f"{word!r} not in:\n{done.stdout}"


@pytest.mark.parametrize("arguments", [["status"], ["pc", "clusters"], ["pc", "routes"], ["runtime"]])
def test_sluicectl_in_json(web, arguments):
    json.loads(web.gateway.ctl("-o", "json", *arguments, check=True).stdout)


def test_sluicectl_exit_codes(web):
    assert web.gateway.ctl("--help").returncode == 0
    assert web.gateway.ctl("no-such-command").returncode == 2
    assert web.gateway.ctl("wait", "ready", "--timeout", "2s").returncode == 0
    down = os.path.join(web.work, "nobody.sock")
    import subprocess

    from gateway import program

    assert subprocess.run([program("sluicectl"), "--target", down, "status"], capture_output=True).returncode == 2


def test_admin_pages(web):
    web.ask("/")
    assert web.gateway.admin("/ready")[0] == 200
    status, text = web.gateway.admin("/clusters")
    assert status == 200 and "web.shop.svc.cluster.local" in text and BACKENDS[0] in text
    status, text = web.gateway.admin("/config_dump")
    assert status == 200 and "outbound|9080||web.shop.svc.cluster.local" in json.dumps(json.loads(text))
    status, text = web.gateway.admin("/stats/prometheus")
    assert status == 200
    for line in text.splitlines():
        assert line.startswith("#") or re.match(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? [-+0-9.eInfNa]+$', line), line
    assert web.gateway.admin("/no-such-page")[0] == 404


def test_prometheus_counts_requests(web):
    before = web.metric("envoy_http_downstream_rq_total")
    for _ in range(25):
        web.ask("/count")
    deadline = time.monotonic() + 3
    while web.metric("envoy_http_downstream_rq_total") - before < 25 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert web.metric("envoy_http_downstream_rq_total") - before == 25


def test_loopback_http_reads_only(web):
    host = web.gateway_host
    done = host.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:15000/ready", check=False)
    assert done.stdout == "200", done.stderr
    for method in ("POST", "PUT", "DELETE"):
        done = host.run("curl", "-sS", "-X", method, "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:15000/ready", check=False)
        assert done.stdout in ("403", "404", "405"), f"{method}: {done.stdout}"


def test_admin_is_not_reachable_from_the_wire(web):
    with pytest.raises(OSError):
        web.connect(port=15000, timeout_s=2)


def test_admin_socket_is_for_its_owner(web):
    assert os.stat(web.admin_socket).st_mode & 0o007 == 0, "everybody may write to the admin socket"


# --- Access log ----------------------------------------------------------------------------------


def test_access_log_is_envoys_default_format(web):
    web.ask("/log?x=1", headers=["User-Agent: tester/1", "X-Forwarded-For: 9.9.9.9"])
    line = web.access_lines("/log?x=1")[-1]
    pattern = (r'\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "GET /log\?x=1 HTTP/1\.1" 200 - 0 2 \d+ (\d+|-) "[^"]*" "tester/1" '
               r'"[0-9a-f-]{36}" "shop\.example" "10\.0\.0\.21:9080"')
    assert re.match(pattern, line), line


def test_access_log_in_json(bench):
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    bench.start(bench.config({"accessLog": {"format": "json"}}))
    bench.ask("/json?x=1", headers=['User-Agent: a"b\\'])
    entry = json.loads(bench.access_lines("/json?x=1")[-1])
    assert entry["response_code"] == 200 and entry["method"] == "GET" and entry["path"] == "/json?x=1"
    assert entry["user_agent"] == 'a"b\\' and entry["authority"] == "shop.example"
    assert entry["upstream_host"] == "10.0.0.21:9080"


def test_one_line_a_request(web):
    with web.connect() as wire:
        for i in range(100):
            wire.send(f"GET /line/{i}. HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            wire.response()
    lines = web.access_lines("/line/", count=100)
    assert [re.search(r"/line/(\d+)\.", line).group(1) for line in lines] == [str(i) for i in range(100)]


# --- Forwarded headers ---------------------------------------------------------------------------


def test_forwarded_for_of_an_untrusted_client_is_replaced(web):
    """No hop is trusted by default: what a client claims about itself does not pass as truth (THREATS 30)."""
    web.ask("/xff", headers=["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Envoy-External-Address: 6.6.6.6",
                             "X-Envoy-Upstream-Rq-Timeout-Ms: 1"])
    request = web.backends[0].find("/xff")
    assert request.all("x-forwarded-for")[-1].split(",")[-1].strip() == CLIENT
    assert request.get("x-forwarded-proto") == "http"
    assert request.get("x-envoy-external-address") != "6.6.6.6"
    assert request.get("x-envoy-upstream-rq-timeout-ms") is None


def test_request_id_is_made_and_kept(web):
    web.ask("/id")
    made = web.backends[0].find("/id").get("x-request-id")
    assert uuid.UUID(made).version == 4
    assert made in web.access_lines("/id")[-1]
    web.ask("/id")
    assert web.backends[0].find("/id").get("x-request-id") != made


# --- Starting and stopping -----------------------------------------------------------------------


def test_sigterm_drains(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    bench.backends[0].on("/long", lambda wire, request: time.sleep(1) or wire.send(answer(200, "finished")))
    bench.may_end = True
    gateway = bench.gateway
    with bench.connect() as busy, bench.connect() as idle:
        idle.send("GET /x HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        idle.response()
        busy.send("GET /long HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        bench.backends[0].find("/long")
        gateway.process.send_signal(signal.SIGTERM)
        assert idle.is_closed(4), "idle connections are closed while draining"
        response = busy.response()
        assert response.body == b"finished", "a request under way is finished"
        assert response.get("connection", "").lower() == "close"
    assert gateway.process.wait(10) == 0
    assert not os.path.exists(bench.admin_socket), "its socket is left behind"


def test_drain_has_a_deadline_and_a_second_signal_ends_at_once(bench):
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    bench.may_end = True
    for signals, bound_s in ((1, 5.0), (2, 3.0)):
        deadline = "1s" if signals == 1 else "60s"
        gateway = bench.start(bench.config({"drain": {"deadline": deadline}}))
        bench.backends[0].on("/never", lambda wire, request: time.sleep(30))
        with bench.connect() as wire:
            wire.send("GET /never HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            bench.backends[0].find("/never")
            started = time.monotonic()
            for _ in range(signals):
                gateway.process.send_signal(signal.SIGTERM)
                time.sleep(0.3)
            gateway.process.wait(30)
            assert time.monotonic() - started < bound_s + 5, "the drain did not end"
        bench.backends[0].reset()


def test_systemd_is_told(bench):
    """READY=1 once it serves, STOPPING=1 when it drains (sd_notify(3))."""
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    path = os.path.join(bench.work, "notify.sock")
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    os.chmod(path, 0o777)   # as the service manager's own is: the gateway is not root
    listener.settimeout(10)
    bench.may_end = True
    try:
        gateway = bench.start(env={"NOTIFY_SOCKET": path})
        told = listener.recv(4096)
        while b"READY=1" not in told:
            told = listener.recv(4096)
        gateway.process.send_signal(signal.SIGTERM)
        told = listener.recv(4096)
        while b"STOPPING=1" not in told:
            told = listener.recv(4096)
        assert gateway.process.wait(15) == 0
    finally:
        listener.close()
        os.unlink(path)


def test_a_start_with_a_broken_mesh_says_so(bench):
    """Nothing to fall back to: not ready, and the log names file and line."""
    bench.stop()
    bench.write_mesh("kind: Nonsense\n")
    bench.may_end = True
    gateway = bench.start(ready=False)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and "mesh.yaml:" not in gateway.log_tail():
        time.sleep(0.05)
    assert "mesh.yaml:" in gateway.log_tail()
    if gateway.running():
        assert gateway.admin("/ready")[0] == 503
    bench.stop()
    bench.write_mesh(mesh.simple(BACKENDS[0]))


def test_a_second_gateway_on_the_same_port_is_refused_in_words(web):
    from gateway import Gateway

    second = Gateway(web.gateway_host, web.config_path, web.admin_socket, os.path.join(web.work, "second.log")).start()
    assert second.process.wait(20) != 0
    assert web.ask("/still").status == 200
