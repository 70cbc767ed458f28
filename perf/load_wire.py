"""The two wires of perf/load: generator and backend == gateway, and generator == backend. No kernel between them.

In: a folder, CPUs, offloads on or off. Out: Wire objects that run one plan at a time. A wire whose turn it is not is stopped
(SIGSTOP): all ends poll. Hugepages are reserved for the time of the test and given back; without them pages are small.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))

from gateway import Gateway, GatewayError, program  # noqa: E402
from tls_world import BACKEND_NAME, EDGE_NAME, make_certificates, secret_words  # noqa: E402

NR_HUGEPAGES = "/proc/sys/vm/nr_hugepages"
HUGEPAGES = 512           # of 2 MiB: two generators, a backend, the gateway
GENERATOR_MBUFS = 32768
GATEWAY_IP, CLIENT_IP, BACKEND_IP = "10.99.0.1", "10.99.0.2", "10.99.0.3"
BACKEND_PORT = 9080
GATEWAY_PORTS = {None: 80, "https": 443, "mtls": 8443}


class LocalHost:
    """Where processes start: this machine itself, as tests' hosts do it."""

    def __init__(self):
        self.processes = []

    def start(self, *command, log=None, **options):
        if log:
            options.update(stdout=open(log, "ab"), stderr=subprocess.STDOUT)
        process = subprocess.Popen(command, start_new_session=True, **options)
        self.processes.append(process)
        return process

    def destroy(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Hugepages:
    """Reserves what is missing of HUGEPAGES, and gives back as many."""

    def __init__(self, say):
        self.added = 0
        try:
            before = self._read()
            free = self._meminfo("HugePages_Free")
            self._write(before + max(0, HUGEPAGES - free))
            self.added = self._read() - before
            if self._meminfo("HugePages_Free") < HUGEPAGES:
                say(f"only {self._meminfo('HugePages_Free')} of {HUGEPAGES} hugepages are to be had: some memory has small pages, which costs cycles")
        except OSError as error:
            say(f"no hugepages ({error}): memory has small pages, which costs cycles")

    @staticmethod
    def _read():
        with open(NR_HUGEPAGES) as file:
            return int(file.read())

    @staticmethod
    def _write(number):
        with open(NR_HUGEPAGES, "w") as file:
            file.write(str(number))

    @staticmethod
    def _meminfo(key):
        with open("/proc/meminfo") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))

    def release(self):
        if self.added > 0:
            self._write(max(0, self._read() - self.added))
            self.added = 0


class Generator:
    """One load_generator process."""

    def __init__(self, host, work, name, device, addresses, cpu, *, echo_bytes=None, router=None, offloads=True, connections=4096,
                 tls=None, tls_name=EDGE_NAME, echo_tls=None):
        command = [program("load_generator"), "--device", device, "--core", str(cpu), "--connections", str(connections),
                   "--mbufs", str(GENERATOR_MBUFS), "--log", os.path.join(work, f"{name}.dpdk.log")]
        for address in addresses:
            command += ["--address", address]
        if echo_bytes is not None:
            command += ["--echo-port", str(BACKEND_PORT), "--echo-bytes", str(echo_bytes)]
        if router:
            command += ["--router", router]
        if not offloads:
            command.append("--no-offloads")
        if tls:
            command += ["--tls", tls, "--tls-name", tls_name]
        if echo_tls:
            command += ["--echo-tls", echo_tls]
        self.errors = os.path.join(work, f"{name}.log")
        self.process = host.start(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(self.errors, "wb"), text=True, bufsize=1)
        line = self.process.stdout.readline()
        while line and not line.startswith("ready "):   # drivers may speak first
            line = self.process.stdout.readline()
        if not line:
            raise GatewayError(f"the load generator does not start: {open(self.errors, errors='replace').read().strip()}")
        self.about = json.loads(line.split(" ", 1)[1])

    def _event(self):
        line = self.process.stdout.readline()
        if not line:
            raise GatewayError(f"the load generator ended: {open(self.errors, errors='replace').read().strip()[-400:]}")
        return json.loads(line)

    def run(self, at_begin=lambda: None, at_end=lambda: None, **words):
        """One run; `at_begin` and `at_end` are called around its measured window."""
        self.process.stdin.write("run " + " ".join(f"{name}={value}" for name, value in words.items()) + "\n")
        while True:
            event = self._event()
            if event["event"] == "error":
                raise GatewayError(f"the load generator refuses: {event['error']}")
            if event["event"] == "measuring":
                at_begin()
            elif event["event"] == "measured":
                at_end()
            else:
                return event


