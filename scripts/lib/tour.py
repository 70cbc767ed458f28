"""The first minute, act by act. Each act shows something and asserts what it shows.

In: a running Demo, a Stage to speak on. Out: ActFailed from the act whose claim does not hold.
scripts/run plays the acts for people, scripts/run --smoke for machines: the tour is a test.
"""

import json
import os
import re
import subprocess
import time

from gateway import ROOT

LOAD_SECONDS = 8


class ActFailed(Exception):
    """What the act claims is not so; the text says what was seen."""


def expect(condition, text):
    if not condition:
        raise ActFailed(text)


class Stage:
    """Prints; on a terminal with some colour, elsewhere plain lines."""

    def __init__(self, tty):
        self.tty = tty

    def act(self, title):
        print(f"\n\033[1m== {title} ==\033[0m" if self.tty else f"\n== {title} ==", flush=True)

    def say(self, text=""):
        print(text, flush=True)

    def command(self, text):
        print(f"\033[36m$ {text}\033[0m" if self.tty else f"$ {text}", flush=True)


def bars(stage, counts):
    total = sum(counts.values()) or 1
    parts = [f"{name} {'#' * round(count / total * 20)} {count / total:.0%}" for name, count in counts.items()]
    stage.say("    " + "   ".join(parts))
    return counts["v1"] / total


def reviews_served(demo):
    return {"v1": demo.served("reviews-v1"), "v2": demo.served("reviews-v2")}


def split_during(demo, stage, seconds):
    """The share of v1 among requests answered in this time."""
    before = reviews_served(demo)
    time.sleep(seconds)
    after = reviews_served(demo)
    counts = {name: after[name] - before[name] for name in before}
    expect(sum(counts.values()) > 100, f"only {sum(counts.values())} requests reached the backends in {seconds} s")
    return bars(stage, counts)


def finish_wrk(process):
    """(requests, failed) of a wrk run."""
    report = process.communicate(timeout=LOAD_SECONDS + 20)[0]
    requests = re.search(r"(\d+) requests in", report)
    expect(requests, f"wrk: {report.strip()}")
    failed = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", report))
    failed += sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", report))
    return int(requests.group(1)), failed


def wait_for(condition, timeout_s, what):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.005)
    raise ActFailed(f"{what}: not within {timeout_s} s")


# --- The acts ------------------------------------------------------------------------------------


def act_map(demo, stage):
    stage.act("Map")
    stage.say(f"  client == [sluiced core 1, {demo.driver}, own TCP] == reviews-v1, reviews-v2, ratings")
    stage.say("  192.0.2.2  192.0.2.10              10.0.0.10   10.0.0.21   10.0.0.22   10.0.0.23")
    for line in demo.gateway.ctl("status").stdout.splitlines():
        stage.say("  " + line)
    expect(demo.gateway.revision() >= 1, "no revision is in force")


def act_no_socket(demo, stage):
    stage.act("No socket")
    stage.command("scripts/in gateway ss -Htln")
    listening = demo.lab.hosts["gateway"].run("ss", "-Htln").stdout
    stage.say(listening.rstrip() or "  (nothing: no kernel socket listens)")
    expect(not listening.strip(), f"a kernel socket listens on the gateway: {listening.strip()}")
    stage.command("scripts/in client curl -i http://shop.example/reviews/7")
    answer = demo.curl("-i", "http://shop.example/reviews/7")
    stage.say(answer.stdout.replace("\r", "").rstrip() or answer.stderr.strip())
    expect(re.match(r"HTTP/1\.1 200", answer.stdout), f"not 200: {answer.stdout[:200]} {answer.stderr.strip()}")
    line = demo.access_line("/reviews/7")
    stage.say("access log:")
    stage.say("  " + line)
    expect("200" in line, f"no access-log line for /reviews/7 in {demo.access_log}")


