"""perf/compare --tls: requests over HTTPS and over mutual TLS on both sides, handshakes, and a flood of them beside established traffic.

In: a TlsLab, the command line's options. Out: tables, and the same as data. As without TLS: turns are interleaved, medians are printed,
busy time is the kernel's account of the proxy core, with handshake threads and all. Each proxy has half of its core (not beside a flood),
or client and backend would be the limit. The method: docs/performance.md.
"""

import json
import re
import statistics
import subprocess
import time

from compare_lab import PROXY_CPU, SHARED_CPU, GatewayError
from compare_tls_lab import TlsLab
from compare_turns import SETTLE_S, Window, clock_hz, interleaved, print_cell, summary, turn

__all__ = ["MODES", "PROGRAMS", "TlsLab", "measure"]

MODES = ["https", "mtls", "handshakes", "flood"]
PROGRAMS = ["tls_client", "client_certificate"]
AT_ONCE = 8                     # handshakes
ESTABLISHED, RATE = 16, 2000    # connections and requests/s beside a flood: no proxy is near its limit
TITLES = {"https": "HTTPS to the client, plain to the backend", "mtls": "mutual TLS to the client and to the backend"}


def said(process, who):
    """A tls_client's line."""
    text, errors = process.communicate(timeout=90)
    if process.returncode != 0:
        raise GatewayError(f"tls_client against {who}: {errors.strip()}")
    return json.loads(text)


def begin(command):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# --- Requests ------------------------------------------------------------------------------------

def requests(lab, contenders, protocol, options, hz, out):
    results = []
    print(f"\n{TITLES[protocol]}", file=out)
    for contender in contenders:
        lab.use(contender, protocol)
    for size in options.sizes:
        for connections in options.connections:
            turns = interleaved(contenders, options.repeats, lambda c: turn(lab, c, size, connections, options.seconds, False, options.core))
            rows = [dict(summary(c.name, size, connections, turns[c.name], hz), protocol=protocol) for c in contenders]
            results += rows
            print_cell(rows, False, out)
    return results


# --- Handshakes ----------------------------------------------------------------------------------

def handshake_turn(lab, contender, seconds, resume, core):
    contender.wake()
    try:
        with core.taken():
            client = begin(lab.tls_client(contender, SHARED_CPU, "--concurrency", AT_ONCE, "--warmup", SETTLE_S, "--seconds", seconds, *(["--resume"] if resume else [])))
            time.sleep(SETTLE_S)
            window = Window(seconds, core)
            seen = said(client, contender.name)
    finally:
        contender.rest()
    if resume and seen["resumed"] != seen["done"]:
        raise GatewayError(f"{contender.name} resumed {seen['resumed']} of {seen['done']} handshakes")
    return {"rate": seen["handshakes_per_s"], "busy": window.busy, "share": window.share, "failed": seen["failed"], "p50": seen["latency_us"]["p50"], "p99": seen["latency_us"]["p99"]}


def speed_bound(text):
    """Handshakes a core-second that the public-key work alone allows: (full, resumed). `text`: of `openssl speed ecdsap256 ecdhx25519`.
    A server signs once, makes a key share and derives from the other's; a resumed one does not sign."""
    sign = float(re.search(r"ecdsa \(nistp256\)\s+\S+s\s+\S+s\s+([0-9.]+)", text).group(1))
    derive = float(re.search(r"ecdh \(X25519\)\s+\S+s\s+([0-9.]+)", text).group(1))
    return 1 / (1 / sign + 2 / derive), derive / 2


