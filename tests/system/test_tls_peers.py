"""TLS stacks that others wrote, on either side: GnuTLS, Go's crypto/tls, Envoy's BoringSSL. OpenSSL is in every other file.

In: gnutls-cli and gnutls-serv, a small Go program (peers/go_tls), Envoy. Out: pages through the gateway with both versions and every suite,
client certificates both ways, resumption, refusals in each stack's own words.
"""

import hashlib
import json
import os
import subprocess
import time

import certs
import pytest
from harness import envoy, mesh
from harness.backend import answer
from harness.bench import ADDRESS, BACKENDS, ROOT
from harness.tls import BACKEND_PORT, GATEWAY_ID, HOST, PORT, client_rule, plain_server, server

SERVICE = mesh.fqdn("web")
SUITES_12 = ["AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"]


@pytest.fixture
def simple(tls):
    tls.simple()
    return tls


@pytest.fixture
def mutual(tls):
    tls.apply([server(mode="MUTUAL")], [tls.secret(ca=tls.pki.ca.pem)])
    return tls


@pytest.fixture(scope="session")
def web_pair(pki):
    return pki.ca.issue("web", dns=[SERVICE], usage=[certs.SERVER])


@pytest.fixture(scope="session")
def caller(pki):
    return pki.ca.issue("caller", dns=["caller.example"], uris=[GATEWAY_ID], usage=[certs.CLIENT])


def to_backend(tls, rule):
    tls.apply([plain_server(["*"])], [], routes=[{"route": [mesh.to("web", port=BACKEND_PORT)]}],
              more=[mesh.service("web", [BACKENDS[0]], port=BACKEND_PORT), rule])


def mutual_rule(tls, caller):
    return client_rule("MUTUAL", clientCertificate=caller.certificate, privateKey=caller.key, caCertificates=tls.pki.ca.certificate)


def wait_listening(tls, process, port=BACKEND_PORT):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        if tls.backends_host.run("ss", "-Htln", "sport", "=", f":{port}").stdout.strip():
            return
        time.sleep(0.02)
    raise AssertionError(f"nobody listens on {port}; status {process.poll()}")


class Running:
    """Ends a process of a test."""

    def __init__(self, process):
        self.process = process

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


# --- GnuTLS ------------------------------------------------------------------------------------------


