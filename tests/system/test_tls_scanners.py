"""What scanners find: sslscan and testssl.sh against a running gateway with an ECDSA and an RSA certificate.

In: their machine-readable output. Out: no SSL, no TLS 1.0 and 1.1, AEAD suites with forward secrecy alone, and none of the attacks that have a name.
"""

import json
import os
import xml.etree.ElementTree

import pytest
from harness.tls import ADDRESS, HOST, PORT, server

SUITES = {
    "TLSv1.3": {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"},
    "TLSv1.2": {f"ECDHE-{key}-{suite}" for key in ("ECDSA", "RSA") for suite in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")},
}
# testssl.sh: what it checked must be among its findings, or a check that broke would look like a pass.
WANTED = ["SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW",
          "cipherlist_3DES_IDEA", "cipherlist_AVERAGE", "cipherlist_STRONG", "heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_renego",
          "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "fallback_SCSV", "SWEET32", "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4"]
NOT_OFFERED = ["SSLv2", "SSLv3", "TLS1", "TLS1_1", "cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW", "cipherlist_3DES_IDEA", "cipherlist_AVERAGE"]


@pytest.fixture
def scanned(tls):
    rsa = tls.pki.ca.issue("shop-rsa", dns=[HOST], key="rsa")
    tls.apply([server(credential=None, credentialNames=["shop", "shop-rsa"])], [tls.secret(), tls.secret("shop-rsa", rsa)])
    return tls


def test_sslscan(scanned):
    done = scanned.client.run("sslscan", "--xml=-", f"--sni-name={HOST}", f"{ADDRESS}:{PORT}", check=False, timeout=60)
    test = xml.etree.ElementTree.fromstring(done.stdout[:done.stdout.rindex("</document>") + len("</document>")]).find("ssltest")
    enabled = {(p.get("type") + p.get("version")) for p in test.iter("protocol") if p.get("enabled") == "1"}
    assert enabled == {"tls1.2", "tls1.3"}, enabled
    found = {}
    for cipher in test.iter("cipher"):
        found.setdefault(cipher.get("sslversion"), set()).add(cipher.get("cipher"))
        assert cipher.get("strength") in ("strong", "acceptable"), cipher.attrib
    assert found == SUITES, found
    assert test.find("renegotiation").get("supported") == "0", "a client may not renegotiate"
    bleeding = list(test.iter("heartbleed"))
    assert bleeding and all(b.get("vulnerable") == "0" for b in bleeding)
    assert test.find("compression") is None or test.find("compression").get("supported") == "0"
    assert scanned.ask("/after").status == 200


def test_testssl(scanned):
    path = os.path.join(scanned.bench.work, "testssl.json")
    if os.path.exists(path):
        os.unlink(path)
    done = scanned.client.run("testssl", "--quiet", "--warnings", "off", "--color", "0", "--ip", ADDRESS, "--nodns", "none", "--jsonfile", path,
                              "--add-ca", scanned.pki.ca.certificate, "--protocols", "--standard", "--vulnerable", f"https://{HOST}:{PORT}",
                              check=False, stdin=open(os.devnull), timeout=240)
    with open(path) as file:
        findings = {row["id"]: row for row in json.load(file)}
    missing = [name for name in WANTED if name not in findings]
    assert not missing, f"not checked: {missing}\n{done.stdout[-3000:]}"
    bad = {name: row["finding"] for name, row in findings.items() if row["severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL")}
    assert not bad, bad
    offered = [name for name in NOT_OFFERED if not findings[name]["finding"].startswith("not offered")]
    assert not offered, offered
    assert findings["TLS1_2"]["finding"].startswith("offered") and findings["TLS1_3"]["finding"].startswith("offered")
    assert scanned.ask("/after").status == 200
