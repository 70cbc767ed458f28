"""HTTPS as a client meets it: modes, names, versions, suites, keys, redirects, bodies, and what the operator sees of it.

In: curl, Python's ssl and openssl s_client in the client's namespace. Out: what they negotiated, what the backend got, what sluicectl says.
RFC 8446, RFC 5246, RFC 6066 (SNI), RFC 9110 15.5.20 (421).
"""

import base64
import hashlib
import json
import os
import random
import re
import ssl
import subprocess
import time

import pytest
from harness import mesh
from harness.backend import answer
from harness.bench import BACKENDS
from harness.nginx import start as start_nginx
from harness.tls import ADDRESS6, HOST, PORT, TLS12, TLS13, context, gateway, plain_server, request, server

SUITES_12 = {
    "ec": ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"],
    "rsa": ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"],
}
SUITES_13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]


@pytest.fixture
def web(tls):
    tls.simple()
    return tls


@pytest.fixture
def both_keys(tls):
    """One server with an ECDSA and an RSA certificate."""
    rsa = tls.pki.ca.issue("shop-rsa", dns=[HOST], key="rsa")
    tls.apply([server(credential=None, credentialNames=["shop", "shop-rsa"])], [tls.secret(), tls.secret("shop-rsa", rsa)])
    return tls


def test_curl_reads_a_page(web):
    done = web.curl("-i", f"https://{HOST}/hello")
    assert done.stdout.startswith("HTTP/1.1 200") and done.stdout.endswith("b1"), done.stderr + web.gateway.log_tail()
    seen = web.backends[0].find("/hello")
    assert seen.get("x-forwarded-proto") == "https" and seen.get("host") == HOST


def test_curl_over_ipv6(web):
    done = web.client.run("curl", "-sS", "--max-time", "10", "--cacert", web.pki.ca.certificate, "--resolve", f"{HOST}:443:[{ADDRESS6}]",
                          f"https://{HOST}/six", check=False)
    assert done.stdout == "b1", done.stderr


def test_a_client_that_does_not_trust_it_says_so(web):
    """Its alert is in the gateway's log. By hand: Python would reset the connection right behind it."""
    since, sock = web.mark(), web.raw()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context(web.pki.other_ca).wrap_bio(incoming, outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLCertVerificationError):
        while True:
            try:
                session.do_handshake()
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
    sock.sendall(outgoing.read())
    line = web.logged(r"unknown.ca", since)
    assert "192.0.2.2" in line and "received" in line, line
    sock.close()


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_versions(web, version):
    with web.connect(using=context(web.pki.ca, minimum=version, maximum=version)) as wire:
        assert wire.sock.version() == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version]
        assert wire.sock.selected_alpn_protocol() == "http/1.1" and wire.sock.compression() is None
        for i in range(3):
            wire.send(request(f"/v{i}"))
            assert wire.response().body == b"b1"


@pytest.mark.parametrize("suite", [*SUITES_12["ec"], *SUITES_12["rsa"]])
def test_every_suite_of_1_2(both_keys, suite):
    printed = both_keys.s_client("-tls1_2", "-cipher", suite)
    assert f"Cipher is {suite}" in printed and "HTTP/1.1 200" in printed, printed
    assert "Verify return code: 0 (ok)" in printed and "Secure Renegotiation IS supported" in printed
    assert "Extended master secret: yes" in printed


@pytest.mark.parametrize("suite", SUITES_13)
def test_every_suite_of_1_3(both_keys, suite):
    printed = both_keys.s_client("-tls1_3", "-ciphersuites", suite)
    assert f"Cipher is {suite}" in printed and "HTTP/1.1 200" in printed, printed


@pytest.mark.parametrize("algorithm, key", [("ECDSA+SHA256", "ecdsa"), ("RSA-PSS+SHA256", "rsa")])
def test_the_clients_algorithms_choose_the_certificate(both_keys, algorithm, key):
    printed = both_keys.s_client("-tls1_3", "-sigalgs", algorithm)
    assert "HTTP/1.1 200" in printed, printed
    assert ("Peer signature type: ECDSA" if key == "ecdsa" else "Peer signature type: RSA-PSS") in printed, printed


def test_p384_and_x25519_keys_are_exchanged(web):
    for group in ("X25519", "P-256"):
        assert "HTTP/1.1 200" in web.s_client("-groups", group), group


