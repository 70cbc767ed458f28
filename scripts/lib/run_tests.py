"""Builds and runs every test and counts every case.

In: --quick, --only PATTERN. Out: progress lines, then "N passed, N failed" as the last line.
Each stage is a function (tally, options) -> None; results are files under build/test-results.
"""

import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree
from concurrent.futures import ThreadPoolExecutor

import istio_schema

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JOBS = int(os.environ.get("SLUICE_JOBS", os.cpu_count() or 2))
RESULTS = os.path.join(ROOT, "build", "test-results")
LOGS = os.path.join(ROOT, ".cache", "logs")
FUZZ_SECONDS = 30
TOOLS = ["meson", "ninja", "g++", "clang++", "protoc", "nginx", "curl", "wrk", "ip", "ethtool", "ping", "tshark",
         "dpkg-deb", "dpkg-shlibdeps", "lintian", "systemd-analyze", "setpriv", "openssl", "gnutls-cli", "gnutls-serv",
         "go", "sslscan", "testssl"]
START = time.monotonic()
# One compilation serves every checkout and every build folder that would do the same.
os.environ.setdefault("CCACHE_NOHASHDIR", "true")
os.environ.setdefault("CCACHE_BASEDIR", ROOT)


class Tally:
    """What passed, and the name and cause of everything that did not."""

    def __init__(self):
        self.passed = 0
        self.failures = []
        self.skipped = []

    def ok(self, count=1):
        self.passed += count

    def fail(self, name, why=""):
        self.failures.append(name)
        print(f"FAILED {name}", flush=True)
        for line in why.rstrip().splitlines()[-40:]:
            print(f"    {line}", flush=True)

    def skip(self, name, why):
        """Only for what this machine cannot do, such as fetching; said where it happens and again at the end."""
        self.skipped.append(f"{name}: {why}")
        print(f"SKIPPED {name}: {why}", flush=True)


def progress(text):
    minutes, seconds = divmod(int(time.monotonic() - START), 60)
    print(f"[{minutes:2d}:{seconds:02d}] {text}", flush=True)


def tail(path, lines=40):
    with open(path, errors="replace") as file:
        return "".join(file.readlines()[-lines:])


# --- Building ------------------------------------------------------------------------------------

BUILDS = {
    "build": [],
    "build-asan": ["--buildtype=plain", "-Doptimization=1", "-Dcpp_args=-g1", "-Db_sanitize=address,undefined", "-Db_lundef=false"],
    "build-tsan": ["--buildtype=plain", "-Doptimization=1", "-Dcpp_args=-g1", "-Dcontrol=false", "-Db_sanitize=thread", "-Db_lundef=false"],
    "build-fuzz": ["--buildtype=debug", "-Doptimization=1", "-Dfuzzers=true", "-Db_lundef=false"],
}


def logged(name, command, env=None):
    """Runs a command into a log file; its log on failure, None on success."""
    path = os.path.join(LOGS, name + ".log")
    with open(path, "w") as log:
        status = subprocess.call(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=env)
    return None if status == 0 else tail(path) + f"\n(whole log: {path})"


def configure(tally, directory):
    if os.path.exists(os.path.join(ROOT, directory, "build.ninja")):
        return True
    env = dict(os.environ)
    if directory == "build-fuzz":
        env.update(CC="clang", CXX="clang++")
    why = logged("meson-" + directory, ["meson", "setup", directory, *BUILDS[directory]], env)
    if why:
        tally.fail(f"configure {directory}", why)
    return not why


