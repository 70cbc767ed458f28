"""TLS to backends: DestinationRule modes, names and roots checked, mutual TLS by what endpoints announce, bodies cut short.

In: Python's ssl, nginx and openssl s_server as backends with and without a wish for certificates. Out: what they saw of the gateway,
what the client got, the flag and reason of the access log. RFC 8446, RFC 6125; Istio's ClientTLSSettings and auto mTLS.
"""

import hashlib
import os
import random
import re
import socket
import time

import certs
import pytest
from harness import mesh
from harness.backend import Backend, answer
from harness.bench import BACKENDS
from harness.http1 import Malformed
from harness.tls import BACKEND_PORT, GATEWAY_ID, HOST, TLS12, TLS13, TlsBackend, client_rule, plain_server, server

SERVICE = mesh.fqdn("web")


def service(*endpoints, **more):
    return mesh.service("web", list(endpoints), port=BACKEND_PORT, **more)


def apply(tls, *rules, endpoints=(BACKENDS[0],), secrets=(), servers=None, **more):
    """Plain HTTP from the client, TLS to the backend, unless `servers` say otherwise."""
    return tls.apply(servers or [plain_server(["*"])], list(secrets), routes=[{"route": [mesh.to("web", port=BACKEND_PORT)]}],
                     more=[service(*endpoints, **more), *rules])


def start(tls, pair, **options):
    return TlsBackend(tls.backends_host, BACKENDS[0], pair, **options)


@pytest.fixture
def web_pair(pki):
    """What the backend shows: for the service's name and for another."""
    return pki.ca.issue("web", dns=[SERVICE, "web.example"], usage=[certs.SERVER])


@pytest.fixture
def secure(tls, web_pair):
    backend = start(tls, web_pair)
    yield backend
    backend.stop()


@pytest.fixture
def strict(tls, web_pair):
    """Takes no client without a certificate of the mesh's or the bench's CA."""
    backend = start(tls, web_pair, client_ca=tls.pki.ca)
    yield backend
    backend.stop()


def reason_of(tls, path):
    """(flags, whole line) of the access log."""
    line = tls.access_lines(path)[-1]
    return line.split('" ', 1)[1].split(" ")[1], line


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_simple(tls, web_pair, version):
    backend = start(tls, web_pair, minimum=version, maximum=version)
    try:
        apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate))
        assert tls.bench.ask("/up").body == b"secure"
        session = backend.sessions[0]
        assert session["sni"] == SERVICE and session["version"] == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version] and session["peer"] is None
    finally:
        backend.stop()


def test_sni_of_the_rule(tls, secure):
    apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate, sni="web.example"))
    assert tls.bench.ask("/up").status == 200
    assert secure.sessions[0]["sni"] == "web.example"


def test_roots_from_a_secret(tls, secure):
    apply(tls, client_rule("SIMPLE", credentialName="backend-ca"), secrets=[certs.ca_secret("backend-ca", tls.pki.ca.pem)])
    assert tls.bench.ask("/up").status == 200


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_suites_that_a_backend_chooses(tls, web_pair, suite):
    backend = start(tls, web_pair, maximum=TLS12, ciphers=suite)
    try:
        apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate))
        assert tls.bench.ask("/up").status == 200
        assert backend.sessions[0]["cipher"] == suite
    finally:
        backend.stop()


class PlainText(Backend):
    """Answers a hello as a server without TLS would."""

    def _serve(self, wire):
        wire.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.parametrize("wrong", ["wrong CA", "wrong name", "expired", "wrong purpose", "not TLS"])
def test_a_wrong_backend_is_503_with_the_reason(tls, wrong):
    pki = tls.pki
    pair, words = {
        "wrong CA": (lambda: pki.other_ca.issue("web", dns=[SERVICE]), "unknown_ca|unable to get|self.signed"),
        "wrong name": (lambda: pki.ca.issue("elsewhere", dns=["elsewhere.example"]), "wrong_name|SAN|name"),
        "expired": (lambda: pki.ca.issue("web-late", dns=[SERVICE], not_before="20200101000000Z", not_after="20210101000000Z"), "expired"),
        "wrong purpose": (lambda: pki.ca.issue("web-client", dns=[SERVICE], usage=[certs.CLIENT]), "purpose"),
        "not TLS": (None, "wrong version number|protocol|record"),
    }[wrong]
    if pair is None:
        backend = PlainText(tls.backends_host, BACKENDS[0], port=BACKEND_PORT, name="plain")
    else:
        backend = start(tls, pair())
    try:
        apply(tls, client_rule("SIMPLE", caCertificates=pki.ca.certificate))
        since = tls.mark()
        path = "/refused-" + wrong.replace(" ", "-")
        assert tls.bench.ask(path).status == 503
        flags, line = reason_of(tls, path)
        assert flags == "UF" and re.search(words, line, re.I), line
        if wrong != "not TLS":
            assert "10.0.0.21" in tls.logged(words, since)
        assert backend.requests == [], "not a byte of the request goes to whom nobody trusts"
    finally:
        backend.stop()


