"""Which route a request takes, and what the route does to it: Istio's VirtualService, clause by clause.

In: objects of harness/mesh.py. Out: the backend that answered, the target and headers it saw.
Weights are judged by the backends' own records, within 4 sigma.
"""

import math

import pytest
from harness import mesh
from harness.bench import BACKENDS
from harness.mesh import to


def objects(routes, **options):
    """Services a and b on backends 1 and 2; routes as given."""
    return [mesh.gateway(), mesh.service("a", [BACKENDS[0]]), mesh.service("b", [BACKENDS[1]]), mesh.virtual_service(routes, **options)]


def match_or_b(**match):
    """What matches goes to a, the rest to b."""
    return objects([{"match": [match], "route": [to("a")]}, {"route": [to("b")]}])


def who(bench, target="/", **options):
    return bench.ask(target, **options).body.decode()


@pytest.mark.parametrize("kind,value,yes,no", [
    ("exact", "/shop", ["/shop", "/shop?x=1"], ["/shop/", "/shopping", "/Shop", "/"]),
    ("prefix", "/shop", ["/shop", "/shop/1", "/shopping", "/shop?x"], ["/sho", "/x/shop", "/Shop"]),
    ("regex", "/item/[0-9]+", ["/item/7", "/item/123?q"], ["/item/", "/item/7/more", "/item/x", "/x/item/7"]),
    ("regex", "/(red|blue)/.*", ["/red/", "/blue/x/y"], ["/green/", "/red"]),
])
def test_uri(bench, kind, value, yes, no):
    bench.apply(match_or_b(uri={kind: value}))
    assert {t: who(bench, t) for t in yes} == {t: "b1" for t in yes}
    assert {t: who(bench, t) for t in no} == {t: "b2" for t in no}


def test_uri_without_case(bench):
    bench.apply(match_or_b(uri={"prefix": "/Shop"}, ignoreUriCase=True))
    assert [who(bench, t) for t in ("/shop", "/SHOP/1", "/sho")] == ["b1", "b1", "b2"]


def test_method(bench):
    bench.apply(match_or_b(method={"exact": "POST"}))
    assert who(bench, method="POST", body="x") == "b1" and who(bench) == "b2"


@pytest.mark.parametrize("kind,value,yes,no", [
    ("exact", "one", "one", "one1"), ("prefix", "on", "one", "no"), ("regex", "o.e", "one", "oone")])
def test_header(bench, kind, value, yes, no):
    bench.apply(match_or_b(headers={"x-kind": {kind: value}}))
    assert who(bench, headers=[f"X-Kind: {yes}"]) == "b1"
    assert who(bench, headers=[f"X-Kind: {no}"]) == "b2"
    assert who(bench) == "b2"


def test_header_presence_and_absence(bench):
    bench.apply(match_or_b(headers={"x-there": {}}))
    assert who(bench, headers=["X-There: anything"]) == "b1" and who(bench) == "b2"
    bench.apply(match_or_b(withoutHeaders={"x-there": {}}))
    assert who(bench, headers=["X-There: anything"]) == "b2" and who(bench) == "b1"


@pytest.mark.parametrize("kind,value,yes,no", [("exact", "1", "/?v=1", "/?v=2"), ("regex", "[0-9]+", "/?a=x&v=42", "/?v=x"),
                                               ("prefix", "ab", "/?v=abc", "/?v=b")])
def test_query(bench, kind, value, yes, no):
    bench.apply(match_or_b(queryParams={"v": {kind: value}}))
    assert who(bench, yes) == "b1" and who(bench, no) == "b2" and who(bench, "/") == "b2"


def test_authority(bench):
    bench.apply([mesh.gateway(), mesh.service("a", [BACKENDS[0]]), mesh.service("b", [BACKENDS[1]]),
                 mesh.virtual_service([{"match": [{"authority": {"prefix": "www."}}], "route": [to("a")]}, {"route": [to("b")]}],
                                      hosts=["*.shop.example", "shop.example"])])
    assert who(bench, host="www.shop.example") == "b1" and who(bench, host="api.shop.example") == "b2"


def test_all_conditions_of_a_match_and_any_match_of_a_route(bench):
    bench.apply(objects([{"match": [{"uri": {"prefix": "/x"}, "method": {"exact": "GET"}, "headers": {"k": {"exact": "v"}}},
                                    {"uri": {"exact": "/or"}}], "route": [to("a")]}, {"route": [to("b")]}]))
    assert who(bench, "/x", headers=["k: v"]) == "b1"
    assert who(bench, "/x") == "b2"
    assert who(bench, "/x", method="POST", headers=["k: v"], body="") == "b2"
    assert who(bench, "/or") == "b1"


