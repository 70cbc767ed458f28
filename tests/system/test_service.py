"""The running process as /proc shows it: whose it is, what it may do, what it leaves behind; and what it refuses to take.

In: a gateway that becomes another user after its ports are open. Out: users, capabilities and filters of every thread, log
lines, exit codes. THREATS 39; docs/decisions 106 to 108.
"""

import glob
import json
import os
import re
import signal
import subprocess
import time

import pytest
from gateway import program
from harness import mesh
from harness.bench import BACKENDS, CLIENT, USER

NOBODY = 65534
CAP_NET_ADMIN = 1 << 12


def threads(pid):
    """name -> fields of /proc/PID/task/*/status, for every thread."""
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        with open(path) as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        found.append((fields["Name"], fields))
    return found


@pytest.fixture
def web(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    return bench


def test_every_thread_is_the_users(web):
    names = set()
    for name, fields in threads(web.gateway.process.pid):
        names.add(name)
        assert fields["Uid"].split() == [str(NOBODY)] * 4 and set(fields["Gid"].split()) == {str(NOBODY)}, name
        assert fields["Groups"].split() in ([], [str(NOBODY)]), f"{name} keeps root's groups"
        kept = CAP_NET_ADMIN if name == "sluice-keeper" else 0
        for kind in ("CapPrm", "CapEff"):
            assert int(fields[kind], 16) == kept, f"{name} {kind}"
        assert int(fields["CapInh"], 16) == int(fields["CapAmb"], 16) == 0
        assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2", name
        assert int(fields["Seccomp_filters"]) == (2 if re.match(r"sluice-w\d", name) else 1), name
    assert {"sluiced", "sluice-keeper", "sluice-w0", "sluice-log", "sluice-admin"} <= names


def test_no_core_dump_and_no_debugger_of_the_same_user(web):
    pid = web.gateway.process.pid
    with open(f"/proc/{pid}/limits") as file:
        assert re.search(r"Max core file size\s+0\s+0\s", file.read())
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0, "an undumpable process's files are root's"
    done = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "cat", f"/proc/{pid}/maps"],
                          capture_output=True, text=True)
    assert done.returncode != 0 and "denied" in done.stderr


def test_it_is_told(web):
    assert f"running as {USER}, seccomp enforce, capabilities net_admin, core dumps off" in web.gateway.log_tail(100)
    process = json.loads(web.gateway.ctl("-o", "json", "status").stdout)["process"]
    assert process == {"user": USER, "capabilities": ["net_admin"], "seccomp": "enforce", "core_dumps": False}
    assert f"process running as {USER}" in web.gateway.ctl("-o", "wide", "status").stdout


def test_logs_are_opened_again_as_the_user(web):
    rotated = web.access_log + ".1"
    web.ask("/before")
    web.access_lines("/before")
    os.rename(web.access_log, rotated)
    web.gateway.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 5
    while not os.path.exists(web.access_log) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert os.stat(web.access_log).st_uid == NOBODY
    web.ask("/after")
    web.access_lines("/after")
    os.unlink(rotated)


def test_the_interface_is_left_as_it_was_found(bench):
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    bench.may_end = True
    bench.start()
    shown = lambda: bench.gateway_host.run("ip", "-d", "link", "show", "outside0").stdout   # noqa: E731
    assert "xdp" in shown()
    bench.stop()
    assert "xdp" not in shown(), "an XDP program is left on the interface"
    for _ in range(2):   # and it can be taken again
        bench.start()
        assert bench.ask("/again").status == 200
        bench.stop()


def test_without_a_user_it_stays_root_and_says_so(bench):
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    bench.may_end = True
    bench.start(bench.config({"process": {"user": None, "seccomp": "log", "coreDumps": True}}))
    log = bench.gateway.log_tail(100)
    assert "still root after start" in log and "seccomp: log" in log and "a dump holds keys" in log
    assert bench.ask("/").status == 200
    with open(f"/proc/{bench.gateway.process.pid}/smaps") as file:
        smaps = file.read()
    frames = [flags for size, flags in re.findall(r"^Size:\s+(\d+) kB\n(?:.*\n)*?VmFlags: (.*)$", smaps, re.M) if int(size) > 64 * 1024 and " sh " in f" {flags} "]
    assert frames and all(" dd " in f" {flags} " for flags in frames), "payload would be in a core dump"
    bench.stop()