def test_subject_alt_names_of_the_rule(tls, secure):
    apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate, subjectAltNames=["web.example"]))
    assert tls.bench.ask("/named").status == 200
    apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate, subjectAltNames=["bank.example"]))
    assert tls.bench.ask("/misnamed").status == 503
    flags, line = reason_of(tls, "/misnamed")
    assert flags == "UF" and re.search(r"SAN|name", line, re.I), line


def test_a_revoked_backend_is_503_with_the_reason(tls):
    """caCrl of the rule; the list is read again when its file changes."""
    ca = certs.Authority(f"{tls.pki.folder}/revoking-backends", "Backends' CA", owner="nobody")
    pair = ca.issue("web", dns=[SERVICE])
    backend = start(tls, pair)
    try:
        apply(tls, client_rule("SIMPLE", caCertificates=ca.certificate, caCrl=ca.crl()))
        assert tls.bench.ask("/listed").status == 200
        ca.revoke(pair)
        since = tls.mark()
        ca.crl()
        tls.logged("rotated", since)
        backend.stop()   # idle connections go on after a rotation, sessions do not
        backend = start(tls, pair)
        assert tls.bench.ask("/revoked").status == 503
        flags, line = reason_of(tls, "/revoked")
        assert flags == "UF" and "revoked" in line, line
    finally:
        backend.stop()


def test_insecure_skip_verify_works_and_is_loud(tls):
    backend = start(tls, tls.pki.other_ca.issue("whoever", dns=["whoever.example"]))
    try:
        since = tls.mark() if os.path.exists(tls.bench.log) else 0
        apply(tls, client_rule("SIMPLE", insecureSkipVerify=True))
        assert tls.bench.ask("/insecure").status == 200
        tls.logged("insecureSkipVerify", since)
    finally:
        backend.stop()


def test_mutual_from_files_and_from_a_secret(tls, strict):
    pki = tls.pki
    caller = pki.ca.issue("caller", dns=["caller.example"], usage=[certs.CLIENT])
    apply(tls, client_rule("MUTUAL", clientCertificate=caller.certificate, privateKey=caller.key, caCertificates=pki.ca.certificate))
    assert tls.bench.ask("/files").status == 200
    assert (("commonName", "caller"),) in strict.sessions[-1]["subject"]["subject"]
    apply(tls, client_rule("MUTUAL", credentialName="caller"), secrets=[certs.tls_secret("caller", caller, ca=pki.ca.pem)])
    assert tls.bench.ask("/secret").status == 200


def test_a_backend_that_wants_a_certificate_and_gets_none(tls, strict):
    """With TLS 1.3 its alert comes when our handshake is done: the client must still get 503, and the log the alert."""
    apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate))
    for i in range(3):
        assert tls.bench.ask(f"/nobody{i}").status == 503
    _, line = reason_of(tls, "/nobody0")
    assert re.search(r"certificate.required|alert|handshake.failure", line, re.I), line
    assert strict.requests == []


@pytest.fixture
def workload(tls):
    """A workload of the mesh: SPIFFE on both sides."""
    backend = start(tls, tls.pki.mesh_ca.identity("web", "shop"), client_ca=tls.pki.mesh_ca)
    yield backend
    backend.stop()


def test_istio_mutual(tls, workload):
    apply(tls, client_rule("ISTIO_MUTUAL"), endpoints=[BACKENDS[0]])
    assert tls.bench.ask("/mesh").status == 200
    session = workload.sessions[-1]
    assert ("URI", GATEWAY_ID) in session["subject"]["subjectAltName"]
    assert session["sni"] == f"outbound_.{BACKEND_PORT}_._.{SERVICE}" and session["alpn"] in ("istio", "http/1.1"), session


def test_istio_mutual_by_service_account(tls, workload):
    """The endpoint must prove to be who the registry says it is."""
    def with_account(account):
        one = service(BACKENDS[0])
        one["spec"]["endpoints"][0]["serviceAccount"] = account
        tls.apply([plain_server(["*"])], [], routes=[{"route": [mesh.to("web", port=BACKEND_PORT)]}], more=[one, client_rule("ISTIO_MUTUAL")])

    with_account("web")
    assert tls.bench.ask("/right").status == 200
    with_account("bank")
    assert tls.bench.ask("/bank").status == 503
    flags, line = reason_of(tls, "/bank")
    assert flags == "UF" and re.search(r"SAN|SPIFFE|name", line, re.I), line


