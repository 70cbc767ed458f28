"""Who a client is: certificates asked for, verified, refused with a reason at both ends, and told to the backend.

In: clients with good, wrong and no certificates. Out: the alert that the client reads, the log line and counter of the gateway,
X-Forwarded-Client-Cert at the backend. RFC 5280, RFC 8446 4.4.2 and 6.2; the SPIFFE X.509-SVID standard; Istio's ServerTLSSettings.
"""

import json
import re
import ssl

import certs
import pytest
from harness.tls import HOST, TLS12, TLS13, context, plain_server, request, server

SPIFFE = "spiffe://cluster.local/ns/web/sa/client"


@pytest.fixture
def mutual(tls):
    tls.apply([server(mode="MUTUAL")], [tls.secret(ca=tls.pki.ca.pem)])
    return tls


def with_certificate(tls, pair, version=None):
    return context(tls.pki.ca, pair, minimum=version or TLS12, maximum=version or TLS13)


def failures(tls, reason):
    return tls.counter("sluice_tls_handshake_failures_total", reason=reason)


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_client_with_a_certificate_is_served_and_named(mutual, version):
    assert mutual.ask("/me", using=with_certificate(mutual, mutual.pki.client, version)).status == 200
    told = mutual.backends[0].find("/me").get("x-forwarded-client-cert")
    assert told, "the backend was told nothing"
    assert f"Hash={mutual.pki.client.fingerprint()}" in told and f"URI={SPIFFE}" in told, told
    assert 'Subject="CN=client,O=Sluice"' in told and "DNS=client.example" in told, told
    assert 'Cert="-----BEGIN%20CERTIFICATE-----' in told, told


def wrong_pairs(pki):
    """name -> (certificate and key or None, alert of 1.2, alert of 1.3, the counter's reason, words of the log)."""
    expired = pki.ca.issue("late", dns=["late.example"], not_before="20200101000000Z", not_after="20210101000000Z")
    early = pki.ca.issue("early", dns=["early.example"], not_before="20450101000000Z", not_after="20460101000000Z")
    purpose = pki.ca.issue("purpose", dns=["purpose.example"], usage=[certs.SERVER])
    return {
        "none": (None, "HANDSHAKE_FAILURE", "CERTIFICATE_REQUIRED", "no_certificate", "no.certificate|did not return a certificate"),
        "wrong CA": (pki.stranger, "UNKNOWN_CA", "UNKNOWN_CA", "unknown_ca", "unable to get|unknown.ca|self.signed"),
        "expired": (expired, "CERTIFICATE_EXPIRED", "CERTIFICATE_EXPIRED", "certificate_expired", "expired"),
        "not yet valid": (early, "BAD_CERTIFICATE|CERTIFICATE_EXPIRED", "BAD_CERTIFICATE|CERTIFICATE_EXPIRED", "certificate_not_yet_valid", "not yet valid"),
        "wrong purpose": (purpose, "UNSUPPORTED_CERTIFICATE", "UNSUPPORTED_CERTIFICATE", "wrong_purpose", "purpose"),
    }


@pytest.fixture(scope="session")
def wrong(pki):
    return wrong_pairs(pki)


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("name", ["none", "wrong CA", "expired", "not yet valid", "wrong purpose"])
def test_refused_with_a_readable_reason_on_both_ends(mutual, wrong, name, version):
    pair, alert12, alert13, reason, words = wrong[name]
    since, before = mutual.mark(), failures(mutual, reason)
    told = mutual.refused(with_certificate(mutual, pair, version))
    assert re.search(alert12 if version == TLS12 else alert13, told), f"the client reads {told}"
    line = mutual.logged(words, since)
    assert "192.0.2.2" in line and reason in line, line
    mutual.wait_counter("sluice_tls_handshake_failures_total", before, reason=reason)
    assert "/refused" not in mutual.backends[0].paths()
    assert mutual.ask("/good", using=with_certificate(mutual, mutual.pki.client)).status == 200


def test_curl_without_a_certificate_prints_why(mutual):
    """The words a person reads."""
    done = mutual.curl(f"https://{HOST}/")
    assert done.returncode != 0 and re.search("certificate required|handshake failure", done.stderr), done.stderr