def test_a_mesh_that_the_user_cannot_read_ends_the_start(bench):
    bench.stop()
    bench.may_end = True
    secret = os.path.join(bench.work, "secret")
    os.makedirs(secret, mode=0o700, exist_ok=True)
    gateway = bench.start(bench.config({"mesh": {"directory": secret}}), ready=False)
    assert gateway.process.wait(20) == 2
    assert f"user {USER} cannot read it" in gateway.log_tail() and "chgrp" in gateway.log_tail()


def test_a_user_that_is_not_there_ends_the_start(bench):
    bench.stop()
    bench.may_end = True
    gateway = bench.start(bench.config({"process": {"user": "no-such-user"}}), ready=False)
    assert gateway.process.wait(20) == 2
    assert "there is no user no-such-user" in gateway.log_tail() and "useradd" in gateway.log_tail()


# --- A NIC that is needed ------------------------------------------------------------------------


@pytest.fixture
def needed(bench):
    """The gateway's outside interface is this machine's way out."""
    bench.stop()
    bench.write_mesh(mesh.simple(BACKENDS[0]))
    bench.may_end = True
    bench.gateway_host.run("ip", "addr", "add", "192.0.2.9/24", "dev", "outside0")
    bench.gateway_host.run("ip", "route", "add", "default", "via", CLIENT, "dev", "outside0")
    yield bench
    bench.stop()
    bench.gateway_host.run("ip", "route", "del", "default", check=False)
    bench.gateway_host.run("ip", "addr", "flush", "dev", "outside0")


def test_the_default_route_is_not_taken(needed):
    gateway = needed.start(ready=False)
    assert gateway.process.wait(20) == 2
    assert "port outside: outside0 carries the default route: not taken" in gateway.log_tail()
    assert "takeover: true" in gateway.log_tail()
    done = needed.gateway_host.run(program("sluicectl"), "doctor", "--config", needed.config_path, check=False)
    assert done.returncode == 2
    assert re.search(r"^FAIL  outside +outside0 carries the default route", done.stdout, re.M), done.stdout


@pytest.mark.parametrize("way", ["takeover", "exception", "af_packet"])
def test_the_default_route_is_taken_when_told_to(needed, way):
    settings = needed.config(driver="af_packet" if way == "af_packet" else None)
    if way != "af_packet":
        settings["ports"][0][way] = True if way == "takeover" else "kernel0"
    needed.start(settings)
    assert needed.ask("/").status == 200


# --- doctor --------------------------------------------------------------------------------------


def test_doctor_looks_the_machine_over(web):
    done = web.gateway_host.run(program("sluicectl"), "doctor", "--config", web.config_path, check=False)
    lines = done.stdout.splitlines()
    assert all(re.match(r"(ok  |warn|FAIL)  \S", line) for line in lines), done.stdout
    assert not [line for line in lines if line.startswith("FAIL") and " outside " in line], done.stdout
    for subject in ("config", "outside", "inside", "hugepages", "numa", "cpu", "clock source", "cores", "isolation", "af_xdp", "clock", "disk", "mesh", "user"):
        assert any(line[6:].startswith(subject + " ") for line in lines), f"no line about {subject}:\n{done.stdout}"
    assert re.search(r"^ok    gateway +serving$", done.stdout, re.M)
    assert done.returncode == (2 if "\nFAIL" in "\n" + done.stdout else 1 if "\nwarn" in "\n" + done.stdout else 0)


def test_doctor_of_a_broken_file(bench, tmp_path):
    path = tmp_path / "sluice.yaml"
    path.write_text("apiVersion: sluice/v1\nkind: GatewayHost\nportz: []\n")
    done = subprocess.run([program("sluicectl"), "doctor", "--config", str(path)], capture_output=True, text=True)
    assert done.returncode == 2 and "portz" in done.stdout and "did you mean `ports`?" in done.stdout, done.stdout
    done = subprocess.run([program("sluicectl"), "doctor", "--config", str(tmp_path / "none.yaml")], capture_output=True, text=True)
    assert done.returncode == 2 and "cannot be read" in done.stdout
