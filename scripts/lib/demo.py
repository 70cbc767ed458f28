"""The demo's machines: a client, the gateway, three nginx backends, and the wires between them.

In: a temporary directory. Out: Demo (hosts, gateway, mesh files, counters of what backends served).
Addresses: client 192.0.2.2, gateway 192.0.2.10 and 10.0.0.10, backends 10.0.0.21 to .23, port 9080.
Everything is named sluice-*, so what a killed run left behind is found and removed by name.
"""

import glob
import json
import os
import shutil
import subprocess
import time

import certs
from gateway import ROOT, Gateway, UnixConnection, start_best
from netlab import Lab

PREFIX = "sluice-"
GATEWAY_ADDRESS = "192.0.2.10"
BACKENDS = {"reviews-v1": "10.0.0.21", "reviews-v2": "10.0.0.22", "ratings": "10.0.0.23"}
KERNEL_CPU = [0]  # the gateway's core is 1

NGINX = """daemon off;
user root;
worker_processes 1;
pid {dir}/{name}.pid;
error_log {dir}/{name}.error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    default_type application/json;
    map $http_x_forwarded_client_cert $client {{ "~URI=(?<identity>[^;,]+)" $identity; default nobody; }}
    client_body_temp_path {dir}/{name}.body; proxy_temp_path {dir}/{name}.proxy;
    fastcgi_temp_path {dir}/{name}.f; uwsgi_temp_path {dir}/{name}.u; scgi_temp_path {dir}/{name}.s;
    server {{
        listen {address}:9080;
        add_header x-served-by {name};
        location / {{ return 200 '{{"served by": "{name}", "path": "$request_uri", "client": "$client"}}\\n'; }}
    }}
{more}    server {{
        listen unix:{dir}/{name}.status;
        location / {{ stub_status; }}
    }}
}}
"""


# On the host of `ratings`: who shows no certificate of the mesh gets nothing.
VAULT = """    server {{
        listen {address}:9443 ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {roots};
        ssl_verify_client on;
        ssl_protocols TLSv1.2 TLSv1.3;
        add_header x-served-by vault;
        location / {{ return 200 '{{"served by": "vault", "client": "$ssl_client_s_dn", "tls": "$ssl_protocol"}}\\n'; }}
    }}
"""


