"""What perf/load makes of its runs: medians, cycles by stage, thresholds, the machine's fingerprint, tables.

In: what generator and gateway said. Out: plain data for --json (configs/schema/perf-load.schema.json) and text. Pure, but for
environment(), which reads /proc.
"""

import hashlib
import os
import platform
import re
import statistics
import subprocess

QUANTILES = ["p50", "p90", "p99", "p99.9", "p99.99", "max"]
ERRORS = ["not_2xx", "malformed", "failed_connections", "reconnects", "unanswered"]
UNACCOUNTED_MAX = 0.03
SATURATED = 0.97


def summary(samples):
    """Medians over the repeats of one run; errors are added up."""
    middle = lambda values: statistics.median(values)   # noqa: E731
    return {
        "requests_per_s": middle([s["requests_per_s"] for s in samples]),
        "requests_per_s_spread": [min(s["requests_per_s"] for s in samples), max(s["requests_per_s"] for s in samples)],
        "completed": sum(s["completed"] for s in samples),
        "latency_us": {q: middle([s["latency_us"][q] for s in samples]) for q in ["mean", *QUANTILES]},
        "service_us": {q: middle([s["service_us"][q] for s in samples]) for q in ["mean", *QUANTILES]},
        "errors": {e: sum(s[e] for s in samples) for e in ERRORS},
        "repeats": len(samples),
    }


def cycles(before, after):
    """Where the gateway's core was between two looks, for each request.

    `stages` are turns that found work; `idle` are turns that found none; `other` is all of the core's time-stamp cycles that its own
    account misses: between turns, taken by the kernel or by another process.
    """
    requests = after["requests"] - before["requests"]
    if requests <= 0:
        return None
    then = {s["stage"]: s["cycles"] for s in before["stages"]}
    stages = {s["stage"]: (s["cycles"] - then.get(s["stage"], 0)) / requests for s in after["stages"]}
    wall = (after["unix_us"] - before["unix_us"]) / 1e6 * after["cycles_per_s"]
    busy = after["cycles_busy"] - before["cycles_busy"]
    counted = after["cycles_total"] - before["cycles_total"]
    work = sum(stages.values()) * requests
    idle = max(0, counted - work)
    return {
        "requests": requests,
        "stages": stages,
        "per_request": sum(stages.values()),
        "busy_per_request": busy / requests,
        "idle_per_request": idle / requests,
        "tsc_per_request": wall / requests,
        "busy": busy / wall if wall else 0.0,
        "unaccounted": (wall - work - idle) / wall if wall else 0.0,
    }


def median_cycles(samples):
    """The sample whose cost of a request is the median: its parts belong together."""
    samples = sorted((s for s in samples if s), key=lambda s: s["per_request"])
    return samples[len(samples) // 2] if samples else None


def added(gateway, reference):
    return {q: gateway["latency_us"][q] - reference["latency_us"][q] for q in ["mean", "p50", "p90", "p99", "p99.9"]}


# --- Thresholds --------------------------------------------------------------------------------------

UNITS = {"": 1, "us": 1, "ms": 1e3, "s": 1e6, "%": 0.01, "k": 1e3, "M": 1e6}
THRESHOLD = re.compile(r"^(?:(closed|open)\.)?([a-z_]+[0-9.]*)(<=|>=|<|>|=)([0-9.]+)(us|ms|s|%|k|M)?$")
NAMES = ["rps", "cycles", "unaccounted", "errors", "mean", *QUANTILES, *(f"added_{q}" for q in ["mean", "p50", "p90", "p99", "p99.9"])]


def parse_threshold(text):
    """(where, name, operator, value). ValueError says what is understood."""
    match = THRESHOLD.match(text.replace(" ", ""))
    if not match or match.group(2) not in NAMES:
        raise ValueError(f"`{text}`: expected NAME<VALUE, as in p99<20us, open.added_p50<=5us, rps>300k, cycles<4600, errors=0; names: {', '.join(NAMES)}")
    where, name, operator, value, unit = match.groups()
    return where, name, operator, float(value) * UNITS[unit or ""]


def value_of(run, name):
    """None where this run has no such value."""
    if name in ("cycles", "unaccounted"):
        found = run.get("cycles")
        return found and found["per_request" if name == "cycles" else "unaccounted"]
    if name == "rps":
        return run["gateway"]["requests_per_s"]
    if name == "errors":
        return sum(run["gateway"]["errors"].values())
    if name.startswith("added_"):
        return (run.get("added_us") or {}).get(name.removeprefix("added_"))
    return run["gateway"]["latency_us"][name]


def judge(text, runs):
    """A threshold is met if every run that it speaks of meets it. Unless it says where: throughput and cycles are the closed loop's,
    latencies the open one's, as long as there is one."""
    where, name, operator, wanted = parse_threshold(text)
    if where is None and name != "errors":
        natural = "closed" if name in ("rps", "cycles", "unaccounted") else "open"
        where = natural if any((run["mode"] == "closed") == (natural == "closed") for run in runs) else None
    holds = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__, "=": float.__eq__}[operator]
    values = [value_of(run, name) for run in runs if where is None or (run["mode"] == "closed") == (where == "closed")]
    values = [float(v) for v in values if v is not None]
    return {"text": text, "values": values, "met": bool(values) and all(holds(v, wanted) for v in values)}


