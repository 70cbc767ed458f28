"""Config broken in every way we know, with a gateway under traffic: a helpful answer each time, and nobody notices.

In: one good mesh file and a table of edits that break it; the gateway's own file and a table of those. Out: each
mistake is told with code, file, line, column, field and cure, by the running gateway (config show, log), by
`sluicectl analyze` and by `sluiced --check` alike; every request meanwhile is answered 200; then a good edit goes live.
The place is where the edit is, unless the row says otherwise. The samples are the other side: nothing may be found.
"""

import json
import os
import subprocess
import threading
import time

import pytest
from gateway import program
from harness.bench import BACKENDS, ROOT

GOOD = f"""apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: edge
  namespace: shop
spec:
  selector:
    istio: ingressgateway
  servers:
  - port:
      number: 80
      name: http
      protocol: HTTP
    hosts:
    - shop.example
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
  namespace: shop
spec:
  hosts:
  - shop.example
  gateways:
  - edge
  http:
  - match:
    - uri:
        prefix: /second
      headers:
        x-user:
          exact: marta
    rewrite:
      uri: /
    route:
    - destination:
        host: web
        subset: v2
        port:
          number: 9080
    timeout: 5s
  - route:
    - destination:
        host: web
        subset: v1
      weight: 90
    - destination:
        host: web
        subset: v2
      weight: 10
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: web
  namespace: shop
spec:
  host: web
  trafficPolicy:
    loadBalancer:
      simple: ROUND_ROBIN
  subsets:
  - name: v1
    labels: {{version: v1}}
  - name: v2
    labels: {{version: v2}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: web
  namespace: shop
spec:
  hosts: [web.shop.svc.cluster.local]
  resolution: STATIC
  ports:
  - {{number: 9080, name: http, protocol: HTTP}}
  endpoints:
  - address: {BACKENDS[0]}
    labels: {{version: v1}}
  - address: {BACKENDS[1]}
    labels: {{version: v2}}
"""


def more(text):
    """An edit that adds a document."""
    return lambda good: f"{good}---\n{text}"


def both(*pairs):
    def edit(good):
        for old, new in pairs:
            assert old in good, old
            good = good.replace(old, new, 1)
        return good
    return edit


HEAD = "apiVersion: networking.istio.io/v1\nkind: {}\nmetadata: {{name: {}, namespace: shop}}\n"
SERVICE = HEAD.format("ServiceEntry", "other") + "spec:\n  hosts: [web.shop.svc.cluster.local]\n  resolution: STATIC\n" \
    "  ports: [{number: 9080, name: http, protocol: HTTP}]\n  endpoints: [{address: 10.0.0.23}]\n"
ANY = None

