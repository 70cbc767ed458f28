"""Certificates for test hosts and the demo, made by the openssl command when they are needed; never committed.

In: a folder, names. Out: Authority (issue, intermediate, revoke, crl) and Pair (paths and PEM of a certificate and its key).
Files belong to their folder's maker; keys have mode 0600, `owner` may read them. Kubernetes Secrets: tls_secret, ca_secret.
RFC 5280; the SPIFFE X.509-SVID standard.
"""

import base64
import datetime
import os
import shutil
import subprocess

CONFIG = """[ca]
default_ca = this
[this]
dir = {dir}
database = $dir/index.txt
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir
certificate = $dir/ca.crt
private_key = $dir/ca.key
default_md = sha256
default_crl_days = 30
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = optional
[req]
distinguished_name = any_name
prompt = no
[any_name]
CN = unused
"""
SERVER, CLIENT = "serverAuth", "clientAuth"
KEYS = {"ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]}


class CertificateError(Exception):
    """openssl refused; the text is what it said."""


def openssl(*arguments, data=None):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True)
    if done.returncode != 0:
        raise CertificateError(f"openssl {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text, owner=None, mode=0o644):
    """Replaced by rename, so that whoever watches it never sees half of it."""
    with open(os.open(path + ".new~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    if owner:
        shutil.chown(path + ".new~", owner)
    os.rename(path + ".new~", path)
    return path


class Pair:
    """A certificate with its chain, and its key."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    @property
    def chain_pem(self):
        return read(self.certificate)

    @property
    def key_pem(self):
        return read(self.key)

    def fingerprint(self):
        """SHA-256 in lower-case hex."""
        return openssl("x509", "-in", self.certificate, "-noout", "-fingerprint", "-sha256").decode().split("=")[1].strip().replace(":", "").lower()

    def spki(self):
        """base64 of the SHA-256 of its public key, as Envoy's verify_certificate_spki."""
        der = openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER")
        return base64.b64encode(openssl("dgst", "-sha256", "-binary", data=der)).decode()

    def end(self):
        """When it expires, in seconds since 1970."""
        text = openssl("x509", "-in", self.certificate, "-noout", "-enddate", "-dateopt", "iso_8601").decode().split("=")[1].strip()
        return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


class Authority:
    """A certificate authority of one folder. `signed_by`: another one, whose intermediate it is."""

    def __init__(self, folder, name="Sluice test CA", owner=None, signed_by=None, days=365):
        self.folder, self.name, self.owner, self.signed_by = folder, name, owner, signed_by
        os.makedirs(folder, exist_ok=True)
        if owner:
            shutil.chown(folder, owner)
        self.config = os.path.join(folder, "ca.cnf")
        self.count = 0
        for file, text in (("ca.cnf", CONFIG.format(dir=folder)), ("index.txt", ""), ("serial", openssl("rand", "-hex", "8").decode()), ("crlnumber", "01\n")):
            write(os.path.join(folder, file), text)
        self.certificate, self.key = os.path.join(folder, "ca.crt"), os.path.join(folder, "ca.key")
        self._key(self.key, "ec")
        extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash"]
        if signed_by is None:
            openssl("req", "-x509", "-new", "-key", self.key, "-out", self.certificate, "-days", str(days), "-subj", f"/O=Sluice/CN={name}",
                    "-config", self.config, *(word for extension in extensions for word in ("-addext", extension)))
        else:
            pair = signed_by.sign(self.key, name, extensions, days=days)
            write(self.certificate, pair)

    @property
    def pem(self):
        """What peers trust: the root alone."""
        return self.signed_by.pem if self.signed_by else read(self.certificate)

    def root_file(self):
        return self.signed_by.root_file() if self.signed_by else self.certificate

    def intermediate(self, name="Sluice test intermediate CA"):
        return Authority(os.path.join(self.folder, "intermediate"), name, self.owner, signed_by=self)

    def _key(self, path, kind):
        # OpenSSL 3.0 was seen to refuse a key that it had just written, once in a hundred: such a one is made anew.
        for _ in range(4):
            write(path, openssl("genpkey", *KEYS[kind]).decode(), self.owner, 0o600)
            if subprocess.run(["openssl", "pkey", "-in", path, "-noout"], capture_output=True).returncode == 0:
                return
        raise CertificateError(f"openssl cannot read the keys that it writes: {path}")

    def sign(self, key, common_name, extensions, days=30, not_before=None, not_after=None):
        """The certificate's PEM, without a chain. Times as openssl ca takes them: YYYYMMDDHHMMSSZ."""
        self.count += 1
        stem = os.path.join(self.folder, f"request{self.count}")
        subject = f"/O=Sluice/CN={common_name}" if common_name else "/O=Sluice"
        write(stem + ".csr", openssl("req", "-new", "-key", key, "-subj", subject, "-config", self.config).decode())
        write(stem + ".ext", "".join(line.replace("=", " = ", 1).replace("#", "\\#") + "\n" for line in [*extensions, "authorityKeyIdentifier=keyid"]))
        times = ["-days", str(days)]
        if not_before:
            times += ["-startdate", not_before]
        if not_after:
            times = (["-startdate", not_before] if not_before else []) + ["-enddate", not_after]
        openssl("ca", "-batch", "-notext", "-config", self.config, "-in", stem + ".csr", "-out", stem + ".crt", "-extfile", stem + ".ext", *times)
        return read(stem + ".crt")

    def issue(self, name, dns=(), uris=(), ips=(), usage=(SERVER, CLIENT), key="ec", extensions=(), common_name=None, **times):
        """A leaf in files NAME.crt and NAME.key; an existing one is replaced, as a rotation does."""
        key_path, path = os.path.join(self.folder, f"{name}.key"), os.path.join(self.folder, f"{name}.crt")
        self._key(key_path + ".of-request", key)
        names = [f"DNS:{n}" for n in dns] + [f"URI:{u}" for u in uris] + [f"IP:{a}" for a in ips]
        wanted = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature", "subjectKeyIdentifier=hash"]
        if usage:
            wanted.append(f"extendedKeyUsage={','.join(usage)}")
        if names:
            wanted.append("subjectAltName=" + ",".join(names))
        pem = self.sign(key_path + ".of-request", name if common_name is None else common_name, [*wanted, *extensions], **times)
        chain = pem + (read(self.certificate) if self.signed_by else "")
        os.rename(key_path + ".of-request", key_path)
        write(path, chain, self.owner)
        return Pair(path, key_path)

    def identity(self, account, namespace="default", trust_domain="cluster.local", name=None, **more):
        """A SPIFFE X.509-SVID, as the mesh's workloads have."""
        return self.issue(name or account, uris=[f"spiffe://{trust_domain}/ns/{namespace}/sa/{account}"], **more)

    def revoke(self, pair):
        openssl("ca", "-config", self.config, "-revoke", pair.certificate)

    def crl(self):
        """The path of a fresh list of what is revoked."""
        return write(os.path.join(self.folder, "ca.crl"), openssl("ca", "-config", self.config, "-gencrl").decode(), self.owner)


def _secret(name, namespace, kind, data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "type": kind,
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items() if value is not None}}


def tls_secret(name, pair, ca=None, crl=None, namespace="istio-system"):
    """A kubernetes.io/tls Secret; `ca`: PEM of whom clients' certificates must come from."""
    return _secret(name, namespace, "kubernetes.io/tls", {"tls.crt": pair.chain_pem, "tls.key": pair.key_pem, "ca.crt": ca, "ca.crl": crl})


def ca_secret(name, ca, crl=None, namespace="istio-system"):
    return _secret(name, namespace, "Opaque", {"ca.crt": ca, "ca.crl": crl})
