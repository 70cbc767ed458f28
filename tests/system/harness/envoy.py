"""A real Envoy (BoringSSL) as a client or a server of the gateway, from the binary that scripts/setup puts into .cache/venv.

In: a host, a folder, what it listens on and whom it calls. Out: a running process; its owner ends it.
"""

import glob
import os
import socket
import time

import yaml

from .bench import ROOT

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
HTTP = "type.googleapis.com/envoy.extensions.filters."


def binary():
    found = glob.glob(os.path.join(ROOT, ".cache", "venv", "lib", "python3*", "site-packages", "envoy", "_bin", "envoy"))
    assert found, "no Envoy in .cache/venv: run scripts/setup"
    return found[0]


def address(host, port):
    return {"socket_address": {"address": host, "port_value": port}}


def common(pair=None, ca=None, versions=("TLSv1_2", "TLSv1_3"), suites=(), sans=()):
    """A CommonTlsContext."""
    context = {"tls_params": {"tls_minimum_protocol_version": versions[0], "tls_maximum_protocol_version": versions[1]}, "alpn_protocols": ["http/1.1"]}
    if suites:
        context["tls_params"]["cipher_suites"] = list(suites)
    if pair:
        context["tls_certificates"] = [{"certificate_chain": {"filename": pair.certificate}, "private_key": {"filename": pair.key}}]
    if ca:
        context["validation_context"] = {"trusted_ca": {"filename": ca}}
        if sans:
            context["validation_context"]["match_typed_subject_alt_names"] = [{"san_type": kind, "matcher": {"exact": name}} for kind, name in sans]
    return context


def socket_of(kind, context, **more):
    return {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": TLS + kind, "common_tls_context": context, **more}}


def listener(host, port, routes, transport_socket=None):
    manager = {"@type": HTTP + "network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "edge", "codec_type": "HTTP1",
               "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
               "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": HTTP + "http.router.v3.Router"}}]}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if transport_socket:
        chain["transport_socket"] = transport_socket
    return {"name": "edge", "address": address(host, port), "filter_chains": [chain]}


def cluster(name, host, port, transport_socket):
    return {"name": name, "type": "STATIC", "connect_timeout": "5s", "transport_socket": transport_socket,
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(host, port)}}]}]}}


def client(port, to, transport_socket):
    """Plain HTTP on loopback, TLS to `to`."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "gateway", "timeout": "20s"}}]
    return {"listeners": [listener("127.0.0.1", port, routes)], "clusters": [cluster("gateway", *to, transport_socket)]}


def server(host, port, transport_socket):
    """Answers with what it knows of its client."""
    told = {"text_format_source": {"inline_string": "%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_PEER_URI_SAN%"}}
    routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200},
               "response_headers_to_add": [{"header": {"key": "x-seen", "value": told["text_format_source"]["inline_string"]}}]}]
    return {"listeners": [listener(host, port, routes, transport_socket)]}


def start(host, folder, resources, ready):
    """`ready`: the address and port that must listen before this returns."""
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/envoy.yaml", "w") as file:
        yaml.safe_dump({"static_resources": resources}, file)
    process = host.start(binary(), "-c", f"{folder}/envoy.yaml", "--concurrency", "1", "-l", "warning", "--disable-hot-restart", log=f"{folder}/envoy.log")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        sock = host.socket(socket.AF_INET)
        try:
            sock.connect(ready)
            return process
        except OSError:
            time.sleep(0.05)
        finally:
            sock.close()
    raise AssertionError(f"Envoy does not listen on {ready}:\n{open(f'{folder}/envoy.log', errors='replace').read()[-3000:]}")