def handshakes(lab, contenders, options, hz, out):
    contenders = [c for c in contenders if c.name != "floor"]
    speed = subprocess.run(["taskset", "-c", str(PROXY_CPU), "openssl", "speed", "-seconds", "1", "ecdsap256", "ecdhx25519"], capture_output=True, text=True, check=True)
    bounds = dict(zip(("full", "resumed"), speed_bound(speed.stdout)))
    for contender in contenders:
        lab.use(contender, "https")
    results = {"bound_per_core_second": bounds, "results": []}
    for kind in ("full", "resumed"):
        turns = interleaved(contenders, options.repeats, lambda c: handshake_turn(lab, c, options.seconds, kind == "resumed", options.core))
        print(f"\nhandshakes, {kind}: ECDSA P-256 and X25519, {AT_ONCE} at a time; openssl speed allows {bounds[kind]:,.0f} a core-second", file=out)
        print(f"{'':9}{'handshakes/s':>14}{'proxy core':>12}{'hs/busy s':>12}{'cycles/hs':>12}{'p50':>10}{'p99':>10}{'failed':>8}", file=out)
        for c in contenders:
            middle = {key: statistics.median(t[key] for t in turns[c.name]) for key in ("rate", "busy", "share", "p50", "p99")}
            per_busy = statistics.median(t["rate"] / max(t["busy"], 0.001) for t in turns[c.name])
            row = {"name": c.name, "kind": kind, "handshakes_per_second": middle["rate"], "busy": middle["busy"], "core_share": middle["share"], "per_busy_second": per_busy,
                   "cycles_per_handshake": hz / per_busy, "p50_us": middle["p50"], "p99_us": middle["p99"], "failed": sum(t["failed"] for t in turns[c.name])}
            results["results"].append(row)
            print(f"{c.name:9}{middle['rate']:>14,.0f}{middle['busy']:>12.0%}{per_busy:>12,.0f}{hz / per_busy:>12,.0f}{middle['p50']:>8,.0f}us{middle['p99']:>8,.0f}us{row['failed']:>8}",
                  file=out, flush=True)
    return results


# --- A flood of handshakes beside established traffic ----------------------------------------------

def flood_turn(lab, contender, seconds):
    """p99 of requests when due, alone and beside a flood, one after the other. The flood's client gives way to the others of its core."""
    contender.wake()
    try:
        seen = {}
        for kind in ("quiet", "flood"):
            flood = begin(lab.tls_client(contender, SHARED_CPU, "--concurrency", AT_ONCE, "--warmup", SETTLE_S, "--seconds", seconds + 0.5, gives_way=True)) if kind == "flood" else None
            seen[kind] = said(begin(lab.tls_client(contender, SHARED_CPU, "--requests-per-s", RATE, "--concurrency", ESTABLISHED, "--warmup", SETTLE_S, "--seconds", seconds)),
                              contender.name)
            if flood:
                seen["handshakes_per_s"] = said(flood, contender.name)["handshakes_per_s"]
    finally:
        contender.rest()
    quiet, flooded = seen["quiet"]["latency_us"], seen["flood"]["latency_us"]
    return {"quiet_p50": quiet["p50"], "quiet_p99": quiet["p99"], "flood_p50": flooded["p50"], "flood_p99": flooded["p99"], "ratio": flooded["p99"] / quiet["p99"],
            "handshakes": seen["handshakes_per_s"], "unanswered": seen["quiet"]["unanswered"] + seen["flood"]["unanswered"]}


def flood(lab, contenders, options, out):
    contenders = [c for c in contenders if c.name != "floor"]
    for contender in contenders:
        lab.use(contender, "https")
    turns = interleaved(contenders, options.repeats, lambda c: flood_turn(lab, c, options.seconds))
    print(f"\n{RATE:,} requests/s of 1 KiB on {ESTABLISHED} connections, alone and beside a flood of full handshakes", file=out)
    print(f"{'':9}{'handshakes/s':>14}{'p50 alone':>12}{'p50 flood':>12}{'p99 alone':>12}{'p99 flood':>12}{'p99 ratio':>11}{'unanswered':>12}", file=out)
    rows = []
    for c in contenders:
        row = {key: statistics.median(t[key] for t in turns[c.name]) for key in turns[c.name][0] if key != "unanswered"}
        row.update(name=c.name, unanswered=sum(t["unanswered"] for t in turns[c.name]))
        rows.append(row)
        print(f"{c.name:9}{row['handshakes']:>14,.0f}{row['quiet_p50']:>10,.0f}us{row['flood_p50']:>10,.0f}us{row['quiet_p99']:>10,.0f}us{row['flood_p99']:>10,.0f}us"
              f"{row['ratio']:>11.1f}{row['unanswered']:>12}", file=out, flush=True)
    return rows


def measure(lab, names, options, out):
    hz = clock_hz()
    contenders = [lab.start(name) for name in names]
    results = {"hz": hz, "driver": options.driver, "core_share": options.core.percent, "seconds": options.seconds, "repeats": options.repeats, "results": []}
    for protocol in ("https", "mtls"):
        if protocol in options.modes:
            results["results"] += requests(lab, contenders, protocol, options, hz, out)
    if "handshakes" in options.modes:
        results["handshakes"] = handshakes(lab, contenders, options, hz, out)
    if "flood" in options.modes:
        results["flood"] = flood(lab, contenders, options, out)
    return results
