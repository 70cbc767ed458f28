"""A machine with one NIC: the gateway owns the port, the kernel's services are reached through its exception TAP.

In: a client and a machine, one wire, AF_XDP. Out: SSH's port, UDP, ping and outbound connections of the kernel beside HTTP of
the gateway, at one shared address and at one that is the kernel's alone. Namespaces are named sluk-*.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import pytest
import yaml
from gateway import Gateway, GatewayError, program
from harness import mesh
from harness.backend import Backend
from harness.bench import USER
from harness.http1 import Wire
from netlab import Lab

CLIENT, CLIENT6, BACKEND = "192.0.2.2", "2001:db8::2", "192.0.2.3"
SHARED, SHARED6 = "192.0.2.10", "2001:db8::10"    # the gateway's, and the kernel's too
OWN, OWN6 = "192.0.2.11", "2001:db8::11"          # the kernel's alone
SSH, DNS, BULK = 22, 53, 1 << 20


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Server:
    """An echo server of a host's kernel, TCP and UDP on one port of every address; it greets TCP clients as SSH does."""

    GREETING = b"SSH-2.0-kernel\r\n"

    def __init__(self, host, port):
        self.stream, self.datagram = host.socket(socket.AF_INET6), host.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        for sock in (self.stream, self.datagram):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("::", port))
        self.stream.listen(16)
        for work in (self.accept, self.answer):
            threading.Thread(target=work, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.echo, args=(self.stream.accept()[0],), daemon=True).start()

    def echo(self, sock):
        with contextlib.suppress(OSError), sock:
            sock.sendall(self.GREETING)
            while data := sock.recv(65536):
                sock.sendall(data)

    def answer(self):
        with contextlib.suppress(OSError):
            while peer := (message := self.datagram.recvfrom(4096))[1]:   # none: shut down
                self.datagram.sendto(message[0], peer)

    def close(self):
        for sock in (self.stream, self.datagram):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class Machine:
    def __init__(self):
        self.work = tempfile.mkdtemp(prefix="sluice-kernel-")
        shutil.chown(self.work, USER)
        self.lab = Lab("sluk-")
        self.client, self.host = self.lab.host("client"), self.lab.host("machine")
        self.lab.wire(self.client, "eth0", self.host, "eth0")
        self.client.serve("eth0", f"{CLIENT}/24", f"{BACKEND}/24", f"{CLIENT6}/64")
        self.host.leave_bare("eth0")
        self.backend = Backend(self.client, BACKEND, name="b1")
        self.servers = [Server(self.client, DNS), Server(self.host, SSH), Server(self.host, DNS)]
        self.gateway = None

    def settings(self, **limits):
        return {
            "apiVersion": "sluice/v1", "kind": "GatewayHost",
            "node": {"id": "one-nic", "namespace": "istio-system", "labels": {"istio": "ingressgateway"}},
            "workers": {"cores": [min(1, (os.cpu_count() or 1) - 1)], "poll": "adaptive"},
            "ports": [{"name": "outside", "device": "af_xdp:eth0", "addresses": [f"{SHARED}/24", f"{SHARED6}/64"], "listen": True,
                       "exception": "kernel0"}],
            "memory": {"limit": "256Mi", "hugepages": "never"},
            "limits": {"connections": 1000, **limits},
            "mesh": {"directory": os.path.join(self.work, "mesh")},
            "state": {"directory": ""},
            "admin": {"socket": os.path.join(self.work, "admin.sock")},
            "accessLog": {"path": os.path.join(self.work, "access.log")},
            "drain": {"deadline": "1s"},
            "process": {"user": USER},
        }

    def write(self, settings):
        os.makedirs(settings["mesh"]["directory"], exist_ok=True)
        with open(os.path.join(settings["mesh"]["directory"], "mesh.yaml"), "w") as file:
            file.write(mesh.render(mesh.simple(BACKEND)))
        path = os.path.join(self.work, "sluice.yaml")
        with open(path, "w") as file:
            yaml.safe_dump(settings, file, sort_keys=False)
        return path

    def start(self, settings=None):
        settings = settings or self.settings()
        self.gateway = Gateway(self.host, self.write(settings), settings["admin"]["socket"], os.path.join(self.work, "sluiced.log"))
        self.gateway.start().wait_ready()
        self.dress()

    def dress(self):
        for address in (f"{SHARED}/24", f"{OWN}/24", f"{SHARED6}/64", f"{OWN6}/64"):
            self.host.run("ip", "addr", "add", address, "dev", "kernel0", *(["nodad"] if ":" in address else []))

    def stop(self):
        if self.gateway and self.gateway.running():
            self.gateway.stop()
        self.gateway = None

    def http(self, address=SHARED):
        sock = self.client.socket(family(address))
        sock.settimeout(5)
        sock.connect((address, 80))
        with Wire(sock, 5) as wire:
            wire.send(f"GET / HTTP/1.1\r\nHost: {mesh.HOST}\r\nConnection: close\r\n\r\n".encode())
            return wire.response("GET")

    def metric(self, name):
        text = self.gateway.admin("/stats/prometheus")[1]
        values = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.M)
        assert values, f"no metric {name}"
        return sum(float(v) for v in values)

    def destroy(self):
        self.stop()
        for server in self.servers:
            server.close()
        self.backend.stop()
        _, left = self.lab.destroy()
        shutil.rmtree(self.work, ignore_errors=True)
        assert left == 0, f"{left} processes left"


@pytest.fixture(scope="module")
def machine():
    made = Machine()
    yield made
    made.destroy()


