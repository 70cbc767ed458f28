"""Mesh files that change, live: every edit is in force on all cores or refused whole, and nobody notices.

In: files written, renamed, linked and broken while traffic runs. Out: zero failed requests, the old
kept where the new is wrong, file, line and cure on the log, old snapshots gone.
"""

import os
import signal
import subprocess
import time

import pytest
from harness import mesh, nginx
from harness.bench import BACKENDS
from harness.mesh import to


def wait_for(condition, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def sluiced(bench, *arguments):
    from gateway import program

    return subprocess.run([program("sluiced"), *arguments], capture_output=True, text=True, timeout=30)


def test_wrong_field_keeps_what_was_in_force(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    revision = bench.gateway.revision()
    text = mesh.render(mesh.simple(BACKENDS[1])).replace("route:", "rote:")
    bench.write_mesh(text)
    assert wait_for(lambda: "rote" in bench.gateway.ctl("status").stdout)
    status = bench.gateway.ctl("status")
    assert status.returncode == 1 and "REJECTED" in status.stdout.upper() and "mesh.yaml:" in status.stdout
    assert bench.gateway.revision() == revision
    assert bench.ask("/").body == b"b1"
    log = bench.gateway.log_tail(60)
    assert "mesh.yaml:" in log and "rote" in log and "did you mean" in log
    bench.apply(mesh.simple(BACKENDS[1]))
    assert bench.ask("/").body == b"b2" and bench.gateway.ctl("status").returncode == 0


BROKEN = {
    "not YAML": "a: [1, 2\nb: {",
    "a tab": "a:\n\tb: 1\n",
    "unknown kind": mesh.render([mesh.object_("VirtualServise", "x", {})]),
    "unknown API": "apiVersion: networking.istio.io/v9\nkind: Gateway\nmetadata: {name: x}\nspec: {}\n",
    "no name": "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {}\nspec: {servers: []}\n",
    "unsupported field": mesh.render([mesh.virtual_service([{"route": [to("web")], "retries": {"attempts": 3}}])]),
    "wrong type": mesh.render([mesh.gateway(port="eighty")]),
    "wrong duration": mesh.render([mesh.virtual_service([{"route": [to("web")], "timeout": "soon"}])]),
    "wrong regex": mesh.render([mesh.virtual_service([{"match": [{"uri": {"regex": "("}}], "route": [to("web")]}])]),
    "negative weight": mesh.render([mesh.virtual_service([{"route": [to("web", weight=-1), to("web", weight=2)]}])]),
    "unknown subset": mesh.render(mesh.simple(BACKENDS[0], routes=[{"route": [to("web", "v9")]}]) + [mesh.destination_rule("web", ["v1"])]),
    "alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi")),
    "too deep": "a: " + "[" * 2000 + "]" * 2000,
    "the gateway's own file": "apiVersion: sluice/v1\nkind: GatewayHost\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_by_file_and_line(bench, name):
    bench.apply(mesh.simple(BACKENDS[0]))
    revision = bench.gateway.revision()
    bench.write_mesh(BROKEN[name], name="broken.yaml")
    assert wait_for(lambda: "REJECTED" in bench.gateway.ctl("status").stdout.upper()), bench.gateway.ctl("status").stdout
    assert "broken.yaml:" in bench.gateway.ctl("status").stdout + bench.gateway.log_tail(40)
    assert bench.gateway.revision() == revision and bench.ask("/").body == b"b1"
    os.unlink(os.path.join(bench.mesh_dir, "broken.yaml"))
    assert wait_for(lambda: "REJECTED" not in bench.gateway.ctl("status").stdout.upper())
    check = sluiced(bench, "--check", "--config", bench.config_path)
    assert check.returncode == 0, check.stdout + check.stderr


def test_check_finds_the_wrong_field_with_a_caret(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    bench.write_mesh(mesh.render(mesh.simple(BACKENDS[0])).replace("hosts:", "hostz:", 1), name="broken.yaml")
    done = sluiced(bench, "--check", "--config", bench.config_path)
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "hostz" in text and "^" in text and "broken.yaml:" in text, text
    bench.clear_mesh()


def test_check_exit_codes(bench):
    bench.ensure()
    assert sluiced(bench, "--check", "--config", bench.config_path).returncode == 0
    assert sluiced(bench, "--check", "--config", "/nonexistent.yaml").returncode == 2
    broken = os.path.join(bench.work, "own.yaml")
    with open(bench.config_path) as source, open(broken, "w") as target:
        target.write(source.read().replace("addresses:", "adresses:"))
    done = sluiced(bench, "--check", "--config", broken)
    assert done.returncode in (1, 2) and "adresses" in done.stdout + done.stderr


def test_version_and_help(bench):
    version, help_ = sluiced(bench, "--version"), sluiced(bench, "--help")
    assert version.returncode == 0 and "sluiced" in version.stdout and help_.returncode == 0 and "--check" in help_.stdout
    assert sluiced(bench, "--no-such-option").returncode == 2


def test_several_files_are_one_revision(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    revision = bench.gateway.revision()
    everything = mesh.simple(BACKENDS[1])
    for number, object_ in enumerate(everything):
        with open(os.path.join(bench.mesh_dir, f"part{number}.yaml.tmp~"), "w") as file:
            file.write(mesh.render([object_]))
    os.unlink(os.path.join(bench.mesh_dir, "mesh.yaml"))
    for number in range(len(everything)):
        path = os.path.join(bench.mesh_dir, f"part{number}.yaml")
        os.rename(path + ".tmp~", path)
    assert wait_for(lambda: bench.gateway.revision() > revision and bench.ask("/").body == b"b2")


def test_written_in_place(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    text = mesh.render(mesh.simple(BACKENDS[1]))
    with open(os.path.join(bench.mesh_dir, "mesh.yaml"), "w") as file:
        for line in text.splitlines(keepends=True):
            file.write(line)
            file.flush()
    assert wait_for(lambda: bench.ask("/").body == b"b2")


def test_symlink_swap_as_kubernetes_does(bench):
    """A ConfigMap volume: files are links through ..data, which is renamed over in one step."""
    bench.apply(mesh.simple(BACKENDS[0]))
    for number, backend in enumerate(BACKENDS[:2]):
        os.makedirs(os.path.join(bench.mesh_dir, f"..rev{number}"))
        with open(os.path.join(bench.mesh_dir, f"..rev{number}", "mesh.yaml"), "w") as file:
            file.write(mesh.render(mesh.simple(backend)))

    def point(number):
        os.symlink(f"..rev{number}", os.path.join(bench.mesh_dir, "..data_tmp"))
        os.rename(os.path.join(bench.mesh_dir, "..data_tmp"), os.path.join(bench.mesh_dir, "..data"))

    try:
        point(0)
        os.symlink("..data/mesh.yaml", os.path.join(bench.mesh_dir, "new~"))
        os.rename(os.path.join(bench.mesh_dir, "new~"), os.path.join(bench.mesh_dir, "mesh.yaml"))
        assert bench.ask("/").body == b"b1"
        for number, want in ((1, b"b2"), (0, b"b1"), (1, b"b2")):
            point(number)
            assert wait_for(lambda want=want: bench.ask("/").body == want), f"revision {number} is not in force"
    finally:
        os.unlink(os.path.join(bench.mesh_dir, "mesh.yaml"))
        os.unlink(os.path.join(bench.mesh_dir, "..data"))
        bench.apply(mesh.simple(BACKENDS[0]))


def test_open_connections_outlive_edits(bench):
    bench.apply(mesh.simple(BACKENDS[0]))
    with bench.connect() as wire:
        for number in range(10):
            wire.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            assert wire.response().body == (b"b1" if number % 2 == 0 else b"b2")
            bench.apply(mesh.simple(BACKENDS[(number + 1) % 2]))


def test_a_line_above_the_gateway_closes_no_connection(bench):
    """The Gateway moves within its file, and into another: its listener is the same."""
    bench.apply(mesh.simple(BACKENDS[0]))
    with bench.connect() as wire:
        for text in ("# one\n# two\n" + mesh.render(mesh.simple(BACKENDS[0])), mesh.render(list(reversed(mesh.simple(BACKENDS[0]))))):
            bench.apply(text)
            wire.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            answer = wire.response()
            assert answer.body == b"b1" and answer.get("connection") is None


def test_a_request_under_way_ends_on_the_routes_it_began_with(bench):
    from harness.backend import answer

    bench.apply(mesh.simple(BACKENDS[0]))
    bench.backends[0].on("/long", lambda wire, request: time.sleep(0.7) or wire.send(answer(200, "from the old")))
    with bench.connect() as wire:
        wire.send("GET /long HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        bench.backends[0].find("/long")
        other = mesh.simple(BACKENDS[1])
        other[1]["metadata"]["name"] = "other"
        other[1]["spec"]["hosts"] = [mesh.fqdn("other")]
        other[2]["spec"]["http"] = [{"route": [to("other")]}]
        bench.apply(other)
        assert wire.response().body == b"from the old"
        wire.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert wire.response().body == b"b2"


def test_100_edits_under_load_lose_nothing(bench):
    """Weights, routes and whole clusters in use come and go; afterwards old snapshots are gone and memory is back."""
    bench.ensure()
    for backend in bench.backends[:2]:
        backend.stop()
    servers = [nginx.start(bench.backends_host, os.path.join(bench.work, f"edit{i}"), BACKENDS[i]) for i in range(2)]

    def variant(number):
        """Service web is there in every variant; its twin comes and goes with its cluster."""
        objects = mesh.simple(BACKENDS[number % 2])
        if number % 3 == 0:
            objects[2]["spec"]["http"] = [{"route": [to("web", weight=number % 100), to("twin", weight=100 - number % 100)]}]
            objects.append(mesh.service("twin", [BACKENDS[1]]))
        return objects

    def resident_kib():
        with open(f"/proc/{bench.gateway.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

    try:
        for number in range(10):
            bench.apply(variant(number))
        before = resident_kib()
        load = bench.start_wrk(90, connections=16, path="/any")
        edits = 0
        started = time.monotonic()
        while edits < 100:
            bench.apply(variant(edits))
            edits += 1
        assert load.poll() is None, f"100 edits took {time.monotonic() - started:.0f} s: the load had ended"
        load.send_signal(signal.SIGINT)  # wrk ends with its report
        requests, failed = bench.finish_wrk(load)
        assert failed == 0 and requests > 1000, f"{failed} failed of {requests}"
        assert wait_for(lambda: bench.metric("sluice_snapshots_retiring") == 0), "old snapshots are still alive"
        assert resident_kib() - before < 16 * 1024, "memory is not back"
    finally:
        for server in servers:
            server.terminate()
            server.wait()


def test_a_removed_listener_drains(bench):
    """Its connections finish their request; new ones are refused."""
    from harness.backend import answer

    both = [mesh.gateway(), mesh.gateway(port=8080, name="alt"), mesh.service("web", [BACKENDS[0]]),
            mesh.virtual_service([{"route": [to("web")]}], gateways=["edge", "alt"])]
    bench.apply(both)
    bench.backends[0].on("/long", lambda wire, request: time.sleep(0.7) or wire.send(answer(200, "done")))
    with bench.connect(port=8080) as wire, bench.connect() as stays:
        wire.send("GET /long HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        bench.backends[0].find("/long")
        bench.apply([both[0], both[2], mesh.virtual_service([{"route": [to("web")]}])])
        assert wire.response().body == b"done"
        with pytest.raises((ConnectionRefusedError, TimeoutError)):
            bench.connect(port=8080, timeout_s=2)
        stays.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert stays.response().body == b"b1"


def test_a_mesh_without_a_gateway_listens_nowhere(bench):
    bench.apply([mesh.service("web", [BACKENDS[0]])])
    assert wait_for(lambda: refused(bench))
    bench.apply(mesh.simple(BACKENDS[0]))
    assert bench.ask("/").status == 200


def refused(bench):
    try:
        bench.connect(timeout_s=2).close()
        return False
    except OSError:
        return True
