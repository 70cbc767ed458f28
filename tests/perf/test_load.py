"""perf/load as its user runs it, for moments: what it prints is what its schema says, and nothing stays behind.

Nothing is asserted of speed. The wire is the real one, between processes of this machine; small pages will do.
"""

import glob
import json
import os
import signal
import subprocess
import time

import jsonschema
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
QUICK = ["--repeats", "1", "--seconds", "0.3", "--warmup", "0.1", "--connections", "4"]
ERRORS = ["not_2xx", "malformed", "failed_connections", "reconnects"]


def load(*arguments):
    return subprocess.run([os.path.join(ROOT, "perf", "load"), *QUICK, *arguments], capture_output=True, text=True, timeout=120,
                          env=dict(os.environ, SLUICE_BUILD=BUILD))


def left_behind():
    with open("/proc/sys/vm/nr_hugepages") as file:
        return int(file.read()), sorted(glob.glob("/dev/shm/sluice-load-*"))


@pytest.fixture(scope="module")
def results():
    before = left_behind()
    done = load("--json", "--expect", "errors=0", "--expect", "rps<1")
    assert left_behind() == before
    assert done.returncode == 1, done.stderr      # of the two thresholds one cannot be met
    return json.loads(done.stdout), done.stderr


def test_its_json_is_what_its_schema_says(results):
    with open(os.path.join(ROOT, "configs", "schema", "perf-load.schema.json")) as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(results[0])


def test_both_loops_are_measured_through_the_gateway_and_without_it(results):
    closed, poisson = results[0]["runs"]
    assert (closed["mode"], poisson["mode"]) == ("closed", "poisson")
    for run in (closed, poisson):
        for side in ("gateway", "reference"):
            assert run[side]["completed"] > 0
            assert {e: run[side]["errors"][e] for e in ERRORS} == dict.fromkeys(ERRORS, 0)
            assert run[side]["latency_us"]["p50"] <= run[side]["latency_us"]["p99"] <= run[side]["latency_us"]["max"]
        assert run["added_us"]["p50"] == pytest.approx(run["gateway"]["latency_us"]["p50"] - run["reference"]["latency_us"]["p50"])
        assert run["cycles"]["requests"] > 0
        assert all(cycles >= 0 for cycles in run["cycles"]["stages"].values())
        assert run["cycles"]["stages"]["http"] > 0


def test_thresholds_decide(results):
    assert [e["met"] for e in results[0]["expectations"]] == [True, False]
    assert "MISSED rps<1" in results[1]


def test_without_offloads_and_large_bodies():
    done = load("--json", "--no-offloads", "--no-reference", "--arrivals", "none", "--size", "100000", "--expect", "errors=0")
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert not out["wire"]["tso"] and not out["wire"]["checksum"]
    assert out["runs"][0]["gateway"]["completed"] > 0 and "reference" not in out["runs"][0]


@pytest.mark.parametrize("tls", ["mtls", "https"])
def test_over_tls(tls):
    done = load("--json", "--tls", tls, "--arrivals", "none", "--expect", "errors=0")
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["wire"]["tls"] == tls
    run = out["runs"][0]
    assert run["gateway"]["completed"] > 0 and run["reference"]["completed"] > 0
    assert run["cycles"]["stages"]["tls"] > 0      # records were opened and sealed


def test_a_threshold_that_is_none_is_refused_before_anything_starts():
    done = load("--expect", "p98<1us")
    assert done.returncode == 2 and "expected NAME<VALUE" in done.stderr


def test_interrupted_it_leaves_nothing():
    before = left_behind()
    process = subprocess.Popen([os.path.join(ROOT, "perf", "load"), "--seconds", "60"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=dict(os.environ, SLUICE_BUILD=BUILD))
    while "wire net_vhost" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert left_behind() == before


def generator(tmp_path, name, device, address, *more):
    process = subprocess.Popen([os.path.join(BUILD, "perf", "load_generator"), "--device", device, "--address", address, "--mbufs", "10240", *more],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(tmp_path / name, "wb"), text=True, bufsize=1)
    line = "."
    while line and not line.startswith("ready"):
        line = process.stdout.readline()
    assert line, (tmp_path / name).read_text()
    return process


def test_a_server_that_stands_still_is_not_omitted(tmp_path):
    """One connection, a request every millisecond, a server that is stopped in the middle: what was due meanwhile was not sent,
    and is late all the same."""
    socket = f"{tmp_path}/wire"
    near = generator(tmp_path, "near", f"devargs:net_vhost0,iface={socket}", "10.98.0.2/24")
    far = generator(tmp_path, "far", f"devargs:net_virtio_user0,path={socket}", "10.98.0.3/24", "--echo-port", "80")
    try:
        near.stdin.write("run target=10.98.0.3:80 mode=fixed rate=1000 connections=1 seconds=1 warmup=0.2\n")
        assert json.loads(near.stdout.readline())["event"] == "measuring"
        far.send_signal(signal.SIGSTOP)
        time.sleep(0.4)
        far.send_signal(signal.SIGCONT)
        events = [json.loads(near.stdout.readline()) for _ in range(2)]
        seen = events[-1]
        assert seen["event"] == "done"
        assert seen["completed"] + seen["unanswered"] == 1000     # every request that was due
        assert seen["latency_us"]["p90"] > 10 * seen["service_us"]["p90"]
        assert seen["latency_us"]["max"] >= seen["service_us"]["max"]
    finally:
        for process in (far, near):
            process.stdin.close()
            process.wait(timeout=20)
