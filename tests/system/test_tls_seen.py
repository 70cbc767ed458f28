"""What an operator and a backend are told of TLS: access-log operators, Istio's principals, Envoy's counters, X-Forwarded-Client-Cert.

In: clients with and without certificates, honest and lying, and a backend that asks for the gateway's. Out: lines of the access log, labels
and counters of a scrape, headers at the backend. Envoy's access log operators and forward_client_cert_details; Istio's standard metrics.
"""

import datetime
import json
import os
import re
import subprocess

import certs
import pytest
from harness import mesh
from harness.bench import BACKENDS, ROOT
from harness.tls import BACKEND_PORT, GATEWAY_ID, HOST, TLS12, TLS13, TlsBackend, client_rule, context, plain_server, request, server

SERVICE = mesh.fqdn("web")
WEB_ID = "spiffe://cluster.local/ns/shop/sa/web"
CLIENT_ID = "spiffe://cluster.local/ns/web/sa/client"
HEADER = "x-forwarded-client-cert"
FORGED = "By=spiffe://x;Hash=00;URI=spiffe://cluster.local/ns/bank/sa/owner"
OPERATORS = {
    "both": ["TLS_VERSION", "TLS_CIPHER", "TLS_GROUP", "PEER_SUBJECT", "PEER_ISSUER", "PEER_SERIAL", "PEER_FINGERPRINT_256", "PEER_FINGERPRINT_1",
             "PEER_URI_SAN", "PEER_DNS_SAN", "PEER_IP_SAN", "PEER_CERT_V_START", "PEER_CERT_V_END", "LOCAL_SUBJECT", "LOCAL_URI_SAN", "LOCAL_DNS_SAN"],
    "DOWNSTREAM": ["PEER_CHAIN_FINGERPRINTS_256", "PEER_CHAIN_SERIALS", "PEER_ISSUER_FINGERPRINT_256", "PEER_ISSUER_SERIAL", "PEER_OTHERNAME_SAN", "HANDSHAKE_DURATION"],
    "UPSTREAM": [],
}


def with_certificate(tls, pair, version=None):
    return context(tls.pki.ca, pair, minimum=version or TLS12, maximum=version or TLS13)


@pytest.fixture
def workload(tls):
    """A backend of the mesh that takes nobody without an identity."""
    pair = tls.pki.mesh_ca.identity("web", "shop", dns=[SERVICE], ips=["10.0.0.7"])
    backend = TlsBackend(tls.backends_host, BACKENDS[0], pair, client_ca=tls.pki.mesh_ca)
    backend.pair = pair
    yield backend
    backend.stop()


def apply_mutual(tls, *servers):
    """Mutual TLS on both sides."""
    one = mesh.service("web", [BACKENDS[0]], port=BACKEND_PORT)
    tls.apply(servers or [server(mode="MUTUAL")], [tls.secret(ca=tls.pki.ca.pem)], routes=[{"route": [mesh.to("web", port=BACKEND_PORT)]}],
              more=[one, client_rule("ISTIO_MUTUAL")])


def sha1(pair):
    return certs.openssl("x509", "-in", pair.certificate, "-noout", "-fingerprint", "-sha1").decode().split("=")[1].strip().replace(":", "").lower()


def serial(path):
    return certs.openssl("x509", "-in", path, "-noout", "-serial").decode().split("=")[1].strip().lower()