def test_endpoints_that_announce_mutual_tls_get_it_without_a_rule(tls, workload):
    """Label security.istio.io/tlsMode: istio; the other endpoint of the service stays plain (auto mTLS)."""
    plain = Backend(tls.backends_host, BACKENDS[1], port=BACKEND_PORT, name="plain")
    try:
        apply(tls, endpoints=[(BACKENDS[0], {"security.istio.io/tlsMode": "istio"}), BACKENDS[1]])
        answers = [tls.bench.ask("/auto").body for _ in range(20)]
        assert set(answers) == {b"secure", b"plain"}, answers
        assert ("URI", GATEWAY_ID) in workload.sessions[-1]["subject"]["subjectAltName"]
    finally:
        plain.stop()


def test_disable_overrules_what_endpoints_announce(tls):
    plain = Backend(tls.backends_host, BACKENDS[0], port=BACKEND_PORT, name="plain")
    try:
        apply(tls, client_rule("DISABLE"), endpoints=[(BACKENDS[0], {"security.istio.io/tlsMode": "istio"})])
        assert tls.bench.ask("/plain").body == b"plain"
    finally:
        plain.stop()


def test_by_port_and_by_subset(tls, secure):
    """TLS for one port alone, then for one subset alone."""
    rule = mesh.destination_rule("web", portLevelSettings=[{"port": {"number": BACKEND_PORT}, "tls": {"mode": "SIMPLE", "caCertificates": tls.pki.ca.certificate}}])
    apply(tls, rule)
    assert tls.bench.ask("/port").body == b"secure"
    rule = mesh.destination_rule("web", subsets=["v1"])
    rule["spec"]["subsets"][0]["trafficPolicy"] = {"tls": {"mode": "SIMPLE", "caCertificates": tls.pki.ca.certificate}}
    tls.apply([plain_server(["*"])], [], routes=[{"route": [mesh.to("web", subset="v1", port=BACKEND_PORT)]}],
              more=[service((BACKENDS[0], {"version": "v1"})), rule])
    assert tls.bench.ask("/subset").body == b"secure"


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("size", [0, 1, 16385, 1 << 20, 16 << 20])
def test_bodies_over_tls_on_both_sides_by_hash(tls, web_pair, version, size):
    backend = start(tls, web_pair, minimum=version, maximum=version)
    try:
        apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate), servers=[server()], secrets=[tls.secret()])
        data = random.Random(size).randbytes(size)
        backend.on("/echo", lambda wire, request: wire.send(answer(200, request.body)))
        response = tls.ask("/echo", method="POST", body=data, timeout_s=60)
        assert hashlib.sha256(response.body).digest() == hashlib.sha256(data).digest()
    finally:
        backend.stop()


def test_connections_are_kept_and_sessions_resumed(tls, secure):
    apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate))
    for i in range(20):
        assert tls.bench.ask(f"/k{i}").status == 200
    assert len(secure.sessions) <= 3, f"{len(secure.sessions)} handshakes for 20 requests"
    for i in range(6):
        secure.drop_connections()
        time.sleep(0.05)
        assert tls.bench.ask(f"/r{i}").status == 200
    assert sum(s["resumed"] for s in secure.sessions) >= 3, [s["resumed"] for s in secure.sessions]


# --- Ends --------------------------------------------------------------------------------------------


def end_without_notice(wire, body=b"z" * 50000):
    """An answer whose end is the connection's, cut by a TCP FIN alone: what an attacker on the wire can do."""
    wire.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + body)
    raw = socket.socket(fileno=os.dup(wire.sock.fileno()))
    raw.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    raw.close()
    wire.close()


@pytest.mark.parametrize("client", ["plain", "TLS"])
def test_a_body_truncated_on_the_backends_side_is_an_error_at_the_client(tls, secure, client):
    """Without close_notify nobody knows whether that was all (RFC 8446 6.1)."""
    secure.on("/cut", lambda wire, request: end_without_notice(wire))
    apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate), servers=[server(), plain_server(["*"])], secrets=[tls.secret()])
    ask = tls.bench.ask if client == "plain" else tls.ask
    with pytest.raises((Malformed, OSError)):
        response = ask("/cut")
        raise AssertionError(f"a truncated body passed as whole: {response}")
    assert tls.bench.ask("/after").status == 200


def test_a_body_that_ends_with_close_notify_is_whole(tls, secure):
    def whole(wire, _):
        wire.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"z" * 50000)
        try:
            wire.sock.unwrap()
        except OSError:
            pass
        wire.close()

    secure.on("/whole", whole)
    apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate))
    assert tls.bench.ask("/whole").body == b"z" * 50000