def build(tally, directory, targets=()):
    """Builds targets (all without any), showing ninja's count; False and a failure if it breaks."""
    if not configure(tally, directory):
        return False
    path = os.path.join(LOGS, f"ninja-{directory}.log")
    command = ["ninja", "-C", os.path.join(ROOT, directory), "-j", str(JOBS), "-k", "0", *targets]
    shown = time.monotonic()
    with open(path, "w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        for line in process.stdout:
            log.write(line)
            if line.startswith("[") and time.monotonic() - shown > 10:
                shown = time.monotonic()
                progress(f"{directory} {line.split(' ', 1)[0]}")
    if process.wait() == 0:
        progress(f"{directory} built")
        return True
    tally.fail(f"build {directory}", tail(path, 30) + f"\n(whole log: {path})")
    return False


def test_binaries(directory):
    """Every GoogleTest program that the build knows, as ninja targets."""
    listed = subprocess.run(["meson", "introspect", "--targets", os.path.join(ROOT, directory)], capture_output=True, text=True)
    targets = json.loads(listed.stdout)
    names = [t["filename"][0] for t in targets if t["type"] == "executable" and t["name"].endswith("_test")]
    return sorted(os.path.relpath(name, os.path.join(ROOT, directory)) for name in names)


# --- GoogleTest ----------------------------------------------------------------------------------


def run_gtest(directory, binary, only):
    """Runs one binary; (passed, [(name, why)])."""
    label = f"{os.path.basename(binary)}" + ("" if directory == "build" else f" ({directory.removeprefix('build-')})")
    result = os.path.join(RESULTS, directory + "-" + os.path.basename(binary) + ".json")
    if os.path.exists(result):
        os.unlink(result)
    command = [os.path.join(ROOT, directory, binary), f"--gtest_output=json:{result}", "--gtest_brief=1"]
    if only and only not in label:
        command.append(f"--gtest_filter=*{only}*")
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0", TSAN_OPTIONS="halt_on_error=1",
               UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=ROOT, env=env, timeout=900)
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        return 0, [(label, "no end after 15 minutes\n" + (output.decode(errors="replace") if isinstance(output, bytes) else output))]
    output = done.stdout + done.stderr
    if not os.path.exists(result):
        return 0, [(label, f"ended with status {done.returncode} before its report\n{output}")]
    return count_gtest(json.load(open(result)), label, done.returncode, output, only)


def count_gtest(report, label, status, output, only):
    passed, failures = 0, []
    for suite in report.get("testsuites", []):
        for case in suite.get("testsuite", []):
            name = f"{label}: {suite['name']}.{case['name']}"
            if case.get("failures"):
                failures.append((name, "\n".join(f["failure"] for f in case["failures"])))
            elif case.get("result") == "SKIPPED" or case.get("status") == "NOTRUN":
                failures.append((name, "skipped: a case that did not run proves nothing"))
            else:
                passed += 1
    if status != 0 and not failures:
        failures.append((label, f"exit status {status}\n{output}"))
    if not passed and not failures and not only:
        failures.append((label, "has no case"))
    return passed, failures


def gtests(tally, directory, only, wanted=None):
    if not configure(tally, directory):
        return
    binaries = [b for b in test_binaries(directory) if wanted is None or os.path.basename(b) in wanted]
    if wanted:
        for name in wanted - {os.path.basename(b) for b in binaries}:
            tally.fail(f"{name} ({directory})", "no such test program")
    build(tally, directory, binaries)
    present = [b for b in binaries if os.path.exists(os.path.join(ROOT, directory, b))]
    with ThreadPoolExecutor(JOBS) as pool:
        for binary, (passed, failures) in zip(present, pool.map(lambda b: run_gtest(directory, b, only), present)):
            tally.ok(passed)
            for name, why in failures:
                tally.fail(name, why)
            progress(f"{directory}/{binary}: {passed} passed, {len(failures)} failed")


# --- The other stages ----------------------------------------------------------------------------


def tools(tally, only):
    for tool in TOOLS:
        if only and only not in tool:
            continue
        if shutil.which(tool):
            tally.ok()
        else:
            tally.fail(f"tool {tool}", f"{tool} is not installed: run scripts/setup")


def house_rules(tally, only):
    done = subprocess.run([os.path.join(ROOT, "scripts", "check-includes"), "--list"], capture_output=True, text=True)
    for line in done.stdout.splitlines():
        name, _, state = line.partition("\t")
        if only and only not in name:
            continue
        if state == "ok":
            tally.ok()
        else:
            tally.fail(name, state.replace("\\n", "\n"))
    progress("house rules checked")