def test_envoys_counters_of_verification(mutual, wrong):
    names = {"envoy_listener_ssl_fail_verify_no_cert": None, "envoy_listener_ssl_fail_verify_error": mutual.pki.stranger}
    for name, pair in names.items():
        before = mutual.counter(name)
        mutual.refused(with_certificate(mutual, pair))
        mutual.wait_counter(name, before)


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_revoked_client_is_refused(tls, version):
    """The list is in the Secret's ca.crl; a client that is not on it goes on."""
    pki = tls.pki
    ca = certs.Authority(f"{pki.folder}/revoking-{version}", "Revoking CA", owner="nobody")
    good, bad = ca.issue("good", dns=["good.example"]), ca.issue("bad", dns=["bad.example"])
    apply = lambda: tls.apply([server(mode="MUTUAL")], [tls.secret(ca=ca.pem, crl=certs.read(ca.crl()))])  # noqa: E731
    apply()
    assert tls.ask("/a", using=with_certificate(tls, bad, version)).status == 200
    ca.revoke(bad)
    apply()
    since, before = tls.mark(), failures(tls, "certificate_revoked")
    assert "CERTIFICATE_REVOKED" in tls.refused(with_certificate(tls, bad, version))
    tls.logged("revoked", since)
    tls.wait_counter("sluice_tls_handshake_failures_total", before, reason="certificate_revoked")
    assert tls.ask("/b", using=with_certificate(tls, good, version)).status == 200


