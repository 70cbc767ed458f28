"""The machines of perf/compare --tls: as without TLS, each contender with two ports: `https` ends TLS and speaks plain to the backend,
`mtls` asks the client for a certificate and speaks mutual TLS to the backend.

In and out: as compare_lab.py. TLS 1.3, AES-128-GCM, X25519, ECDSA P-256 for all: client and backend offer nothing else. The floor is the
client's own TLS with the backend, its frames moved by perf/forwarder.
"""

import os
import shutil
import time

from compare_lab import PROXY_CPU, ROOT, SIZES, CompareLab, Contender, GatewayError, program
from tls_world import EDGE_NAME, SUITE, make_certificates, secret_words

KERNEL, SLUICE, FLOOR = "192.0.2.10", "198.51.100.10", "10.2.0.21"
ADDRESSES = {"nginx": KERNEL, "haproxy": KERNEL, "envoy": KERNEL, "sluice": SLUICE, "floor": FLOOR}
PORTS = {"nginx": (8443, 9443), "haproxy": (8444, 9444), "envoy": (8445, 9445), "sluice": (443, 8443), "floor": (9443, 9444)}
PROTOCOLS = ["https", "mtls"]


class TlsLab(CompareLab):
    handshake_threads = 0   # of Sluice: one core for all, as with the peers' one worker

    def __init__(self, work, driver="af_xdp", receive_on_proxy_core=True):
        self.certificates = make_certificates(os.path.join(work, "tls"))
        super().__init__(work, driver, receive_on_proxy_core)
        self.client.hosts_file({f"{name}.{EDGE_NAME}": address for name, address in ADDRESSES.items()})
        # A handshake is a connection: their ports are needed again within the minute.
        self.client.sysctl("net.ipv4.ip_local_port_range", "1024 65535")
        self.client.sysctl("net.ipv4.tcp_tw_reuse", 1)

    def _fill(self, name, **words):
        tls = f"tls_{name}"
        path = super()._fill(tls if os.path.exists(os.path.join(ROOT, "perf", "peers", tls)) else name, **words)
        if name == "sluice.yaml":
            with open(path, "a") as file:
                file.write(f"tls: {{handshakeThreads: {self.handshake_threads}}}\n")
        return path

    def _mesh(self):
        shutil.move(self._fill("mesh.yaml", BACKEND="10.1.0.21", PLAIN_PORT="9080", TLS_PORT="9444", **secret_words(self.certificates)),
                    os.path.join(self.work, "mesh", "mesh.yaml"))

    def certificate(self, protocol):
        return os.path.join(self.certificates, "client.pem") if protocol == "mtls" else ""

    def wrk(self, contender):
        """wrk has no option for a certificate, a preloaded library gives it one."""
        return ["env", f"LD_PRELOAD={program('client_certificate.so')}", f"SLUICE_CLIENT_SUITE={SUITE}",
                f"SLUICE_CLIENT_CERTIFICATE={self.certificate(contender.protocol)}", "wrk"]

    def use(self, contender, protocol):
        """From now on the contender is spoken to in this way."""
        port = PORTS[contender.name][PROTOCOLS.index(protocol)]
        contender.protocol, contender.url = protocol, f"https://{contender.name}.{EDGE_NAME}:{port}"
        contender.target = f"{ADDRESSES[contender.name]}:{port}"

    def _ask(self, contender, path):
        """Status and size of an answer, after the server's certificate was verified."""
        certificate = self.certificate(contender.protocol)
        return self.client.run("curl", "-sS", "-m", "5", "--cacert", os.path.join(self.certificates, "ca.crt"), *(["--cert", certificate] if certificate else []),
                               "-o", "/dev/null", "-w", "%{http_code} %{size_download}", f"{contender.url}/{path}", check=False)

    def start(self, name):
        contender: Contender = getattr(self, name)()
        for protocol in PROTOCOLS:
            self.use(contender, protocol)
            deadline = time.monotonic() + 15
            while (done := self._ask(contender, "0")).stdout != "200 0":
                if time.monotonic() > deadline:
                    raise GatewayError(f"{name} does not answer over {protocol}: {done.stderr.strip()} ({done.stdout}); see {self.work}/{name}*.log")
                time.sleep(0.1)
            for path, size in SIZES.items():
                done = self._ask(contender, path)
                if done.stdout != f"200 {size}":
                    raise GatewayError(f"{name} answers /{path} over {protocol} with {done.stdout!r}: {done.stderr.strip()}")
        contender.rest()
        return contender

    def tls_client(self, contender, cpu, *options, gives_way=False):
        """A running tls_client (perf/tls_client) against a contender; one that gives way has what others of its CPU leave, at any moment."""
        certificate = self.certificate(contender.protocol)
        command = ["taskset", "-c", str(cpu), *(["chrt", "--idle", "0"] if gives_way else []), program("tls_client"), "--target", contender.target, "--name", f"{contender.name}.{EDGE_NAME}",
                   *(["--certificate", certificate] if certificate else []), *map(str, options)]
        return command if cpu == PROXY_CPU else self.client.command(*command)