def schemas(tally, only):
    """Our messages of the Istio API against the schemas that Istio publishes."""
    if only and only not in "Istio schemas":
        return
    folder = os.path.join(ROOT, ".cache", "third_party", "istio")
    fetched = subprocess.run([os.path.join(ROOT, "scripts", "fetch-schemas"), folder], capture_output=True, text=True)
    tables = istio_schema.read(folder)
    for why in fetched.stderr.strip().splitlines():
        tally.skip("Istio schemas", why)
    if not tables or not build(tally, "build", ["ctrl/model/istio_fields"]):
        return
    ours = subprocess.run([os.path.join(ROOT, "build", "ctrl", "model", "istio_fields"), "--paths"], capture_output=True, text=True)
    for name, why in istio_schema.compare(ours.stdout, folder):
        if why:
            tally.fail(f"Istio schemas: {name}", why)
        else:
            tally.ok()
    progress(f"Istio schemas compared: {', '.join(tables)}")


def wycheproof(tally, only):
    """The record layer's AEADs against Project Wycheproof's vectors."""
    if only and only not in "wycheproof":
        return
    folder = os.path.join(ROOT, ".cache", "third_party", "wycheproof")
    fetched = subprocess.run([os.path.join(ROOT, "scripts", "fetch-wycheproof"), folder], capture_output=True, text=True)
    if fetched.returncode != 0:
        tally.skip("wycheproof", fetched.stderr.strip())
        return
    if not build(tally, "build", ["tests/tls/tls_wycheproof"]):
        return
    done = subprocess.run([os.path.join(ROOT, "build", "tests", "tls", "tls_wycheproof"), folder], capture_output=True, text=True)
    counted = re.search(r"^wycheproof: (\d+) passed, (\d+) failed$", done.stdout, re.M)
    if done.returncode != 0 or not counted:
        tally.fail("wycheproof", done.stdout[-4000:] + done.stderr)
        return
    tally.ok(int(counted.group(1)))
    progress(f"wycheproof: {counted.group(1)} passed")


def fuzz_one(binary):
    name = os.path.basename(binary)
    corpus = os.path.join(ROOT, "build-fuzz", "corpus", name)
    failures = os.path.join(ROOT, "build", "failures", name + "-")
    os.makedirs(corpus, exist_ok=True)
    seeds = os.path.join(ROOT, "tests", "fuzz", "corpus", name)
    command = [binary, f"-max_total_time={FUZZ_SECONDS}", "-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1",
               f"-artifact_prefix={failures}", corpus] + ([seeds] if os.path.isdir(seeds) else [])
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=ROOT, timeout=FUZZ_SECONDS * 10)
    executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    return name, done.returncode, int(executed.group(1)) if executed else 0, done.stderr


def fuzzers(tally, only):
    if not build(tally, "build-fuzz"):
        return
    found = sorted(glob.glob(os.path.join(ROOT, "build-fuzz", "tests", "fuzz", "*_fuzz")))
    found = [f for f in found if not only or only in f]
    if not found and not only:
        tally.fail("fuzzers", "build-fuzz holds no program named *_fuzz")
    with ThreadPoolExecutor(JOBS) as pool:
        for name, status, executed, output in pool.map(fuzz_one, found):
            if status == 0 and executed > 1000:
                tally.ok()
                progress(f"{name}: {executed:,} inputs in {FUZZ_SECONDS} s")
            else:
                tally.fail(name, output if status else f"only {executed} inputs ran")


