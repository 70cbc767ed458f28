"""The package's whole life: built twice alike, installed by dpkg, started as its unit says, upgraded, removed, purged.

In: programs of the build, an overlay of this machine's root, the bench's wires. Out: files, users, what the service manager is
told, an answered request, and nothing left behind. There is no systemd here to run units: the test does what the unit says.
"""

import configparser
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest
from harness import mesh
from harness.backend import answer
from harness.bench import ADDRESS, BACKENDS, CLIENT, ROOT
from harness.overlay import Overlay

UNIT = "/lib/systemd/system/sluice.service"


def package(version, out):
    done = subprocess.run([os.path.join(ROOT, "scripts", "package"), "--no-build", "--version", version, "--out", out],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def debs(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("package"))
    return {version: package(version, out) for version in ("0.9.1", "0.9.2")}


class Unit(configparser.RawConfigParser):
    """A unit file; a key that stands twice keeps all its values, a line each."""

    def __init__(self, path):
        super().__init__(strict=False, delimiters=("=",))
        self.optionxform = str
        with open(path) as file:
            lines, seen = [], {}
            for line in file.read().splitlines():
                key = line.split("=", 1)[0]
                if line and line[0] not in "#[" and key in seen:
                    lines[seen[key]] += "\n " + line.split("=", 1)[1]
                else:
                    seen[key] = len(lines)
                    lines.append(line)
        self.read_string("\n".join(lines))

    def words(self, key):
        return self["Service"][key].split()


class Service:
    """What systemd does of the unit that matters here: directories, capabilities, a read-only root, notification, the watchdog."""

    def __init__(self, bench, overlay):
        self.bench, self.overlay = bench, overlay
        self.unit = Unit(overlay.path(UNIT))
        self.told = []
        self.process = None
        self.socket_path = overlay.path("/run/notify.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listener.bind(self.socket_path)
        os.chmod(self.socket_path, 0o777)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        with contextlib.suppress(OSError):
            while message := self.listener.recv(4096):
                self.told += message.decode().splitlines()

    def directories(self):
        for key, base in (("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run"), ("LogsDirectory", "/var/log")):
            yield f"{base}/{self.unit['Service'][key]}", self.unit["Service"][key + "Mode"]

    def start(self, watchdog_s=1.0):
        user = self.unit["Service"]["User"]
        for path, mode in self.directories():
            self.overlay.run("install", "-d", "-m", mode, "-o", user, "-g", user, path)
        self.overlay.run("install", "-d", "-m", "0700", "/run/xdp")   # tmpfiles.d
        start = self.unit["Service"]["ExecStart"]
        assert start.startswith("!/"), "started as root, in the user's directories"
        kept = ",".join("+" + name[4:].lower() for name in self.unit.words("CapabilityBoundingSet"))
        writable = " ".join(["/run/xdp", "/etc/sluice/mesh", *(path for path, _ in self.directories())])
        script = ["set -e", f"R={self.overlay.root}", "mount --make-rprivate /", "mount --rbind $R $R"]
        script += [f"mount --bind $R{path} $R{path}" for path in writable.split()]
        script += ["mount -o remount,bind,ro $R"]
        script += [f"exec chroot $R setpriv --bounding-set=-all,{kept} --inh-caps=-all --no-new-privs {start[1:]}"]
        env = dict(os.environ, NOTIFY_SOCKET="/run/notify.sock", WATCHDOG_USEC=str(int(watchdog_s * 1e6)))
        self.log = os.path.join(self.bench.work, "service.log")
        self.process = self.bench.gateway_host.start("unshare", "-m", "sh", "-c", "\n".join(script), log=self.log, env=env)
        return self

    def wait_told(self, line, timeout_s=20):
        deadline = time.monotonic() + timeout_s
        while line not in self.told:
            assert self.process.poll() is None or line in self.told, f"ended with {self.process.returncode}\n{self.tail()}"
            assert time.monotonic() < deadline, f"{line} is not told, but {self.told}\n{self.tail()}"
            time.sleep(0.02)

    def tail(self):
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[-25:])

    def ctl(self, *arguments):
        return self.overlay.run("sluicectl", *arguments, check=False)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(20) == 0, self.tail()

    def close(self):
        self.stop()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.socket_path)


@pytest.fixture
def overlay(bench):
    bench.stop()
    work = tempfile.mkdtemp(prefix="sluice-package-")
    made = Overlay(work)
    yield made
    made.destroy()
    shutil.rmtree(work, ignore_errors=True)