def act_edit_live(demo, stage):
    stage.act("Edit it live")
    path = demo.reviews_file()
    with open(path) as file:
        original = file.read()
    revision = demo.gateway.revision()
    load = demo.wrk(LOAD_SECONDS)
    time.sleep(0.5)
    share = split_during(demo, stage, 2)
    expect(0.85 < share < 0.95, f"v1 gets {share:.0%} of requests, the file says 90 %")
    script = "s/weight: 90/weight: 50/; s/weight: 10$/weight: 50/"
    stage.command(f"sed -i '{script}' {path}")
    edited = time.monotonic()
    subprocess.run(["sed", "-i", script, path], check=True)
    demo.gateway.wait_revision(revision + 1)
    live_ms = (time.monotonic() - edited) * 1000
    share = split_during(demo, stage, 2)
    expect(0.42 < share < 0.58, f"v1 gets {share:.0%} of requests after the edit to 50/50")
    requests, failed = finish_wrk(load)
    stage.say(f"  revision {revision + 1} live on all cores {live_ms:.0f} ms after the edit; {failed} failed of {requests:,}")
    expect(failed == 0, f"{failed} requests of {requests} failed during the edit")
    with open(path, "w") as file:
        file.write(original)
    demo.gateway.wait_revision(revision + 2)


def act_break_it(demo, stage):
    stage.act("Break it")
    path = demo.reviews_file()
    with open(path) as file:
        original = file.read()
    revision = demo.gateway.revision()
    load = demo.wrk(LOAD_SECONDS)
    time.sleep(0.5)
    stage.command(f"sed -i 's/weight: 90/wieght: 90/' {path}")
    with open(path, "w") as file:
        file.write(original.replace("weight: 90", "wieght: 90"))
    wait_for(lambda: "wieght" in demo.gateway.ctl("status").stdout, 5, "sluicectl status names the wrong field")
    for line in caret_error(demo):
        stage.say("  " + line)
    status = demo.gateway.ctl("status").stdout
    expect("wieght" in status and "REJECTED" in status.upper(), f"status does not tell of the rejected file:\n{status}")
    expect(demo.gateway.revision() == revision, f"revision {demo.gateway.revision()} is in force, {revision} must stay")
    stage.say(f"  still serving revision {revision}")
    share = split_during(demo, stage, 2)
    expect(0.85 < share < 0.95, f"v1 gets {share:.0%} while the file is broken, 90 % before")
    with open(path, "w") as file:
        file.write(original)
    wait_for(lambda: "wieght" not in demo.gateway.ctl("status").stdout, 5, "the restored file is accepted")
    requests, failed = finish_wrk(load)
    stage.say(f"  restored; {failed} failed of {requests:,}")
    expect(failed == 0, f"{failed} requests of {requests} failed while the file was broken")


def caret_error(demo):
    """The error as `sluiced --check` prints it, caret and all."""
    from gateway import program

    done = subprocess.run([program("sluiced"), "--check", "--config", demo.config], capture_output=True, text=True)
    text = (done.stdout + done.stderr).rstrip()
    expect(done.returncode == 1, f"--check exits {done.returncode} on a wrong file: {text}")
    expect("wieght" in text and "^" in text, f"--check shows no caret under the wrong field: {text}")
    return text.splitlines()


def act_https(demo, stage):
    stage.act("HTTPS and identities")
    stage.command(f"scripts/in client curl --cacert {demo.ca_shown} https://shop.example/vault")
    answer = demo.curl("--cacert", demo.ca.certificate, "https://shop.example/vault")
    stage.say(answer.stdout.rstrip() or answer.stderr.strip())
    expect("CN=gateway" in answer.stdout, f"the vault, behind mutual TLS, did not see the gateway: {answer.stdout} {answer.stderr}")
    stage.say("  the vault takes mutual TLS alone: that is who the gateway is to it; 8443 asks clients for theirs:")
    door = "https://shop.example:8443/ratings/7"
    stage.command(f"scripts/in client curl --cacert {demo.ca_shown} --cert alice.crt --key alice.key {door}")
    known = demo.curl("--cacert", demo.ca.certificate, "--cert", demo.alice.certificate, "--key", demo.alice.key, door)
    stage.say(known.stdout.rstrip() or known.stderr.strip())
    expect('"client": "spiffe://cluster.local/ns/people/sa/alice"' in known.stdout, f"the backend was not told who alice is: {known.stdout} {known.stderr}")
    stage.command(f"scripts/in client curl --cacert {demo.ca_shown} {door}")
    nobody = demo.curl("--cacert", demo.ca.certificate, door)
    stage.say("  " + nobody.stderr.strip())
    expect(nobody.returncode != 0 and "certificate required" in nobody.stderr, f"a client without a certificate is not refused: {nobody.stdout} {nobody.stderr}")
    wait_for(lambda: "no_certificate" in demo.gateway.log_tail(40), 5, "the gateway's log tells of the refused client")
    stage.say("gateway's log:")
    stage.say("  " + [line for line in demo.gateway.log_tail(40).splitlines() if "no_certificate" in line][-1].strip())
    rotate(demo, stage)