# name: (edit, code, field, what the cure says[, the line that holds this text instead of the first changed one])
MISTAKES = {
    # Not YAML
    "a tab": (("      name: http", "\t\tname: http"), "SLC0101", "", "spaces, not tabs"),
    "an open quote": (("      name: http", '      name: "http'), "SLC0101", "", "close the quote"),
    "an open bracket": (("  hosts: [web.shop", "  hosts: [[web.shop"), "SLC0101", "", "close the `[`"),
    "a lost indentation": (("        prefix: /second", "   prefix: /second"), "SLC0101", "", "indentation"),
    "a star without quotes": (("        host: web", "        host: *web"), "SLC0101", "", "quoted"),
    "not UTF-8": (("/second", "/sec\udcffond"), "SLC0101", "", "UTF-8"),
    "a tag": (("/second", "!secret /second"), "SLC0101", "", "remove it"),
    "a key twice": (("      name: http", "      name: http\n      name: web"), "SLC0121", "spec.servers[0].port.name", "remove one"),
    "an alias bomb": (more("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi"))),
                      "SLC0119", "", "write the values out", "f: &f"),
    "too deep": (more("a: " + "[" * 2000 + "]" * 2000 + "\n"), "SLC0119", "", "", "a: [["),
    # Not an object
    "a misspelt kind": (("kind: VirtualService", "kind: VirtualServise"), "SLC0102", "kind", "did you mean `VirtualService`?"),
    "an unknown version": (("apiVersion: networking.istio.io/v1\n", "apiVersion: networking.istio.io/v9\n"), "SLC0102", "apiVersion", "networking.istio.io/v1"),
    "a policy that would be lost": (more("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: deny}\nspec: {}\n"),
                                    "SLC0102", "kind", "everybody would be let in", "kind: AuthorizationPolicy"),
    "the gateway's own file": (more("apiVersion: sluice/v1\nkind: GatewayHost\n"), "SLC0102", "kind", "for sluiced --config", "kind: GatewayHost"),
    "no kind": (("kind: VirtualService\n", ""), "SLC0102", "", "add apiVersion and kind", ANY),
    "no name": (("  name: web\n  namespace: shop\nspec:\n  hosts:", "  namespace: shop\nspec:\n  hosts:"), "SLC0106", "metadata.name", "add `name`", ANY),
    # Fields and values
    "a misspelt field": (("weight: 90", "wieght: 90"), "SLC0104", "spec.http[1].route[0].wieght", "did you mean `weight`?"),
    "a field at the wrong depth": (("      weight: 10", "    weight: 10"), "SLC0104", "spec.http[1].weight", "indentation"),
    "a field of another message": (("      weight: 90", "      weight: 90\n      timeout: 3s"), "SLC0104", "spec.http[1].route[0].timeout", "", "timeout: 3s"),
    "a field that is not supported": (("    timeout: 5s", "    timeout: 5s\n    delegate: {name: x}"), "SLC0105", "spec.http[0].delegate", "write the delegate's routes here", "delegate:"),
    "a protocol that is not supported": (("      protocol: HTTP", "      protocol: MONGO"), "SLC0105", "spec.servers[0].port.protocol", "HTTP"),
    "a misspelt protocol": (("      protocol: HTTP", "      protocol: HTPP"), "SLC0103", "spec.servers[0].port.protocol", "did you mean `HTTP`?"),
    "a misspelt word": (("simple: ROUND_ROBIN", "simple: ROUND_ROBBIN"), "SLC0103", "spec.trafficPolicy.loadBalancer.simple", "did you mean `ROUND_ROBIN`?"),
    "text for a number": (("      number: 80", "      number: eighty"), "SLC0103", "spec.servers[0].port.number", "a number is not"),
    "a quoted number": (("      number: 80", '      number: "80"'), "SLC0103", "spec.servers[0].port.number", "remove the quotes"),
    "a number for text": (("exact: marta", "exact: 7"), "SLC0103", "spec.http[0].match[0].headers.x-user.exact", 'quote it: "7"'),
    "yes for text": (("exact: marta", "exact: yes"), "SLC0103", "spec.http[0].match[0].headers.x-user.exact", 'quote it: "yes"'),
    "a list for a map": (("    rewrite:\n      uri: /", "    rewrite:\n    - uri: /"), "SLC0103", "spec.http[0].rewrite", ""),
    "a map for a list": (("    - shop.example\n---", "      first: shop.example\n---"), "SLC0103", "spec.servers[0].hosts", "start each item with `- `"),
    "a port beyond all ports": (("      number: 80", "      number: 80000"), "SLC0115", "spec.servers[0].port.number", "1 to 65535"),
    "a duration without a unit": (("timeout: 5s", "timeout: 5"), "SLC0113", "spec.http[0].timeout", "5s or 5ms"),
    "a duration in words": (("timeout: 5s", "timeout: soon"), "SLC0113", "spec.http[0].timeout", "1.5s"),
    "no hosts": (("spec:\n  hosts:\n  - shop.example\n", "spec:\n"), "SLC0106", "spec.hosts", "add `hosts`", "  gateways:"),
    "a host with a port": (("  - shop.example\n  gateways", "  - shop.example:80\n  gateways"), "SLC0114", "spec.hosts[0]", "name alone"),
    "a host that is a URL": (("  - shop.example\n  gateways", "  - http://shop.example\n  gateways"), "SLC0114", "spec.hosts[0]", "name alone"),
    "a name in capitals": (("metadata:\n  name: web\n  namespace: shop\nspec:\n  hosts:", "metadata:\n  name: Web\n  namespace: shop\nspec:\n  hosts:"),
                           "SLC0107", "metadata.name", "a-z"),
    "an endpoint by name": ((f"address: {BACKENDS[0]}", "address: web-1.example"), "SLC0117", "spec.endpoints[0].address", "write the address"),
    "a regex with an open group": (("prefix: /second", "regex: '/second/(a|b'"), "SLC0112", "spec.http[0].match[0].uri.regex", "under the caret"),
    "a regex with look-ahead": (("prefix: /second", "regex: '/(?=second).*'"), "SLC0112", "spec.http[0].match[0].uri.regex", "under the caret"),
    "a path without a slash": (("prefix: /second", "prefix: second"), "SLC0103", "spec.http[0].match[0].uri.prefix", "write `/second`"),
    "a path with a space": (("      uri: /\n", "      uri: /a b\n"), "SLC0103", "spec.http[0].rewrite.uri", "%20"),
    "a header of the connection": (("    timeout: 5s", "    timeout: 5s\n    headers: {request: {set: {connection: close}}}"),
                                   "SLC0103", "spec.http[0].headers.request.set.connection", "leave it out", "headers: {request"),
    "two ways to match": (("        prefix: /second", "        prefix: /second\n        exact: /x"), "SLC0116", "spec.http[0].match[0].uri.exact", "keep one", "exact: /x"),
    "two things to do": (("    timeout: 5s", "    timeout: 5s\n    redirect: {uri: /x}"), "SLC0116", "spec.http[0]", "keep one", "  - match:"),
    "a negative weight": (("weight: 90", "weight: -90"), "SLC0111", "spec.http[1].route[0].weight", "0 sends nothing"),
    "no weight at all": (both(("weight: 90", "weight: 0"), ("weight: 10", "weight: 0")), "SLC0111", "spec.http[1].route", "give each a `weight`", "  - route:"),
    # Names of others
    "an unknown host": (("        host: web", "        host: wbe"), "SLC0108", "spec.http[0].route[0].destination.host", "did you mean `web.shop.svc.cluster.local`?"),
    "a host of another namespace": (("        host: web", "        host: web.shop"), "SLC0108", "spec.http[0].route[0].destination.host", "did you mean `web.shop.svc.cluster.local`?"),
    "an unknown subset": (("subset: v2", "subset: v9"), "SLC0109", "spec.http[0].route[0].destination.subset", "did you mean"),
    "an unknown Gateway": (("  - edge\n", "  - egde\n"), "SLC0110", "spec.gateways[0]", "did you mean `shop/edge`?"),
    "a Gateway of another namespace": (("  - edge\n", "  - infra/edge\n"), "SLC0110", "spec.gateways[0]", "did you mean `shop/edge`?"),
    "a port that the service has not": (("          number: 9080", "          number: 9081"), "SLC0115", "spec.http[0].route[0].destination.port.number", "it has 9080"),
    "a host of two services": (more(SERVICE), "SLC0116", "spec.hosts[0]", "in one", "hosts: [web.shop.svc.cluster.local]"),
    "the same object twice": (more(HEAD.format("DestinationRule", "web") + "spec: {host: other}\n"), "SLC0107", "metadata.name", "rename or remove one", "metadata: {name: web"),
    "two subsets of one name": (("  - name: v2", "  - name: v1"), "SLC0107", "spec.subsets[1].name", "rename or remove one"),
}

