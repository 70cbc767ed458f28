"""TLS on the bench: certificates, clients that speak it, a backend that asks for it, and the mesh objects for both.

In: a Bench. Out: Tls (its fixture: apply, connect, ask, refused, s_client), Pki, TlsBackend. Failures carry the gateway's log.
Clients are Python's ssl in the client's namespace (OpenSSL 3.0, a socket at a time) and openssl s_client where its commands are wanted.
RFC 8446, RFC 5246.
"""

import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time

from . import mesh
from .backend import Backend
from .bench import ADDRESS, ADDRESS6, BACKENDS, USER
from .http1 import Wire

import certs  # noqa: E402  (of scripts/lib, which bench puts on the path)

HOST, PORT = mesh.HOST, 443
BACKEND_PORT = 9443
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
GATEWAY_ID = "spiffe://cluster.local/ns/istio-system/sa/gateway"


class Pki:
    """What the tests trust and what they do not: made once a session."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.ca = certs.Authority(os.path.join(folder, "ca"), "Bench CA", owner=USER)
        self.other_ca = certs.Authority(os.path.join(folder, "other"), "Another CA", owner=USER)
        self.mesh_ca = certs.Authority(os.path.join(folder, "mesh"), "Mesh CA", owner=USER)
        self.shop = self.ca.issue("shop", dns=[HOST, "*.shop.example"], usage=[certs.SERVER])
        self.client = self.ca.issue("client", dns=["client.example"], uris=["spiffe://cluster.local/ns/web/sa/client"], usage=[certs.CLIENT])
        self.stranger = self.other_ca.issue("stranger", dns=["client.example"])
        self.gateway = self.mesh_ca.identity("gateway", "istio-system")

    def identity_section(self):
        return {"certificate": self.gateway.certificate, "privateKey": self.gateway.key, "roots": self.mesh_ca.certificate}


def server(credential="shop", hosts=(HOST,), port=PORT, mode="SIMPLE", **tls):
    """One HTTPS server of a Gateway."""
    named = {"credentialName": credential} if credential else {}
    return {"port": {"number": port, "name": f"https-{port}-{mode.lower()}", "protocol": "HTTPS"}, "hosts": list(hosts),
            "tls": {"mode": mode, **named, **tls}}


def plain_server(hosts=(HOST,), port=80, **more):
    return {"port": {"number": port, "name": f"http-{port}", "protocol": "HTTP"}, "hosts": list(hosts), **more}


def gateway(*servers, name="edge"):
    for number, one in enumerate(servers):   # port names are unique within a Gateway
        one["port"]["name"] += f"-{number}"
    return mesh.object_("Gateway", name, {"selector": {"istio": "ingressgateway"}, "servers": list(servers)})


def context(ca=None, pair=None, minimum=TLS12, maximum=TLS13, ciphers=None, alpn=("http/1.1",), name_checked=True):
    """A client's. `ca`: an Authority, or None: whatever the server shows is taken."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version, made.maximum_version = minimum, maximum
    if ca is None:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    else:
        made.check_hostname = name_checked
        made.load_verify_locations(ca.root_file())
    if pair:
        made.load_cert_chain(pair.certificate, pair.key)
    if ciphers:
        made.set_ciphers(ciphers)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


def request(target="/", host=HOST, method="GET", headers=(), body=None):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, *([f"Content-Length: {len(body)}"] if body is not None else [])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


