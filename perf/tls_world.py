"""Certificates of a TLS measurement: one authority, and P-256 leaves for edge, client, gateway and backend. Good for two days.

In: a folder. Out: NAME.crt and NAME.key in it, ca.crt, and words that fill configs in. Made by the openssl program, at the start of each
run, so that no private key is ever committed. perf/compare --tls, perf/load --tls and perf/idle_connections use it.
"""

import base64
import os
import subprocess

EDGE_NAME, BACKEND_NAME = "edge.example", "backend.example"
LEAVES = {
    "edge": f"DNS:{EDGE_NAME},DNS:*.{EDGE_NAME}",
    "client": "URI:spiffe://cluster.local/ns/shop/sa/client",
    "gateway": "URI:spiffe://cluster.local/ns/istio-system/sa/gateway",
    "backend": f"DNS:{BACKEND_NAME},DNS:floor.{EDGE_NAME},URI:spiffe://cluster.local/ns/shop/sa/web",
}
SUITE = "TLS_AES_128_GCM_SHA256"


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"openssl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def make_certificates(folder):
    """All of LEAVES, signed by one authority."""
    os.makedirs(folder, exist_ok=True)
    at = lambda name: os.path.join(folder, name)   # noqa: E731
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=perf authority",
            "-addext", "basicConstraints=critical,CA:true", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", at("ca.key"), "-out", at("ca.crt"))
    for name, names in LEAVES.items():
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", at(f"{name}.key"), "-out", at(f"{name}.csr"))
        with open(at(f"{name}.ext"), "w") as file:
            file.write(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\nkeyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:false\n")
        openssl("x509", "-req", "-in", at(f"{name}.csr"), "-CA", at("ca.crt"), "-CAkey", at("ca.key"), "-days", "2", "-extfile", at(f"{name}.ext"), "-out", at(f"{name}.crt"))
        with open(at(f"{name}.pem"), "w") as file:   # as HAProxy wants it
            file.write(open(at(f"{name}.crt")).read() + open(at(f"{name}.key")).read())
    return folder


def secret_words(folder):
    """What the Secrets of a mesh hold: EDGE_CRT, EDGE_KEY, GATEWAY_CRT, GATEWAY_KEY, CA_CRT, in base64."""
    words = {}
    for word, name in (("EDGE_CRT", "edge.crt"), ("EDGE_KEY", "edge.key"), ("GATEWAY_CRT", "gateway.crt"), ("GATEWAY_KEY", "gateway.key"), ("CA_CRT", "ca.crt")):
        with open(os.path.join(folder, name), "rb") as file:
            words[word] = base64.b64encode(file.read()).decode()
    return words