HOST = """apiVersion: sluice/v1
kind: GatewayHost
node:
  id: edge-1
  labels: {istio: ingressgateway}
workers:
  cores: [0]
ports:
- name: outside
  device: devargs:net_null0
  addresses: [192.0.2.10/24]
  routes: [{to: default, via: 192.0.2.1}]
  listen: true
- name: inside
  device: devargs:net_null1
  addresses: [10.0.0.10/16]
memory: {limit: 512Mi}
mesh: {directory: mesh}
drain: {deadline: 5s}
"""

HOST_MISTAKES = {
    "a tab": (("  id: edge-1", "\tid: edge-1"), "SLC0101", "", "spaces, not tabs"),
    "an open bracket": (("cores: [0]", "cores: [0"), "SLC0101", "", "close the `[`"),
    "a mesh file": ((HOST, GOOD), "SLC0002", "kind", "mesh.directory", "kind: Gateway"),
    "another kind": (("kind: GatewayHost", "kind: Gateway"), "SLC0002", "kind", "kind: GatewayHost"),
    "another version": (("sluice/v1", "sluice/v2"), "SLC0002", "apiVersion", "sluice/v1"),
    "an unknown key": (("addresses: [192", "adresses: [192"), "SLC0003", "ports[0].adresses", "did you mean `addresses`?"),
    "a key twice": (("drain:", "memory: {limit: 1Gi}\ndrain:"), "SLC0121", "memory", "remove one"),
    "a list for a map": (("memory: {limit: 512Mi}", "memory: [512Mi]"), "SLC0005", "memory", "type"),
    "a quoted number": (("cores: [0]", 'cores: ["0"]'), "SLC0005", "workers.cores[0]", ""),
    "a bad core number": (("cores: [0]", "cores: [4096]"), "SLC0006", "workers.cores[0]", "0 to 1023"),
    "an address without its prefix": (("192.0.2.10/24", "192.0.2.10"), "SLC0006", "ports[0].addresses[0]", "192.0.2.10/24"),
    "a bad CIDR": (("192.0.2.10/24", "192.0.2.10/33"), "SLC0006", "ports[0].addresses[0]", "192.0.2.10/24"),
    "a router on no network": (("via: 192.0.2.1", "via: 198.51.100.1"), "SLC0006", "ports[0].routes[0].via", "prefix"),
    "a bad duration": (("deadline: 5s", "deadline: 5"), "SLC0006", "drain.deadline", "30s"),
    "a bad size": (("512Mi", "512MB"), "SLC0006", "memory.limit", "512Mi"),
    "a driver that is none": (("devargs:net_null0", "afxdp:eth1"), "SLC0006", "ports[0].device", "did you mean `af_xdp`?"),
    "no device": (("  device: devargs:net_null1\n", ""), "SLC0007", "ports[1].device", "device: af_xdp:eth1", "- name: inside"),
    "a port's name twice": (("- name: inside", "- name: outside"), "SLC0008", "ports[1].name", ""),
    "a device twice": (("net_null1", "net_null0"), "SLC0008", "ports[1].device", ""),
    "a second document": (("drain:", "---\nkind: Gateway\n---\ndrain:"), "SLC0009", "", "remove it", "kind: Gateway"),
}


