"""What perf/compare --tls is made of, without a proxy: certificates that verify, the bound from openssl speed, and tls_client against openssl's own server.

Nothing is asserted of speed.
"""

import json
import os
import subprocess

import pytest
import yaml

import compare_tls
import tls_world

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLIENT = os.path.join(os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build")), "perf", "tls_client")
SPEED = """                              sign    verify    sign/s verify/s
 256 bits ecdsa (nistp256)   0.0000s   0.0001s  25000.0   8101.0
                              op      op/s
 253 bits ecdh (X25519)   0.0001s  20000.0
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return tls_world.make_certificates(str(tmp_path_factory.mktemp("tls")))


def test_every_leaf_verifies_for_its_name_and_both_purposes(certificates):
    for name in tls_world.LEAVES:
        for purpose in ("sslserver", "sslclient"):
            tls_world.openssl("verify", "-CAfile", f"{certificates}/ca.crt", "-purpose", purpose, f"{certificates}/{name}.crt")
    assert "does match" in tls_world.openssl("x509", "-noout", "-checkhost", "nginx.edge.example", "-in", f"{certificates}/edge.crt")
    assert "NOT match" in tls_world.openssl("x509", "-noout", "-checkhost", "backend.example", "-in", f"{certificates}/edge.crt")


def test_the_mesh_with_its_words_filled_in_is_yaml_with_the_certificates(certificates):
    with open(os.path.join(ROOT, "perf", "peers", "tls_mesh.yaml")) as file:
        text = file.read()
    for word, value in dict(tls_world.secret_words(certificates), BACKEND="10.0.0.1", PLAIN_PORT="1", TLS_PORT="2").items():
        text = text.replace(word, value)
    secrets = [o for o in yaml.safe_load_all(text) if o["kind"] == "Secret"]
    assert [sorted(s["data"]) for s in secrets] == [["ca.crt", "tls.crt", "tls.key"]] * 2


def test_what_openssl_speed_allows():
    full, resumed = compare_tls.speed_bound(SPEED)
    assert full == pytest.approx(1 / (1 / 25000 + 2 / 20000))
    assert resumed == pytest.approx(10000)


@pytest.fixture
def server(certificates):
    """openssl's server, which answers each GET with a page and wants a certificate."""
    process = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", f"{certificates}/edge.crt", "-key", f"{certificates}/edge.key",
                                "-CAfile", f"{certificates}/ca.crt", "-Verify", "1", "-verify_return_error", "-tls1_3", "-www"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = "."
    while line and not line.startswith("ACCEPT"):
        line = process.stdout.readline()
    yield line.split()[1]
    process.kill()
    process.wait()


def client(server, *options):
    return subprocess.run([CLIENT, "--target", server, "--concurrency", "1", "--warmup", "0", "--seconds", "0.3", *options], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_handshakes_full_and_resumed(server, certificates, more):
    done = client(server, "--certificate", f"{certificates}/client.pem", "--authority", f"{certificates}/ca.crt", *more)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["done"] > 0 and seen["failed"] == 0
    assert seen["resumed"] == (seen["done"] if more else 0)


def test_a_server_of_another_name_and_a_client_without_a_certificate_are_seen(server, certificates):
    other = client(server, "--certificate", f"{certificates}/client.pem", "--authority", f"{certificates}/ca.crt", "--name", "other.example")
    assert other.returncode == 2 and "certificate verify failed" in other.stderr
    bare = client(server)
    assert bare.returncode == 2 and "no handshake ended well" in bare.stderr
