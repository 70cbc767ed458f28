"""One sluiced process on a test host, as its operator sees it: files, sluicectl, admin socket.

In: a netlab Host with bare ports, a config file. Out: Gateway (start, wait_ready, ctl, admin, stop).
Used by scripts/run, tests/system and perf. The process belongs to the Lab of its host.
AF_XDP is tried first; where it fails, start_best falls back to AF_PACKET and says so.
"""

import http.client
import os
import re
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class GatewayError(Exception):
    """The gateway did not do what it must; the text carries the end of its log."""


def program(name, build=None):
    """Where a build put a program: at its top, or beside its sources."""
    build = build or os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
    for folder in ("", "dataplane", "ctrl", f"ctrl/{name}", "perf", "perf/forwarder"):
        path = os.path.join(build, folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise GatewayError(f"{build} holds no {name}: run scripts/test or scripts/run to build it")


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the admin endpoint's unix socket."""

    def __init__(self, path, timeout=5):
        super().__init__("admin", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Gateway:
    def __init__(self, host, config, admin_socket, log, build=None):
        self.host, self.config, self.admin_socket, self.log = host, config, admin_socket, log
        self.build = build
        self.process = None

    def start(self, env=None):
        self.process = self.host.start(program("sluiced", self.build), "--config", self.config, log=self.log,
                                       env=dict(os.environ, **(env or {})))
        return self

    def log_tail(self, lines=25):
        try:
            with open(self.log, errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except FileNotFoundError:
            return ""

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, timeout_s=20.0):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.running():
                raise GatewayError(f"sluiced ended with status {self.process.returncode}\n{self.log_tail()}")
            try:
                if self.admin("/ready")[0] == 200:
                    return self
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.02)
        raise GatewayError(f"not ready after {timeout_s:.0f} s\n{self.log_tail()}")

    def admin(self, path, method="GET", timeout=5):
        """(status, body) from the admin endpoint."""
        connection = UnixConnection(self.admin_socket, timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def ctl(self, *arguments, check=False, timeout=30):
        done = subprocess.run([program("sluicectl", self.build), "--target", self.admin_socket, *arguments],
                              capture_output=True, text=True, errors="replace", timeout=timeout)
        if check and done.returncode != 0:
            raise GatewayError(f"sluicectl {' '.join(arguments)}: exit {done.returncode}: {done.stderr or done.stdout}")
        return done

    def revision(self):
        """The revision in force, from `sluicectl status`."""
        text = self.ctl("status").stdout
        match = re.search(r"revision (\d+)", text)
        if not match:
            raise GatewayError(f"sluicectl status names no revision:\n{text}\n{self.log_tail()}")
        return int(match.group(1))

    def wait_revision(self, revision, timeout_s=10):
        self.ctl("wait", "revision", str(revision), "--timeout", f"{timeout_s}s", check=True, timeout=timeout_s + 5)

    def stop(self, timeout_s=15):
        """SIGTERM, then its exit status; killed (and said so) if it does not end."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise GatewayError(f"still running {timeout_s} s after SIGTERM\n{self.log_tail()}") from None


def use_af_packet(config):
    """Rewrites a config's AF_XDP devices to AF_PACKET ones, in place."""
    with open(config) as file:
        text = file.read()
    with open(config, "w") as file:
        file.write(text.replace("device: af_xdp:", "device: af_packet:"))


def start_best(gateway, say=print, timeout_s=20.0):
    """Starts on the devices of its config, and on AF_PACKET where AF_XDP fails; the driver's name."""
    try:
        gateway.start().wait_ready(timeout_s)
        return "AF_XDP" if "device: af_xdp:" in open(gateway.config).read() else "AF_PACKET"
    except GatewayError as failed:
        if gateway.running():
            gateway.stop()
        if "device: af_xdp:" not in open(gateway.config).read():
            raise
        last = [line for line in str(failed).splitlines() if line.strip()][-1]
        say(f"AF_XDP does not start here ({last.strip()[:120]}): going on with AF_PACKET")
        use_af_packet(gateway.config)
        gateway.start().wait_ready(timeout_s)
        return "AF_PACKET"
