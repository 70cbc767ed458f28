"""Makes the demo, plays the tour, shows the live line, and removes everything again.

In: --no-tour, --smoke. Out: exit 0, or 1 when an act of --smoke failed. Called by scripts/run.
Ctrl-C and SIGTERM end it at any point; what was made is removed either way.
"""

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from demo import PREFIX, Demo  # noqa: E402
from gateway import GatewayError  # noqa: E402
from netlab import LabError, namespaces, remove_namespaces  # noqa: E402
from tour import ACTS, ActFailed, Stage  # noqa: E402

WORK_PREFIX = "sluice-demo-"


def remove_leftovers(say):
    if namespaces(PREFIX):
        say(f"removed {remove_namespaces(PREFIX)} namespaces of an earlier run that was killed")
    for name in os.listdir(tempfile.gettempdir()):
        if name.startswith(WORK_PREFIX):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)


def play(demo, stage, smoke):
    """Plays all acts; the number that failed. For people the first failure ends the tour."""
    failed = 0
    for act in ACTS:
        try:
            act(demo, stage)
        except (ActFailed, GatewayError, LabError) as wrong:
            failed += 1
            stage.say(f"FAILED {act.__name__.removeprefix('act_').replace('_', ' ')}: {wrong}")
            if not smoke:
                break
    return failed


def metric(text, name):
    """The sum of a Prometheus metric over its labels."""
    values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)", text, re.M)
    return sum(float(v) for v in values)


def live_line(demo, tty):
    """Connections, requests/s, cycles per request and drops, every second until Ctrl-C."""
    last = None
    while demo.gateway.running():
        text = demo.gateway.admin("/stats/prometheus")[1]
        requests, cycles = metric(text, "envoy_http_downstream_rq_total"), metric(text, "sluice_worker_busy_cycles_total")
        now = (time.monotonic(), requests, cycles)
        if last:
            done = requests - last[1]
            per = f"{(cycles - last[2]) / done:,.0f}" if done else "-"
            line = (f"connections {metric(text, 'envoy_http_downstream_cx_active'):,.0f}   requests/s {done / (now[0] - last[0]):,.0f}   "
                    f"cycles/request {per}   drops {metric(text, 'sluice_port_[rt]x_dropped_total'):,.0f}   (Ctrl-C ends)")
            print(("\r\033[K" + line) if tty else line, end="" if tty else "\n", flush=True)
        last = now
        time.sleep(1 if tty else 10)
    raise GatewayError(f"sluiced ended\n{demo.gateway.log_tail()}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/run")
    parser.add_argument("--no-tour", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    tty = sys.stdout.isatty()
    stage = Stage(tty)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))

    remove_leftovers(stage.say)
    work = tempfile.mkdtemp(prefix=WORK_PREFIX)
    demo, status = None, 1
    try:
        demo = Demo(work, stage.say)
        demo.start()
        stage.say(f"3 test hosts {' '.join(demo.lab.hosts)}   (files: {work})")
        failed = 0 if options.no_tour else play(demo, stage, options.smoke)
        if options.smoke:
            stage.say(f"\nsmoke: {len(ACTS) - failed} acts passed, {failed} failed")
            status = 1 if failed else 0
        else:
            stage.say()
            live_line(demo, tty)
    except KeyboardInterrupt:
        status = 130 if options.smoke else 0
    except (ActFailed, GatewayError, LabError, RuntimeError) as wrong:
        stage.say(f"scripts/run: {wrong}")
    finally:
        # A second Ctrl-C must not stop the cleaning.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if status == 1:
            keep = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".cache", "logs", "last-run")
            shutil.rmtree(keep, ignore_errors=True)
            shutil.copytree(work, keep, ignore=lambda _, names: [n for n in names if n.endswith((".sock", ".status"))])
            stage.say(f"its files are kept in {os.path.normpath(keep)}")
        removed, left = demo.lab.destroy() if demo else (remove_namespaces(PREFIX), 0)
        shutil.rmtree(work, ignore_errors=True)
        stage.say(f"\nremoved {removed} namespaces, {left} processes left")
    return status


if __name__ == "__main__":
    sys.exit(main())