def end_of(pair):
    return datetime.datetime.fromtimestamp(pair.end(), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


# --- The access log ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_the_log_tells_both_handshakes(tls, workload, version):
    names = [f"{side}_{what}" for side in ("DOWNSTREAM", "UPSTREAM") for what in OPERATORS["both"] + OPERATORS[side]]
    tls.bench.standing = {**tls.bench.standing, "accessLog": {"format": {"path": "%REQ(:PATH)%", **{name: f"%{name}%" for name in names}}}}
    apply_mutual(tls)
    above = tls.pki.ca.intermediate("Clients' CA")
    client = above.issue("alice", dns=["alice.example", "a.example"], uris=[CLIENT_ID], ips=["192.0.2.77"])
    for i in range(2):
        path = f"/both-{version.name}-{i}"
        assert tls.ask(path, using=with_certificate(tls, client, version)).status == 200
        line = json.loads(tls.access_lines(path)[-1])
        down = {name[11:]: value for name, value in line.items() if name.startswith("DOWNSTREAM_")}
        up = {name[9:]: value for name, value in line.items() if name.startswith("UPSTREAM_")}
        assert down["TLS_VERSION"] == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version] and up["TLS_VERSION"] == "TLSv1.3", line
        assert down["TLS_GROUP"] == up["TLS_GROUP"] == "X25519" and up["TLS_CIPHER"].startswith("TLS_AES_"), line
        assert down["PEER_SUBJECT"] == "CN=alice,O=Sluice" and down["PEER_ISSUER"] == "CN=Clients' CA,O=Sluice", line
        assert down["PEER_URI_SAN"] == CLIENT_ID and down["PEER_DNS_SAN"] == "alice.example,a.example" and down["PEER_IP_SAN"] == "192.0.2.77", line
        assert down["PEER_FINGERPRINT_256"] == client.fingerprint() and down["PEER_FINGERPRINT_1"] == sha1(client), line
        assert down["PEER_SERIAL"] == serial(client.certificate) and down["PEER_CERT_V_END"] == end_of(client), line
        assert down["PEER_CHAIN_FINGERPRINTS_256"] == f"{down['PEER_FINGERPRINT_256']},{down['PEER_ISSUER_FINGERPRINT_256']}", line
        assert down["PEER_CHAIN_SERIALS"] == f"{down['PEER_SERIAL']},{down['PEER_ISSUER_SERIAL']}", line
        assert down["LOCAL_SUBJECT"] == "CN=shop,O=Sluice" and down["LOCAL_DNS_SAN"] == f"{HOST},*.shop.example" and down["LOCAL_URI_SAN"] is None, line
        assert down["PEER_OTHERNAME_SAN"] is None and isinstance(down["HANDSHAKE_DURATION"], int), line
        assert up["PEER_URI_SAN"] == WEB_ID and up["PEER_DNS_SAN"] == SERVICE and up["PEER_IP_SAN"] == "10.0.0.7", line
        assert up["PEER_FINGERPRINT_256"] == workload.pair.fingerprint() and up["PEER_CERT_V_END"] == end_of(workload.pair), line
        assert up["LOCAL_URI_SAN"] == GATEWAY_ID and up["PEER_ISSUER"] == "CN=Mesh CA,O=Sluice", line


def test_text_and_certificates_in_the_log(tls, workload):
    """Texts of certificates are made from when a log asks for them; what a connection does not have is `-`."""
    text = ("%REQ(:PATH)% %UPSTREAM_PEER_CERT:27% %DOWNSTREAM_PEER_CERT:27% [%UPSTREAM_PEER_CERT_V_START(%s)%] %REQUESTED_SERVER_NAME% "
            "%REQUESTED_SERVER_NAME(SNI_FIRST:HOST)% %DOWNSTREAM_TLS_VERSION%")
    tls.bench.standing = {**tls.bench.standing, "accessLog": {"format": text}}
    apply_mutual(tls, plain_server(), server(mode="MUTUAL"))
    assert tls.ask("/text", using=with_certificate(tls, tls.pki.client)).status == 200
    begin = "-----BEGIN%20CERTIFICATE---"
    assert re.fullmatch(rf"/text {begin} {begin} \[\d{{10}}\] {HOST} {HOST} TLSv1.3", tls.access_lines("/text")[-1])
    assert tls.bench.ask("/plain").status == 200
    assert re.fullmatch(rf"/plain {begin} - \[\d{{10}}\] - {HOST} -", tls.access_lines("/plain")[-1])