class Demo:
    def __init__(self, work, say=print):
        self.work, self.say = work, say
        self.lab = Lab(PREFIX)
        self.mesh = os.path.join(work, "mesh")
        self.config = os.path.join(work, "sluice.yaml")
        self.access_log = os.path.join(work, "access.log")
        self.driver = ""

    def start(self):
        self._wires()
        self._certificates()
        self._backends()
        self._config()
        self.gateway = Gateway(self.lab.hosts["gateway"], self.config, os.path.join(self.work, "admin.sock"),
                               os.path.join(self.work, "sluiced.log"))
        self.driver = start_best(self.gateway, self.say)
        self._await_backends()

    def _wires(self):
        names = ["client", "gateway", "net", *BACKENDS]
        client, gateway, net = (self.lab.host(name) for name in names[:3])
        self.lab.wire(client, "eth0", gateway, "outside0")
        self.lab.wire(gateway, "inside0", net, "gateway")
        client.serve("eth0", "192.0.2.2/24", "2001:db8::2/64", steer_cpus=KERNEL_CPU)
        for dev in ("outside0", "inside0"):
            gateway.leave_bare(dev)
        for name, address in BACKENDS.items():
            host = self.lab.host(name)
            self.lab.wire(host, "eth0", net, name)
            host.serve("eth0", f"{address}/16", steer_cpus=KERNEL_CPU)
        self.lab.bridge(net, "br0", ["gateway", *BACKENDS])
        for host in self.lab.hosts.values():
            host.hosts_file({"shop.example": GATEWAY_ADDRESS, **BACKENDS})

    def _certificates(self):
        """Of the shop for browsers, of the mesh for the gateway and the vault; all end with the demo."""
        folder = os.path.join(self.work, "certificates")
        self.ca = certs.Authority(os.path.join(folder, "ca"), "Sluice demo CA")
        self.mesh_ca = certs.Authority(os.path.join(folder, "mesh"), "Sluice demo mesh CA")
        self.alice = self.ca.identity("alice", "people", usage=[certs.CLIENT])
        self.shop = self.issue_shop()
        self.identity = self.mesh_ca.identity("gateway", "istio-system")
        self.vault = self.mesh_ca.identity("vault", "shop")

        self.ca_shown = os.path.join(".cache", "demo-ca.crt")   # where commands on test hosts find it
        shutil.copy(self.ca.certificate, os.path.join(ROOT, self.ca_shown))

    def issue_shop(self):
        return self.ca.issue("shop", dns=["shop.example"], usage=[certs.SERVER])

    def write_certificates(self, shop):
        """The Secret that the doors of edge.yaml name, and whose clients the second one takes; an edit of the mesh like any other."""
        certs.write(os.path.join(self.mesh, "certificates.yaml"), json.dumps(certs.tls_secret("shop-cert", shop, ca=self.ca.pem), indent=1) + "\n")   # JSON is YAML too

    def _backends(self):
        for name, address in BACKENDS.items():
            path = os.path.join(self.work, f"{name}.conf")
            with open(path, "w") as file:
                vault = VAULT.format(address=address, certificate=self.vault.certificate, key=self.vault.key, roots=self.mesh_ca.certificate)
                file.write(NGINX.format(dir=self.work, name=name, address=address, more=vault if name == "ratings" else ""))
            # -e: before it reads its file, nginx would open a log in /var/log.
            self.lab.hosts[name].start("taskset", "-c", "0", "nginx", "-e", os.path.join(self.work, f"{name}.error.log"), "-c", path,
                                       log=os.path.join(self.work, f"{name}.log"))

    def _await_backends(self, timeout_s=5.0):
        deadline = time.monotonic() + timeout_s
        while not all(os.path.exists(os.path.join(self.work, f"{name}.status")) for name in BACKENDS):
            if time.monotonic() > deadline:
                raise RuntimeError(f"a backend's nginx did not start: see {self.work}")
            time.sleep(0.02)

    def _config(self):
        shutil.copytree(os.path.join(ROOT, "configs", "mesh"), self.mesh)
        shutil.copytree(os.path.join(ROOT, "configs", "demo", "mesh"), self.mesh, dirs_exist_ok=True)
        self.write_certificates(self.shop)
        with open(os.path.join(ROOT, "configs", "demo", "sluice.yaml")) as file:
            text = file.read()
        text = (text.replace("/etc/sluice/mesh", self.mesh).replace("/var/lib/sluice", os.path.join(self.work, "state")).replace("/run/sluice/admin.sock", os.path.join(self.work, "admin.sock"))
                .replace("/dev/stdout", self.access_log).replace("/etc/sluice/identity/cert-chain.pem", self.identity.certificate)
                .replace("/etc/sluice/identity/key.pem", self.identity.key).replace("/etc/sluice/identity/root-cert.pem", self.mesh_ca.certificate))
        if (os.cpu_count() or 1) < 2:
            text = text.replace("cores: [1]", "cores: [0]")
        with open(self.config, "w") as file:
            file.write(text)

    # --- What the tour looks at ------------------------------------------------------------------

    def curl(self, *arguments):
        return self.lab.hosts["client"].run("curl", "-sS", "--max-time", "5", *arguments, check=False)

    def wrk(self, seconds, connections=16, url="http://shop.example/reviews/7"):
        """Load from the client in the background; its report is read with finish_wrk."""
        return subprocess.Popen(
            self.lab.hosts["client"].command("taskset", "-c", "0", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                                             url),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def serial_served(self):
        """Of the certificate that a new handshake gets."""
        shown = subprocess.run(self.lab.hosts["client"].command("openssl", "s_client", "-connect", f"{GATEWAY_ADDRESS}:443", "-servername", "shop.example"),
                               input="", capture_output=True, text=True, timeout=20)
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown.stdout, capture_output=True, text=True).stdout.strip().removeprefix("serial=")

    def served(self, name):
        """Requests this backend has answered so far, from nginx's own count."""
        connection = UnixConnection(os.path.join(self.work, f"{name}.status"))
        try:
            connection.request("GET", "/")
            words = connection.getresponse().read().decode().split()
        finally:
            connection.close()
        return int(words[9])  # "Active connections: 1 server accepts handled requests 1 1 1 ..."

    def reviews_file(self):
        """The mesh file that splits reviews 90 to 10."""
        for path in sorted(glob.glob(os.path.join(self.mesh, "**", "*.y*ml"), recursive=True)):
            with open(path) as file:
                if "weight: 90" in file.read():
                    return path
        raise RuntimeError(f"no file in {self.mesh} says `weight: 90`")

    def access_line(self, needle, timeout_s=2.0):
        """The newest access-log line with this text; the log is written off the workers, so a wait."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if os.path.exists(self.access_log):
                with open(self.access_log, errors="replace") as file:
                    for line in reversed(file.readlines()):
                        if needle in line:
                            return line.rstrip()
            time.sleep(0.02)
        return ""

    def destroy(self):
        try:
            os.unlink(os.path.join(ROOT, ".cache", "demo-ca.crt"))
        except FileNotFoundError:
            pass
        return self.lab.destroy()
