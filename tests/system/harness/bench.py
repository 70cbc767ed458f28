"""The bench of the system tests: a client, a gateway and its backends in three namespaces slut-*.

In: pytest fixtures (conftest.py). Out: Bench (hosts, backends, gateway), its config and mesh files.
The bench owns everything; one gateway serves many tests, each with its own mesh, edited live.
Addresses: client 192.0.2.2 and 2001:db8::2, gateway .10 and ::10, backends 10.0.0.21 to .24.
With `vlan`, a switch stands between client and gateway: the client's port is untagged, the gateway's is a trunk.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))

from gateway import Gateway, GatewayError  # noqa: E402,F401
from netlab import Lab  # noqa: E402

from . import mesh  # noqa: E402
from .backend import Backend  # noqa: E402
from .http1 import Wire  # noqa: E402

PREFIX = "slut-"
ADDRESS, ADDRESS6 = "192.0.2.10", "2001:db8::10"
CLIENT, CLIENT6 = "192.0.2.2", "2001:db8::2"
BACKENDS = ["10.0.0.21", "10.0.0.22", "10.0.0.23", "10.0.0.24"]
NOBODY_THERE = "10.0.0.99"   # no host answers ARP for it
KERNEL_CPUS = [0]
USER = "nobody"   # whom the gateway becomes: every test is one of its sandbox too


def merge(base, changes):
    """Nested dictionaries, changes winning; None removes."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