def system_tests(tally, only):
    if not build(tally, "build"):
        return
    result = os.path.join(RESULTS, "system.xml")
    if os.path.exists(result):
        os.unlink(result)
    command = [sys.executable, "-m", "pytest", "tests/system", "tests/harness", "tests/perf", "-v", "--tb=short", "-p", "no:cacheprovider",
               f"--junitxml={result}"] + (["-k", only] if only else [])
    with open(os.path.join(LOGS, "system.log"), "w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                   cwd=ROOT)
        for line in process.stdout:
            log.write(line)
            if re.match(r"tests/(system|harness|perf)/\S+::", line):
                progress(line.rstrip())
        status = process.wait()
    if not os.path.exists(result):
        tally.fail("system tests", f"pytest ended with status {status}\n" + tail(os.path.join(LOGS, "system.log")))
        return
    for case in xml.etree.ElementTree.parse(result).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        bad = [child for child in case if child.tag in ("failure", "error", "skipped")]
        if not bad:
            tally.ok()
        for child in bad[:1]:
            tally.fail(name, f"{child.tag}: {child.get('message') or ''}\n{child.text or ''}")
    if status not in (0, 1, 5):
        tally.fail("system tests", f"pytest ended with status {status}")


def tour(tally, only):
    """README's first command, unattended: every act of it is a case."""
    if only and only not in "scripts/run --smoke":
        return
    log = os.path.join(LOGS, "smoke.log")
    with open(log, "w") as out:
        status = subprocess.call([os.path.join(ROOT, "scripts", "run"), "--smoke"], stdout=out, stderr=subprocess.STDOUT, cwd=ROOT,
                                 stdin=subprocess.DEVNULL)
    with open(log, errors="replace") as file:
        text = file.read()
    counted = re.search(r"^smoke: (\d+) acts passed, (\d+) failed$", text, re.M)
    if not counted or (status != 0 and counted.group(2) == "0"):
        tally.fail("scripts/run --smoke", f"exit status {status}\n" + tail(log))
        return
    tally.ok(int(counted.group(1)))
    for act, why in re.findall(r"^FAILED ([^:]+): (.*)$", text, re.M):
        tally.fail(f"scripts/run --smoke: {act}", why)
    progress(f"tour: {counted.group(1)} acts passed, {counted.group(2)} failed")


def main():
    parser = argparse.ArgumentParser(prog="scripts/test")
    parser.add_argument("--quick", action="store_true", help="unit and simulation tests, release build only")
    parser.add_argument("--only", metavar="PATTERN", help="only cases whose name contains PATTERN")
    parser.add_argument("--stage", action="append", help=argparse.SUPPRESS)
    options = parser.parse_args()
    tally = Tally()
    stages = {
        "rules": lambda: house_rules(tally, options.only),
        "unit": lambda: gtests(tally, "build", options.only),
        "schemas": lambda: schemas(tally, options.only),
        "wycheproof": lambda: wycheproof(tally, options.only),
    }
    if not options.quick:
        stages = {"tools": lambda: tools(tally, options.only)} | stages | {
            "system": lambda: system_tests(tally, options.only),
            "tour": lambda: tour(tally, options.only),
            "asan": lambda: gtests(tally, "build-asan", options.only),
            "tsan": lambda: gtests(tally, "build-tsan", options.only, {"snapshot_test", "mailbox_test", "handshake_threads_test", "line_sharing_test"}),
            "fuzz": lambda: fuzzers(tally, options.only),
        }
    os.makedirs(LOGS, exist_ok=True)
    if not configure(tally, "build"):
        stages = {}
    os.makedirs(RESULTS, exist_ok=True)
    os.makedirs(os.path.join(ROOT, "build", "failures"), exist_ok=True)
    for name, stage in stages.items():
        if options.stage and name not in options.stage:
            continue
        progress(f"stage {name}")
        try:
            stage()
        except Exception as broken:  # a broken stage is a failure by name, not a traceback as the last line
            tally.fail(f"stage {name}", f"{type(broken).__name__}: {broken}")
    if not tally.passed and not tally.failures:
        tally.fail("selection", f"no case matches {options.only!r}")
    if tally.skipped:
        print("skipped:")
        for name in tally.skipped:
            print(f"  {name}")
    if tally.failures:
        print("failed:")
        for name in tally.failures:
            print(f"  {name}")
    print(f"{tally.passed} passed, {len(tally.failures)} failed")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