def settle_in(overlay, deb):
    shutil.copy(deb, overlay.path("/tmp/"))
    return overlay.run("dpkg", "-i", f"/tmp/{os.path.basename(deb)}").stdout


def configure(overlay):
    """The operator edits the sample: devices and addresses of the bench."""
    path = overlay.path("/etc/sluice/sluice.yaml")
    with open(path) as file:
        text = file.read()
    for sample, ours in (("EDIT-ME-2", "inside0"), ("EDIT-ME", "outside0"), ("via: 192.0.2.1", f"via: {CLIENT}"), ("192.0.2.10", ADDRESS),
                         ("hugepages: auto", "hugepages: never"), ("limit: 1Gi", "limit: 512Mi"), ("deadline: 30s", "deadline: 5s")):
        assert sample in text
        text = text.replace(sample, ours)
    with open(path, "w") as file:
        file.write(text)
    with open(overlay.path("/etc/sluice/mesh/web.yaml"), "w") as file:
        file.write(mesh.render(mesh.simple(BACKENDS[0])))


def test_same_input_same_bytes(debs, tmp_path):
    again = package("0.9.1", str(tmp_path))
    with open(again, "rb") as one, open(debs["0.9.1"], "rb") as other:
        assert one.read() == other.read()


def test_what_is_in_it(debs):
    deb = debs["0.9.1"]
    fields = subprocess.run(["dpkg-deb", "-f", deb], capture_output=True, text=True, check=True).stdout
    assert "Version: 0.9.1\n" in fields
    depends = re.search(r"^Depends: (.*)$", fields, re.M).group(1)
    for name in ("librte-eal23", "librte-net-af-xdp23", "librte-mempool-ring23", "libseccomp2", "libcap-ng0", "libprotobuf32"):
        assert name in depends
    names = subprocess.run(["dpkg-deb", "-c", deb], capture_output=True, text=True, check=True).stdout
    for name in ("usr/sbin/sluiced", "usr/bin/sluicectl", "usr/sbin/sluice-prepare-host", "lib/systemd/system/sluice.service",
                 "etc/sluice/sluice.yaml", "etc/sluice/mesh/", "etc/logrotate.d/sluice", "usr/share/sluice/sluice.schema.json",
                 "usr/share/sluice/sluicectl/status.schema.json", "usr/share/bash-completion/completions/sluicectl",
                 "usr/share/zsh/vendor-completions/_sluicectl", "usr/share/fish/vendor_completions.d/sluicectl.fish",
                 "usr/share/man/man8/sluiced.8.gz", "usr/share/man/man1/sluicectl.1.gz", "usr/share/man/man1/sluicectl-doctor.1.gz", "usr/share/doc/sluice/operating.md",
                 "usr/share/doc/sluice/examples/mesh/reviews.yaml", "usr/share/doc/sluice/copyright", "usr/share/doc/sluice/changelog.gz"):
        assert re.search(rf"root/root .* \./{re.escape(name)}$", names, re.M), f"no {name} in the package"
    assert ROOT not in names