def test_a_client_behind_an_intermediate(tls):
    """The chain comes from the client; trusted is the root alone."""
    between = tls.pki.ca.intermediate()
    leaf = between.issue("deep", dns=["deep.example"])
    tls.apply([server(mode="MUTUAL")], [tls.secret(ca=tls.pki.ca.pem)])
    assert tls.ask("/deep", using=with_certificate(tls, leaf)).status == 200
    assert f"Hash={leaf.fingerprint()}" in tls.backends[0].find("/deep").get("x-forwarded-client-cert")
    alone = certs.Pair(certs.write(leaf.certificate + ".alone", certs.read(leaf.certificate).split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"), leaf.key)
    assert "UNKNOWN_CA" in tls.refused(with_certificate(tls, alone))


def test_optional_mutual(tls):
    """Without a certificate the client is nobody; with a wrong one it is refused."""
    tls.apply([server(mode="OPTIONAL_MUTUAL")], [tls.secret(ca=tls.pki.ca.pem)])
    assert tls.ask("/nobody", using=with_certificate(tls, None)).status == 200
    assert tls.backends[0].find("/nobody").get("x-forwarded-client-cert") is None
    assert tls.ask("/known", using=with_certificate(tls, tls.pki.client)).status == 200
    assert SPIFFE in tls.backends[0].find("/known").get("x-forwarded-client-cert")
    assert "UNKNOWN_CA" in tls.refused(with_certificate(tls, tls.pki.stranger))


def test_what_a_client_claims_to_be_is_dropped(mutual, tls):
    """X-Forwarded-Client-Cert from outside never reaches a backend (SANITIZE_SET)."""
    forged = "X-Forwarded-Client-Cert: By=spiffe://x;Hash=00;URI=spiffe://cluster.local/ns/bank/sa/owner"
    mutual.ask("/forged", using=with_certificate(mutual, mutual.pki.client), headers=[forged])
    told = mutual.backends[0].find("/forged").all("x-forwarded-client-cert")
    assert len(told) == 1 and "bank" not in told[0] and SPIFFE in told[0], told
    tls.simple()
    tls.ask("/forged-simple", headers=[forged])
    assert tls.backends[0].find("/forged-simple").all("x-forwarded-client-cert") == []


def test_plain_http_cannot_claim_an_identity_either(tls):
    tls.apply([plain_server(), server()], [tls.secret()])
    tls.bench.ask("/forged", headers=["X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/bank/sa/owner"])
    assert tls.backends[0].find("/forged").all("x-forwarded-client-cert") == []


# --- Identity within the mesh ------------------------------------------------------------------------


@pytest.fixture
def istio_mutual(tls):
    tls.apply([server(credential=None, mode="ISTIO_MUTUAL")], [])
    return tls


def of_mesh(tls, pair, version=None):
    """Trusts the mesh's root; a SPIFFE certificate has no DNS name to check."""
    return context(tls.pki.mesh_ca, pair, minimum=version or TLS12, maximum=version or TLS13, name_checked=False)


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_istio_mutual_both_ends_are_named(istio_mutual, version):
    reviews = istio_mutual.pki.mesh_ca.identity("reviews", "shop")
    with istio_mutual.connect(using=of_mesh(istio_mutual, reviews, version)) as wire:
        assert ("URI", "spiffe://cluster.local/ns/istio-system/sa/gateway") in wire.sock.getpeercert()["subjectAltName"]
        wire.send(request("/mesh"))
        assert wire.response().status == 200
    told = istio_mutual.backends[0].find("/mesh").get("x-forwarded-client-cert")
    assert "URI=spiffe://cluster.local/ns/shop/sa/reviews" in told and "By=spiffe://cluster.local/ns/istio-system/sa/gateway" in told, told


STRANGE = {
    "no URI": {"dns": ["reviews.shop"]},
    "two SPIFFE IDs": {"uris": ["spiffe://cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/bank/sa/owner"]},
    "a SPIFFE ID and another URI": {"uris": ["https://shop.example/", "spiffe://cluster.local/ns/a/sa/b"]},
    "another scheme": {"uris": ["https://cluster.local/ns/a/sa/b"]},
    "another trust domain": {"uris": ["spiffe://evil.local/ns/a/sa/b"]},
    "dots": {"uris": ["spiffe://cluster.local/ns/a/../bank/sa/owner"]},
    "percent-encoding": {"uris": ["spiffe://cluster.local/ns/a/sa/%6fwner"]},
    "a query": {"uris": ["spiffe://cluster.local/ns/a/sa/b?x=1"]},
    "a fragment": {"uris": ["spiffe://cluster.local/ns/a/sa/b#x"]},
    "a port": {"uris": ["spiffe://cluster.local:443/ns/a/sa/b"]},
    "a user": {"uris": ["spiffe://me@cluster.local/ns/a/sa/b"]},
    "no path": {"uris": ["spiffe://cluster.local"]},
    "an empty segment": {"uris": ["spiffe://cluster.local/ns//sa/b"]},
    "a slash at the end": {"uris": ["spiffe://cluster.local/ns/a/sa/b/"]},
    "an upper-case trust domain": {"uris": ["spiffe://Cluster.Local/ns/a/sa/b"]},
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_identities_are_refused(istio_mutual, name):
    """Signed by the mesh's own root, and still nobody."""
    pair = istio_mutual.pki.mesh_ca.issue("strange", **STRANGE[name])
    since = istio_mutual.mark()
    istio_mutual.refused(of_mesh(istio_mutual, pair))
    assert "192.0.2.2" in istio_mutual.logged(r"SPIFFE|URI|trust domain|wrong_name|bad_certificate", since)
    assert "/refused" not in istio_mutual.backends[0].paths()


def test_of_a_foreign_root_with_the_right_name(istio_mutual):
    pair = istio_mutual.pki.other_ca.identity("reviews", "shop")
    assert "UNKNOWN_CA" in istio_mutual.refused(of_mesh(istio_mutual, pair))


# --- Narrower than a root ----------------------------------------------------------------------------


def test_subject_alt_names(tls):
    tls.apply([server(mode="MUTUAL", subjectAltNames=[SPIFFE])], [tls.secret(ca=tls.pki.ca.pem)])
    assert tls.ask("/named", using=with_certificate(tls, tls.pki.client)).status == 200
    other = tls.pki.ca.issue("other", uris=["spiffe://cluster.local/ns/web/sa/other"])
    since, before = tls.mark(), failures(tls, "wrong_name")
    tls.refused(with_certificate(tls, other))
    assert "spiffe://cluster.local/ns/web/sa/other" in tls.logged("wrong_name", since)
    tls.wait_counter("sluice_tls_handshake_failures_total", before, reason="wrong_name")


@pytest.mark.parametrize("field", ["verifyCertificateHash", "verifyCertificateSpki"])
def test_pins(tls, field):
    client = tls.pki.client
    pin = client.fingerprint() if field == "verifyCertificateHash" else client.spki()
    tls.apply([server(mode="MUTUAL", **{field: [pin]})], [tls.secret(ca=tls.pki.ca.pem)])
    assert tls.ask("/pinned", using=with_certificate(tls, client)).status == 200
    other = tls.pki.ca.issue("unpinned", dns=["client.example"])
    tls.refused(with_certificate(tls, other))


def test_roots_in_a_secret_of_their_own_and_in_files(tls):
    pki = tls.pki
    tls.apply([server(mode="MUTUAL")], [tls.secret(), certs.ca_secret("shop-cacert", pki.ca.pem)])
    assert tls.ask("/a", using=with_certificate(tls, pki.client)).status == 200
    tls.apply([server(credential=None, mode="MUTUAL", serverCertificate=pki.shop.certificate, privateKey=pki.shop.key,
                      caCertificates=pki.other_ca.certificate)], [])
    assert tls.ask("/b", using=with_certificate(tls, pki.stranger)).status == 200
    assert "UNKNOWN_CA" in tls.refused(with_certificate(tls, pki.client))


# --- The same session again --------------------------------------------------------------------------


def resumed(tls, using, session):
    """(was it resumed, the session it ended with) of one more request."""
    with tls.connect(using=using, session=session) as wire:
        wire.send(request("/again"))
        assert wire.response().status == 200
        return wire.sock.session_reused, wire.sock.session


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("mode", ["SIMPLE", "MUTUAL"])
def test_sessions_are_resumed(tls, version, mode):
    tls.apply([server(mode=mode)], [tls.secret(ca=tls.pki.ca.pem)])
    using = with_certificate(tls, tls.pki.client if mode == "MUTUAL" else None, version)
    before = tls.counter("envoy_listener_ssl_session_reused")
    first, session = resumed(tls, using, None)
    assert not first and session.has_ticket
    for _ in range(3):
        again, session = resumed(tls, using, session)
        assert again, "a full handshake where a ticket was shown"
    tls.wait_counter("envoy_listener_ssl_session_reused", before + 2)
    if mode == "MUTUAL":
        requests = [r for r in tls.backends[0].requests if r.target == "/again"]
        assert len(requests) == 4 and all(SPIFFE in r.get("x-forwarded-client-cert") for r in requests), "identity survives resumption"


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_ticket_dies_with_the_roots_that_it_was_made_under(tls, version):
    """A CA that is trusted no more takes its clients' tickets with it."""
    pki = tls.pki
    old = certs.Authority(f"{pki.folder}/old-{version}", "Old CA", owner="nobody")
    client = old.issue("client", dns=["client.example"])
    tls.apply([server(mode="MUTUAL")], [tls.secret(ca=old.pem)])
    using = with_certificate(tls, client, version)
    _, session = resumed(tls, using, None)
    assert resumed(tls, using, session)[0]
    tls.apply([server(mode="MUTUAL")], [tls.secret(ca=pki.ca.pem)])
    with pytest.raises(ssl.SSLError):
        resumed(tls, using, session)
    tls.apply([server(mode="MUTUAL")], [tls.secret(ca=old.pem + pki.ca.pem)])
    again, _ = resumed(tls, using, session)
    assert not again, "other roots than the ticket's: a full handshake"


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_ticket_of_a_revoked_client_is_worth_nothing(tls, version):
    ca = certs.Authority(f"{tls.pki.folder}/tickets-{version}", "Ticket CA", owner="nobody")
    client = ca.issue("client", dns=["client.example"])
    apply = lambda: tls.apply([server(mode="MUTUAL")], [tls.secret(ca=ca.pem, crl=certs.read(ca.crl()))])  # noqa: E731
    apply()
    using = with_certificate(tls, client, version)
    _, session = resumed(tls, using, None)
    assert resumed(tls, using, session)[0]
    ca.revoke(client)
    apply()
    with pytest.raises(ssl.SSLError):
        resumed(tls, using, session)


def test_a_ticket_does_not_open_another_server(tls):
    """Of a server without client certificates, shown to one with them."""
    pki = tls.pki
    inner = pki.ca.issue("inner", dns=["inner.example"])
    tls.apply([server("shop", [HOST]), server("inner", ["inner.example"], mode="MUTUAL")], [tls.secret(), tls.secret("inner", inner, ca=pki.ca.pem)])
    using = context(pki.ca, name_checked=False)
    _, session = resumed(tls, using, None)
    with pytest.raises(ssl.SSLError), tls.connect("inner.example", using, session) as wire:
        wire.send(request("/inner", "inner.example"))
        wire.response()
    assert "/inner" not in tls.backends[0].paths()


def test_the_access_log_names_the_client(tls):
    tls.bench.standing = {**tls.bench.standing, "accessLog": {"format": "[%START_TIME%] \"%REQ(:METHOD)% %REQ(:PATH)%\" %RESPONSE_CODE% "
                                                              "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% "
                                                              "%REQUESTED_SERVER_NAME% \"%DOWNSTREAM_PEER_SUBJECT%\"\n"}}
    tls.apply([server(mode="MUTUAL")], [tls.secret(ca=tls.pki.ca.pem)])
    assert tls.ask("/who", using=with_certificate(tls, tls.pki.client)).status == 200
    line = tls.access_lines("/who")[-1]
    for word in (SPIFFE, "TLSv1.3", "TLS_AES_", HOST, "CN=client,O=Sluice"):
        assert word in line, line


def test_json_of_connections_names_the_session(mutual):
    with mutual.connect(using=with_certificate(mutual, mutual.pki.client)) as wire:
        wire.send(request("/open"))
        wire.response()
        rows = json.loads(mutual.gateway.ctl("-o", "json", "connections", "list").stdout)["connections"]
        assert any("443" in json.dumps(row) for row in rows), rows
