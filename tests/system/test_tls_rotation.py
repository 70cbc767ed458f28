"""Certificates replaced while traffic runs: nothing fails, new handshakes see the new one, a wrong one is refused and the old stays.

In: Secrets and files edited a hundred times under wrk. Out: wrk's failures (none), the serial that clients see, sluicectl pc secrets.
No wall-clock is asserted: each rotation waits for its revision. THREATS 17.
"""

import hashlib
import os
import re
import shutil
import subprocess
import time

import certs
import pytest
from harness import mesh
from harness.bench import BACKENDS, USER
from harness.nginx import start as start_nginx
from harness.tls import BACKEND_PORT, HOST, TlsBackend, client_rule, context, gateway, plain_server, request, server

ROTATIONS = 100


@pytest.fixture
def loaded(tls):
    """nginx as the backend, so that the load is the gateway's."""
    tls.backends[0].stop()
    nginx = start_nginx(tls.backends_host, f"{tls.bench.work}/rotation", BACKENDS[0])
    yield tls
    nginx.terminate()
    nginx.wait()


def objects(tls, *secrets):
    return [gateway(server()), *secrets, mesh.service("web", [BACKENDS[0]]), mesh.virtual_service([{"route": [mesh.to("web")]}])]


def serial_seen(tls):
    """SHA-256 of the certificate that a new handshake gets."""
    with tls.connect() as wire:
        return hashlib.sha256(wire.sock.getpeercert(binary_form=True)).hexdigest()