def test_lintian_finds_no_error(debs):
    done = subprocess.run(["lintian", "--no-tag-display-limit", "--fail-on", "error", debs["0.9.1"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_is_good(debs, tmp_path):
    subprocess.run(["dpkg-deb", "-x", debs["0.9.1"], str(tmp_path)], check=True)
    done = subprocess.run(["systemd-analyze", "verify", "--root", str(tmp_path), "sluice.service"], capture_output=True, text=True)
    # What a bare tree lacks (kill, targets, man) is not the unit's; what is, carries its line: ".../sluice.service:7: Unknown key name".
    ours = [line for line in (done.stdout + done.stderr).splitlines() if re.search(r"sluice\.service:\d+:", line)]
    assert not ours, "\n".join(ours)
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--root", str(tmp_path), "--threshold=50", "sluice.service"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-600:] + done.stderr
    unit = Unit(str(tmp_path) + UNIT)
    with open(tmp_path / "etc/sluice/sluice.yaml") as file:
        drain_s = int(re.search(r"deadline: (\d+)s", file.read()).group(1))
    assert int(unit["Service"]["TimeoutStopSec"]) > drain_s


def test_install_start_drain_upgrade_remove_purge(bench, overlay, debs):
    bench.may_end = True
    before = overlay.changed()
    # Installed: a user, its directories, nothing started, and a sample that says what to do.
    said = settle_in(overlay, debs["0.9.1"])
    assert "edit /etc/sluice/sluice.yaml" in said
    with open(overlay.path("/etc/passwd")) as file:
        uid = int(re.search(r"^sluice:[^:]*:(\d+):", file.read(), re.M).group(1))
    for path in ("/var/lib/sluice", "/var/log/sluice"):
        status = os.stat(overlay.path(path))
        assert status.st_uid == uid and status.st_mode & 0o777 == 0o750, path
    assert os.stat(overlay.path("/etc/sluice/mesh")).st_mode & 0o7777 == 0o2775, "config apply writes there"
    done = overlay.run("sluiced", "--config", "/etc/sluice/sluice.yaml", check=False)
    assert done.returncode == 2 and "there is no interface EDIT-ME" in done.stderr
    done = overlay.run("sluiced", "--check", "--config", "/etc/sluice/sluice.yaml", check=False)
    of_sample = [line for line in done.stderr.splitlines() if "sluice.yaml:" in line]
    assert "no *.yaml" in done.stderr and all(" info SLC0012: " in line for line in of_sample), "the sample itself is good; it has no mesh yet"
    done = overlay.run("sluicectl", "doctor", check=False)
    assert done.returncode == 2 and "there is no interface EDIT-ME" in done.stdout and "/usr/share/doc/sluice/examples/mesh" in done.stdout
    assert overlay.run("sluicectl", "--help").returncode == 0 and overlay.run("sluice-prepare-host", "show").stdout == "nothing is changed\n"

    # Started as the unit says.
    configure(overlay)
    service = Service(bench, overlay).start()
    try:
        service.wait_told("READY=1")
        assert bench.ask("/packaged").status == 200
        status = json.loads(service.ctl("-o", "json", "status").stdout)
        assert status["process"]["user"] == "sluice" and status["process"]["seccomp"] == "enforce"
        assert os.stat(overlay.path("/run/sluice/admin.sock")).st_uid == uid
        assert os.stat(overlay.path("/var/log/sluice/access.log")).st_uid == uid
        count = service.told.count("WATCHDOG=1")
        deadline = time.monotonic() + 10
        while service.told.count("WATCHDOG=1") < count + 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert service.told.count("WATCHDOG=1") >= count + 3, "the watchdog is not fed"
        # logrotate's own words.
        os.rename(overlay.path("/var/log/sluice/access.log"), overlay.path("/var/log/sluice/access.log.1"))
        assert service.ctl("log", "reopen").returncode == 0
        bench.ask("/rotated")
        deadline = time.monotonic() + 5
        log = overlay.path("/var/log/sluice/access.log")
        while (not os.path.exists(log) or "/rotated" not in open(log).read()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "/rotated" in open(log).read()

        # Stopped: what is under way is finished.
        bench.backends[0].on("/long", lambda wire, request: time.sleep(1) or wire.send(answer(200, "finished")))
        with bench.connect() as busy:
            busy.send("GET /long HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            bench.backends[0].find("/long")
            service.process.send_signal(signal.SIGTERM)
            assert busy.response().body == b"finished"
        assert service.process.wait(20) == 0, service.tail()
        assert "STOPPING=1" in service.told
    finally:
        service.close()

    # Upgraded: the edited file stays, the new one serves.
    settle_in(overlay, debs["0.9.2"])
    assert "0.9.2" in overlay.run("dpkg-query", "-W", "-f", "${Version}", "sluice").stdout
    with open(overlay.path("/etc/sluice/sluice.yaml")) as file:
        assert "outside0" in file.read()
    service = Service(bench, overlay).start()
    try:
        service.wait_told("READY=1")
        assert bench.ask("/upgraded").status == 200
    finally:
        service.close()

    # Removed: programs go, what the operator wrote stays. Purged: that too, and nothing of it all is left.
    overlay.run("dpkg", "-r", "sluice")
    assert not os.path.exists(overlay.path("/usr/sbin/sluiced")) and os.path.exists(overlay.path("/etc/sluice/sluice.yaml"))
    overlay.run("dpkg", "-P", "sluice")
    for path in ("/etc/sluice", "/var/lib/sluice", "/var/log/sluice", "/run/sluice"):
        assert not os.path.exists(overlay.path(path)), path
    with open(overlay.path("/etc/passwd")) as file:
        assert "sluice:" not in file.read()
    # What dpkg and the user database write about anything at all.
    theirs = re.compile(r"/(var/(lib/dpkg|lib/systemd|cache|log)/|var/backups/|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|etc/\.pwd\.lock$|tmp/)")
    left = {path for path in overlay.changed() - before if not theirs.match(path)}
    assert not left, f"left behind: {sorted(left)}"
