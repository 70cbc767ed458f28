"""One turn of perf/compare: a client runs against one contender, the kernel's account of its core is read around the window.

In: a lab, a contender, a body size. Out: what was seen, medians of it, printed cells. Shared by all modes of perf/compare.
"""

import contextlib
import math
import os
import re
import statistics
import subprocess
import time

from compare_lab import PROXY_CPU, SHARED_CPU, SIZES, GatewayError, program

SETTLE_S = 0.4        # wrk opens its connections and caches warm up, outside the window
SATURATED = 0.97
LARGE = 65536         # bodies whose bytes count more than their number


def idle_s(cpu):
    """Seconds this CPU has idled since boot; all the rest (user, system, irq, softirq) is busy."""
    with open("/proc/stat") as file:
        for line in file:
            if line.startswith(f"cpu{cpu} "):
                fields = [int(word) for word in line.split()[1:]]
                return (fields[3] + fields[4]) / os.sysconf("SC_CLK_TCK")
    raise GatewayError(f"no cpu{cpu} in /proc/stat")


def clock_hz():
    with open("/proc/cpuinfo") as file:
        return max(float(m) for m in re.findall(r"^cpu MHz\s*: ([0-9.]+)", file.read(), re.M)) * 1e6


def microseconds(text):
    number, unit = re.match(r"([0-9.]+)(us|ms|m|s|h)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}[unit]


class CoreShare:
    """What the proxy has of its core: all of it, or so many percent, in slices, while perf/core_share takes the rest."""

    def __init__(self, percent):
        self.percent, self.process = percent, None

    @contextlib.contextmanager
    def taken(self):
        """The rest is taken within."""
        if self.percent == 100:
            yield
            return
        self.process = subprocess.Popen([program("core_share"), "--cpu", str(PROXY_CPU), "--percent", str(100 - self.percent)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if self.process.stdout.readline().strip() != "ready":
                raise GatewayError("core_share does not start")
            yield
        finally:
            self.process.stdin.close()
            self.process.wait(timeout=10)
            self.process = None

    def taken_s(self):
        """Seconds of the core that others could not have."""
        if not self.process:
            return 0.0
        with open(f"/proc/{self.process.pid}/schedstat") as file:
            return int(file.read().split()[0]) / 1e9


class Window:
    """`busy`, `other`: seconds a second that the proxy's core worked for it, and the other core for all else; `share`: of its core that was there for it."""

    def __init__(self, seconds, core):
        began, taken, idle = time.monotonic(), core.taken_s(), (idle_s(PROXY_CPU), idle_s(SHARED_CPU))
        time.sleep(seconds)
        length, taken = time.monotonic() - began, core.taken_s() - taken
        self.busy, self.other = (max(0.0, 1 - (idle_s(cpu) - before) / length) for cpu, before in zip((PROXY_CPU, SHARED_CPU), idle))
        self.busy = max(0.0, self.busy - taken / length)
        self.share = 1 - taken / length


def turn(lab, contender, size, connections, seconds, close, core):
    """One run of wrk against one contender, which has what `core` leaves it: a dictionary of what was seen."""
    header = ["-H", "Connection: close"] if close else []
    contender.wake()
    try:
        with core.taken():
            wrk = subprocess.Popen(
                lab.client.command("taskset", "-c", str(SHARED_CPU), *lab.wrk(contender), "-t1", f"-c{connections}", f"-d{math.ceil(seconds + SETTLE_S)}s",
                                   "--latency", *header, f"{contender.url}/{size}"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            time.sleep(SETTLE_S)
            window = Window(seconds, core)
            report = wrk.communicate(timeout=seconds + 30)[0]
    finally:
        contender.rest()
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", report)
    if not rate or not re.search(r"[1-9]\d* requests in", report):
        raise GatewayError(f"wrk against {contender.name}: {report.strip()}")
    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", report))
    errors += sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", report))
    return {"rate": float(rate.group(1)), "busy": window.busy, "share": window.share, "other": window.other, "errors": errors,
            "p50": microseconds(re.search(r"^\s+50%\s+(\S+)\s*$", report, re.M).group(1)), "p99": microseconds(re.search(r"^\s+99%\s+(\S+)\s*$", report, re.M).group(1))}


def summary(name, size, connections, turns, hz):
    """Medians over the turns of one cell."""
    middle = {key: statistics.median(t[key] for t in turns) for key in ("rate", "busy", "share", "other", "p50", "p99")}
    per_busy = statistics.median(t["rate"] / max(t["busy"], 0.001) for t in turns)
    return {"name": name, "size": SIZES[size], "connections": connections, "requests_per_second": middle["rate"], "busy": middle["busy"], "core_share": middle["share"],
            "other_core_busy": middle["other"], "per_busy_second": per_busy, "cycles_per_request": hz / per_busy, "p50_us": middle["p50"],
            "p99_us": middle["p99"], "bytes_per_busy_second": SIZES[size] * per_busy, "errors": sum(t["errors"] for t in turns),
            "saturated": middle["busy"] >= SATURATED * middle["share"], "turns": len(turns)}


def print_cell(rows, close, out):
    size, connections = rows[0]["size"], rows[0]["connections"]
    print(f"\n{size} B, {connections} connections{' at a time, a new one for each request' if close else ''}", file=out)
    each, bytes_too = "conn" if close else "req", size >= LARGE
    print(f"{'':9}{'connections/s' if close else 'requests/s':>14}{'proxy core':>12}{each + '/busy s':>12}{'cycles/' + each:>12}{'p50':>10}{'p99':>10}{'errors':>8}"
          + (f"{'MB/busy s':>11}" if bytes_too else ""), file=out)
    for row in rows:
        mark = "*" if row["saturated"] else " "
        print(f"{row['name']:9}{row['requests_per_second']:>14,.0f}{row['busy']:>11.0%}{mark}{row['per_busy_second']:>12,.0f}"
              f"{row['cycles_per_request']:>12,.0f}{row['p50_us']:>8,.0f}us{row['p99_us']:>8,.0f}us{row['errors']:>8}"
              + (f"{row['bytes_per_busy_second'] / 1e6:>11,.0f}" if bytes_too else ""), file=out, flush=True)


def interleaved(contenders, repeats, one):
    """{name: [what `one(contender)` returned]}. Each repeat begins with another, so that no one always follows the same neighbour."""
    seen = {contender.name: [] for contender in contenders}
    for repeat in range(repeats):
        for index in range(len(contenders)):
            contender = contenders[(index + repeat) % len(contenders)]
            seen[contender.name].append(one(contender))
    return seen