def row(table, name):
    edit, code, field, cure, *place = table[name]
    return edit, code, field, cure, place


def broken_text(good, edit):
    if callable(edit):
        return edit(good)
    old, new = edit
    assert old in good, old
    return good.replace(old, new, 1)


def line_of(good, broken, place):
    """The first line that the edit changed, or the one that holds the row's text (its last occurrence where it says 1)."""
    lines = broken.split("\n")
    if place and place[0] is ANY:
        return None
    if place:
        found = [number for number, line in enumerate(lines, 1) if place[0] in line]
        return found[-1]
    return next(number for number, (a, b) in enumerate(zip(good.split("\n"), lines), 1) if a != b)


def run(name, *arguments):
    return subprocess.run([program(name), *arguments], capture_output=True, text=True, errors="replace", timeout=60)


def place_and_words(finding):
    return {key: finding[key] for key in ("line", "column", "code", "severity", "object", "field", "message", "cure", "source_line")}


def same(findings, folder="mesh"):
    """Errors, with the directory's name as a gateway shows it: analyze shows it as it was given."""
    text = json.dumps([place_and_words(f) for f in findings if f["severity"] == "error"])
    return json.loads(text.replace(folder + "/", "mesh/"))


class Traffic:
    """Requests one after another on one connection, until told to stop."""

    def __init__(self, bench):
        self.wire = bench.connect()
        self.answered, self.wrong, self.stopping = 0, [], False
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        try:
            while not self.stopping:
                self.wire.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                status = self.wire.response().status
                self.answered += 1
                if status != 200:
                    self.wrong.append(status)
                time.sleep(0.002)
        except Exception as error:  # noqa: BLE001: whatever it is, the test must see it
            self.wrong.append(repr(error))

    def stop(self):
        self.stopping = True
        self.thread.join(10)
        self.wire.close()