# --- The machine -------------------------------------------------------------------------------------

def _first(path, pattern):
    try:
        with open(path, errors="replace") as file:
            match = re.search(pattern, file.read(), re.M)
        return match.group(1).strip() if match else ""
    except OSError:
        return ""


def _said(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except OSError:
        return ""


def steal_s():
    """Seconds that a hypervisor kept from this machine's CPUs since boot."""
    fields = _first("/proc/stat", r"^cpu +(.*)$").split()
    return int(fields[7]) / os.sysconf("SC_CLK_TCK") if len(fields) > 7 else 0.0


def environment(root, configs, tsc_hz):
    """What a figure must be read with. `configs`: files whose content is the test's, hashed together."""
    digest = hashlib.sha256()
    for path in configs:
        with open(path, "rb") as file:
            digest.update(file.read())
    git = lambda *a: _said("git", "-c", f"safe.directory={root}", "-C", root, *a)   # noqa: E731
    return {
        "cpu": _first("/proc/cpuinfo", r"^model name\s*: (.*)$"),
        "cpus": os.cpu_count(),
        "tsc_hz": tsc_hz,
        "governor": _first("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", r"(.*)") or "none",
        "virtual": _said("systemd-detect-virt") or ("yes" if " hypervisor " in _first("/proc/cpuinfo", r"^(flags.*)$") + " " else "no"),
        "isolated_cpus": _first("/sys/devices/system/cpu/isolated", r"(.*)"),
        "kernel": platform.release(),
        "os": _first("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "commit": git("rev-parse", "--short=12", "HEAD") or "unknown",
        "modified": bool(git("status", "--porcelain", "--untracked-files=no")),
        "dpdk": _said("pkg-config", "--modversion", "libdpdk"),
        "compiler": _said("g++", "--version").splitlines()[0] if _said("g++", "--version") else "",
        "config_sha256": digest.hexdigest(),
        "load_average": os.getloadavg()[0],
    }


# --- Tables ------------------------------------------------------------------------------------------

def duration(us):
    return f"{us:,.1f} us" if abs(us) < 1000 else f"{us / 1000:,.2f} ms"


def run_lines(run):
    """A run's rows: through the gateway, straight to the backend, and the difference."""
    if run["mode"] == "closed":
        head = f"closed loop, {run['connections']} connections"
    else:
        share = f", {run['load']:.0%} of saturation" if run.get("load") else ""
        head = f"{run['mode']}, {run['rate']:,.0f}/s{share}, {run['connections']} connections"
    yield f"\n{head:<46}{'req/s':>11}" + "".join(f"{q:>12}" for q in QUANTILES if q != "p99.99") + f"{'errors':>8}"
    for name, key in (("through " + run["through"], "gateway"), ("straight to the backend", "reference")):
        row = run.get(key)
        if row:
            yield (f"  {name:<44}{row['requests_per_s']:>11,.0f}" + "".join(f"{duration(row['latency_us'][q]):>12}" for q in QUANTILES if q != "p99.99")
                   + f"{sum(row['errors'].values()):>8}")
    if run.get("added_us"):
        yield f"  {'added':<44}{'':>11}" + "".join(f"{duration(run['added_us'][q]) if q in run['added_us'] else '':>12}" for q in QUANTILES if q != "p99.99")


def cycle_lines(run):
    """Cycles of a request by stage, and whether they are all of the core's."""
    found = run.get("cycles")
    if not found:
        return
    stages = [(name, value) for name, value in found["stages"].items()]
    yield "  cycles of a request, by the gateway's own account:"
    yield "    " + "".join(f"{name:>{max(9, len(name) + 2)}}" for name, _ in stages) + f"{'sum':>9}"
    yield "    " + "".join(f"{value:>{max(9, len(name) + 2)},.0f}" for name, value in stages) + f"{found['per_request']:>9,.0f}"
    verdict = "ok" if abs(found["unaccounted"]) < UNACCOUNTED_MAX else f"FAILED: more than {UNACCOUNTED_MAX:.0%} unaccounted"
    yield (f"    + {found['idle_per_request']:,.0f} looking for work; the core's time-stamp counter went on by {found['tsc_per_request']:,.0f}: "
           f"{found['unaccounted']:.1%} unaccounted, {verdict}")
    if run["mode"] == "closed" and found["busy"] < SATURATED:
        yield f"    the gateway is {found['busy']:.0%} busy, not saturated: the generator's core is the limit"
