"""The machines of perf/compare: client and backend on CPU 0, one proxy at a time on CPU 1, veth between.

In: a folder (tmpfs), the driver of Sluice and of the floor. Out: Contender objects, ready to be measured.
The kernel's proxies share one pair of wires; Sluice and the bare forwarder each have a pair of their own,
of the same kind. Poll-mode programs are stopped (SIGSTOP) while it is another's turn.
"""

import glob
import os
import shutil
import signal
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))

from gateway import Gateway, GatewayError, program  # noqa: E402
from netlab import Lab, receive_in_thread  # noqa: E402

PREFIX = "slup-"
SHARED_CPU, PROXY_CPU = 0, 1
SIZES = {"0": 0, "1k": 1024, "64k": 65536, "1m": 1 << 20}


class Contender:
    def __init__(self, name, url, process=None, polls=False):
        self.name, self.url, self.process, self.polls = name, url, process, polls

    def wake(self):
        if self.polls:
            self.process.send_signal(signal.SIGCONT)
            time.sleep(0.05)

    def rest(self):
        if self.polls and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)


class CompareLab:
    def __init__(self, work, driver="af_xdp", receive_on_proxy_core=True):
        self.work, self.driver, self.receive_on_proxy_core = work, driver, receive_on_proxy_core
        self.lab = Lab(PREFIX)
        self.client, self.proxy, self.backend = (self.lab.host(name) for name in ("client", "proxy", "backend"))
        for number in range(3):
            self.lab.wire(self.client, f"eth{number}", self.proxy, f"outside{number}")
            self.lab.wire(self.backend, f"eth{number}", self.proxy, f"inside{number}")
        for host in (self.client, self.proxy, self.backend):
            host.sysctl("net.ipv4.tcp_no_metrics_save", 1)   # what one turn's losses taught must not slow the next one
        self._addresses()
        self._backend()

    def _addresses(self):
        for number, (outside, inside) in enumerate((("192.0.2", "10.0.0"), ("198.51.100", "10.1.0"), ("203.0.113", "10.2.0"))):
            self.client.serve(f"eth{number}", f"{outside}.2/24", steer_cpus=[SHARED_CPU])
            self.backend.serve(f"eth{number}", f"{inside}.21/16", steer_cpus=[SHARED_CPU])
            if number == 0:
                self.proxy.serve("outside0", f"{outside}.10/24", steer_cpus=[PROXY_CPU])
                self.proxy.serve("inside0", f"{inside}.10/16", steer_cpus=[PROXY_CPU])
                continue
            for dev in (f"outside{number}", f"inside{number}"):
                self.proxy.leave_bare(dev)
                self.proxy.steer(dev, [PROXY_CPU])
        # The floor is one wire from end to end: both ends know each other's address without ARP.
        self.client.run("ip", "route", "add", "10.2.0.21", "dev", "eth2")
        self.client.run("ip", "neigh", "replace", "10.2.0.21", "lladdr", self.backend.mac("eth2"), "dev", "eth2", "nud", "permanent")
        self.backend.run("ip", "route", "add", "203.0.113.2", "dev", "eth2")
        self.backend.run("ip", "neigh", "replace", "203.0.113.2", "lladdr", self.client.mac("eth2"), "dev", "eth2", "nud", "permanent")

    def receive_here(self, *devices):
        """Receive work of these ends belongs to the proxy core: RPS does it for sockets of the kernel and
        AF_PACKET, a NAPI thread for XDP. Without this it would run on the sender's core, unseen."""
        if not self.receive_on_proxy_core or self.driver != "af_xdp":
            return
        for dev in devices:
            receive_in_thread(self.proxy, dev, PROXY_CPU)

    def _fill(self, name, **words):
        """A committed config with its upper-case words filled in."""
        with open(os.path.join(ROOT, "perf", "peers", name)) as file:
            text = file.read()
        for word, value in {"FOLDER": self.work, **words}.items():
            text = text.replace(word, value)
        path = os.path.join(self.work, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def _start(self, host, cpu, name, *command):
        return host.start("taskset", "-c", str(cpu), *command, log=os.path.join(self.work, f"{name}.log"))

    def _backend(self):
        os.makedirs(os.path.join(self.work, "files"), exist_ok=True)
        for name, size in SIZES.items():
            with open(os.path.join(self.work, "files", name), "wb") as file:
                file.write(b"x" * size)
        self._start(self.backend, SHARED_CPU, "backend", "nginx", "-e", f"{self.work}/backend.error.log", "-c", self._fill("backend.conf"))

    # --- The contenders --------------------------------------------------------------------------

    def nginx(self):
        path = self._fill("nginx.conf", LISTEN="192.0.2.10", BACKEND="10.0.0.21")
        process = self._start(self.proxy, PROXY_CPU, "nginx-proxy", "nginx", "-e", f"{self.work}/np.error.log", "-c", path)
        return Contender("nginx", "http://192.0.2.10:8001", process)

    def haproxy(self):
        path = self._fill("haproxy.cfg", LISTEN="192.0.2.10", BACKEND="10.0.0.21")
        return Contender("haproxy", "http://192.0.2.10:8002", self._start(self.proxy, PROXY_CPU, "haproxy", "haproxy", "-db", "-f", path))

    def envoy(self):
        found = glob.glob(os.path.join(ROOT, ".cache", "venv", "lib", "python3*", "site-packages", "envoy", "_bin", "envoy"))
        if not found:
            raise GatewayError("no Envoy in .cache/venv: run scripts/setup --perf")
        path = self._fill("envoy.yaml", LISTEN="192.0.2.10", BACKEND="10.0.0.21")
        process = self._start(self.proxy, PROXY_CPU, "envoy", found[0], "-c", path, "--concurrency", "1", "-l", "warning",
                              "--disable-hot-restart")
        return Contender("envoy", "http://192.0.2.10:8003", process)

    def sluice(self):
        os.makedirs(os.path.join(self.work, "mesh"), exist_ok=True)
        self._mesh()
        gateway = Gateway(self.proxy, self._fill("sluice.yaml", DRIVER=self.driver), os.path.join(self.work, "admin.sock"),
                          os.path.join(self.work, "sluiced.log"))
        # All of its threads on the proxy core: what the control and log threads burn counts as well.
        gateway.process = self._start(self.proxy, PROXY_CPU, "sluiced", program("sluiced"), "--config", gateway.config)
        gateway.wait_ready()
        self.receive_here("outside1", "inside1")
        return Contender("sluice", "http://198.51.100.10", gateway.process, polls=True)

    def _mesh(self):
        shutil.copy(os.path.join(ROOT, "perf", "peers", "mesh.yaml"), os.path.join(self.work, "mesh"))

    def floor(self):
        process = self._start(self.proxy, PROXY_CPU, "forwarder", program("forwarder"), f"{self.driver}:outside2", f"{self.driver}:inside2",
                              "--core", str(PROXY_CPU))
        log = os.path.join(self.work, "forwarder.log")
        deadline = time.monotonic() + 10
        while "ready" not in open(log).read():
            if process.poll() is not None or time.monotonic() > deadline:
                raise GatewayError(f"the forwarder does not start: {open(log).read()}")
            time.sleep(0.02)
        self.receive_here("outside2", "inside2")
        return Contender("floor", "http://10.2.0.21:9080", process, polls=True)

    def start(self, name):
        """A contender that answers correctly for every size, resting."""
        contender = getattr(self, name)()
        deadline = time.monotonic() + 15
        while True:
            done = self.client.run("curl", "-sS", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", f"{contender.url}/0", check=False)
            if done.stdout == "200":
                break
            if time.monotonic() > deadline:
                raise GatewayError(f"{name} does not answer: {done.stderr.strip()} (status {done.stdout}); see {self.work}/{name}*.log")
            time.sleep(0.1)
        for path, size in SIZES.items():
            done = self.client.run("curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", f"{contender.url}/{path}",
                                   check=False)
            if done.stdout != f"200 {size}":
                raise GatewayError(f"{name} answers /{path} with {done.stdout!r}: {done.stderr.strip()}")
        contender.rest()
        return contender

    def wrk(self, contender):
        """The client's program."""
        return ["wrk"]

    def destroy(self):
        for process in self.lab.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
        return self.lab.destroy()