def gnutls_cli(tls, *arguments, path="/gnutls", timeout=20):
    """What it prints of one request; the pipe stays open until the answer is there, since it ends with its input."""
    command = ["gnutls-cli", "--port", str(PORT), "--x509cafile", tls.pki.ca.certificate, "--sni-hostname", HOST, "--verify-hostname", HOST,
               "--logfile", "/dev/stderr", *arguments, ADDRESS]
    process = subprocess.Popen(tls.client.command(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        process.stdin.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        process.stdin.flush()
        return process.stdout.read().decode(errors="replace")
    except BrokenPipeError:
        return process.stdout.read().decode(errors="replace")
    finally:
        process.stdin.close()
        process.wait(timeout)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("cipher", SUITES_12)
def test_gnutls_client(simple, version, cipher):
    printed = gnutls_cli(simple, "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}:-CIPHER-ALL:+{cipher}")
    assert "HTTP/1.1 200" in printed and f"TLS{version}" in printed and cipher in printed, printed


def test_gnutls_client_with_a_certificate_and_without(mutual):
    client = mutual.pki.client
    printed = gnutls_cli(mutual, "--x509certfile", client.certificate, "--x509keyfile", client.key)
    assert "HTTP/1.1 200" in printed, printed
    assert "URI=spiffe://cluster.local/ns/web/sa/client" in mutual.backends[0].find("/gnutls").get("x-forwarded-client-cert")
    printed = gnutls_cli(mutual, path="/none")
    assert "HTTP/1.1 200" not in printed and "ertificate is required" in printed, printed
    assert "/none" not in mutual.backends[0].paths()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gnutls_client_resumes(simple, version):
    printed = gnutls_cli(simple, "--resume", "--waitresumption", "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}")
    assert "This is a resumed session" in printed, printed


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("cipher", SUITES_12)
def test_gnutls_server_that_wants_a_certificate(tls, web_pair, caller, version, cipher):
    process = tls.backends_host.start("gnutls-serv", "--http", "--port", str(BACKEND_PORT), "--x509certfile", web_pair.certificate, "--x509keyfile", web_pair.key,
                                      "--x509cafile", tls.pki.ca.certificate, "--require-client-cert", "--verify-client-cert",
                                      "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}:-CIPHER-ALL:+{cipher}", log=f"{tls.bench.work}/gnutls.log")
    with Running(process):
        wait_listening(tls, process)
        to_backend(tls, mutual_rule(tls, caller))
        response = tls.bench.ask("/page")
        page = response.body.decode(errors="replace")
        assert response.status == 200 and f"TLS{version}" in page and cipher in page, page
        to_backend(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate))
        assert tls.bench.ask("/none").status == 503


# --- Go ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def go_tls(session_bench):
    path = os.path.join(session_bench.work, "go_tls")
    cache = os.path.join(ROOT, ".cache", "go-build")
    done = subprocess.run(["go", "build", "-o", path, "main.go"], cwd=os.path.join(ROOT, "tests", "system", "peers", "go_tls"), capture_output=True, text=True,
                          env={**os.environ, "GOCACHE": cache, "GOFLAGS": "", "GO111MODULE": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})
    assert done.returncode == 0, done.stderr
    return path


def go_client(tls, go_tls, *arguments, pair=None):
    own = ["-cert", pair.certificate, "-key", pair.key] if pair else []
    done = tls.client.run(go_tls, "-address", f"{ADDRESS}:{PORT}", "-host", HOST, "-ca", tls.pki.ca.certificate, *own, *arguments, check=False, timeout=60)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert results, done.stderr
    return results


@pytest.mark.parametrize("version, suite", [("1.3", ""), *(("1.2", f"TLS_ECDHE_ECDSA_WITH_{s}") for s in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"))])
def test_go_client(simple, go_tls, version, suite):
    simple.backends[0].on("/go", lambda wire, request: wire.send(answer(200, request.body or b"b1")))
    first, second, *_ = go_client(simple, go_tls, "-min", version, "-max", version, "-suites", suite, "-count", "4")
    assert first["Status"] == 200 and first["Version"] == version and (first["Suite"] == suite or not suite) and first["ALPN"] == "http/1.1", first
    assert not first["Resumed"] and second["Resumed"], "its session cache holds what the gateway gave it"
    (large,) = go_client(simple, go_tls, "-min", version, "-max", version, "-size", "3000000")
    assert large["Body"] == hashlib.sha256(bytes(i * 7 & 255 for i in range(3000000))).hexdigest(), large


def test_go_client_with_a_certificate_and_without(mutual, go_tls):
    (known,) = go_client(mutual, go_tls, pair=mutual.pki.client)
    assert known["Status"] == 200, known
    for version, words in (("1.2", "handshake failure"), ("1.3", "certificate required")):
        (nobody,) = go_client(mutual, go_tls, "-min", version, "-max", version)
        # Go 1.19 knows no name for alert 116 (certificate_required).
        assert nobody["Status"] == 0 and (words in nobody["Error"] or "alert(116)" in nobody["Error"]), nobody
    (stranger,) = go_client(mutual, go_tls, pair=mutual.pki.stranger)
    assert "unknown certificate authority" in stranger["Error"] or "unknown ca" in stranger["Error"].lower() or "bad certificate" in stranger["Error"] or stranger["Status"] == 0, stranger


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_go_client_of_an_old_version_is_refused(simple, go_tls, version):
    (old,) = go_client(simple, go_tls, "-min", version, "-max", version)
    assert "protocol version" in old["Error"], old


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_go_server_that_wants_a_certificate(tls, go_tls, web_pair, caller, version):
    process = tls.backends_host.start(go_tls, "-serve", "-address", f"{BACKENDS[0]}:{BACKEND_PORT}", "-cert", web_pair.certificate, "-key", web_pair.key,
                                      "-ca", tls.pki.ca.certificate, "-min", version, "-max", version, log=f"{tls.bench.work}/go.log")
    with Running(process):
        wait_listening(tls, process)
        to_backend(tls, mutual_rule(tls, caller))
        seen = json.loads(tls.bench.ask("/page").body)
        assert seen["Version"] == version and seen["Peer"] == GATEWAY_ID and seen["SNI"] == SERVICE, seen
        data = os.urandom(1 << 20)
        assert tls.bench.ask("/echo", "POST", body=data).body == data
        to_backend(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate))
        assert tls.bench.ask("/none").status == 503


# --- Envoy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_envoy_client_with_a_certificate(mutual, version):
    context = envoy.common(mutual.pki.client, mutual.pki.ca.certificate, (version, version), sans=[("DNS", HOST)])
    resources = envoy.client(10000, (ADDRESS, PORT), envoy.socket_of("UpstreamTlsContext", context, sni=HOST))
    with Running(envoy.start(mutual.client, f"{mutual.bench.work}/envoy-client", resources, ("127.0.0.1", 10000))):
        mutual.backends[0].on("/echo", lambda wire, request: wire.send(answer(200, request.body)))
        for i in range(3):
            done = mutual.client.run("curl", "-sS", "--max-time", "10", "-H", f"Host: {HOST}", "http://127.0.0.1:10000/envoy", check=False)
            assert done.stdout == "b1", done.stdout + done.stderr + mutual.gateway.log_tail()
        path = f"{mutual.bench.work}/body"
        data = os.urandom(2 << 20)
        with open(path, "wb") as file:
            file.write(data)
        done = subprocess.run(mutual.client.command("curl", "-sS", "--max-time", "20", "-H", f"Host: {HOST}", "--data-binary", f"@{path}", "http://127.0.0.1:10000/echo"),
                              capture_output=True)
        assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest(), done.stderr
    assert "URI=spiffe://cluster.local/ns/web/sa/client" in mutual.backends[0].find("/envoy").get("x-forwarded-client-cert")


def test_envoy_client_without_a_certificate(mutual):
    context = envoy.common(None, mutual.pki.ca.certificate)
    resources = envoy.client(10001, (ADDRESS, PORT), envoy.socket_of("UpstreamTlsContext", context, sni=HOST))
    with Running(envoy.start(mutual.client, f"{mutual.bench.work}/envoy-nobody", resources, ("127.0.0.1", 10001))):
        done = mutual.client.run("curl", "-sS", "--max-time", "10", "-H", f"Host: {HOST}", "http://127.0.0.1:10001/nobody", check=False)
        # Envoy takes its part of a TLS 1.3 handshake for the whole, and the alert behind it for the backend's end.
        assert "upstream connect error" in done.stdout, done.stdout
    assert "/nobody" not in mutual.backends[0].paths()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_envoy_server_that_wants_a_certificate(tls, web_pair, caller, version):
    context = envoy.common(web_pair, tls.pki.ca.certificate, (version, version), sans=[("URI", GATEWAY_ID)])
    resources = envoy.server(BACKENDS[0], BACKEND_PORT, envoy.socket_of("DownstreamTlsContext", context, require_client_certificate=True))
    with Running(envoy.start(tls.backends_host, f"{tls.bench.work}/envoy-server", resources, (BACKENDS[0], BACKEND_PORT))):
        to_backend(tls, mutual_rule(tls, caller))
        for _ in range(3):
            seen = tls.bench.ask("/page").get("x-seen", "")
            assert seen.startswith(version.replace("_", ".")) and seen.endswith(GATEWAY_ID), seen
        to_backend(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate))
        assert tls.bench.ask("/none").status == 503