@pytest.mark.parametrize("bounds, works, fails", [
    ({"minProtocolVersion": "TLSV1_3"}, TLS13, TLS12),
    ({"maxProtocolVersion": "TLSV1_2"}, TLS12, TLS13),
])
def test_version_bounds(tls, bounds, works, fails):
    tls.simple(**bounds)
    assert tls.ask(using=context(tls.pki.ca, minimum=works, maximum=works)).status == 200
    since = tls.mark()
    with pytest.raises(ssl.SSLError) as told:
        tls.connect(using=context(tls.pki.ca, minimum=fails, maximum=fails))
    assert told.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION", told.value
    tls.logged(r"unsupported.(version|protocol)", since)


def test_cipher_suites_are_the_configured_ones(tls):
    tls.simple(cipherSuites=["ECDHE-ECDSA-AES256-GCM-SHA384"], maxProtocolVersion="TLSV1_2")
    assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in tls.s_client("-tls1_2")
    since = tls.mark()
    with pytest.raises(ssl.SSLError) as told:
        tls.connect(using=context(tls.pki.ca, maximum=TLS12, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"))
    assert told.value.reason in ("SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY"), told.value
    tls.logged(r"no.shared.cipher", since)


def test_names_exact_wildcard_and_default(tls):
    """Exact before wildcard, the longer wildcard first, `*` for all else and for clients that name nobody (RFC 6066)."""
    hosts = {"exact": "a.names.example", "wide": "*.names.example", "deep": "*.deep.names.example", "rest": "*"}
    pairs = {name: tls.pki.ca.issue(name, dns=[f"{name}.certificate"]) for name in hosts}
    tls.apply([server(name, [host]) for name, host in hosts.items()], [tls.secret(name, pair) for name, pair in pairs.items()])
    asked = {"a.names.example": "exact", "A.NAMES.Example": "exact", "b.names.example": "wide", "x.deep.names.example": "deep",
             "deep.names.example": "wide", "names.example": "rest", "other.example": "rest", None: "rest"}
    for sni, expected in asked.items():
        with tls.connect(sni, context(tls.pki.ca, name_checked=False)) as wire:
            names = [value for kind, value in wire.sock.getpeercert()["subjectAltName"] if kind == "DNS"]
            assert names == [f"{expected}.certificate"], f"{sni}: {names}"
            wire.send(request("/sni", sni or "nobody.example"))
            assert wire.response().status == 200, sni


def test_an_unknown_name_without_a_default_gets_no_certificate(web):
    since = web.counter("envoy_listener_no_filter_chain_match")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        web.connect("other.example", context(None))
    web.wait_counter("envoy_listener_no_filter_chain_match", since)


def test_sni_and_host_that_disagree_get_421(tls):
    one, two = (tls.pki.ca.issue(n, dns=[f"{n}.example"]) for n in ("one", "two"))
    tls.apply([server("one", ["one.example"]), server("two", ["two.example"])], [tls.secret("one", one), tls.secret("two", two)])
    with tls.connect("one.example") as wire:
        wire.send(request("/right", "one.example"))
        assert wire.response().status == 200
        wire.send(request("/wrong", "two.example"))
        assert wire.response().status == 421
        wire.send(request("/wrong", "TWO.example:443"))
        assert wire.response().status == 421
        wire.send(request("/right", "one.example"))
        assert wire.response().status == 200, "the connection goes on"
    assert tls.ask("/two", sni="two.example").status == 200
    assert "/wrong" not in tls.backends[0].paths()


def test_https_redirect(tls):
    tls.apply([plain_server(tls={"httpsRedirect": True}), server()], [tls.secret()])
    response = tls.bench.ask("/a/b?c=d")
    assert response.status == 301 and response.get("location") == f"https://{HOST}/a/b?c=d"
    followed = tls.client.run("curl", "-sSL", "--max-time", "10", "--cacert", tls.pki.ca.certificate, f"http://{HOST}/follow", check=False)
    assert followed.stdout == "b1", followed.stderr
    assert tls.backends[0].paths() == ["/follow"], "what came without TLS must not reach a backend"


def test_plain_and_https_listeners_side_by_side(tls):
    tls.apply([plain_server(), server()], [tls.secret()])
    assert tls.bench.ask("/plain").status == 200 and tls.ask("/secure").status == 200
    assert tls.backends[0].find("/plain").get("x-forwarded-proto") == "http"
    assert tls.backends[0].find("/secure").get("x-forwarded-proto") == "https"


def test_plain_http_on_the_tls_port_is_refused_and_told(web):
    sock = web.raw()
    sock.sendall(request("/plain"))
    # An alert in clear text, or an end; never an answer, and never a backend's page.
    try:
        data = sock.recv(4096)
    except ConnectionResetError:
        data = b""
    assert not data.startswith(b"HTTP/1.1 200"), data
    sock.close()
    assert web.ask("/after").status == 200 and "/plain" not in web.backends[0].paths()


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("size", [0, 1, 1400, 16384, 16385, 1 << 20, 16 << 20])
def test_bodies_of_both_directions_by_hash(web, version, size):
    data = random.Random(size).randbytes(size)
    web.backends[0].on("/echo", lambda wire, request: wire.send(answer(200, request.body)))
    response = web.ask("/echo", method="POST", body=data, using=context(web.pki.ca, minimum=version, maximum=version), timeout_s=60)
    assert hashlib.sha256(response.body).digest() == hashlib.sha256(data).digest()


def test_requests_cut_into_tiny_records(web):
    """Each byte a record of its own; then many requests in one record."""
    with web.connect() as wire:
        for byte in request("/cut"):
            wire.send(bytes([byte]))
        assert wire.response().status == 200
        wire.send(b"".join(request(f"/p{i}") for i in range(20)))
        assert all(wire.response().status == 200 for _ in range(20))


def test_keep_alive_serves_many_requests(web):
    with web.connect() as wire:
        for i in range(300):
            wire.send(request(f"/k{i}"))
            assert wire.response().body == b"b1"
    assert len(web.backends[0].requests) == 300


def test_an_idle_connection_goes_on(web):
    """Expanded keys may be gone meanwhile; the connection is not."""
    wires = [web.connect() for _ in range(40)]
    for turn in range(3):
        for wire in wires:
            wire.send(request(f"/idle{turn}"))
            assert wire.response().status == 200
    for wire in wires:
        wire.close()


def test_connection_close_ends_with_close_notify(web):
    with web.connect() as wire:
        wire.sock.suppress_ragged_eofs = False
        wire.send(request("/bye", headers=["Connection: close"]))
        assert wire.response().status == 200
        assert wire.sock.recv(10) == b"", "an end without close_notify raises SSLEOFError here"


def test_openssl_objects_are_gone_after_handshakes(web):
    wires = [web.connect() for _ in range(30)]
    for wire in wires:
        wire.send(request("/live"))
        assert wire.response().status == 200
    deadline = time.monotonic() + 5
    while web.metric("sluice_tls_openssl_objects") > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert web.metric("sluice_tls_openssl_objects") == 0, "30 established connections need no OpenSSL object"
    for wire in wires:
        wire.close()


def test_handshakes_are_counted_as_envoy_does(web):
    before = web.counter("envoy_listener_ssl_handshake")
    assert web.ask("/counted").status == 200
    web.wait_counter("envoy_listener_ssl_handshake", before)
    text = web.gateway.admin("/stats/prometheus")[1]
    assert re.search(r'^envoy_listener_ssl_versions\S*TLSv1\.3', text, re.M), web.family("envoy_listener")
    assert re.search(r'^envoy_listener_ssl_ciphers\S*TLS_', text, re.M), web.family("envoy_listener")


def test_the_access_log_has_what_tls_knows(tls):
    """Envoy's operators, in a format of its own."""
    tls.bench.standing = {**tls.bench.standing, "accessLog": {"format": "json"}}
    tls.simple()
    tls.ask("/logged")
    line = json.loads(tls.access_lines("/logged")[-1])
    assert line.get("requested_server_name") == HOST, line


def test_pc_listeners_and_secrets(web):
    printed = web.gateway.ctl("pc", "listeners").stdout
    assert re.search(r"443", printed) and re.search(r"HTTPS|TLS|SIMPLE", printed, re.I), printed
    done = web.gateway.ctl("pc", "secrets")
    assert done.returncode == 0 and "kubernetes://shop" in done.stdout and HOST in done.stdout, done.stdout + done.stderr
    row = web.secrets()["kubernetes://shop"]
    assert row["state"] == "in force" and row["type"] == "certificate" and 29 <= row["days_left"] <= 30, row
    assert row["certificates"][0]["sha256"].replace(":", "").lower() == web.pki.shop.fingerprint()
    assert web.pki.shop.key_pem.split("\n")[1] not in json.dumps(row)


def test_no_key_leaves_the_gateway(web):
    """Not in any view of the configuration, not in the log."""
    secret = web.pki.shop.key_pem.split("\n")[1]
    shown = [web.gateway.admin(path)[1] for path in ("/config_dump", "/certs", "/v1/secrets", "/v1/config", "/stats/prometheus")]
    shown += [web.gateway.ctl("config", "show").stdout, web.gateway.ctl("-o", "json", "config", "show").stdout, open(web.bench.log).read()]
    encoded = base64.b64encode(web.pki.shop.key_pem.encode()).decode()[100:160]
    for text in shown:
        assert secret not in text and encoded not in text, text[:2000]


def test_expiry_is_a_metric(web):
    assert web.metric("sluice_certificate_expiration_timestamp_seconds", secret="kubernetes://shop") == web.pki.shop.end()
    assert web.metric("envoy_server_days_until_first_cert_expiring") in (29, 30)


def test_the_key_log_opens_what_was_captured(tls):
    """Off by default; on, it is loud, and its secrets are those of the session (the NSS format)."""
    path = f"{tls.bench.work}/keys.log"
    tls.bench.standing = {**tls.bench.standing, "tls": {"keyLog": path}}
    tls.simple()
    with tls.connect() as wire:
        wire.send(request("/log"))
        wire.response()
    deadline = time.monotonic() + 5
    text = ""
    while "CLIENT_TRAFFIC_SECRET_0" not in text and time.monotonic() < deadline:
        try:
            text = open(path).read()
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    assert re.search(r"^CLIENT_TRAFFIC_SECRET_0 [0-9a-f]{64} [0-9a-f]{64,96}$", text, re.M), text[:500]
    assert os.stat(path).st_mode & 0o077 == 0
    tls.logged(r"keyLog|key log")


def test_http2_is_not_offered(web):
    """Until it is spoken, a client that would like it gets HTTP/1.1 (RFC 7301)."""
    with web.connect(using=context(web.pki.ca, alpn=["h2", "http/1.1"])) as wire:
        assert wire.sock.selected_alpn_protocol() == "http/1.1"
        wire.send(request("/alpn"))
        assert wire.response().status == 200


def test_a_foreign_protocol_gets_no_alpn_and_no_answer_of_its_own(web):
    """A browser led to talk HTTPS to something else, or a mail client to us (ALPACA): HTTP is all that is spoken, strictly."""
    with web.connect(using=context(web.pki.ca, alpn=["imap"])) as wire:
        assert wire.sock.selected_alpn_protocol() is None
        wire.send(b"a1 LOGIN me secret\r\n\r\n")
        assert wire.response().status == 400 and wire.is_closed()


@pytest.mark.parametrize("wrong, says", [
    ("missing", "no Secret"),
    ("mismatched", "does not belong"),
    ("expired", "expired"),
    ("not yet valid", "not yet valid|notBefore"),
])
def test_a_wrong_secret_is_refused_with_its_reason(web, wrong, says):
    """What was in force stays, and status names the file and the object."""
    pki = web.pki
    if wrong == "missing":
        secrets = []
    else:
        pair = {"mismatched": lambda: Mixed(pki.shop, pki.client),
                "expired": lambda: pki.ca.issue("expired", dns=[HOST], not_before="20200101000000Z", not_after="20210101000000Z"),
                "not yet valid": lambda: pki.ca.issue("early", dns=[HOST], not_before="20450101000000Z", not_after="20460101000000Z")}[wrong]()
        secrets = [web.secret(pair=pair)]
    web.write_mesh([gateway(server()), *secrets, mesh.service("web", [BACKENDS[0]]), mesh.virtual_service([{"route": [mesh.to("web")]}])])
    deadline, told = time.monotonic() + 5, ""
    while not re.search(says, told, re.I) and time.monotonic() < deadline:
        told = web.gateway.ctl("status").stdout + web.gateway.ctl("pc", "secrets", "-o", "wide").stdout
        time.sleep(0.05)
    assert re.search(says, told, re.I), told + web.gateway.log_tail()
    assert web.ask("/still").status == 200, "the certificate of before is still served"


class Mixed:
    """One pair's certificate, another's key."""

    def __init__(self, certificate, key):
        self.chain_pem, self.key_pem = certificate.chain_pem, key.key_pem


def test_certificates_from_files(tls):
    """serverCertificate and privateKey instead of a Secret."""
    tls.apply([server(credential=None, serverCertificate=tls.pki.shop.certificate, privateKey=tls.pki.shop.key)], [])
    assert tls.ask("/files").status == 200


def test_load_of_wrk_over_tls(web):
    web.backends[0].stop()
    nginx = start_nginx(web.backends_host, f"{web.bench.work}/load-tls", BACKENDS[0])
    try:
        requests, failed = web.finish_wrk(start_wrk(web, 3, 32, "/1k"))
        assert failed == 0 and requests > 500, f"{failed} failed of {requests}"
    finally:
        nginx.terminate()
        nginx.wait()


def start_wrk(tls, seconds, connections=16, path="/"):
    return subprocess.Popen(tls.client.command("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"https://{HOST}{path}"),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_no_kernel_socket_and_the_port_is_where_it_should_be(web):
    assert web.gateway_host.run("ss", "-Htln", "sport", "=", f":{PORT}").stdout.strip() == ""
