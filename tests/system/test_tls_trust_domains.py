"""Trust domains: older names of the mesh's own, and roots of each domain.

In: mesh.trustDomainAliases and mesh.caCertificates of the gateway's file; clients and backends of several authorities. Out: who is let in,
and the reason at both ends. Istio's MeshConfig; SPIFFE X.509-SVID; Envoy's SPIFFE validator.
"""

import re

import certs
import pytest
from harness import mesh
from harness.bench import BACKENDS
from harness.tls import BACKEND_PORT, TLS12, TLS13, TlsBackend, client_rule, context, plain_server, server

from test_tls_backends import apply, reason_of

OLD = "old.example"


def of(tls, pair, version=None):
    return context(tls.pki.mesh_ca, pair, minimum=version or TLS12, maximum=version or TLS13, name_checked=False)


def start(tls, **settings):
    tls.bench.standing = {**tls.bench.standing, "mesh": settings}
    tls.apply([server(credential=None, mode="ISTIO_MUTUAL")], [])
    return tls


@pytest.fixture
def aliased(tls):
    """One root; the trust domain was called otherwise before."""
    return start(tls, trustDomainAliases=[OLD])


@pytest.fixture(scope="session")
def old_ca(pki):
    return certs.Authority(f"{pki.folder}/old-domain", "Old domain's CA", owner="nobody")


@pytest.fixture
def apart(tls, old_ca):
    """The older name has roots of its own, too."""
    return start(tls, trustDomainAliases=[OLD], caCertificates=[{"file": old_ca.certificate, "trustDomains": [OLD]}])


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_an_alias_is_accepted_and_named_as_it_is(aliased, version):
    assert aliased.ask("/own", using=of(aliased, aliased.pki.mesh_ca.identity("reviews", "shop"), version)).status == 200
    pair = aliased.pki.mesh_ca.identity("reviews", "shop", trust_domain=OLD, name="of-old")
    assert aliased.ask("/alias", using=of(aliased, pair, version)).status == 200
    assert f"URI=spiffe://{OLD}/ns/shop/sa/reviews" in aliased.backends[0].find("/alias").get("x-forwarded-client-cert")


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("domain", ["other.example", "xold.example", "old.example.evil", "cluster.locally"])
def test_no_alias_is_refused_with_a_reason_at_both_ends(aliased, domain, version):
    pair = aliased.pki.mesh_ca.identity("reviews", "shop", trust_domain=domain, name="of-none")
    since = aliased.mark()
    assert "BAD_CERTIFICATE" in aliased.refused(of(aliased, pair, version))
    line = aliased.logged("wrong_name", since)
    assert f"spiffe://{domain}/ns/shop/sa/reviews" in line and "192.0.2.2" in line, line
    assert "/refused" not in aliased.backends[0].paths()


def test_an_alias_that_is_taken_away_is_none(aliased):
    pair = aliased.pki.mesh_ca.identity("reviews", "shop", trust_domain=OLD, name="of-old")
    assert aliased.ask("/alias", using=of(aliased, pair)).status == 200
    start(aliased, trustDomainAliases=None)
    assert "BAD_CERTIFICATE" in aliased.refused(of(aliased, pair))


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_each_domain_has_its_roots(apart, old_ca, version):
    known = apart.pki.mesh_ca
    assert apart.ask("/a", using=of(apart, known.identity("reviews", "shop"), version)).status == 200
    assert apart.ask("/b", using=of(apart, known.identity("reviews", "shop", trust_domain=OLD, name="of-old"), version)).status == 200
    assert apart.ask("/c", using=of(apart, old_ca.identity("reviews", "shop", trust_domain=OLD), version)).status == 200
    assert f"URI=spiffe://{OLD}/ns/shop/sa/reviews" in apart.backends[0].find("/c").get("x-forwarded-client-cert")


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_the_root_of_one_domain_vouches_for_no_other(apart, old_ca, version):
    pair = old_ca.identity("admin", "istio-system", name="pretender")
    since = apart.mark()
    assert "UNKNOWN_CA" in apart.refused(of(apart, pair, version))
    line = apart.logged("unknown_ca", since)
    assert "192.0.2.2" in line and re.search("unable to get|self.signed", line) and "pretender" in line, line
    assert "/refused" not in apart.backends[0].paths()


def test_an_unknown_domain_is_named(apart, old_ca):
    since = apart.mark()
    assert "UNKNOWN_CA" in apart.refused(of(apart, old_ca.identity("x", "y", trust_domain="nobody.example", name="nobody")))
    apart.logged("trust domain nobody.example is not trusted", since)


def test_roots_of_a_domain_are_watched(tls, old_ca):
    """The file of another domain's roots is replaced: what it held vouches for nobody any more."""
    file = certs.write(f"{tls.pki.folder}/watched.pem", old_ca.pem, "nobody")
    start(tls, trustDomainAliases=[OLD], caCertificates=[{"file": file, "trustDomains": [OLD]}])
    pair = old_ca.identity("reviews", "shop", trust_domain=OLD)
    assert tls.ask("/before", using=of(tls, pair)).status == 200
    since = tls.mark()
    certs.write(file, tls.pki.other_ca.pem, "nobody")
    tls.logged("secret ROOTCA rotated", since)
    assert "UNKNOWN_CA" in tls.refused(of(tls, pair))
    since = tls.mark()
    certs.write(file, "nothing", "nobody")
    tls.logged("secret ROOTCA REFUSED.*watched.pem holds no certificate", since)
    assert tls.ask("/after", using=of(tls, tls.pki.mesh_ca.identity("reviews", "shop"))).status == 200, "what was in force stays"


def test_sluicectl_shows_the_roots_of_all_domains(apart):
    row = apart.secrets()["ROOTCA"]
    shown = str(row)
    assert "Mesh CA" in shown and "Old domain's CA" in shown, row


def test_backends_of_an_older_name(apart, old_ca):
    """Towards backends the same: mutual TLS of the mesh, and the backend is of the older name's authority."""
    apart.apply([plain_server(["*"])], [])
    for trust_domain, status in ((OLD, 200), ("cluster.local", 503)):
        backend = TlsBackend(apart.backends_host, BACKENDS[0], old_ca.identity("web", "shop", trust_domain=trust_domain, name="backend"), client_ca=apart.pki.mesh_ca, port=BACKEND_PORT)
        try:
            apply(apart, client_rule("ISTIO_MUTUAL"), endpoints=[BACKENDS[0]])
            assert apart.bench.ask(f"/{trust_domain}").status == status
        finally:
            backend.stop()
    flags, line = reason_of(apart, "/cluster.local")
    assert flags == "UF" and re.search("unable to get|self.signed|unknown", line, re.I), line
