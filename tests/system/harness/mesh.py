"""Istio API objects as tests write them: short functions that return dicts, and their YAML.

In: names and values. Out: dicts in the shape of networking.istio.io/v1, `render` to YAML text.
Hosts of services are NAME.shop.svc.cluster.local; the gateway's host is shop.example.
"""

import yaml

HOST = "shop.example"


def object_(kind, name, spec, version="v1", namespace="shop"):
    return {"apiVersion": f"networking.istio.io/{version}", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def gateway(hosts=("*",), port=80, name="edge", **server):
    spec = {"selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": port, "name": f"http-{port}", "protocol": "HTTP"}, "hosts": list(hosts), **server}]}
    return object_("Gateway", name, spec)


def fqdn(name):
    return f"{name}.shop.svc.cluster.local"


def service(name, endpoints, port=9080, **spec):
    """A ServiceEntry; endpoints are addresses or (address, labels)."""
    entries = []
    for endpoint in endpoints:
        address, labels = endpoint if isinstance(endpoint, tuple) else (endpoint, {})
        entries.append({"address": address, **({"labels": labels} if labels else {})})
    return object_("ServiceEntry", name, {
        "hosts": [fqdn(name)], "location": "MESH_INTERNAL", "resolution": "STATIC",
        "ports": [{"number": port, "name": "http", "protocol": "HTTP"}], "endpoints": entries, **spec})


def to(name, subset=None, weight=None, port=9080, **extra):
    """One weighted destination."""
    destination = {"host": fqdn(name), "port": {"number": port}}
    if subset:
        destination["subset"] = subset
    return {"destination": destination, **({"weight": weight} if weight is not None else {}), **extra}


def virtual_service(routes, hosts=(HOST,), name="routes", gateways=("edge",)):
    return object_("VirtualService", name, {"hosts": list(hosts), "gateways": list(gateways), "http": routes})


def destination_rule(name, subsets=(), **policy):
    spec = {"host": fqdn(name)}
    if policy:
        spec["trafficPolicy"] = policy
    if subsets:
        spec["subsets"] = [{"name": s, "labels": {"version": s}} for s in subsets]
    return object_("DestinationRule", name, spec)


def simple(*addresses, routes=None, **service_options):
    """A gateway on port 80, one service `web`, and routes (all to it, when none are given)."""
    return [gateway(), service("web", addresses, **service_options), virtual_service(routes or [{"route": [to("web")]}])]


def render(objects):
    return yaml.safe_dump_all(objects, sort_keys=False)
