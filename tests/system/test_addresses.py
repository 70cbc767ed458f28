"""Our own addresses on a wire where another host has one of them (RFC 5227, RFC 4862).

In: a client whose kernel holds one of the gateway's addresses. Out: the log and sluicectl name port, address and
holder; that address is left alone, the others are served from the start; once it is free it is taken.
"""

import time

import pytest
from harness import mesh
from harness.bench import ADDRESS, BACKENDS

TAKEN, TAKEN6 = "192.0.2.77", "2001:db8::77"


@pytest.fixture
def web(bench):
    yield bench
    for address in (TAKEN + "/24", TAKEN6 + "/64"):
        bench.client.run("ip", "addr", "del", address, "dev", "eth0", check=False)
    bench.stop()   # the next test gets the usual addresses


def ports_of(bench, addresses):
    ports = bench.config()["ports"]
    ports[0]["addresses"] += addresses
    return bench.config({"ports": ports})


def wait_for(condition, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_an_address_that_another_host_has_is_told_and_left_alone(web):
    web.client.run("ip", "addr", "add", TAKEN + "/24", "dev", "eth0")
    web.client.run("ip", "addr", "add", TAKEN6 + "/64", "dev", "eth0", "nodad")
    web.write_mesh(mesh.simple(BACKENDS[0]))
    gateway = web.start(ports_of(web, [TAKEN + "/24", TAKEN6 + "/64"]))
    assert web.ask("/").body == b"b1", "served while the others are asked"
    holder = web.client.mac("eth0")
    for address in (TAKEN, TAKEN6):
        line = f"{address} is in use by {holder}"
        assert wait_for(lambda: line in gateway.ctl("status").stdout), gateway.ctl("status").stdout + gateway.log_tail()
        assert wait_for(lambda: f"port outside: {line}" in gateway.log_tail(100)), gateway.log_tail(100)
    assert web.metric("sluice_net_address_duplicate_total") == 2
    assert ADDRESS not in "".join(l for l in gateway.ctl("status").stdout.splitlines() if "CONFLICT" in l)
    assert web.ask("/").body == b"b1" and web.ask("/", ipv6=True).body == b"b1"


def test_addresses_of_our_own_are_no_conflict(web):
    web.write_mesh(mesh.simple(BACKENDS[0]))
    gateway = web.start(ports_of(web, [TAKEN + "/24", TAKEN6 + "/64"]))
    for _ in range(3):   # past the time of asking, again and again asked for by the client
        assert web.client.run("ping", "-c", "5", "-i", "0.1", "-W", "2", TAKEN, check=False).returncode == 0
    assert "CONFLICT" not in gateway.ctl("status").stdout
    assert web.metric("sluice_net_address_duplicate_total") == 0