def rotate(demo, stage):
    """The shop's certificate replaced under load."""
    revision, before = demo.gateway.revision(), demo.serial_served()
    load = demo.wrk(4, url="https://shop.example/reviews/7")
    time.sleep(1)
    demo.write_certificates(demo.issue_shop())
    # Not simply the next number: a refused edit has taken one.
    wait_for(lambda: demo.gateway.revision() > revision, 10, "the new certificate is in force")
    demo.gateway.wait_revision(demo.gateway.revision())
    after = demo.serial_served()
    requests, failed = finish_wrk(load)
    stage.say(f"  certificate {before[-8:]} -> {after[-8:]} while wrk ran: {failed} failed of {requests:,}")
    expect(before != after, f"a new handshake still gets certificate {before}")
    expect(failed == 0, f"{failed} requests of {requests} failed while the certificate was replaced")
    for line in demo.gateway.ctl("pc", "secrets").stdout.splitlines():
        stage.say("  " + line)


def act_race(demo, stage):
    stage.act("Race")
    stage.say("  nginx and Sluice proxy 1 KiB for 32 connections, in turns, on one core each time")
    done = subprocess.run([os.path.join(ROOT, "perf", "compare"), "--race", "--json"], capture_output=True, text=True, timeout=180)
    expect(done.returncode == 0, f"perf/compare --race: {done.stderr.strip()[-500:]}")
    rows = {row["name"]: row for row in json.loads(done.stdout)["results"]}
    for name in ("nginx", "sluice", "floor"):
        expect(name in rows, f"perf/compare measured no {name}")
        row = rows[name]
        if name == "floor":
            stage.say(f"  wire floor {row['cycles_per_request']:>10,.0f} cycles a request: two frames received and sent, no proxy at all")
        else:
            stage.say(f"  {name:<10} {row['per_busy_second']:>10,.0f} requests per busy core-second   {row['cycles_per_request']:,.0f} cycles a request")
    load = demo.wrk(3)
    time.sleep(1)
    stage.say("  cycles by stage under load (sluicectl runtime):")
    runtime = demo.gateway.ctl("runtime").stdout
    for line in runtime.splitlines():
        stage.say("  " + line)
    finish_wrk(load)
    expect(re.search(r"^ *\d+ +\d+% +[\d,.]+ +[\d,]+ ", runtime, re.M), f"sluicectl runtime shows no cycles under load:\n{runtime}")
    expect(rows["sluice"]["errors"] == 0, f"{rows['sluice']['errors']} errors through Sluice")


def act_your_turn(demo, stage):
    stage.act("Your turn (in another terminal)")
    stage.say("  scripts/in client curl -i http://shop.example/reviews/7")
    stage.say(f"  scripts/in client curl -i --cacert {demo.ca_shown} https://shop.example/reviews/7")
    stage.say(f"  $EDITOR {demo.reviews_file()}")
    stage.say(f"  {os.path.relpath(sluicectl_path(), ROOT)} --target {demo.gateway.admin_socket} status")
    expect(demo.gateway.ctl("status").returncode == 0, "sluicectl status does not exit 0 at the end of the tour")


def sluicectl_path():
    from gateway import program

    return program("sluicectl")


ACTS = [act_map, act_no_socket, act_edit_live, act_break_it, act_https, act_race, act_your_turn]