class Bench:
    def __init__(self, work, prefix=PREFIX, vlan=None):
        self.work = work
        shutil.chown(work, USER)   # access log, admin socket
        self.mesh_dir = os.path.join(work, "mesh")
        self.state_dir = os.path.join(work, "state")
        self.config_path = os.path.join(work, "sluice.yaml")
        self.access_log = os.path.join(work, "access.log")
        self.log = os.path.join(work, "sluiced.log")
        self.admin_socket = os.path.join(work, "admin.sock")
        self.vlan = vlan
        self.lab = Lab(prefix)
        self.client, self.gateway_host, self.backends_host = (self.lab.host(n) for n in ("client", "gateway", "backends"))
        self.wire_client()
        self.lab.wire(self.backends_host, "eth0", self.gateway_host, "inside0")
        self.client.serve("eth0", f"{CLIENT}/24", f"{CLIENT6}/64", steer_cpus=KERNEL_CPUS)
        self.backends_host.serve("eth0", *(f"{a}/16" for a in BACKENDS), "2001:db8:1::21/64", steer_cpus=KERNEL_CPUS)
        for dev in ("outside0", "inside0"):
            self.gateway_host.leave_bare(dev)
        self.client.hosts_file({mesh.HOST: ADDRESS})
        self.backends = [Backend(self.backends_host, a, name=f"b{i + 1}") for i, a in enumerate(BACKENDS)]
        self.gateway = None
        self.settings = None
        self.standing = {}   # what the tests of a file change in config()
        self.edits = 0

    def wire_client(self):
        if self.vlan is None:
            self.lab.wire(self.client, "eth0", self.gateway_host, "outside0")
            return
        self.switch = self.lab.host("switch")
        self.lab.wire(self.client, "eth0", self.switch, "access0")
        self.lab.wire(self.switch, "trunk0", self.gateway_host, "outside0")
        for dev in ("access0", "trunk0"):
            self.switch.leave_bare(dev)
        build = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
        self.switch.start(os.path.join(build, "tests", "support", "impair"), "--a", "trunk0", "--b", "access0", "--vlan", str(self.vlan))

    # --- The gateway -----------------------------------------------------------------------------

    def config(self, changes=None, driver=None):
        driver = driver or os.environ.get("SLUICE_TEST_DRIVER", "af_xdp")
        base = {
            "apiVersion": "sluice/v1", "kind": "GatewayHost",
            "node": {"id": "test-1", "namespace": "istio-system", "labels": {"istio": "ingressgateway"}},
            "workers": {"cores": [min(1, (os.cpu_count() or 1) - 1)], "poll": "adaptive"},
            "ports": [
                {"name": "outside", "device": f"{driver}:outside0", "addresses": [f"{ADDRESS}/24", f"{ADDRESS6}/64"],
                 "routes": [{"to": "default", "via": CLIENT}], "listen": True},
                {"name": "inside", "device": f"{driver}:inside0", "addresses": ["10.0.0.10/16", "2001:db8:1::10/64"]},
            ],
            "memory": {"limit": "512Mi", "hugepages": "never"},
            "limits": {"connections": 10000},
            "mesh": {"directory": self.mesh_dir, "trustDomain": "cluster.local"},
            "state": {"directory": self.state_dir},
            "admin": {"socket": self.admin_socket, "http": "127.0.0.1:15000"},
            "accessLog": {"path": self.access_log, "format": "text"},
            "drain": {"deadline": "5s"},
            "process": {"user": USER},
        }
        if self.vlan is not None:
            base["ports"][0]["vlan"] = self.vlan
        return merge(merge(base, self.standing), changes or {})

    def write_config(self, settings):
        with open(self.config_path, "w") as file:
            yaml.safe_dump(settings, file, sort_keys=False)

    def start(self, settings=None, env=None, ready=True, keep_state=False):
        """Starts a gateway with these settings; the one that ran before is stopped, what it remembered forgotten unless `keep_state`."""
        self.stop()
        if not keep_state:
            shutil.rmtree(self.state_dir, ignore_errors=True)
        self.settings = settings or self.config()
        self.write_config(self.settings)
        if not os.path.isdir(self.mesh_dir):
            self.write_mesh(mesh.simple(BACKENDS[0]))
        for path in (self.log, self.access_log, self.admin_socket):
            if os.path.exists(path):
                os.unlink(path)
        self.gateway = Gateway(self.gateway_host, self.config_path, self.admin_socket, self.log).start(env)
        if ready:
            self.gateway.wait_ready()
        return self.gateway

    def ensure(self):
        """The shared gateway with default settings, started when it is not there."""
        if self.gateway is None or not self.gateway.running() or self.settings != self.config():
            self.start()
        return self.gateway

    def stop(self):
        if self.gateway is not None:
            if self.gateway.running():
                self.gateway.stop()
            self.gateway = None

    # --- The mesh --------------------------------------------------------------------------------

    def write_mesh(self, objects, name="mesh.yaml"):
        """One file, replaced by rename; the counter makes every edit a new revision."""
        os.makedirs(self.mesh_dir, exist_ok=True)
        shutil.chown(self.mesh_dir, USER)   # `config apply` writes it
        self.edits += 1
        text = objects if isinstance(objects, str) else mesh.render(objects)
        path = os.path.join(self.mesh_dir, name)
        with open(path + ".new~", "w") as file:
            file.write(f"# edit {self.edits}\n{text}")
        os.rename(path + ".new~", path)

    def clear_mesh(self):
        for name in os.listdir(self.mesh_dir) if os.path.isdir(self.mesh_dir) else []:
            path = os.path.join(self.mesh_dir, name)
            if name != "mesh.yaml":
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)

    def apply(self, objects):
        """Writes the mesh and waits until it is in force on every core."""
        gateway = self.ensure()
        before = gateway.revision()
        self.write_mesh(objects)
        started = time.monotonic()
        deadline = started + 10
        while time.monotonic() < deadline:
            status = gateway.ctl("status").stdout
            # An earlier edit's refusal may still be what status tells; one that stays is ours.
            if "REJECTED" in status and time.monotonic() > started + 2:
                raise AssertionError(f"the mesh was refused:\n{status}\n{gateway.log_tail()}")
            match = re.search(r"revision (\d+)", status)
            if match and int(match.group(1)) > before:
                gateway.wait_revision(int(match.group(1)))
                return int(match.group(1))
            time.sleep(0.01)
        raise AssertionError(f"no revision after {before} within 10 s\n{status}\n{gateway.log_tail()}")

    # --- Clients ---------------------------------------------------------------------------------

    def connect(self, port=80, ipv6=False, timeout_s=10.0, receive_buffer=None):
        sock = self.client.socket(socket.AF_INET6 if ipv6 else socket.AF_INET)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout_s)
        sock.connect((ADDRESS6 if ipv6 else ADDRESS, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Wire(sock, timeout_s)

    def ask(self, target="/", method="GET", headers=(), body=None, host=mesh.HOST, **connect):
        """One request on a connection of its own; its response."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
        data = b"" if body is None else body if isinstance(body, bytes) else body.encode()
        if body is not None:
            lines.append(f"Content-Length: {len(data)}")
        with self.connect(**connect) as wire:
            wire.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + data)
            return wire.response(method)

    def curl(self, *arguments):
        return self.client.run("curl", "-sS", "--max-time", "10", *arguments, check=False)

    def start_wrk(self, seconds, connections=16, path="/", host=mesh.HOST):
        return subprocess.Popen(
            self.client.command("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://{host}{path}"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    @staticmethod
    def finish_wrk(process):
        """(requests, failures) of a wrk run."""
        report = process.communicate(timeout=120)[0]
        requests = re.search(r"(\d+) requests in", report)
        assert requests, report
        failed = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", report))
        failed += sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", report))
        return int(requests.group(1)), failed

    def access_lines(self, needle, timeout_s=3.0, count=1):
        """Access-log lines with this text; the log is written off the workers, so a wait."""
        deadline = time.monotonic() + timeout_s
        found = []
        while time.monotonic() < deadline:
            if os.path.exists(self.access_log):
                with open(self.access_log, errors="replace") as file:
                    found = [line.rstrip("\n") for line in file if needle in line]
                if len(found) >= count:
                    return found
            time.sleep(0.02)
        raise AssertionError(f"{len(found)} access-log lines with {needle!r}, {count} expected; sluiced's log:\n{self.gateway.log_tail()}")

    def metric(self, name, **labels):
        """The sum of a Prometheus metric over label sets that contain these labels."""
        text = self.gateway.admin("/stats/prometheus")[1]
        total, seen = 0.0, False
        for line in text.splitlines():
            match = re.match(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if match and all(f'{k}="{v}"' in (match.group(1) or "") for k, v in labels.items()):
                total, seen = total + float(match.group(2)), True
        assert seen, f"no metric {name} {labels} in /stats/prometheus"
        return total

    def destroy(self):
        self.stop()
        for backend in self.backends:
            backend.stop()
        return self.lab.destroy()