def test_first_match_wins(bench):
    bench.apply(objects([{"match": [{"uri": {"prefix": "/a"}}], "route": [to("a")]},
                         {"match": [{"uri": {"exact": "/ab"}}], "route": [to("b")]},
                         {"match": [{"uri": {"regex": "/c.*"}}], "route": [to("b")]},
                         {"match": [{"uri": {"prefix": "/cc"}}], "route": [to("a")]}]))
    assert who(bench, "/ab") == "b1" and who(bench, "/cc") == "b2"
    assert bench.ask("/zzz").status == 404


def test_a_large_table_still_matches_in_order(bench):
    routes = [{"match": [{"uri": {"exact": f"/exact/{i}"}}], "route": [to("a")]} for i in range(300)]
    routes += [{"match": [{"uri": {"regex": f"/regex/{i}/[a-z]+"}}], "route": [to("b")]} for i in range(100)]
    routes += [{"match": [{"uri": {"prefix": f"/prefix/{i}/"}}], "route": [to("a")]} for i in range(300)]
    bench.apply(objects(routes))
    assert [who(bench, t) for t in ("/exact/299", "/regex/77/abc", "/prefix/200/x")] == ["b1", "b2", "b1"]
    assert bench.ask("/regex/77/123").status == 404 and bench.ask("/exact/300").status == 404


def test_hosts_exact_wildcard_and_none(bench):
    bench.apply([mesh.gateway(), mesh.service("a", [BACKENDS[0]]), mesh.service("b", [BACKENDS[1]]),
                 mesh.virtual_service([{"route": [to("a")]}], hosts=["shop.example"], name="exact"),
                 mesh.virtual_service([{"route": [to("b")]}], hosts=["*.example"], name="wild")])
    assert who(bench) == "b1" and who(bench, host="SHOP.example") == "b1" and who(bench, host="shop.example:80") == "b1"
    assert who(bench, host="other.example") == "b2"
    response = bench.ask("/", host="nobody.test")
    assert response.status == 404
    assert " NR " in bench.access_lines("nobody.test")[-1]


def test_gateway_hosts_bound_what_is_served(bench):
    bench.apply([mesh.gateway(hosts=["shop.example"]), mesh.service("a", [BACKENDS[0]]),
                 mesh.virtual_service([{"route": [to("a")]}], hosts=["shop.example"])])
    assert who(bench) == "b1" and bench.ask("/", host="else.example").status == 404


@pytest.mark.parametrize("weights", [(90, 10), (50, 50), (1, 99), (100, 0)])
def test_weights_within_4_sigma(bench, weights):
    bench.apply(objects([{"route": [to("a", weight=weights[0]), to("b", weight=weights[1])]}]))
    count = 2000
    with bench.connect() as wire:
        for start in range(0, count, 50):
            wire.send("GET /w HTTP/1.1\r\nHost: shop.example\r\n\r\n" * 50)
            for _ in range(50):
                assert wire.response().status == 200
    seen = [len(b.requests) for b in bench.backends[:2]]
    assert sum(seen) == count
    p = weights[0] / 100
    assert abs(seen[0] - count * p) <= 4 * math.sqrt(count * p * (1 - p)), f"{seen} for {weights}"


def test_rewrite_of_prefix_and_authority(bench):
    bench.apply(objects([{"match": [{"uri": {"prefix": "/old/"}}], "rewrite": {"uri": "/new/", "authority": "inner.example"},
                          "route": [to("a")]}]))
    assert who(bench, "/old/x?y=1") == "b1"
    request = bench.backends[0].find("/new/")
    assert request.target == "/new/x?y=1" and request.all("host") == ["inner.example"]


def test_rewrite_of_exact_path(bench):
    bench.apply(objects([{"match": [{"uri": {"exact": "/one"}}], "rewrite": {"uri": "/two"}, "route": [to("a")]}]))
    who(bench, "/one?q")
    assert bench.backends[0].find("/two").target == "/two?q"


def test_rewrite_by_regex(bench):
    bench.apply(objects([{"match": [{"uri": {"prefix": "/user/"}}],
                          "rewrite": {"uriRegexRewrite": {"match": "/user/([^/]+)/(.*)", "rewrite": r"/\2/of/\1"}}, "route": [to("a")]}]))
    who(bench, "/user/ann/cart?z")
    assert bench.backends[0].find("/cart").target == "/cart/of/ann?z"