@pytest.fixture
def running(machine):
    if machine.gateway is None:
        machine.start()
    yield machine
    assert machine.gateway.running(), machine.gateway.log_tail(60)


def greet_and_echo(host, address, port, count=1000):
    """TCP with a kernel's server: its greeting, then `count` bytes there and back."""
    with host.socket(family(address)) as sock:
        sock.settimeout(10)
        sock.connect((address, port))
        file = sock.makefile("rb")
        assert file.readline() == Server.GREETING
        data = os.urandom(count)
        sender = threading.Thread(target=sock.sendall, args=(data,), daemon=True)
        sender.start()
        assert file.read(count) == data
        sender.join(5)


def ask(host, address, port):
    """A datagram and its echo, lost ones asked again as a resolver does."""
    with host.socket(family(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        for attempt in range(5):
            question = b"question %d" % attempt
            sock.sendto(question, (address, port))
            with contextlib.suppress(socket.timeout):
                return sock.recv(4096) == question
    return False


@pytest.mark.parametrize("address", [SHARED, OWN, SHARED6, OWN6])
def test_ssh_and_http_on_one_nic(running, address):
    """The port that SSH listens on is the kernel's, port 80 of the same machine is the gateway's, at the same time."""
    greet_and_echo(running.client, address, SSH)
    for ours in (SHARED, SHARED6):
        assert running.http(ours).body == b"b1"
    greet_and_echo(running.client, address, SSH, BULK)
    assert running.metric("sluice_port_to_kernel_total") > 0 and running.metric("sluice_port_from_kernel_total") > 0
    assert running.metric("sluice_tcp_resets_out_total") == 0


@pytest.mark.parametrize("address", [SHARED, OWN, SHARED6, OWN6])
def test_datagrams_and_ping(running, address):
    assert ask(running.client, address, DNS)
    ping = running.client.run("ping", "-c", "3", "-i", "0.1", "-W", "2", address, check=False)
    assert " 0% packet loss" in ping.stdout and "DUP" not in ping.stdout, ping.stdout


@pytest.mark.parametrize("address", [CLIENT, CLIENT6])
def test_the_kernel_calls_out(running, address):
    """A resolver's question and a download, from the shared address: answers find the kernel, not the gateway."""
    assert ask(running.host, address, DNS)
    greet_and_echo(running.host, address, DNS, BULK)
    ping = running.host.run("ping", "-c", "3", "-i", "0.1", "-W", "2", address, check=False)
    assert " 0% packet loss" in ping.stdout, ping.stdout


def test_closed_ports_are_the_kernels_to_refuse(running):
    before = running.metric("sluice_tcp_resets_out_total")
    for address in (SHARED, OWN, SHARED6):
        with running.client.socket(family(address)) as sock:
            sock.settimeout(3)
            with pytest.raises(ConnectionRefusedError):
                sock.connect((address, 23))
        with running.client.socket(family(address), socket.SOCK_DGRAM) as sock:
            sock.settimeout(3)
            sock.connect((address, 54))
            sock.send(b"?")
            with pytest.raises(ConnectionRefusedError):
                sock.recv(1)
    assert running.metric("sluice_tcp_resets_out_total") == before


def test_a_deleted_device_comes_back(running):
    index = running.host.run("cat", "/sys/class/net/kernel0/ifindex").stdout
    running.host.run("ip", "link", "del", "kernel0")
    deadline = time.monotonic() + 10
    while running.host.run("cat", "/sys/class/net/kernel0/ifindex", check=False).stdout in ("", index):
        assert time.monotonic() < deadline, "kernel0 stays away"
        time.sleep(0.05)
    assert running.http().body == b"b1", "the gateway's own traffic goes on"
    running.dress()
    greet_and_echo(running.client, SHARED, SSH)


def test_source_ports_are_kept_apart(running):
    """Both use the shared address: the gateway's ports towards backends lie beside the kernel's range."""
    first, last = map(int, running.host.run("cat", "/proc/sys/net/ipv4/ip_local_port_range").stdout.split())
    running.http()
    ports = {peer[1] for peer in running.backend.peers}
    assert ports and all(port < first or port > last for port in ports), f"{ports} within {first}-{last}"


def test_an_overlapping_range_is_refused_with_its_cure(machine):
    machine.stop()
    settings = machine.settings(ephemeralPorts="40000-49999")
    path = machine.write(settings)
    done = subprocess.run(machine.host.command(program("sluiced"), "--config", path), capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert re.search(r"40000-49999 overlap \d+-\d+ of the kernel.*limits\.ephemeralPorts: \d+-\d+.*sysctl net\.ipv4\.ip_local_port_range=", done.stderr)
    checked = subprocess.run(machine.host.command(program("sluiced"), "--check", "--config", path), capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0 and "warning SLC0011" in checked.stderr
    machine.host.sysctl("net.ipv4.ip_local_port_range", "50000 60999")
    try:
        machine.start(settings)
        machine.http()
        assert all(40000 <= peer[1] <= 49999 for peer in machine.backend.peers[-1:])
    finally:
        machine.host.sysctl("net.ipv4.ip_local_port_range", "32768 60999")
        machine.stop()


def test_a_device_that_is_no_tap_is_refused(machine):
    machine.stop()
    settings = machine.settings()
    settings["ports"][0]["exception"] = "lo"
    machine.gateway = None
    gateway = Gateway(machine.host, machine.write(settings), settings["admin"]["socket"], os.path.join(machine.work, "refused.log"))
    with pytest.raises(GatewayError):
        gateway.start().wait_ready()
    assert re.search(r"port outside: exception: lo .*ip tuntap", gateway.log_tail())
