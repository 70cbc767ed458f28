"""The stack alone on a real wire, against Linux: echo_gateway in one namespace, ping, curl and TCP transfers in another.

In: build/tests/worker/echo_gateway, build/tests/support/impair. Out: every byte checked, both families, both drivers, one
core and two, a clean wire and a seeded lossy one. Namespaces are named slu-wire-* and removed at the end.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
GATEWAY = os.path.join(BUILD, "tests", "worker", "echo_gateway")
IMPAIR = os.path.join(BUILD, "tests", "support", "impair")
TRANSFER = os.path.join(ROOT, "tests", "worker", "transfer.py")
ADDRESSES = ["10.99.0.1", "fd99::1"]
MB = 1_000_000


def sh(command, check=True):
    return subprocess.run(command.split(), check=check, capture_output=True, text=True)


def inside(host, *command, timeout=120):
    return subprocess.run(["ip", "netns", "exec", f"slu-wire-{host}", *command], capture_output=True, text=True, timeout=timeout)


def spawn(host, *command):
    """A process in a namespace whose first line says ready."""
    process = subprocess.Popen(["ip", "netns", "exec", f"slu-wire-{host}", *command], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line.startswith("ready"):
        process.kill()
        pytest.fail(f"{command[0]} did not start: {line}{process.stderr.read()}")
    return process


class Wire:
    """client c0 -- g0 gateway, or with impair between them: c0 -- m1 middle m0 -- g0."""

    def __init__(self):
        self.processes = []
        self.remove()

    def build(self, queues=1, lossy=False):
        hosts = ["gateway", "client"] + (["middle"] if lossy else [])
        for host in hosts:
            sh(f"ip netns add slu-wire-{host}")
        many = f"numrxqueues {queues} numtxqueues {queues}"
        if lossy:
            sh("ip link add g0 netns slu-wire-gateway type veth peer name m0 netns slu-wire-middle")
            sh("ip link add c0 netns slu-wire-client type veth peer name m1 netns slu-wire-middle")
        else:
            sh(f"ip link add g0 netns slu-wire-gateway {many} type veth peer name c0 netns slu-wire-client {many}")
        ends = [("gateway", "g0"), ("client", "c0")] + ([("middle", "m0"), ("middle", "m1")] if lossy else [])
        for host, device in ends:
            if device != "c0":   # the kernel is to have no address here, not even its own link-local one
                sh(f"ip netns exec slu-wire-{host} sysctl -qw net.ipv6.conf.{device}.disable_ipv6=1")
            # Partial checksums and 64 KiB super-packets never leave a real NIC.
            sh(f"ip netns exec slu-wire-{host} ethtool -K {device} tx off tso off gso off gro off")
            sh(f"ip -n slu-wire-{host} link set {device} up")
        sh("ip -n slu-wire-client addr add 10.99.0.2/24 dev c0")
        sh("ip -n slu-wire-client addr add fd99::2/64 dev c0 nodad")

    def start_gateway(self, driver, cores=(1,)):
        options = [part for core in cores for part in ("--core", str(core))]
        self.gateway = spawn("gateway", GATEWAY, "--device", f"{driver}:g0", "--address", "10.99.0.1/24", "--address",
                             "fd99::1/64", *options)
        self.processes.append(self.gateway)

    def start_impair(self, seed, **odds):
        options = [part for name, value in odds.items() for part in ("--" + name.replace("_", "-"), str(value))]
        self.impair = spawn("middle", IMPAIR, "--a", "m0", "--b", "m1", "--seed", str(seed), *options)
        self.processes.append(self.impair)

    def transfer(self, direction, address, count):
        done = inside("client", sys.executable, TRANSFER, direction, address, str(count))
        assert done.returncode == 0, f"{direction} {address}: {done.stdout}{done.stderr}"
        return done.stdout

    def stop_gateway(self):
        """Its counters, by name."""
        self.gateway.send_signal(signal.SIGTERM)
        text, errors = self.gateway.communicate(timeout=20)
        self.processes.remove(self.gateway)
        assert self.gateway.returncode == 0, errors
        counters = {}
        for section, body in re.findall(r"^\s*(net|tcp|port|device): (.*)$", text, re.M):
            for name, value in re.findall(r"(\w+) (\d+)", body):
                key = f"{section}.{name}"
                counters[key] = counters.get(key, 0) + int(value)
        return counters

    def remove(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []
        for host in ("gateway", "client", "middle"):
            sh(f"ip netns del slu-wire-{host}", check=False)


@pytest.fixture
def wire():
    made = Wire()
    yield made
    made.remove()


@pytest.mark.parametrize("driver,cores", [("af_xdp", (1,)), ("af_packet", (1,)), ("af_xdp", (0, 1)), ("af_packet", (0, 1))])
def test_linux_reaches_us(wire, driver, cores):
    wire.build(queues=len(cores))
    wire.start_gateway(driver, cores)
    for address in ADDRESSES:
        ping = inside("client", "ping", "-c", "3", "-i", "0.05", "-W", "2", address)
        assert " 0% packet loss" in ping.stdout, ping.stdout
        large = inside("client", "ping", "-c", "2", "-i", "0.05", "-W", "2", "-s", "1400", address)
        assert " 0% packet loss" in large.stdout, large.stdout
        # Both ways in fragments; below AF_PACKET the kernel has put them together, and cuts what is above a frame's room.
        cut = inside("client", "ping", "-c", "2", "-i", "0.05", "-W", "2", "-s", "1900" if driver == "af_packet" else "9000", address)
        assert " 0% packet loss" in cut.stdout, cut.stdout
        host = f"[{address}]" if ":" in address else address
        answer = inside("client", "curl", "-s", "-m", "5", f"http://{host}/")
        assert answer.stdout == "hello\n", answer.stderr
    assert inside("gateway", "ss", "-Htln").stdout == "", "the kernel must have no socket"
    for address in ADDRESSES:
        for direction in ("down", "up", "echo"):
            print(wire.transfer(direction, address, 48 * MB))
    counters = wire.stop_gateway()
    for name in ("net.bad_ip", "net.bad_checksum", "net.too_big", "net.no_mbuf", "tcp.bad_checksum", "tcp.no_memory", "port.dropped"):
        assert counters[name] == 0, f"{name}: {counters}"
    if driver == "af_packet":
        assert counters["tcp.attached"] > counters["tcp.copied"], "bodies are to leave without a copy"


def test_a_long_transfer(wire):
    wire.build()
    wire.start_gateway("af_xdp")
    print(wire.transfer("down", ADDRESSES[0], 1000 * MB))
    print(wire.transfer("up", ADDRESSES[1], 1000 * MB))


def test_refused_without_listener(wire):
    wire.build()
    wire.start_gateway("af_xdp")
    for address in ADDRESSES:
        host = f"[{address}]" if ":" in address else address
        start = time.monotonic()
        answer = inside("client", "curl", "-s", "-m", "5", f"http://{host}:81/")
        assert answer.returncode == 7 and time.monotonic() - start < 4, "a reset is expected, not silence"


def test_lossy_wire(wire):
    seed = int(os.environ.get("SLUICE_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}; repeat: SLUICE_SEED={seed} python3 -m pytest tests/system/test_wire.py -k lossy")
    wire.build(lossy=True)
    wire.start_impair(seed, loss=1, duplicate=1, reorder=1, corrupt=0.5, delay_us=1000, jitter_us=200)
    wire.start_gateway("af_xdp")
    for address in ADDRESSES:
        for direction in ("down", "up", "echo"):
            print(wire.transfer(direction, address, 10 * MB))
    counters = wire.stop_gateway()
    assert counters["tcp.retransmits"] > 0 and counters["tcp.bad_checksum"] > 0, "the wire did not impair"