class Edits:
    """The gateway's one mesh file, replaced by rename; good edits differ by a comment at the end."""

    def __init__(self, bench):
        self.bench, self.count = bench, 0
        self.path = os.path.join(bench.mesh_dir, "mesh.yaml")

    def write(self, text):
        with open(self.path + ".new~", "w", errors="surrogateescape") as file:
            file.write(text)
        os.rename(self.path + ".new~", self.path)

    def good(self):
        self.count += 1
        before = self.bench.gateway.revision()
        self.write(f"{GOOD}# {self.count}\n")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            config = self.config()
            in_force = config["in_force"]
            if not config["refused"] and in_force and in_force["revision"] > before and in_force["live_everywhere"]:
                return
            time.sleep(0.01)
        raise AssertionError(f"the good edit is not live:\n{json.dumps(config)[:2000]}")

    def config(self):
        return json.loads(self.bench.gateway.ctl("-o", "json", "config", "show").stdout)

    def refused(self, after):
        """What the gateway says about the edit: its findings, once it has said it."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            refused = self.config()["refused"]
            if refused and refused["revision"] > after:
                return refused["revision"], refused["diagnostics"]
            time.sleep(0.01)
        raise AssertionError(f"the edit was not refused\n{self.bench.gateway.log_tail()}")


@pytest.fixture(scope="module")
def edited(session_bench):
    """A gateway with the good mesh, under traffic from the first test of this file to the last."""
    session_bench.clear_mesh()
    session_bench.ensure()
    for backend in session_bench.backends:
        backend.reset()
        if backend.listener is None:
            backend.start()
    edits = Edits(session_bench)
    edits.good()
    traffic = Traffic(session_bench)
    edits.traffic, edits.last = traffic, 0
    yield edits
    traffic.stop()
    assert not traffic.wrong, traffic.wrong[:10]


def check_finding(finding, code, field, cure, line, text):
    assert finding["code"] == code and finding["severity"] == "error", finding
    assert finding["field"] == field, finding
    assert cure in finding["cure"] and finding["cure"], finding
    assert finding["file"].endswith("mesh.yaml") or finding["file"].endswith("sluice.yaml"), finding
    assert finding["line"] > 0 and finding["column"] > 0 and finding["caret_width"] > 0, finding
    if line is not None:
        assert finding["line"] == line, finding
    if "not UTF-8" in finding["message"]:
        assert not finding["source_line"], "that byte would go to the terminal"
    else:
        assert finding["source_line"] == text.split("\n")[finding["line"] - 1], finding


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_and_traffic_is_unmoved(edited, name):
    edit, code, field, cure, place = row(MISTAKES, name)
    text = broken_text(GOOD, edit)
    answered, revision = edited.traffic.answered, edited.bench.gateway.revision()

    edited.write(text)
    edited.last, findings = edited.refused(edited.last)
    found = next((f for f in findings if f["code"] == code), findings[0])
    check_finding(found, code, field, cure, line_of(GOOD, text, place), text)

    where = f"mesh/mesh.yaml:{found['line']}:{found['column']}: error {code}"
    shown = edited.bench.gateway.ctl("config", "show")
    assert shown.returncode == 1 and where in shown.stdout and found["cure"] in shown.stdout, shown.stdout
    assert "^" in shown.stdout or "not UTF-8" in found["message"]
    assert f"{revision} stays in force" in edited.bench.gateway.ctl("status").stdout
    assert where in edited.bench.gateway.log_tail(400)

    analyzed = run("sluicectl", "analyze", "-o", "json", edited.bench.mesh_dir)
    assert analyzed.returncode == 1, analyzed.stderr
    assert same(json.loads(analyzed.stdout)["findings"], edited.bench.mesh_dir) == same(findings)
    checked = run("sluiced", "--check", "--output", "json", "--config", edited.bench.config_path)
    assert checked.returncode == 1, checked.stderr
    assert same(json.loads(checked.stdout)["findings"]) == same(findings)

    assert edited.bench.gateway.revision() == revision
    edited.good()
    assert edited.traffic.answered > answered and not edited.traffic.wrong, edited.traffic.wrong[:10]


def test_an_unreadable_file(edited):
    answered = edited.traffic.answered
    path = os.path.join(edited.bench.mesh_dir, "lost.yaml")
    os.symlink("nowhere.yaml", path)
    edited.last, findings = edited.refused(edited.last)
    assert [f["code"] for f in findings] == ["SLC0120"] and findings[0]["file"] == "mesh/lost.yaml" and findings[0]["cure"], findings
    assert run("sluicectl", "analyze", edited.bench.mesh_dir).returncode == 1
    os.unlink(path)
    edited.good()
    assert edited.traffic.answered > answered and not edited.traffic.wrong


def test_several_mistakes_are_told_together_and_in_order(edited):
    text = GOOD.replace("prefix: /second", "prefx: /second").replace("weight: 90", "weight: ninety").replace("ROUND_ROBIN", "ROUND").replace("protocol: HTTP", "protocol: MONGO", 1)
    edited.write(text)
    edited.last, findings = edited.refused(edited.last)
    assert [f["code"] for f in findings] == ["SLC0105", "SLC0104", "SLC0103", "SLC0103"], findings
    assert [f["line"] for f in findings] == sorted(f["line"] for f in findings)
    edited.good()


def test_a_thousand_mistakes_are_bounded(edited):
    edited.write(GOOD + "".join(f"---\n{HEAD.format('VirtualService', f'v{i}')}spec: {{hostz: [a]}}\n" for i in range(1000)))
    edited.last, findings = edited.refused(edited.last)
    assert len(findings) == 201 and sum(f["code"] == "SLC0135" for f in findings) == 1
    edited.good()


def test_a_warning_is_taken_and_told(edited):
    """A route behind a wider one: in force, and config show, analyze and --check say so."""
    extra = "  - match: [{uri: {prefix: /never}}]\n    directResponse: {status: 404}\n"
    before = edited.bench.gateway.revision()
    edited.write(GOOD.replace("      weight: 10\n", "      weight: 10\n" + extra))
    deadline = time.monotonic() + 10
    while edited.bench.gateway.revision() == before and time.monotonic() < deadline:
        time.sleep(0.01)
    (warning,) = edited.config()["in_force"]["warnings"]
    assert (warning["code"], warning["severity"], warning["field"]) == ("SLC0118", "warning", "spec.http[2]"), warning
    for done, code in ((run("sluicectl", "analyze", "-o", "json", edited.bench.mesh_dir), 1),
                       (run("sluiced", "--check", "--output", "json", "--config", edited.bench.config_path), 0)):
        assert done.returncode == code, done.stderr
        told = [f for f in json.loads(done.stdout)["findings"] if f["severity"] == "warning"]
        assert [place_and_words(f) for f in told] == [place_and_words(warning)]
    edited.good()


# --- The gateway's own file ------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "mesh.yaml").write_text(GOOD)
    return tmp_path


def test_the_good_host_file_is_good(folder):
    (folder / "sluice.yaml").write_text(HOST)
    done = run("sluiced", "--check", "--config", str(folder / "sluice.yaml"))
    assert done.returncode == 0 and done.stdout.startswith("ok: 1 mesh file, 1 listener, 2 routes"), done.stdout + done.stderr
    assert run("sluicectl", "analyze", "--config", str(folder / "sluice.yaml")).returncode == 0


@pytest.mark.parametrize("name", HOST_MISTAKES)
def test_a_mistake_in_the_gateways_file(folder, name):
    edit, code, field, cure, place = row(HOST_MISTAKES, name)
    text = broken_text(HOST, edit)
    path = folder / "sluice.yaml"
    path.write_text(text)
    done = run("sluiced", "--check", "--config", str(path))
    assert done.returncode == 1 and not done.stdout, done.stdout + done.stderr
    as_json = json.loads(run("sluiced", "--check", "-o", "json", "--config", str(path)).stdout)
    found = next((f for f in as_json["findings"] if f["code"] == code), as_json["findings"][0])
    check_finding(found, code, field, cure, line_of(HOST, text, place), text)
    assert found["object"] == "GatewayHost" and not as_json["ok"]
    assert f"{path}:{found['line']}:{found['column']}: error {code}: GatewayHost" in done.stderr and "^" in done.stderr, done.stderr
    analyzed = run("sluicectl", "analyze", "-o", "json", "--config", str(path))
    assert analyzed.returncode == 1 and json.loads(analyzed.stdout)["findings"] == as_json["findings"]


def test_a_host_file_that_is_not_there(folder):
    path = str(folder / "nobody.yaml")
    for done in (run("sluiced", "--check", "-o", "json", "--config", path), run("sluicectl", "analyze", "-o", "json", "--config", path)):
        assert done.returncode == 2
        (finding,) = json.loads(done.stdout)["findings"]
        assert finding["code"] == "SLC0001" and finding["file"] == path and finding["cure"]


def test_mistakes_in_both_files_are_told_at_once(folder):
    (folder / "sluice.yaml").write_text(HOST.replace("addresses: [10", "adresses: [10"))
    (folder / "mesh" / "mesh.yaml").write_text(GOOD.replace("weight: 90", "wieght: 90"))
    done = run("sluiced", "--check", "-o", "json", "--config", str(folder / "sluice.yaml"))
    assert {"SLC0003", "SLC0104"} <= {f["code"] for f in json.loads(done.stdout)["findings"]}


def test_what_this_machine_has_not(folder):
    (folder / "sluice.yaml").write_text(HOST.replace("devargs:net_null0", "af_xdp:nosuchdev0").replace("cores: [0]", "cores: [1000]"))
    done = run("sluiced", "--check", "-o", "json", "--config", str(folder / "sluice.yaml"))
    assert done.returncode == 0, "the file may be for another machine"
    assert [(f["code"], f["severity"], f["field"]) for f in json.loads(done.stdout)["findings"]] == [
        ("SLC0012", "info", "workers.cores[0]"), ("SLC0012", "info", "ports[0].device")]


def test_a_gateway_that_cannot_start_says_which_line(folder):
    path = folder / "sluice.yaml"
    path.write_text(HOST.replace("devargs:net_null0", "af_packet:nosuchdev0") + f"admin: {{socket: {folder}/admin.sock}}\naccessLog: {{path: ''}}\n")
    done = run("sluiced", "--config", str(path))
    assert done.returncode == 2
    line = path.read_text().split("\n").index("  device: af_packet:nosuchdev0") + 1
    assert f"{path}:{line}:11: error SLC0013: GatewayHost" in done.stderr and "ports[0].device" in done.stderr and "nosuchdev0" in done.stderr, done.stderr


def test_handshake_cores_that_are_not_there(folder):
    """Told by --check, refused by the start: a thread that cannot be bound would run on a worker's core."""
    path = folder / "sluice.yaml"
    path.write_text(HOST + f"admin: {{socket: {folder}/admin.sock}}\naccessLog: {{path: ''}}\ntls: {{handshakeCores: [1000]}}\n")
    done = run("sluiced", "--check", "-o", "json", "--config", str(path))
    assert ("SLC0012", "tls.handshakeCores[0]") in [(f["code"], f["field"]) for f in json.loads(done.stdout)["findings"]]
    done = run("sluiced", "--config", str(path))
    assert done.returncode == 2 and "SLC0013" in done.stderr and "tls.handshakeCores: CPU 1000 is not there" in done.stderr, done.stderr


# --- What is right is left alone -------------------------------------------------------------------

SAMPLES = os.path.join(ROOT, "configs", "samples")


@pytest.mark.parametrize("name", sorted(d for d in os.listdir(SAMPLES) if os.path.isdir(os.path.join(SAMPLES, d))))
def test_nothing_is_wrong_with_the_samples(tmp_path, name):
    (tmp_path / "sluice.yaml").write_text(HOST.replace("directory: mesh", f"directory: {SAMPLES}/{name}"))
    done = run("sluiced", "--check", "-o", "json", "--config", str(tmp_path / "sluice.yaml"))
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["ok"] and report["warnings"] == 0, done.stdout
    analyzed = run("sluicectl", "analyze", os.path.join(SAMPLES, name))
    assert analyzed.returncode == 0, analyzed.stdout


def test_explain_knows_every_code_of_the_page():
    with open(os.path.join(ROOT, "docs", "errors.md")) as file:
        codes = [line.removeprefix("### ").strip() for line in file if line.startswith("### ")]
    assert len(codes) > 40
    for code in codes[:: len(codes) // 10]:
        done = run("sluicectl", "analyze", "--explain", code)
        assert done.returncode == 0 and code in done.stdout