def test_a_fixed_length_needs_no_close_notify(tls, secure):
    def whole(wire, _):
        wire.send(answer(200, b"y" * 5000, ["connection: close"]))
        wire.close()

    secure.on("/length", whole)
    apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate))
    assert tls.bench.ask("/length").body == b"y" * 5000


def test_a_handshake_that_never_comes_ends_with_the_connect_timeout(tls):
    """TCP accepts, nobody answers the hello."""
    listener = tls.backends_host.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((BACKENDS[0], BACKEND_PORT))
    listener.listen(16)
    try:
        rule = mesh.destination_rule("web", tls={"mode": "SIMPLE", "caCertificates": tls.pki.ca.certificate}, connectionPool={"tcp": {"connectTimeout": "500ms"}})
        apply(tls, rule)
        assert tls.bench.ask("/silent").status == 503
        assert reason_of(tls, "/silent")[0] == "UF"
    finally:
        listener.close()


# --- Servers that others wrote -----------------------------------------------------------------------

NGINX = """daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_max_body_size 0; keepalive_timeout 1h;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen {address}:{port} ssl;
        ssl_certificate {pair.certificate}; ssl_certificate_key {pair.key}; ssl_protocols {protocols};
        ssl_client_certificate {ca}; ssl_verify_client on;
        location / {{ return 200 "$ssl_protocol $ssl_client_s_dn $ssl_client_verify"; }}
    }}
}}
"""


@pytest.mark.parametrize("protocols, name", [("TLSv1.2", "TLSv1.2"), ("TLSv1.3", "TLSv1.3")])
def test_nginx_that_verifies_clients(tls, web_pair, protocols, name):
    folder = f"{tls.bench.work}/nginx-{protocols}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/nginx.conf", "w") as file:
        file.write(NGINX.format(folder=folder, address=BACKENDS[0], port=BACKEND_PORT, pair=web_pair, protocols=protocols, ca=tls.pki.ca.certificate))
    nginx = tls.backends_host.start("nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf", log=f"{folder}/log")
    try:
        wait_for_port(tls, BACKENDS[0], BACKEND_PORT)
        caller = tls.pki.ca.issue("caller", dns=["caller.example"], usage=[certs.CLIENT])
        apply(tls, client_rule("MUTUAL", clientCertificate=caller.certificate, privateKey=caller.key, caCertificates=tls.pki.ca.certificate))
        assert tls.bench.ask("/who").body.decode() == f"{name} CN=caller,O=Sluice SUCCESS"
        apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate))
        assert tls.bench.ask("/who").status in (400, 503), "nginx answers 400 to a client without a certificate"
    finally:
        nginx.terminate()
        nginx.wait()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_server(tls, web_pair, version):
    """Its -WWW page ends with the connection; a certificate is wanted (-Verify)."""
    folder = f"{tls.bench.work}/s_server"
    os.makedirs(folder, exist_ok=True)
    data = random.Random(7).randbytes(200000)
    with open(f"{folder}/page", "wb") as file:
        file.write(data)
    caller = tls.pki.ca.issue("caller", dns=["caller.example"], usage=[certs.CLIENT])
    s_server = tls.backends_host.start("openssl", "s_server", "-accept", f"{BACKENDS[0]}:{BACKEND_PORT}", "-cert", web_pair.certificate, "-key", web_pair.key,
                                       "-CAfile", tls.pki.ca.certificate, "-Verify", "2", "-verify_return_error", "-HTTP", version, cwd=folder)
    with open(f"{folder}/raw", "wb") as file:   # -HTTP: the file is the whole answer
        file.write(b"HTTP/1.0 200 OK\r\nContent-Length: 200000\r\n\r\n" + data)
    try:
        wait_for_port(tls, BACKENDS[0], BACKEND_PORT)
        apply(tls, client_rule("MUTUAL", clientCertificate=caller.certificate, privateKey=caller.key, caCertificates=tls.pki.ca.certificate))
        response = tls.bench.ask("/raw")
        assert response.status == 200 and response.body == data, (response.status, len(response.body))
    finally:
        s_server.terminate()
        s_server.wait()


def wait_for_port(tls, address, port, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        sock = tls.backends_host.socket()
        try:
            sock.connect((address, port))
            return
        except OSError:
            time.sleep(0.02)
        finally:
            sock.close()
    raise AssertionError(f"nobody listens on {address}:{port}")


def test_curl_sees_the_whole_way(tls, secure):
    """TLS outside and inside, one page."""
    apply(tls, client_rule("SIMPLE", caCertificates=tls.pki.ca.certificate), servers=[server()], secrets=[tls.secret()])
    done = tls.curl(f"https://{HOST}/whole-way")
    assert done.stdout == "secure", done.stderr
