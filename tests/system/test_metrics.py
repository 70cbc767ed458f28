"""Metrics as operators use them: scraped by a real Prometheus, documented, on a dashboard, in alerts, in sluicectl.

In: a running gateway with traffic of many kinds, Debian's prometheus and promtool beside it. Out: every name that the
dashboard and the rules ask for is there, with its labels; nothing that clients do makes a scrape grow.
"""

import gzip
import json
import os
import random
import re
import string
import subprocess
import time

import certs
import pytest
import yaml
from harness import mesh
from harness.backend import answer
from harness.bench import BACKENDS
from harness.prometheus import Prometheus
from harness.promql import names
from harness.tls import gateway, server

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OBSERVABILITY = os.path.join(ROOT, "configs", "observability")
RULES = os.path.join(OBSERVABILITY, "rules.yaml")
OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
# Of Prometheus itself, not of the gateway.
FOREIGN = {"up", "ALERTS"}
TARGET_LABELS = {"instance", "job"}


def wait_for(what, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return what()


def objects():
    """Two versions of a service (one of them a WorkloadEntry), one that refuses, a redirect, a direct answer."""
    reviews = mesh.service("reviews", [], workloadSelector={"labels": {"app": "reviews"}})
    del reviews["spec"]["endpoints"]
    workloads = [mesh.object_("WorkloadEntry", f"reviews-{v}", {"address": a, "labels": {"app": "reviews", "version": v}, "ports": {"http": 9080}})
                 for v, a in (("v1", BACKENDS[0]), ("v2", BACKENDS[1]))]
    return [
        mesh.gateway(), reviews, *workloads, mesh.service("dead", [BACKENDS[2]], port=9),
        mesh.destination_rule("reviews", subsets=("v1", "v2")),
        mesh.virtual_service([
            {"match": [{"uri": {"prefix": "/dead"}}], "route": [mesh.to("dead", port=9)]},
            {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new"}},
            {"match": [{"uri": {"prefix": "/teapot"}}], "directResponse": {"status": 418}},
            {"match": [{"uri": {"prefix": "/v2"}}], "route": [mesh.to("reviews", "v2")]},
            {"route": [mesh.to("reviews", "v1")]},
        ]),
    ]


def traffic(bench):
    for _ in range(10):
        assert bench.ask("/").status == 200
    for _ in range(4):
        assert bench.ask("/v2", "POST", body="twelve bytes").status == 200
    assert bench.ask("/dead").status == 503
    assert bench.ask("/old").status == 301
    assert bench.ask("/teapot").status == 418
    assert bench.ask("/", host="nobody.example").status == 404
    with bench.connect() as wire:
        wire.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert wire.response().status == 400


@pytest.fixture(scope="module")
def shared():
    """Prometheus, for all tests of this file; started by the first that asks for it."""
    holder = {}
    yield holder
    if "prometheus" in holder:
        holder["prometheus"].stop()


@pytest.fixture
def busy(bench, pki):
    secure = [gateway(server(), name="secure"), certs.tls_secret("shop", pki.shop)]
    bench.apply(objects() + secure)
    traffic(bench)
    assert wait_for(lambda: bench.metric("istio_requests_total", response_code="400") >= 1)
    return bench


@pytest.fixture
def watched(busy, shared):
    if "prometheus" not in shared:
        shared["prometheus"] = Prometheus(busy.gateway_host, os.path.join(busy.work, "prometheus"), rules=[RULES]).start()
    busy.prometheus = shared["prometheus"].wait_up()
    return busy


def scrape(bench, *curl):
    """The scrape over loopback HTTP, as a client of the network sees it."""
    done = subprocess.run(bench.gateway_host.command("curl", "-sS", "--max-time", "10", *curl, "http://127.0.0.1:15000/stats/prometheus"), capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def families(text):
    """{family: (type, help, {labels})} of Prometheus text."""
    found = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            found[name] = ["", words, set()]
        elif line.startswith("# TYPE "):
            found[line.split(" ")[2]][0] = line.split(" ")[3]
        elif line:
            name, labels = re.match(r"([a-z0-9_]+)(?:\{(.*)\})? \S+$", line).groups()
            base = name if name in found else re.sub(r"_(bucket|sum|count)$", "", name)
            found[base][2] |= set(re.findall(r'([a-z_]+)="(?:\\.|[^"\\])*"', labels or "")) - {"le"}
    return found


# --- A real Prometheus ---------------------------------------------------------------------------


def test_prometheus_scrapes_it(watched):
    prometheus = watched.prometheus
    for query, least in [
        ('sum(istio_requests_total{destination_service_name="reviews",destination_workload="reviews-v1",response_code="200"})', 10),
        ('sum(istio_requests_total{destination_workload="reviews-v2",destination_version="v2",destination_app="reviews"})', 4),
        ('sum(istio_requests_total{response_code="503",response_flags="UF",destination_service="dead.shop.svc.cluster.local"})', 1),
        ('sum(istio_requests_total{response_code="404",response_flags="NR",destination_service="unknown"})', 1),
        ('sum(istio_request_bytes_sum{destination_workload="reviews-v2"})', 4 * 12),
        ("sum(envoy_http_rq_redirect)", 1), ("sum(envoy_http_rq_direct_response)", 1),
        ('sum(envoy_cluster_upstream_rq{envoy_response_code="200"})', 14),
        ("sum(envoy_cluster_membership_total)", 2),
        ('count(scrape_samples_scraped{job="sluice"} > 300)', 1),
    ]:
        assert wait_for(lambda q=query, n=least: (prometheus.get("query", query=q)["result"] or [{"value": [0, 0]}])[0]["value"][1] not in ("0", 0)
                        and prometheus.value(q) >= n), f"{query}: {prometheus.get('query', query=query)}"
    quantile = prometheus.value('histogram_quantile(0.99, sum by (le) (istio_request_duration_milliseconds_bucket{response_code="200"}))')
    assert 0 < quantile < 60_000
    log = open(prometheus.log, errors="replace").read()
    assert "rror on ingesting" not in log and "level=error" not in log, log


def test_source_labels_are_the_gateways(busy):
    line = next(line for line in scrape(busy).decode().splitlines() if line.startswith("istio_requests_total{") and 'response_code="200"' in line)
    for label in ('reporter="source"', 'source_workload="test-1"', 'source_workload_namespace="istio-system"', 'connection_security_policy="unknown"',
                  'request_protocol="http"', 'destination_service_namespace="shop"', 'destination_canonical_service="reviews"'):
        assert label in line, line


@pytest.mark.parametrize("accept", ["text/plain", OPEN_METRICS])
def test_formats(busy, accept):
    body = scrape(busy, "-H", f"Accept: {accept}")
    assert body.endswith(b"# EOF\n") == (accept == OPEN_METRICS)
    packed = scrape(busy, "-H", f"Accept: {accept}", "-H", "Accept-Encoding: gzip")
    assert len(packed) * 4 < len(body)
    assert gzip.decompress(packed).splitlines()[0] == body.splitlines()[0]


def test_promtool_finds_nothing_to_mend(busy):
    """But the names that Envoy and Istio gave their metrics: dashboards ask for those."""
    done = subprocess.run(["promtool", "check", "metrics"], input=scrape(busy), capture_output=True)
    complaints = [line for line in (done.stdout + done.stderr).decode().splitlines() if line.strip()]
    ours = [line for line in complaints if not re.match(r"(envoy|istio)_", line)]
    assert not ours, "\n".join(ours)
    assert len(complaints) > 3, "promtool says nothing: did it read anything?"


# --- Documentation -------------------------------------------------------------------------------


def documented():
    """{family: (type, {labels}, meaning)} of docs/metrics.md; Istio's labels are in a table of their own."""
    text = open(os.path.join(ROOT, "docs", "metrics.md")).read()
    istio = {label for cell in re.findall(r"^\| (`[^|]*?) \| ", text.split("\n## ")[1], re.M) for label in re.findall(r"`([a-z_]+)`", cell)}
    found = {}
    for name, kind, labels, meaning in re.findall(r"^\| `([a-z0-9_]+)` \| (\w+) \| \w* \| ([^|]*) \| [^|]* \| ([^|]*) \|$", text, re.M):
        found[name] = (kind, istio if "those above" in labels else set(re.findall(r"`([a-z_]+)`", labels)), meaning.strip())
    return found


def test_every_family_is_in_the_documentation(busy):
    known, live = documented(), families(scrape(busy).decode())
    assert len(live) > 150
    for name, (kind, words, labels) in live.items():
        assert name in known, f"{name} is not in docs/metrics.md"
        assert known[name][0] == kind and known[name][2] == words, name
        assert labels <= known[name][1], f"{name}: {labels - known[name][1]}"
        assert words, name


def test_stats_have_the_same_names(busy):
    live = families(scrape(busy).decode())
    stats = json.loads(busy.gateway.ctl("-o", "json", "stats", check=True).stdout)
    assert {re.sub(r"\{.*|\.count$", "", name) for name in stats} == set(live)
    delta = busy.gateway.ctl("-o", "json", "stats", "sluice_admin_requests", "--delta", "100ms", check=True)
    assert all(name.startswith("sluice_admin_requests_total{") for name in json.loads(delta.stdout))
    assert json.loads(delta.stdout), "the question itself is counted"


# --- Dashboard and rules -------------------------------------------------------------------------


def dashboard_expressions():
    with open(os.path.join(OBSERVABILITY, "grafana-dashboard.json")) as file:
        dashboard = json.load(file)
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"dashboard: {panel['title']}", target["expr"], target["legendFormat"]
    for note in dashboard["annotations"]["list"]:
        yield f"dashboard: {note['name']}", note["expr"], note["textFormat"]


def rules():
    with open(RULES) as file:
        return [rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]


def expressions():
    yield from dashboard_expressions()
    for rule in rules():
        yield f"rule: {rule.get('alert') or rule['record']}", rule["expr"], json.dumps(rule.get("annotations", {}))


def test_every_name_in_dashboard_and_rules_exists(watched):
    """Each metric of an expression has a series in this very Prometheus, with the labels that the expression uses."""
    prometheus = watched.prometheus
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for name in recorded:
        assert wait_for(lambda n=name: prometheus.get("query", query=n)["result"], 15), f"{name} is not recorded"
    checked = 0
    for where, expression, shown in expressions():
        expression = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
        prometheus.get("query", query=expression)   # it parses and runs
        metrics, grouped = names(expression)
        assert metrics, f"{where}: no metric in {expression}"
        available = set()
        for metric, labels in metrics.items():
            series = prometheus.get("series", **{"match[]": metric})
            assert series or metric in FOREIGN, f"{where}: {metric} is not in a scrape"
            has = {label for one in series for label in one} | (TARGET_LABELS if metric in FOREIGN else set())
            assert labels <= has, f"{where}: {metric} has no label {labels - has}"
            available |= has
            checked += 1
        assert grouped <= available, f"{where}: no label {grouped - available}"
        used = set(re.findall(r"\{\{ *(?:\$labels\.)?(\w+) *\}\}", shown)) | set(re.findall(r"\$labels\.(\w+)", shown))
        assert used <= available, f"{where}: no label {used - available} to show"
    assert checked > 80


def test_a_wrong_name_would_be_found():
    assert names('rate(sluice_x_total{port=~"a{b}"}[5m]) > on (core) sum by (le) (y)') == ({"sluice_x_total": {"port"}, "y": set()}, {"core", "le"})


def test_rules_hold():
    for command in (["check", "rules", RULES], ["test", "rules", os.path.join(OBSERVABILITY, "rules.test.yaml")]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_and_has_a_page():
    tested = open(os.path.join(OBSERVABILITY, "rules.test.yaml")).read()
    pages = re.findall(r"^## (\w+)$", open(os.path.join(ROOT, "docs", "alerts.md")).read(), re.M)
    alerts = [rule["alert"] for rule in rules() if "alert" in rule]
    for rule in rules():
        if "alert" in rule:
            assert f'alertname="{rule["alert"]}"' in tested, rule["alert"]
            assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
            assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert sorted(pages) == sorted(alerts)


def test_a_refused_edit_raises_its_alert(watched):
    """The rules live: pending until the edit has been wrong for five minutes."""
    watched.write_mesh(mesh.render(objects()).replace("hosts:", "hostz:", 1))
    prometheus = watched.prometheus
    query = 'ALERTS{alertname="SluiceConfigRefused",alertstate="pending"}'
    assert wait_for(lambda: prometheus.get("query", query=query)["result"], 15)
    watched.apply(objects())
    assert wait_for(lambda: not prometheus.get("query", query=query)["result"], 15)


# --- Bounds --------------------------------------------------------------------------------------


def test_no_mix_of_requests_grows_a_scrape(busy):
    """Hosts, paths, methods and header values are no labels; codes of a backend are, within its share."""
    random.seed(seed := int(os.environ.get("SLUICE_SEED", random.SystemRandom().randrange(1 << 32))))
    print(f"repeat: SLUICE_SEED={seed}")
    word = lambda: "".join(random.choices(string.ascii_lowercase, k=12))  # noqa: E731
    busy.ask("/", "BREW", host=word())
    wait_for(lambda: False, 0.2)
    before = len(scrape(busy).splitlines())
    for _ in range(100):
        busy.ask(f"/{word()}?{word()}", random.choice(["GET", "PUT", "BREW"]), host=f"{word()}.example", headers=[f"X-{word()}: {word()}", f"User-Agent: {word()}"])
    assert len(scrape(busy).splitlines()) == before
    with busy.connect() as wire:
        for status in range(200, 560):
            if status in (204, 304):
                continue
            busy.backends[0].on(f"/status/{status}.", lambda wire, request, s=status: wire.send(answer(s)))
            wire.send(f"GET /status/{status}. HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            assert wire.response().status == status
    lines = [line for line in scrape(busy).decode().splitlines() if line.startswith("istio_requests_total{") and 'destination_workload="reviews-v1"' in line]
    limit = int(re.search(r"(\d+) for one destination", open(os.path.join(ROOT, "docs", "metrics.md")).read()).group(1))
    assert len(lines) == limit + 1
    other = [line for line in lines if 'response_code="other"' in line]
    assert len(other) == 1 and float(other[0].split()[-1]) > 250
    assert busy.metric("sluice_requests_of_other_label_sets_total") == float(other[0].split()[-1])


def test_scrapes_run_off_the_workers_cores(busy):
    worker = busy.settings["workers"]["cores"][0]
    tasks = f"/proc/{sluiced_pid(busy)}/task"
    threads = 0
    for task in os.listdir(tasks):
        with open(f"{tasks}/{task}/comm") as comm, open(f"{tasks}/{task}/status") as status:
            if not comm.read().startswith(("sluice-http", "sluice-admin")):
                continue
            allowed = re.search(r"Cpus_allowed_list:\s*(\S+)", status.read()).group(1)
        cpus = {cpu for part in allowed.split(",") for cpu in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)}
        assert worker not in cpus, f"thread {task} may run on {allowed}"
        threads += 1
    assert threads >= 4


def sluiced_pid(bench):
    """The gateway's own: what was started is `ip netns exec`, which becomes it."""
    return bench.gateway.process.pid


def test_filter(busy):
    status, text = busy.gateway.admin("/stats/prometheus?filter=envoy_server_(live|state)")
    assert status == 200 and set(families(text)) == {"envoy_server_live", "envoy_server_state"}
    status, text = busy.gateway.admin("/stats/prometheus?filter=%5B")
    assert status == 400 and "regular expression" in text
    everything, used = (len(busy.gateway.admin("/stats/prometheus" + q)[1]) for q in ("", "?usedonly"))
    assert used < everything
