"""Two workers on two cores, no hardware that steers: packets reach any queue, and each connection has one owner.

In: a client, a gateway and an nginx, wires with two queues; AF_XDP (one device for each queue) and AF_PACKET. Out: both cores
serve, strays are handed over, nobody is reset; a core that stands still is noticed. Namespaces are named sluw-*.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

import certs
import pytest
import yaml
from harness import mesh, nginx
from harness.bench import Bench, USER
from gateway import Gateway
from netlab import Lab

ADDRESS, CLIENT, BACKEND = "192.0.2.10", "192.0.2.2", "10.0.0.21"
CORES = [0, 1]

pytestmark = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers want two CPUs")


class Pair:
    def __init__(self):
        self.work = tempfile.mkdtemp(prefix="sluice-workers-")
        shutil.chown(self.work, USER)
        self.lab = Lab("sluw-")
        self.client, self.host, self.backends = (self.lab.host(n) for n in ("client", "gateway", "backends"))
        for far, near in ((self.client, "outside0"), (self.backends, "inside0")):
            self.lab.wire(far, "eth0", self.host, near, queues=len(CORES))
            self.host.leave_bare(near)
        self.client.serve("eth0", f"{CLIENT}/24")
        self.backends.serve("eth0", f"{BACKEND}/16")
        self.client.hosts_file({mesh.HOST: ADDRESS})
        self.server = nginx.start(self.backends, self.work, BACKEND)
        os.makedirs(os.path.join(self.work, "mesh"))
        with open(os.path.join(self.work, "mesh", "mesh.yaml"), "w") as file:
            file.write(mesh.render(mesh.simple(BACKEND)))
        self.gateway = None

    def start(self, driver, env=None):
        self.stop()
        settings = {
            "apiVersion": "sluice/v1", "kind": "GatewayHost",
            "node": {"id": "two", "namespace": "istio-system", "labels": {"istio": "ingressgateway"}},
            "workers": {"cores": CORES, "poll": "adaptive"},
            "ports": [{"name": "outside", "device": f"{driver}:outside0", "addresses": [f"{ADDRESS}/24"], "listen": True},
                      {"name": "inside", "device": f"{driver}:inside0", "addresses": ["10.0.0.10/16"]}],
            "memory": {"limit": "512Mi", "hugepages": "never"},
            "limits": {"connections": 10000},
            "mesh": {"directory": os.path.join(self.work, "mesh")},
            "state": {"directory": ""},
            "admin": {"socket": os.path.join(self.work, "admin.sock")},
            "accessLog": {"path": ""},
            "drain": {"deadline": "1s"},
            "process": {"user": USER},
        }
        path = os.path.join(self.work, "sluice.yaml")
        with open(path, "w") as file:
            yaml.safe_dump(settings, file, sort_keys=False)
        self.gateway = Gateway(self.host, path, settings["admin"]["socket"], os.path.join(self.work, f"sluiced-{driver}.log"))
        self.gateway.start(env).wait_ready()

    def stop(self):
        if self.gateway and self.gateway.running():
            self.gateway.stop()
        self.gateway = None

    def by_core(self, name):
        text = self.gateway.admin("/stats/prometheus")[1]
        return {int(core): float(value) for core, value in re.findall(rf'^{name}\{{core="(\d+)"\}} (\S+)$', text, re.M)}

    def metric(self, name):
        values = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", self.gateway.admin("/stats/prometheus")[1], re.M)
        assert values, f"no metric {name}"
        return sum(float(v) for v in values)

    def cut(self):
        """Established connections that a RST has ended, at the client's end and at the backends'."""
        return [int(host.run("nstat", "-asz", "TcpEstabResets").stdout.split()[-2]) for host in (self.client, self.backends)]

    def destroy(self):
        self.stop()
        self.server.terminate()
        self.server.wait()
        _, left = self.lab.destroy()
        shutil.rmtree(self.work, ignore_errors=True)
        assert left == 0, f"{left} processes left"


@pytest.fixture(scope="module")
def pair():
    made = Pair()
    yield made
    made.destroy()


@pytest.mark.parametrize("driver", ["af_xdp", "af_packet"])
def test_two_workers_share_the_load(pair, driver):
    pair.start(driver)
    cut = pair.cut()
    wrk = subprocess.Popen(pair.client.command("wrk", "-t1", "-c200", "-d4s", f"http://{mesh.HOST}/1k"), stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    while sum(pair.by_core("sluice_worker_requests_total").values()) < 5000 and wrk.poll() is None:
        time.sleep(0.05)
    # Not by RSTs sent: the repeated FINs of the gateway before this one are answered so.
    now_cut, resets_in = pair.cut(), pair.metric("sluice_tcp_resets_in_total")
    requests, failed = Bench.finish_wrk(wrk)
    assert failed == 0 and requests > 5000, f"{failed} failed of {requests}"
    assert now_cut == cut and resets_in == 0, "connections were reset under load"
    served = pair.by_core("sluice_worker_requests_total")
    assert set(served) == set(CORES)
    assert all(n >= 0.3 * sum(served.values()) for n in served.values()), served
    taken = pair.by_core("sluice_worker_taken_over_total")   # first: the clients' FINs are still under way
    handed = pair.by_core("sluice_worker_handed_over_total")
    assert sum(handed.values()) > 0 and sum(handed.values()) >= sum(taken.values()) > 0, (handed, taken)
    assert pair.metric("sluice_worker_handover_dropped_total") == 0
    assert pair.metric("sluice_tcp_bad_checksum_total") == 0 and pair.metric("sluice_tcp_no_memory_total") == 0
    assert pair.gateway.running(), pair.gateway.log_tail(60)
    print(f"{driver}: {requests} requests, by core {served}, handed over {handed}")


def test_tls_on_both_cores(pair, tmp_path):
    """Handshakes of both cores on one thread, a ticket of one core opened by the other, records on each."""
    ca = certs.Authority(str(tmp_path / "ca"), "Pair CA", owner=USER)
    shop = ca.issue("shop", dns=[mesh.HOST], usage=[certs.SERVER])
    https = mesh.gateway([mesh.HOST], name="edge")
    https["spec"]["servers"].append({"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": [mesh.HOST],
                                     "tls": {"mode": "SIMPLE", "credentialName": "shop"}})
    path = os.path.join(pair.work, "mesh", "mesh.yaml")
    with open(path) as file:
        before = file.read()
    with open(path, "w") as file:
        file.write(mesh.render([https, *mesh.simple(BACKEND)[1:], certs.tls_secret("shop", shop)]))
    try:
        pair.start("af_packet")
        using = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        using.load_verify_locations(ca.root_file())
        session, resumed = None, 0
        for _ in range(60):
            sock = pair.client.socket()
            sock.settimeout(10)
            sock.connect((ADDRESS, 443))
            with using.wrap_socket(sock, server_hostname=mesh.HOST, session=session) as wrapped:
                wrapped.sendall(f"GET /1k HTTP/1.1\r\nHost: {mesh.HOST}\r\nConnection: close\r\n\r\n".encode())
                text = b""
                while data := wrapped.recv(65536):
                    text += data
                assert text.startswith(b"HTTP/1.1 200") and len(text) > 1024, text[:200]
                session, resumed = wrapped.session, resumed + wrapped.session_reused
        assert resumed == 59, "both cores open what either sealed"
        served = pair.by_core("sluice_worker_requests_total")
        assert set(served) == set(CORES) and min(served.values()) >= 5, served
        wrk = subprocess.Popen(pair.client.command("wrk", "-t1", "-c100", "-d3s", f"https://{mesh.HOST}/1k"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
        requests, failed = Bench.finish_wrk(wrk)
        assert failed == 0 and requests > 200, f"{failed} failed of {requests}"
        assert pair.metric("sluice_tls_openssl_objects") == 0
    finally:
        with open(path, "w") as file:
            file.write(before)


@contextlib.contextmanager
def stopped_thread(process, name):
    """Stops one thread of a process, as a fault of ours or of the machine would."""
    PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000
    for tid in map(int, os.listdir(f"/proc/{process.pid}/task")):
        with open(f"/proc/{process.pid}/task/{tid}/comm") as file:
            if file.read().strip() == name:
                break
    else:
        raise AssertionError(f"no thread {name}")
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.ptrace(PTRACE_ATTACH, tid, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(tid, WALL)
    try:
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, tid, None, None)


def test_a_stuck_core_is_named_and_the_service_manager_hears_no_more(pair):
    path = os.path.join(pair.work, "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        os.chmod(path, 0o777)   # as the service manager's own is: the gateway is not root
        manager.settimeout(0.2)

        def heard(until, timeout_s=15):
            """What the service manager is told until that is true."""
            told, deadline = [], time.monotonic() + timeout_s
            while not until(told) and time.monotonic() < deadline:
                with contextlib.suppress(socket.timeout):
                    told.append(manager.recv(4096).decode())
            assert until(told), f"{told}\n{pair.gateway.log_tail()}"
            return told

        pair.start("af_xdp", {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
        heard(lambda told: told.count("WATCHDOG=1") >= 3)
        with stopped_thread(pair.gateway.process, "sluice-w1"):
            heard(lambda _: re.search(r"error worker 1 on CPU \d+ has not turned for", pair.gateway.log_tail()))
            manager.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while manager.recv(4096):   # what was sent before it was noticed
                    pass
            manager.settimeout(0.2)
            late = []
            for _ in range(5):
                with contextlib.suppress(socket.timeout):
                    late.append(manager.recv(4096).decode())
            assert "WATCHDOG=1" not in late
        heard(lambda told: "WATCHDOG=1" in told)
        assert re.search(r"info worker 1 on CPU \d+ turns again after", pair.gateway.log_tail())
        pair.gateway.process.send_signal(signal.SIGTERM)
        heard(lambda told: any("STOPPING=1" in line for line in told))
        assert pair.gateway.process.wait(15) == 0