@pytest.mark.parametrize("redirect,target,status,location", [
    ({"uri": "/new"}, "/old?x=1", 301, "http://shop.example/new"),
    ({"authority": "other.example"}, "/old", 301, "http://other.example/old"),
    ({"scheme": "https", "redirectCode": 308}, "/old", 308, "https://shop.example/old"),
    ({"authority": "other.example", "port": 8443, "scheme": "https", "redirectCode": 302}, "/old", 302, "https://other.example:8443/old"),
])
def test_redirect(bench, redirect, target, status, location):
    bench.apply(objects([{"match": [{"uri": {"prefix": "/old"}}], "redirect": redirect}]))
    response = bench.ask(target)
    assert response.status == status
    assert response.get("location").split("?")[0] == location
    assert bench.backends[0].requests == []


def test_direct_response(bench):
    bench.apply(objects([{"match": [{"uri": {"exact": "/teapot"}}], "directResponse": {"status": 418, "body": {"string": "short and stout"}}},
                         {"route": [to("a")]}]))
    response = bench.ask("/teapot")
    assert (response.status, response.body) == (418, b"short and stout")
    with bench.connect() as wire:
        for _ in range(3):
            wire.send("GET /teapot HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            assert wire.response().status == 418
    assert who(bench, "/x") == "b1"


def test_header_operations(bench):
    from harness.backend import answer

    bench.backends[0].on("/h", answer(200, "x", ["x-gone: 1", "x-kept: 1"]))
    bench.apply(objects([{"route": [to("a", headers={"request": {"add": {"x-dest": "d"}}, "response": {"set": {"x-from": "dest"}}})],
                          "headers": {"request": {"set": {"x-set": "new"}, "add": {"x-add": "2"}, "remove": ["x-del"]},
                                      "response": {"remove": ["x-gone"], "add": {"x-more": "m"}}}}]))
    response = bench.ask("/h", headers=["X-Set: old", "X-Add: 1", "X-Del: 1"])
    request = bench.backends[0].find("/h")
    assert request.all("x-set") == ["new"] and request.all("x-add") == ["1", "2"] and request.get("x-del") is None
    assert request.get("x-dest") == "d"
    assert response.get("x-gone") is None and response.get("x-kept") == "1"
    assert response.get("x-more") == "m" and response.get("x-from") == "dest"


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_api_versions(bench, version):
    documents = objects([{"route": [to("a")]}])
    for document in documents:
        document["apiVersion"] = f"networking.istio.io/{version}"
    bench.apply(documents)
    assert who(bench) == "b1"


@pytest.mark.parametrize("policy", ["ROUND_ROBIN", "RANDOM", "LEAST_REQUEST"])
def test_load_balancing_uses_every_endpoint(bench, policy):
    bench.apply(mesh.simple(*BACKENDS) + [mesh.destination_rule("web", loadBalancer={"simple": policy})])
    with bench.connect() as wire:
        for _ in range(400):
            wire.send("GET /lb HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            assert wire.response().status == 200
    seen = [len(b.requests) for b in bench.backends]
    sigma = math.sqrt(400 * 0.25 * 0.75)
    bound = 4 if policy == "ROUND_ROBIN" else 4 * sigma
    assert sum(seen) == 400 and all(abs(n - 100) <= bound for n in seen), f"{policy}: {seen}"


def test_subsets_choose_by_label(bench):
    bench.apply([mesh.gateway(), mesh.service("web", [(BACKENDS[0], {"version": "v1"}), (BACKENDS[1], {"version": "v2"})]),
                 mesh.destination_rule("web", ["v1", "v2"]),
                 mesh.virtual_service([{"match": [{"uri": {"prefix": "/v1"}}], "route": [to("web", "v1")]},
                                       {"match": [{"uri": {"prefix": "/v2"}}], "route": [to("web", "v2")]}])])
    assert {who(bench, f"/v1/{i}") for i in range(10)} == {"b1"} and {who(bench, f"/v2/{i}") for i in range(10)} == {"b2"}


def test_workload_entries_are_endpoints(bench):
    entry = mesh.object_("WorkloadEntry", "vm-1", {"address": BACKENDS[2], "labels": {"app": "web"}, "ports": {"http": 9080}})
    service = mesh.service("web", [])
    del service["spec"]["endpoints"]
    service["spec"]["workloadSelector"] = {"labels": {"app": "web"}}
    bench.apply([mesh.gateway(), service, entry, mesh.virtual_service([{"route": [to("web")]}])])
    assert who(bench) == "b3"


def test_port_of_the_gateway_other_than_80(bench):
    bench.apply([mesh.gateway(), mesh.gateway(port=8080, name="alt"), mesh.service("a", [BACKENDS[0]]), mesh.service("b", [BACKENDS[1]]),
                 mesh.virtual_service([{"route": [to("a")]}]),
                 mesh.virtual_service([{"route": [to("b")]}], name="alt", gateways=["alt"])])
    assert who(bench) == "b1" and who(bench, port=8080) == "b2"