def test_an_unknown_operator_is_refused_with_those_that_are_known(tls, tmp_path):
    path = tmp_path / "sluice.yaml"
    path.write_text(json.dumps(tls.bench.config({"accessLog": {"format": "%UPSTREAM_TLS_ALPN%"}})))   # JSON is YAML
    program = os.path.join(os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build")), "sluiced")
    done = subprocess.run([program, "--check", "--config", str(path)], capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "unknown operator %UPSTREAM_TLS_ALPN%" in said, said
    assert "%UPSTREAM_TLS_VERSION%, %UPSTREAM_TLS_CIPHER%, %UPSTREAM_TLS_GROUP%, %UPSTREAM_TLS_SESSION_ID%" in said, said


# --- Metrics -----------------------------------------------------------------------------------------


class Grown:
    """By how much a metric has grown since: the gateway may have served others before."""

    def __init__(self, tls, name, **labels):
        self.tls, self.name, self.labels = tls, name, labels
        self.before = tls.counter(name, **labels)

    def by(self):
        return self.tls.counter(self.name, **self.labels) - self.before


def test_requests_are_counted_by_the_principals_of_both_ends(tls, workload):
    """Istio, reporter source: who the gateway is to the backend, and who the backend is; clients' names are no labels."""
    apply_mutual(tls)
    mutual = Grown(tls, "istio_requests_total", source_principal=GATEWAY_ID, destination_principal=WEB_ID, destination_workload_namespace="shop",
                   connection_security_policy="unknown", response_code="200", request_protocol="http", response_flags="-", reporter="source")
    timed = Grown(tls, "istio_request_duration_milliseconds_count", destination_principal=WEB_ID)
    for i in range(3):
        assert tls.ask(f"/counted{i}", using=with_certificate(tls, tls.pki.client)).status == 200
    assert mutual.by() == 3 and timed.by() == 3, tls.bench.gateway.admin("/stats/prometheus?filter=istio_requests")[1]
    assert CLIENT_ID not in tls.bench.gateway.admin("/stats/prometheus")[1]
    nobody = Grown(tls, "istio_requests_total", response_code="503", destination_principal="unknown", source_principal="unknown")
    workload.stop()
    assert tls.ask("/gone", using=with_certificate(tls, tls.pki.client)).status == 503
    assert nobody.by() == 1
    assert tls.metric("sluice_principal_pairs") >= 1 and tls.metric("sluice_connections_of_other_principals_total") == 0


def test_without_tls_both_principals_are_unknown(tls):
    tls.simple()
    unknown = Grown(tls, "istio_requests_total", source_principal="unknown", destination_principal="unknown", response_code="200")
    assert tls.ask("/simple").status == 200
    assert unknown.by() == 1


@pytest.mark.parametrize("field", ["verifyCertificateHash", "verifyCertificateSpki"])
def test_a_failed_pin_is_counted_apart_and_named(tls, field):
    pki = tls.pki
    pin = pki.client.fingerprint() if field == "verifyCertificateHash" else pki.client.spki()
    tls.apply([server(mode="MUTUAL", **{field: [pin]})], [tls.secret(ca=pki.ca.pem)])
    other, since = pki.ca.issue("unpinned", dns=["client.example"]), tls.mark()
    names, pins = Grown(tls, "envoy_listener_ssl_fail_verify_san"), Grown(tls, "envoy_listener_ssl_fail_verify_cert_hash")
    reasons = Grown(tls, "sluice_tls_handshake_failures_total", reason="wrong_pin")
    tls.refused(with_certificate(tls, other))
    line = tls.logged("wrong_pin", since)
    assert "192.0.2.2" in line and (other.fingerprint() if field == "verifyCertificateHash" else other.spki()) in line, line
    assert (pins.by(), reasons.by(), names.by()) == (1, 1, 0)


def test_envoys_counters_of_both_sides(tls, workload):
    apply_mutual(tls)
    address, name = {"envoy_listener_address": "192.0.2.10_443"}, {"envoy_cluster_name": f"outbound|{BACKEND_PORT}||{SERVICE}"}
    clients = [Grown(tls, "envoy_listener_ssl_handshake", **address), Grown(tls, "envoy_listener_ssl_curves", envoy_ssl_curve="X25519", **address),
               Grown(tls, "envoy_listener_ssl_versions", envoy_ssl_version="TLSv1.3", **address)]
    backends = [Grown(tls, "envoy_cluster_ssl_handshake", **name), Grown(tls, "envoy_cluster_ssl_curves", envoy_ssl_curve="X25519", **name)]
    quiet = [Grown(tls, f"envoy_{side}_ssl_{one}", **of) for side, of in (("listener", address), ("cluster", name))
             for one in ("connection_error", "fail_verify_no_cert", "fail_verify_error", "fail_verify_san", "fail_verify_cert_hash", "no_certificate")]
    for i in range(2):
        assert tls.ask(f"/n{i}", using=with_certificate(tls, tls.pki.client)).status == 200
    assert [one.by() for one in clients] == [2, 2, 2]
    assert backends[0].by() == backends[1].by() >= 1
    assert {one.name: one.by() for one in quiet if one.by()} == {}


# --- X-Forwarded-Client-Cert --------------------------------------------------------------------------

# mode -> what a backend gets of (a client with a certificate, one over TLS without, one in plain text): nothing, what was said, this hop's
# element, or both joined.
XFCC = {
    "SANITIZE": ("", "", ""),
    "FORWARD_ONLY": ("said", "", ""),
    "APPEND_FORWARD": ("said own", "", ""),
    "SANITIZE_SET": ("own", "", ""),
    "ALWAYS_FORWARD_ONLY": ("said", "said", "said"),
}


def own_element(pki):
    """This hop's, in Envoy's order: By where the server has a URI, Hash, Cert, Subject, URI, DNS."""
    return (rf'Hash={pki.client.fingerprint()};Cert="-----BEGIN%20CERTIFICATE[^";,]*";Subject="CN=client,O=Sluice";'
            rf"URI={re.escape(CLIENT_ID)};DNS=client\.example")


@pytest.mark.parametrize("mode", list(XFCC))
def test_forward_client_cert_details(tls, mode):
    """gatewayTopology, as Istio names it. Clients that are nobody say whose friends they are, in one line, in two, in capitals."""
    tls.bench.standing = {**tls.bench.standing, "gatewayTopology": {"forwardClientCertDetails": mode}}
    tls.apply([plain_server(), server(mode="OPTIONAL_MUTUAL")], [tls.secret(ca=tls.pki.ca.pem)])
    asks = (lambda path, headers: tls.ask(path, using=with_certificate(tls, tls.pki.client), headers=headers),
            lambda path, headers: tls.ask(path, headers=headers),
            lambda path, headers: tls.bench.ask(path, headers=headers))
    forgeries = {"one": ([f"X-Forwarded-Client-Cert: {FORGED}"], FORGED), "none": ([], ""),
                 "two": ([f"x-forwarded-client-cert: {FORGED}", "X-FORWARDED-CLIENT-CERT: Hash=11"], f"{FORGED},Hash=11")}
    for who, (ask, expected) in enumerate(zip(asks, XFCC[mode])):
        for name, (headers, said) in forgeries.items():
            assert ask(f"/{who}/{name}", headers).status == 200
            got = ",".join(value.replace(", ", ",") for value in tls.backends[0].find(f"/{who}/{name}").all(HEADER))
            wanted = [{"said": re.escape(said), "own": own_element(tls.pki)}[part] for part in expected.split()]
            assert re.fullmatch(",".join(part for part in wanted if part), got), f"{mode}, client {who}, {name}: {got!r}"


def test_a_certificate_cannot_say_more_than_one_thing(tls):
    """Names chosen by their owner end neither their key nor their element."""
    tls.apply([server(mode="MUTUAL")], [tls.secret(ca=tls.pki.ca.pem)])
    liar = tls.pki.ca.issue("liar", uris=["https://a.example/;URI=spiffe://cluster.local/ns/bank/sa/owner"], dns=["liar.example"],
                            common_name='me";URI=bank;By="')
    assert tls.ask("/liar", using=with_certificate(tls, liar)).status == 200
    told = tls.backends[0].find("/liar").get(HEADER)
    outside = re.sub(r'"(\\.|[^"\\])*"', '""', told)
    assert [part.split("=")[0] for part in outside.split(";")] == ["Hash", "Cert", "Subject", "URI", "DNS"] and "," not in outside, told


def test_trusted_proxies_of_the_topology(tls):
    """gatewayTopology.numTrustedProxies: so many of X-Forwarded-For are believed, counted from the right."""
    tls.bench.standing = {**tls.bench.standing, "gatewayTopology": {"numTrustedProxies": 1}, "accessLog": {"format": "%REQ(:PATH)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}
    tls.apply([plain_server()], [])
    assert tls.bench.ask("/behind", headers=["X-Forwarded-For: 203.0.113.9, 198.51.100.7"]).status == 200
    assert tls.access_lines("/behind")[-1] == "/behind 198.51.100.7"
    assert tls.backends[0].find("/behind").get("x-forwarded-for") == "203.0.113.9, 198.51.100.7,192.0.2.2"