class Tls:
    """The bench with certificates; its mesh is a Gateway of HTTPS servers, Secrets, and a service `web`."""

    def __init__(self, bench, pki):
        self.bench, self.pki = bench, pki

    def __getattr__(self, name):
        return getattr(self.bench, name)

    def secret(self, name="shop", pair=None, **more):
        return certs.tls_secret(name, pair or self.pki.shop, **more)

    def apply(self, servers, secrets, routes=None, hosts=("*",), more=None):
        """`more` replaces the service `web` on the first backend."""
        objects = [gateway(*servers), *secrets, *(more if more is not None else [mesh.service("web", [BACKENDS[0]])]),
                   mesh.virtual_service(routes or [{"route": [mesh.to("web")]}], hosts=hosts)]
        return self.bench.apply(objects)

    def simple(self, **tls):
        """SIMPLE on port 443 for shop.example, to backend b1."""
        return self.apply([server(**tls)], [self.secret()])

    # --- Clients ---------------------------------------------------------------------------------

    def raw(self, port=PORT, ipv6=False, timeout_s=10.0):
        sock = self.bench.client.socket(socket.AF_INET6 if ipv6 else socket.AF_INET)
        sock.settimeout(timeout_s)
        sock.connect((ADDRESS6 if ipv6 else ADDRESS, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect(self, sni=HOST, using=None, session=None, timeout_s=10.0, **where):
        """A Wire over TLS; `wire.sock` is the SSLSocket."""
        made = using or context(self.pki.ca)
        return Wire(made.wrap_socket(self.raw(timeout_s=timeout_s, **where), server_hostname=sni, session=session), timeout_s)

    def ask(self, target="/", sni=HOST, host=None, using=None, method="GET", headers=(), body=None, **where):
        with self.connect(sni, using, **where) as wire:
            wire.send(request(target, host or sni or HOST, method, [*headers, "Connection: close"], body))
            return wire.response(method)

    def refused(self, using, sni=HOST, **where):
        """The alert that this client reads, as OpenSSL names it; a connection that works, or ends without one, fails the test."""
        sock = self.raw(**where)
        try:
            with using.wrap_socket(sock, server_hostname=sni) as wrapped:
                # A TLS 1.3 client is done before the server has looked at its certificate: the alert comes on the first read.
                wrapped.sendall(request("/refused"))
                data = wrapped.recv(4096)
                raise AssertionError(f"not refused: {data[:100]!r}\n{self.bench.gateway.log_tail()}")
        except ssl.SSLError as told:
            return told.reason or str(told)
        except (ConnectionError, EOFError) as silent:
            raise AssertionError(f"ended without an alert: {silent!r}\n{self.bench.gateway.log_tail()}") from None

    def s_client(self, *arguments, data=None, sni=HOST, port=PORT, host=HOST, timeout=20):
        """What `openssl s_client` prints in all, for one request."""
        command = ["openssl", "s_client", "-connect", f"{ADDRESS}:{port}", *(["-servername", sni] if sni else ["-noservername"]),
                   "-CAfile", self.pki.ca.certificate, "-ign_eof", *arguments]
        sent = request("/s_client", host, headers=["Connection: close"]) if data is None else data
        done = subprocess.run(self.bench.client.command(*command), input=sent, capture_output=True, timeout=timeout)
        return (done.stdout + done.stderr).decode(errors="replace")

    def curl(self, *arguments, host=HOST, port=PORT):
        return self.bench.client.run("curl", "-sS", "--max-time", "10", "--cacert", self.pki.ca.certificate,
                                     "--resolve", f"{host}:{port}:{ADDRESS}", *arguments, check=False)

    # --- What the gateway says -------------------------------------------------------------------

    def mark(self):
        """Where the gateway's log ends now."""
        return os.path.getsize(self.bench.log)

    def logged(self, pattern, since=0, timeout_s=5.0):
        """The first line of its log behind `since` that has this pattern."""
        deadline, text = time.monotonic() + timeout_s, ""
        while time.monotonic() < deadline:
            with open(self.bench.log, errors="replace") as file:
                file.seek(since)
                text = file.read()
            for line in text.splitlines():
                if re.search(pattern, line, re.I):
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no line like {pattern!r} in sluiced's log:\n{text[-4000:]}")

    def counter(self, name, **labels):
        """A metric, 0 where it is not there yet."""
        try:
            return self.bench.metric(name, **labels)
        except AssertionError:
            return 0.0

    def wait_counter(self, name, more_than, timeout_s=5.0, **labels):
        deadline = time.monotonic() + timeout_s
        while self.counter(name, **labels) <= more_than:
            assert time.monotonic() < deadline, f"{name} {labels} stays at {more_than}; of its family:\n{self.family(name)}"
            time.sleep(0.02)
        return self.counter(name, **labels)

    def family(self, name):
        text = self.bench.gateway.admin("/stats/prometheus")[1]
        return "\n".join(line for line in text.splitlines() if line.startswith(name) or "ssl" in line or "tls" in line)

    def handshake_objects(self):
        """OpenSSL objects alive; 0 once every connection's records are ours or it is gone."""
        return self.counter("sluice_tls_openssl_objects")

    def secrets(self):
        return {row["name"]: row for row in json.loads(self.bench.gateway.ctl("-o", "json", "pc", "secrets").stdout)}


class Talk:
    """openssl s_client that is spoken to line by line: K and k update keys, R renegotiates."""

    def __init__(self, tls, *arguments, sni=HOST):
        command = ["openssl", "s_client", "-connect", f"{ADDRESS}:{PORT}", "-servername", sni, "-CAfile", tls.pki.ca.certificate, "-crlf", *arguments]
        self.process = subprocess.Popen(tls.bench.client.command(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        self.output = b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while data := self.process.stdout.read(65536):
            self.output += data

    def say(self, text):
        self.process.stdin.write(text.encode())

    def expect(self, needle, since=0, timeout_s=10.0):
        """Waits for this text behind `since`; where it ends."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            at = self.output.find(needle.encode(), since)
            if at >= 0:
                return at + len(needle)
            time.sleep(0.01)
        raise AssertionError(f"no {needle!r} behind byte {since}:\n{self.output[since:][-3000:].decode(errors='replace')}")

    def end(self, timeout_s=10.0):
        """Its exit status; killed when it does not end by itself."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class TlsBackend(Backend):
    """A Backend behind TLS. `client_ca`: whom it wants certificates from. Recorded of each connection: version, suite, SNI, ALPN, the
    peer's certificate (DER) and whether a session was resumed; what failed in `handshake_errors`."""

    def __init__(self, host, address, pair, client_ca=None, port=BACKEND_PORT, name=None, minimum=TLS12, maximum=TLS13, ciphers=None, alpn=("http/1.1", "istio")):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version, self.context.maximum_version = minimum, maximum
        self.context.load_cert_chain(pair.certificate, pair.key)
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca.root_file())
        if ciphers:
            self.context.set_ciphers(ciphers)
        if alpn:
            self.context.set_alpn_protocols(list(alpn))
        self.context.sni_callback = self._on_sni
        super().__init__(host, address, port, name or "secure")

    def reset(self):
        super().reset()
        self.sessions, self.handshake_errors, self.names = [], [], {}

    def _on_sni(self, wrapped, name, _):
        self.names[id(wrapped)] = name

    def _serve(self, wire):
        try:
            wrapped = self.context.wrap_socket(wire.sock, server_side=True, do_handshake_on_connect=False)
            wrapped.do_handshake()
        except (ssl.SSLError, OSError) as wrong:
            with self.lock:
                self.handshake_errors.append(getattr(wrong, "reason", None) or str(wrong))
                if wire in self.live:
                    self.live.remove(wire)
            wire.close()
            return
        wire.sock = wrapped
        with self.lock:
            self.sessions.append({"version": wrapped.version(), "cipher": wrapped.cipher()[0], "sni": self.names.pop(id(wrapped), None),
                                  "alpn": wrapped.selected_alpn_protocol(), "peer": wrapped.getpeercert(binary_form=True),
                                  "subject": wrapped.getpeercert(), "resumed": wrapped.session_reused})
        super()._serve(wire)


def client_rule(mode, name="web", **tls):
    """A DestinationRule with these ClientTLSSettings."""
    return mesh.destination_rule(name, tls={"mode": mode, **tls})