def wrk(tls, seconds, *options):
    return subprocess.Popen(tls.client.command("wrk", "-t1", "-c8", f"-d{seconds}s", *options, f"https://{HOST}/1k"),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_hundred_rotations_under_load_lose_nothing(loaded):
    """Long-lived connections go on, and short ones (one request each) shake hands with whatever is there."""
    tls = loaded
    pairs = [tls.pki.ca.issue(f"rotate{i}", dns=[HOST], usage=[certs.SERVER]) for i in range(10)]
    secrets = [certs.tls_secret("shop", pair) for pair in pairs]
    tls.bench.apply(objects(tls, secrets[0]))
    revision = tls.gateway.revision()
    long_lived = tls.connect()
    load = [wrk(tls, 600), wrk(tls, 600, "-H", "Connection: close")]
    try:
        for i in range(1, ROTATIONS + 1):
            tls.write_mesh(objects(tls, secrets[i % len(secrets)]))
            revision += 1
            tls.gateway.wait_revision(revision)
            if i % 10 == 0:
                assert serial_seen(tls) == pairs[i % len(pairs)].fingerprint(), f"rotation {i}: a new handshake gets an old certificate"
                long_lived.send(request("/1k"))
                assert long_lived.response().status == 200, f"rotation {i}"
    finally:
        for process in load:
            process.send_signal(2)   # wrk prints its report
    for process in load:
        requests, failed = tls.finish_wrk(process)
        assert failed == 0 and requests > 200, f"{failed} failed of {requests}\n{tls.gateway.log_tail()}"
    long_lived.close()
    row = tls.secrets()["kubernetes://shop"]
    assert row["state"] == "in force" and row["rotations"] >= ROTATIONS, row
    assert tls.metric("sluice_secret_rotations_total") >= ROTATIONS


def test_a_bad_edit_is_refused_and_the_old_stays(tls):
    """Like any other mistake in the mesh directory: the whole revision."""
    pki = tls.pki
    tls.bench.apply(objects(tls, tls.secret()))
    before, revision = serial_seen(tls), tls.gateway.revision()
    bad = certs.tls_secret("shop", pki.shop)
    bad["data"]["tls.key"] = certs.tls_secret("x", pki.client)["data"]["tls.key"]
    tls.write_mesh(objects(tls, bad))
    told = until(lambda: tls.gateway.ctl("status").stdout, "does not belong|REJECTED")
    assert "REJECTED" in told and "mesh.yaml" in told, told
    assert serial_seen(tls) == before and tls.ask("/still").status == 200 and tls.gateway.revision() == revision
    good = pki.ca.issue("mended", dns=[HOST], usage=[certs.SERVER])
    tls.bench.apply(objects(tls, tls.secret(pair=good)))
    assert serial_seen(tls) == good.fingerprint()


def until(ask, pattern, timeout_s=10.0):
    """What `ask` returns once it has this pattern."""
    deadline, text = time.monotonic() + timeout_s, ""
    while time.monotonic() < deadline:
        text = ask()
        if re.search(pattern, text, re.I):
            return text
        time.sleep(0.05)
    raise AssertionError(f"no {pattern!r} in\n{text}")


class Files:
    """A certificate and key as cert-manager or certbot replace them: by rename, no signal, no edit of the mesh."""

    def __init__(self, tls, name):
        self.tls, folder = tls, f"{tls.bench.work}/{name}"
        os.makedirs(folder, exist_ok=True)
        self.certificate, self.key = f"{folder}/tls.crt", f"{folder}/tls.key"

    def put(self, certificate, key=None):
        certs.write(self.key, (key or certificate).key_pem, USER, 0o600)
        certs.write(self.certificate, certificate.chain_pem, USER)
        return certificate

    def apply(self):
        self.tls.apply([server(credential=None, serverCertificate=self.certificate, privateKey=self.key)], [])

    def wait_served(self, pair):
        deadline = time.monotonic() + 10
        while serial_seen(self.tls) != pair.fingerprint():
            assert time.monotonic() < deadline, self.tls.gateway.ctl("pc", "secrets", "-o", "wide").stdout + self.tls.gateway.log_tail()
            time.sleep(0.05)


class Volume:
    """A Secret as Kubernetes mounts it: tls.crt and tls.key are links through `..data`, a link to a folder, which is swapped by rename."""

    def __init__(self, tls, name):
        self.tls, self.folder, self.number = tls, f"{tls.bench.work}/{name}", 0
        os.makedirs(self.folder, exist_ok=True)
        self.certificate, self.key = f"{self.folder}/tls.crt", f"{self.folder}/tls.key"

    def put(self, pair):
        self.number += 1
        fresh, old = f"..{self.number}", f"{self.folder}/..{self.number - 1}"
        os.makedirs(f"{self.folder}/{fresh}")
        certs.write(f"{self.folder}/{fresh}/tls.key", pair.key_pem, USER, 0o600)
        certs.write(f"{self.folder}/{fresh}/tls.crt", pair.chain_pem, USER)
        os.symlink(fresh, f"{self.folder}/..data_tmp")
        os.rename(f"{self.folder}/..data_tmp", f"{self.folder}/..data")
        for name in ("tls.crt", "tls.key"):
            if not os.path.islink(f"{self.folder}/{name}"):
                os.symlink(f"..data/{name}", f"{self.folder}/{name}")
        shutil.rmtree(old, ignore_errors=True)   # as kubelet does
        return pair

    apply, wait_served = Files.apply, Files.wait_served


def errors_since(tls, since):
    """What was refused, by the gateway's log."""
    with open(tls.bench.log, errors="replace") as file:
        file.seek(since)
        return [line for line in file.read().splitlines() if "REFUSED" in line]


def expiry(tls, secret):
    return tls.metric("sluice_certificate_expiration_timestamp_seconds", secret=secret)


def shop_pair(tls, name, **more):
    return tls.pki.ca.issue(name, dns=[HOST], usage=[certs.SERVER], **more)


def test_files_are_watched(tls):
    files = Files(tls, "files")
    first = files.put(shop_pair(tls, "file1"))
    files.apply()
    assert serial_seen(tls) == first.fingerprint()
    kept = tls.connect()
    files.wait_served(files.put(shop_pair(tls, "file2")))
    kept.send(request("/kept"))
    assert kept.response().status == 200, "a rotation ends no connection"
    kept.close()


def test_a_swapped_volume_is_one_rotation(tls):
    """Certificate and key change in one step: no mismatch is seen in between, and nothing is refused."""
    volume = Volume(tls, "volume")
    first = volume.put(shop_pair(tls, "volume1"))
    volume.apply()
    assert serial_seen(tls) == first.fingerprint()
    since = tls.mark()
    for i in range(2, 6):
        volume.wait_served(volume.put(shop_pair(tls, f"volume{i}", days=30 * i)))
        row = tls.secrets()[f"file-cert:{volume.certificate}~{volume.key}"]
        assert row["state"] == "in force" and row["rotations"] == i - 1, row
        assert expiry(tls, row["name"]) > time.time() + 86400 * (30 * i - 1), "days to expiry are those of the new one"
    assert not errors_since(tls, since)


@pytest.mark.parametrize("first_written", ["certificate", "key"])
def test_one_file_before_the_other(tls, first_written):
    """A certificate and its key are two files: between them the old pair stays in force, told once, and it heals by itself."""
    files = Files(tls, f"halves-{first_written}")
    good = files.put(shop_pair(tls, "half1", days=20))
    files.apply()
    name = f"file-cert:{files.certificate}~{files.key}"
    since, fresh = tls.mark(), shop_pair(tls, "half2", days=40)
    write = {"certificate": lambda: certs.write(files.certificate, fresh.chain_pem, USER), "key": lambda: certs.write(files.key, fresh.key_pem, USER, 0o600)}
    write.pop(first_written)()
    told = until(lambda: tls.gateway.ctl("pc", "secrets", "-o", "wide").stdout, "old in force")
    assert "does not belong" in told.split("old in force")[1], told
    assert expiry(tls, name) == good.end() and serial_seen(tls) == good.fingerprint()
    write.popitem()[1]()
    files.wait_served(fresh)
    assert expiry(tls, name) == fresh.end() and tls.metric("sluice_secrets_refused") == 0
    assert len(errors_since(tls, since)) == 1, errors_since(tls, since)


def test_a_file_that_is_truncated_and_written_on(tls):
    """In place, with a pause in the middle of a certificate: what is half is refused once, and the whole is taken."""
    files = Files(tls, "in-place")
    good = files.put(shop_pair(tls, "place1"))
    files.apply()
    since, text = tls.mark(), shop_pair(tls, "place2", days=50)
    certs.write(files.key, text.key_pem, USER, 0o600)
    with open(files.certificate, "w") as file:
        file.write(text.chain_pem[:300])
        file.flush()
        told = until(lambda: tls.gateway.ctl("pc", "secrets", "-o", "wide").stdout, "old in force")
        assert re.search("certificate|PEM", told.split("old in force")[1], re.I), told
        assert serial_seen(tls) == good.fingerprint() and tls.ask("/still").status == 200
        file.write(text.chain_pem[300:])
    files.wait_served(text)
    assert 1 <= len(errors_since(tls, since)) <= 2, "the new key beside the old certificate may be seen before it"
    assert tls.metric("sluice_secrets_refused") == 0
    # What is taken back is told too.
    with open(files.certificate, "w") as file:
        file.write("half")
    until(lambda: tls.gateway.ctl("pc", "secrets").stdout, "old in force")
    since = tls.mark()
    certs.write(files.certificate, text.chain_pem, USER)
    tls.logged("again what is in force", since)
    assert tls.gateway.ctl("pc", "secrets").returncode == 0


@pytest.mark.parametrize("wrong, says", [("mismatched", "does not belong"), ("expired", "expired"), ("garbage", "certificate|PEM"), ("gone", "no such file|cannot be read")])
def test_bad_files_are_refused_and_the_old_stays(tls, wrong, says):
    """That secret alone: told in pc secrets, by a metric and in the log, and over with the next good files."""
    files = Files(tls, "replaced")
    good = files.put(shop_pair(tls, "good"))
    files.apply()
    since = tls.mark()
    if wrong == "mismatched":
        files.put(good, key=tls.pki.client)
    elif wrong == "expired":
        files.put(shop_pair(tls, "over", not_before="20200101000000Z", not_after="20210101000000Z"))
    elif wrong == "garbage":
        certs.write(files.certificate, "not a certificate\n", USER)
    else:
        os.unlink(files.certificate)
    told = until(lambda: tls.gateway.ctl("pc", "secrets", "-o", "wide").stdout, "old in force")
    assert re.search(says, told.split("old in force")[1], re.I), told
    assert tls.gateway.ctl("pc", "secrets").returncode == 1, "a refused secret is a finding"
    assert tls.metric("sluice_secrets_refused") == 1
    tls.logged(says, since)
    assert serial_seen(tls) == good.fingerprint() and tls.ask("/still").status == 200
    files.wait_served(files.put(shop_pair(tls, "mended")))
    assert tls.gateway.ctl("pc", "secrets").returncode == 0 and tls.metric("sluice_secrets_refused") == 0


def test_the_gateways_own_identity_rotates(tls):
    """ISTIO_MUTUAL to backends: the next connection shows the new certificate."""
    pki = tls.pki
    backend = TlsBackend(tls.backends_host, BACKENDS[0], pki.mesh_ca.identity("web", "shop"), client_ca=pki.mesh_ca)
    try:
        tls.apply([plain_server(["*"])], [], routes=[{"route": [mesh.to("web", port=BACKEND_PORT)]}],
                  more=[mesh.service("web", [BACKENDS[0]], port=BACKEND_PORT), client_rule("ISTIO_MUTUAL")])
        assert tls.bench.ask("/one").status == 200
        old = backend.sessions[-1]["peer"]
        fresh = pki.mesh_ca.identity("gateway", "istio-system")   # replaces the files of the identity section
        assert fresh.certificate == pki.gateway.certificate
        deadline = time.monotonic() + 10
        while backend.sessions[-1]["peer"] == old:
            assert time.monotonic() < deadline, tls.gateway.ctl("pc", "secrets", "-o", "wide").stdout + tls.gateway.log_tail()
            backend.drop_connections()
            time.sleep(0.1)
            assert tls.bench.ask("/two").status in (200, 503)
    finally:
        backend.stop()


def test_roots_rotate_without_an_outage(loaded):
    """old -> old and new -> new, as a CA is replaced: clients of either are served while both are trusted."""
    tls = loaded
    old, new = (certs.Authority(f"{tls.pki.folder}/root-{n}", f"Root {n}", owner=USER) for n in ("old", "new"))
    clients = {n: ca.issue("client", dns=["client.example"]) for n, ca in (("old", old), ("new", new))}
    def served(name):
        try:
            return tls.ask("/1k", using=context(tls.pki.ca, clients[name])).status == 200
        except OSError:
            return False

    for roots, expected in ((old.pem, (True, False)), (old.pem + new.pem, (True, True)), (new.pem, (False, True))):
        tls.apply([server(mode="MUTUAL")], [tls.secret(ca=roots)])
        assert (served("old"), served("new")) == expected


def test_what_the_operator_sees_of_it(tls):
    tls.bench.apply(objects(tls, tls.secret()))
    soon = tls.pki.ca.issue("soon", dns=[HOST], usage=[certs.SERVER], days=3)
    tls.bench.apply(objects(tls, tls.secret(pair=soon)))
    row = tls.secrets()["kubernetes://shop"]
    assert 2 <= row["days_left"] <= 3 and row["rotations"] >= 1, row
    assert tls.metric("sluice_certificate_expiration_timestamp_seconds", secret="kubernetes://shop") == soon.end()
    assert tls.metric("envoy_server_days_until_first_cert_expiring") in (2, 3)
    printed = tls.gateway.ctl("pc", "secrets").stdout
    assert re.search(r"kubernetes://shop +certificate +in force", printed), printed
