"""Revisions: kept on disk, compared, applied, rolled back, and served when the directory is broken at the start.

In: a running gateway, its state directory, sluicectl. Out: no request failed, the directory the old or the
new whole, numbers that go on over restarts and kills, and words that say what is wrong.
"""

import json
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time

import pytest
from harness import mesh
from harness.bench import BACKENDS, USER
from harness.mesh import to

USER_ID = pwd.getpwnam(USER).pw_uid
B1, B2 = (mesh.render(mesh.simple(address)) for address in BACKENDS[:2])
WRONG = B1.replace("route:", "rote:")


def wait_for(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def put(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def history(gateway):
    return json.loads(gateway.ctl("-o", "json", "config", "history").stdout)


def config(gateway):
    return json.loads(gateway.ctl("-o", "json", "config", "show").stdout)


def files_in(folder):
    return {name: open(os.path.join(folder, name)).read() for name in sorted(os.listdir(folder)) if name.endswith(".yaml")}


def kept(bench):
    """Waits until all that there is to know is on disk."""
    def whole():
        state = history(bench.gateway)
        return state["revisions"] and not state["state"]["error"] and all(
            os.path.exists(os.path.join(bench.state_dir, "revisions", f"{r['revision']:08}.json")) for r in state["revisions"])
    assert wait_for(whole), history(bench.gateway)


@pytest.fixture
def one(bench):
    """A gateway with an empty history but for the revision in force, which answers b1."""
    bench.may_end = True
    bench.stop()
    bench.write_mesh(B1)
    bench.start()
    yield bench
    bench.stop()
    if os.path.isfile(bench.mesh_dir):
        os.unlink(bench.mesh_dir)
    bench.write_mesh(B1)
    bench.clear_mesh()


@pytest.fixture
def folder(one):
    path = os.path.join(one.work, "given")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    yield path
    shutil.rmtree(path)


def test_history_goes_on_over_a_restart(one):
    one.apply(B2)
    one.write_mesh(WRONG)
    assert wait_for(lambda: config(one.gateway)["refused"])
    one.apply(mesh.simple(*BACKENDS[:2]))
    kept(one)
    before = history(one.gateway)["revisions"]
    assert [(r["revision"], r["outcome"], r["origin"]) for r in before] == [
        (4, "applied", "edit"), (3, "refused", "edit"), (2, "applied", "edit"), (1, "applied", "start")]
    assert before[0]["time_to_live_ms"] and before[0]["changes"]["changed"] == ["mesh.yaml"] and before[1]["errors"] > 0
    one.start(keep_state=True)
    after = history(one.gateway)["revisions"]
    assert [r["revision"] for r in after] == [4, 3, 2, 1] and one.gateway.revision() == 4, "the same files are the same revision"
    one.apply(B1)
    assert one.gateway.revision() == 5
    table = one.gateway.ctl("config", "history")
    assert table.returncode == 0 and "in force" in table.stdout and "refused" in table.stdout and "~mesh.yaml" in table.stdout
    for name in ("revisions", "content"):
        for file in os.listdir(os.path.join(one.state_dir, name)):
            assert os.stat(os.path.join(one.state_dir, name, file)).st_mode & 0o777 == 0o600
    refused = one.gateway.ctl("config", "show", "--revision", "3")
    assert "rote" in refused.stdout and "^" in refused.stdout
    assert one.gateway.ctl("wait", "revision", "3").returncode == 1, "a refused one is never live, whatever came after"
    assert one.gateway.ctl("wait", "revision", "4").returncode == 0


def test_files_changed_while_it_was_down_are_a_new_revision(one):
    kept(one)
    one.stop()
    one.write_mesh(B2)
    one.start(keep_state=True)
    newest = history(one.gateway)["revisions"][0]
    assert (newest["revision"], newest["origin"], newest["in_force"]) == (2, "start", True)
    assert one.ask("/").body == b"b2"


def test_diff(one):
    same = one.gateway.ctl("config", "diff")
    assert same.returncode == 0 and "the same" in same.stdout
    one.apply(B2)
    diff = one.gateway.ctl("config", "diff", "1", "2")
    assert diff.returncode == 1
    for line in (f"-  - address: {BACKENDS[0]}", f"+  - address: {BACKENDS[1]}", "--- revision 1/mesh.yaml", "+++ revision 2/mesh.yaml"):
        assert line in diff.stdout, diff.stdout
    resources = one.gateway.ctl("config", "diff", "1", "2", "--resources")
    assert resources.returncode == 1 and "endpoints" in resources.stdout and "listeners" not in resources.stdout, resources.stdout
    one.write_mesh(WRONG)
    assert wait_for(lambda: config(one.gateway)["refused"])
    assert "rote" in one.gateway.ctl("config", "diff").stdout and "rote" in one.gateway.ctl("config", "diff", "2", "refused").stdout
    assert one.gateway.ctl("config", "diff", "77").returncode == 2


def parts(backend):
    """The simple mesh as three files."""
    return {f"{name}.yaml": mesh.render([part]) for name, part in zip(("gateway", "service", "routes"), mesh.simple(backend))}


def test_apply_of_several_files_under_traffic(one, folder):
    given = parts(BACKENDS[1])
    for name, text in given.items():
        put(os.path.join(folder, name), text)
    stop, bodies = threading.Event(), []

    def traffic():
        with one.connect() as wire:
            while not stop.is_set():
                wire.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                bodies.append(wire.response().body)

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        dry = one.gateway.ctl("config", "apply", folder, "--delete", "mesh.yaml", "--dry-run")
        assert dry.returncode == 0 and "nothing was changed" in dry.stdout and "+++ applied/routes.yaml" in dry.stdout, dry.stdout + dry.stderr
        assert one.gateway.revision() == 1 and set(files_in(one.mesh_dir)) == {"mesh.yaml"}
        done = one.gateway.ctl("config", "apply", folder, "--prune")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "revision 2 is live on all cores" in done.stdout and "-mesh.yaml" in done.stdout
        assert files_in(one.mesh_dir) == given
        assert wait_for(lambda: bodies[-1] == b"b2")
        again = one.gateway.ctl("config", "apply", folder)
        assert again.returncode == 0 and "nothing" not in again.stderr and one.gateway.revision() == 2
    finally:
        stop.set()
        thread.join()
    assert set(bodies) == {b"b1", b"b2"} and bodies == sorted(bodies), "every request was answered, by the old and then by the new"
    newest = history(one.gateway)["revisions"][0]
    assert newest["origin"] == "apply" and newest["by"] and newest["changes"]["removed"] == ["mesh.yaml"]


def test_apply_of_a_bad_set_changes_nothing(one, folder):
    put(os.path.join(folder, "mesh.yaml"), WRONG)
    put(os.path.join(folder, "other.yaml"), mesh.render([mesh.service("other", [BACKENDS[2]])]))
    before, stamp = files_in(one.mesh_dir), os.stat(one.mesh_dir)
    done = one.gateway.ctl("config", "apply", folder)
    assert done.returncode == 1
    for word in ("mesh/mesh.yaml:", "rote", "^", "did you mean"):
        assert word in done.stdout, done.stdout
    assert "nothing was changed, revision 1 stays in force" in done.stderr
    assert files_in(one.mesh_dir) == before and os.stat(one.mesh_dir).st_mtime_ns == stamp.st_mtime_ns
    assert one.gateway.ctl("status").returncode == 0 and one.ask("/").body == b"b1"
    answer = json.loads(one.gateway.ctl("-o", "json", "config", "apply", folder).stdout)
    assert answer["outcome"] == "refused" and answer["diagnostics"][0]["line"] > 0
    # Wrong only together with what is there: a reference across files.
    lonely = put(os.path.join(folder, "lonely.yaml"), mesh.render([mesh.virtual_service([{"route": [to("nobody")]}], name="lonely", hosts=("lonely.example",))]))
    assert one.gateway.ctl("config", "apply", lonely).returncode in (0, 1)
    assert one.gateway.ctl("config", "apply", os.path.join(folder, "none.yaml")).returncode == 2
    assert one.gateway.ctl("config", "apply").returncode == 2


def test_rollback(one):
    one.apply(B2)
    plan = one.gateway.ctl("config", "rollback", "--dry-run")
    assert plan.returncode == 0 and "back to revision 1" in plan.stdout and f"+  - address: {BACKENDS[0]}" in plan.stdout, plan.stdout + plan.stderr
    assert one.gateway.revision() == 2
    done = one.gateway.ctl("config", "rollback")
    assert done.returncode == 0 and "revision 3 is live on all cores" in done.stdout, done.stdout + done.stderr
    assert one.ask("/").body == b"b1" and BACKENDS[0] in files_in(one.mesh_dir)["mesh.yaml"], "the directory is the truth"
    newest = history(one.gateway)["revisions"][0]
    assert newest["origin"] == "rollback" and newest["rolled_back_to"] == 1
    one.write_mesh(WRONG)
    assert wait_for(lambda: config(one.gateway)["refused"])
    done = one.gateway.ctl("config", "rollback")
    assert done.returncode == 0 and "back to revision 3" in done.stdout, done.stdout + done.stderr
    assert one.gateway.ctl("status").returncode == 0 and one.gateway.revision() == 3
    assert one.gateway.ctl("config", "rollback", "2").returncode == 0
    assert one.ask("/").body == b"b2"
    assert one.gateway.ctl("config", "rollback", "4").returncode == 1, "that one was refused"
    assert one.gateway.ctl("config", "rollback", "99").returncode == 1


BROKEN_DIRECTORIES = {
    "wrong": lambda path: put(os.path.join(path, "mesh.yaml"), WRONG),
    "missing": shutil.rmtree,
    "empty": lambda path: os.unlink(os.path.join(path, "mesh.yaml")),
    "a file": lambda path: (shutil.rmtree(path), put(path, "not a directory")),
    "unreadable": lambda path: (os.unlink(os.path.join(path, "mesh.yaml")), os.mkfifo(os.path.join(path, "mesh.yaml"))),
}


@pytest.mark.parametrize("how", BROKEN_DIRECTORIES)
def test_a_start_with_a_broken_directory_serves_the_last_good(one, how):
    one.apply(B2)
    kept(one)
    one.stop()
    BROKEN_DIRECTORIES[how](one.mesh_dir)
    one.may_end = True
    gateway = one.gateway = None
    from gateway import Gateway

    gateway = one.gateway = Gateway(one.gateway_host, one.config_path, one.admin_socket, one.log).start()
    gateway.wait_ready()
    assert one.ask("/").body == b"b2"
    status = gateway.ctl("status")
    assert status.returncode == 1 and "SERVING THE LAST GOOD" in status.stdout and "REJECTED" in status.stdout, status.stdout
    assert "revision 2" in status.stdout and "SERVING THE LAST GOOD CONFIG, revision 2" in gateway.log_tail(60)
    state = history(gateway)
    assert state["serving_last_good"] and state["in_force"] == 2 and state["refused"] == 3
    if how == "wrong":
        done = gateway.ctl("config", "rollback")
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        if os.path.isfile(one.mesh_dir):
            os.unlink(one.mesh_dir)
        one.clear_mesh()
        if os.path.isdir(one.mesh_dir) and os.path.exists(os.path.join(one.mesh_dir, "mesh.yaml")):
            os.unlink(os.path.join(one.mesh_dir, "mesh.yaml"))
        done = gateway.ctl("config", "rollback")
        assert done.returncode == 0, done.stdout + done.stderr
    assert wait_for(lambda: gateway.ctl("status").returncode == 0), gateway.ctl("status").stdout
    assert BACKENDS[1] in files_in(one.mesh_dir)["mesh.yaml"] and not history(gateway)["serving_last_good"]


def test_a_damaged_state_directory_is_told_and_skipped(one):
    for number in range(3):
        one.apply(B2 if number % 2 else mesh.simple(BACKENDS[0], BACKENDS[2 + number // 2]))
    kept(one)
    newest, before = history(one.gateway)["revisions"][:2]
    one.stop()
    path = os.path.join(one.state_dir, "content", newest["hash"])
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    put(os.path.join(one.state_dir, "revisions", "00000001.json"), "")
    one.write_mesh(WRONG)
    one.start(keep_state=True)
    assert config(one.gateway)["in_force"]["revision"] == before["revision"]
    log = one.gateway.log_tail(60)
    assert f"revision {newest['revision']} cannot be served" in log and "revision 1 is lost" in log
    assert "damaged" in one.gateway.ctl("config", "history").stdout
    assert one.ask("/").status == 200


def test_kill_9_in_the_middle_of_edits(one):
    """Whenever it is killed, the next start has a history without gaps in what it promises, and serves."""
    texts = [B1, B2]
    for round_ in range(6):
        gateway = one.gateway
        for number in range(8):
            one.write_mesh(texts[number % 2])
            time.sleep(0.013 * (round_ + 1) / 2)
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait()
        assert not gateway.running()
        broken = round_ % 2 == 1
        if broken:
            one.write_mesh(WRONG)
        one.start(keep_state=True)
        assert one.ask("/").status == 200
        state = history(one.gateway)
        assert state["state"]["damaged"] == 0 and state["serving_last_good"] == broken, state
        numbers = [r["revision"] for r in state["revisions"]]
        assert numbers == sorted(numbers, reverse=True) and len(numbers) <= 20
        for r in state["revisions"]:
            assert one.gateway.ctl("config", "show", "--revision", str(r["revision"])).returncode == 0
    one.write_mesh(B1)


def test_a_full_disk_is_a_warning(one):
    one.stop()
    shutil.rmtree(one.state_dir)
    os.makedirs(one.state_dir, mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=64k,mode=0700,uid={USER_ID}", "sluice-tiny", one.state_dir], check=True)
    try:
        one.start(keep_state=True)
        big = "".join(f"# {n}\n" for n in range(20000))
        one.apply(B2 + big)
        assert one.ask("/").body == b"b2"
        assert wait_for(lambda: history(one.gateway)["state"]["error"]), "nobody was told"
        state = history(one.gateway)["state"]
        assert "No space left" in state["error"] and state["write_failures"] > 0
        status = one.gateway.ctl("status")
        assert status.returncode == 1 and "No space left" in status.stdout and "serving revision 2" in status.stdout
        one.apply(B1 + big)
        assert one.ask("/").body == b"b1", "edits go on"
        assert one.gateway.log_tail(100).count("No space left") <= 2, "told once for each thing that fails"
        subprocess.run(["mount", "-o", "remount,size=8m", one.state_dir], check=True)
        assert wait_for(lambda: not history(one.gateway)["state"]["error"], 15), history(one.gateway)["state"]
        kept(one)
        subprocess.run(["mount", "-o", "remount,ro", one.state_dir], check=True)
        one.apply(B2)
        assert one.ask("/").body == b"b2" and wait_for(lambda: "Read-only" in history(one.gateway)["state"]["error"])
        one.stop()
        one.write_mesh(WRONG)
        one.start(keep_state=True)
        assert one.ask("/").status == 200, "what is there is served, though nothing can be written"
    finally:
        one.stop()
        subprocess.run(["umount", one.state_dir], check=True)


def test_somebody_elses_edit_is_never_lost(one, folder):
    """Another editor writes while files are applied: its text is there afterwards, or in force meanwhile, never gone."""
    stop, written = threading.Event(), [0]

    def editor():
        while not stop.is_set():
            written[0] += 1
            path = os.path.join(one.mesh_dir, "theirs.yaml")
            put(path + ".tmp~", f"# {written[0]}\n")
            try:
                os.rename(path + ".tmp~", path)
            except FileNotFoundError:   # the folder with the temporary file changed places: written again
                put(path, f"# {written[0]}\n")
            time.sleep(0.003)
            # Away for a moment at most, while a directory that was exchanged too early is put back.
            assert wait_for(lambda: text_of(path) == f"# {written[0]}\n"), f"{text_of(path)!r} where # {written[0]} was written"

    failures = []
    thread = threading.Thread(target=lambda: failures.append(None) if not run(editor, failures) else None)
    thread.start()
    codes = []
    try:
        for number in range(25):
            for name, text in parts(BACKENDS[number % 2]).items():
                put(os.path.join(folder, name), text)
            # What was there before defines the same objects: it goes with the first set, however often that is tried.
            first = ["--delete", "mesh.yaml"] if not codes or codes[-1].returncode != 0 and os.path.exists(os.path.join(one.mesh_dir, "mesh.yaml")) else []
            codes.append(one.gateway.ctl("config", "apply", folder, *first))
    finally:
        stop.set()
        thread.join()
    assert not [f for f in failures if f], failures
    for done in codes:
        assert done.returncode == 0 or "by somebody else" in done.stderr, done.stdout + done.stderr
    assert open(os.path.join(one.mesh_dir, "theirs.yaml")).read() == f"# {written[0]}\n"


def text_of(path):
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def run(function, failures):
    try:
        function()
        return True
    except Exception as error:   # of a thread: told by the test
        failures.append(repr(error))
        return False


def test_what_cannot_be_applied_to_says_so(one, folder):
    new = put(os.path.join(folder, "mesh.yaml"), B2)
    os.rename(os.path.join(one.mesh_dir, "mesh.yaml"), os.path.join(one.work, "linked.yaml"))
    os.symlink("../linked.yaml", os.path.join(one.mesh_dir, "mesh.yaml"))
    done = one.gateway.ctl("config", "apply", new)
    assert done.returncode == 1 and "is a link" in done.stderr, done.stderr
    os.unlink(os.path.join(one.mesh_dir, "mesh.yaml"))
    os.symlink("..rev", os.path.join(one.mesh_dir, "..data"))
    os.makedirs(os.path.join(one.mesh_dir, "..rev"))
    put(os.path.join(one.mesh_dir, "..rev", "mesh.yaml"), B1)
    os.symlink("..data/mesh.yaml", os.path.join(one.mesh_dir, "mesh.yaml"))
    done = one.gateway.ctl("config", "apply", new)
    assert done.returncode == 1 and "Kubernetes volume" in done.stderr, done.stderr
    shutil.rmtree(one.mesh_dir)
    os.makedirs(one.mesh_dir)
    one.write_mesh(B1)
    one.stop()
    subprocess.run(["mount", "--bind", one.mesh_dir, one.mesh_dir], check=True)   # before the start: the gateway has its own mounts
    try:
        one.start()
        inode = os.stat(one.mesh_dir).st_ino
        for name, text in parts(BACKENDS[1]).items():
            put(os.path.join(folder, name), text)
        os.unlink(new)
        done = one.gateway.ctl("config", "apply", folder, "--prune")
        assert done.returncode == 0, done.stdout + done.stderr   # a mount point cannot be exchanged: file by file
        assert one.ask("/").body == b"b2" and os.stat(one.mesh_dir).st_ino == inode
        one.stop()
        subprocess.run(["mount", "-o", "remount,bind,ro", one.mesh_dir], check=True)
        one.start(keep_state=True)
        done = one.gateway.ctl("config", "rollback")
        assert done.returncode == 1 and "mounted read-only" in done.stderr, done.stdout + done.stderr
        assert one.ask("/").body == b"b2" and one.gateway.ctl("status").returncode == 0
    finally:
        one.stop()
        subprocess.run(["umount", one.mesh_dir], check=True)


def test_files_written_one_after_another_are_one_revision(one):
    """As git or cp write them: what is there before the last of them would be refused, and is not even told."""
    for name, text in {"routes.yaml": mesh.render([mesh.virtual_service([{"route": [to("web", "v1")]}])]),   # twice, and no such subset
                       "mesh.yaml": mesh.render([mesh.gateway(), mesh.service("web", [(BACKENDS[1], {"version": "v1"})])]),
                       "rule.yaml": mesh.render([mesh.destination_rule("web", ["v1"])])}.items():
        put(os.path.join(one.mesh_dir, name), text)
        time.sleep(0.02)
    assert wait_for(lambda: one.ask("/").body == b"b2")
    assert [(r["revision"], r["outcome"]) for r in history(one.gateway)["revisions"]] == [(2, "applied"), (1, "applied")]
    assert "REJECTED" not in one.gateway.log_tail(60)


def test_only_the_socket_changes_anything(one):
    for path in ("/v1/config/apply", "/v1/config/rollback"):
        done = one.gateway_host.run("curl", "-sS", "-X", "POST", "-d", "{}", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:15000{path}", check=False)
        assert done.stdout == "403", done.stdout + done.stderr
    curl = ["curl", "-sS", "--unix-socket", one.admin_socket, "-o", "/dev/null", "-w", "%{http_code}"]
    for arguments, want in ((["-d", "not json"], "400"), (["-H", "Transfer-Encoding: chunked", "-d", "{}"], "411"),
                            (["-H", "Content-Encoding: gzip", "-d", "{}"], "411"), (["-H", "Content-Length: 99999999999"], "413")):
        done = subprocess.run([*curl, "-X", "POST", *arguments, "http://admin/v1/config/apply"], capture_output=True, text=True, timeout=20)
        assert done.stdout == want, f"{arguments}: {done.stdout} {done.stderr}"
    assert one.gateway.revision() == 1 and one.ask("/").body == b"b1"
