"""More than 500 client certificates shown to a real Envoy, beside what our server made of each: we may be stricter, never laxer.

In: the corpus of tests/tls/identity_corpus.cc (its certificates, our verdicts) and three Envoy listeners configured like our three servers:
one root; one root and names of our trust domain (as istiod configures a mesh); the SPIFFE validator with roots by trust domain.
Out: every difference is one of DIFFERENCES, docs/tls.md has the same list with reasons. SPIFFE X.509-SVID standard; RFC 5280.
"""

import collections
import json
import os
import socket
import ssl
import subprocess

import pytest
from harness import envoy
from harness.bench import ROOT

PORTS = {"root": 11001, "mesh": 11002, "domains": 11003}
# Refused by us and let in by Envoy 1.40, how many of each: what is strange -> (root, mesh, domains). Nothing is the other way round.
DIFFERENCES = {
    "a NUL": (2, 1, 1),
    "a NUL in a DNS name": (24, 6, 24),
    "a weak key": (1, 1, 1),
    "an empty or relative segment": (0, 24, 96),
    "a query or a fragment": (0, 12, 48),
    "a character that paths do not have": (0, 36, 144),
    "a second SPIFFE ID": (0, 6, 24),
    "the same URI twice": (0, 6, 24),
    "another URI behind it": (0, 6, 24),
    "another URI before it": (0, 6, 0),
    "may sign certificates": (0, 6, 0),
    "for servers alone": (0, 0, 24),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("identities"))
    build = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
    subprocess.run([os.path.join(build, "tests", "tls", "identity_corpus"), folder], check=True, capture_output=True, timeout=120)
    with open(f"{folder}/corpus.json") as file:
        return folder, json.load(file)


def listener(folder, port, validation):
    pair = {"certificate_chain": {"filename": f"{folder}/server.pem"}, "private_key": {"filename": f"{folder}/server.pem"}}
    context = {"tls_certificates": [pair], "validation_context": validation}
    made = envoy.listener("127.0.0.1", port, [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
                          envoy.socket_of("DownstreamTlsContext", context, require_client_certificate=True, disable_stateless_session_resumption=True))
    return {**made, "name": str(port)}


def validations(folder, domains):
    root = {"trusted_ca": {"filename": f"{folder}/a.pem"}}
    bundles = [{"name": name, "trust_bundle": {"filename": f"{folder}/{'b' if name == 'b.example' else 'a'}.pem"}} for name in [*domains, "b.example"]]
    spiffe = {"@type": envoy.TLS + "SPIFFECertValidatorConfig", "trust_domains": bundles}
    return {"root": root,
            "mesh": {**root, "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}]},
            "domains": {"custom_validator_config": {"name": "envoy.tls.cert_validator.spiffe", "typed_config": spiffe}}}


@pytest.fixture(scope="module")
def judges(session_bench, corpus):
    folder, known = corpus
    listeners = [listener(folder, PORTS[name], validation) for name, validation in validations(folder, known["domains"]).items()]
    process = envoy.start(session_bench.client, f"{folder}/envoy", {"listeners": listeners}, ("127.0.0.1", PORTS["domains"]))
    yield session_bench.client
    process.terminate()
    process.wait(20)


def let_in(host, port, certificate):
    """Whether Envoy answers a request of this client."""
    using = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    using.check_hostname, using.verify_mode = False, ssl.CERT_NONE
    using.set_ciphers("DEFAULT@SECLEVEL=0")   # shows what it has
    if certificate:
        using.load_cert_chain(certificate)
    sock = host.socket(socket.AF_INET)
    sock.settimeout(10)
    sock.connect(("127.0.0.1", port))
    try:
        with using.wrap_socket(sock) as wrapped:
            wrapped.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = wrapped.recv(100)
    except ssl.SSLError:
        return False
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return True


def test_envoy_lets_nobody_in_without_a_certificate(judges):
    assert not any(let_in(judges, port, None) for port in PORTS.values())


def test_every_verdict_is_envoys_or_stricter(judges, corpus):
    folder, known = corpus
    laxer, stricter, agreed = [], collections.Counter(), collections.Counter()
    for case in known["cases"]:
        for server, port in PORTS.items():
            ours, theirs = case["verdicts"][server]["accepted"], let_in(judges, port, f"{folder}/{case['file']}")
            if ours == theirs:
                agreed[ours] += 1
            elif ours:
                laxer.append((server, case["kind"], case["name"]))
            else:
                stricter[(case["kind"], server)] += 1
    print(f"{len(known['cases'])} certificates, {len(PORTS)} servers: both accept {agreed[True]}, both refuse {agreed[False]}, we alone refuse {sum(stricter.values())}")
    assert not laxer, f"we let in what Envoy refuses: {laxer[:20]}"
    assert len(known["cases"]) > 500 and agreed[True] > 50 and agreed[False] > 500
    kinds = {case["kind"] for case in known["cases"]}
    assert {kind: row for kind in kinds if any(row := tuple(stricter[(kind, server)] for server in PORTS))} == DIFFERENCES