class Wire:
    """Two ends and who they are; `far` is what is loaded."""

    def __init__(self, generator, target, far=None, gateway=None):
        self.generator, self.target, self.far, self.gateway = generator, target, far, gateway
        self.processes = [p for p in (generator.process, far.process if far else None, gateway.process if gateway else None) if p]

    def wake(self):
        for process in self.processes:
            process.send_signal(signal.SIGCONT)

    def rest(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGSTOP)

    def run(self, **words):
        """(what the generator measured, the gateway's core before and after)"""
        looks = []
        look = (lambda: looks.append(self.core())) if self.gateway else (lambda: None)
        self.wake()
        try:
            return self.generator.run(look, look, target=self.target, **words), looks
        finally:
            self.rest()

    def core(self):
        """The gateway's one worker, from its own account."""
        status, body = self.gateway.admin("/v1/runtime")
        if status != 200:
            raise GatewayError(f"the gateway's runtime: status {status}")
        sample = json.loads(body)
        return dict(sample["workers"][0], unix_us=sample["unix_us"])


def fill(work, name, **words):
    """A committed config with its upper-case words filled in."""
    with open(os.path.join(ROOT, "perf", "peers", name)) as file:
        text = file.read()
    for word, value in words.items():
        text = text.replace(word, str(value))
    path = os.path.join(work, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def certificates(work, options):
    """(the generator's folder, the backend's), made once; None: plain."""
    if not options.tls:
        return None, None
    folder = os.path.join(work, "tls")
    if not os.path.exists(folder):
        make_certificates(folder)
    return folder, folder if options.tls == "mtls" else None


def reference_wire(host, work, options):
    """The generator straight to the backend, which sits where the gateway would."""
    socket = os.path.join(work, "reference.sock")
    _, tls = certificates(work, options)
    device = f"devargs:net_vhost0,iface={socket}" + (",tso=1" if options.offloads else "")
    generator = Generator(host, work, "reference-generator", device, [f"{CLIENT_IP}/24"], options.near_cpu, offloads=options.offloads, tls=tls,
                          tls_name=BACKEND_NAME)
    far = Generator(host, work, "reference-backend", f"devargs:net_virtio_user0,path={socket}", [f"{BACKEND_IP}/24"], options.far_cpu,
                    echo_bytes=options.size, offloads=options.offloads, echo_tls=tls)
    wire = Wire(generator, f"{BACKEND_IP}:{BACKEND_PORT}", far)
    wire.rest()
    return wire


def gateway_wire(host, work, options):
    """Generator and backend at one end, sluiced at the other."""
    socket = os.path.join(work, "gateway.sock")
    tls, echo_tls = certificates(work, options)
    device = f"devargs:net_vhost0,iface={socket}" + (",tso=1" if options.offloads else "")
    generator = Generator(host, work, "generator", device, [f"{CLIENT_IP}/24", f"{BACKEND_IP}/24"], options.near_cpu, echo_bytes=options.size,
                          offloads=options.offloads, tls=tls, echo_tls=echo_tls)
    mesh = os.path.join(work, "mesh")
    os.makedirs(mesh)
    words = dict(secret_words(tls), PLAIN_PORT=BACKEND_PORT, TLS_PORT=BACKEND_PORT) if tls else {}
    shutil.move(fill(work, "tls_mesh.yaml" if tls else "load_mesh.yaml", BACKEND=BACKEND_IP, **words), mesh)
    config = fill(work, "load_sluice.yaml", SOCKET=socket, FOLDER=work, CORE=options.far_cpu, OFFLOADS=str(options.offloads).lower(),
                  ACCESS_LOG=os.path.join(work, "access.log") if options.access_log else '""')
    gateway = Gateway(host, config, os.path.join(work, "admin.sock"), os.path.join(work, "sluiced.log"))
    gateway.start().wait_ready()
    wire = Wire(generator, f"{GATEWAY_IP}:{GATEWAY_PORTS[options.tls]}", gateway=gateway)
    deadline = time.monotonic() + 10
    while wire.generator.run(target=wire.target, seconds=0.01, warmup=0)["completed"] == 0:   # its routes are in force
        if time.monotonic() > deadline:
            raise GatewayError(f"the gateway does not answer\n{gateway.log_tail()}")
    wire.rest()
    return wire
