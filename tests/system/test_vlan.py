"""The gateway on a trunk: its port carries one VLAN, the client sits behind a switch that takes the tags off.

In: ports[].vlan of the gateway's file; tests/support/impair as the switch (these kernels have no VLAN devices). Out: pings,
requests and bodies on both drivers, which hand the tag over in the frame (AF_XDP) and beside it (AF_PACKET); frames of other
VLANs, without a tag or with two of them are dropped and counted.
"""

import hashlib
import random
import shutil
import tempfile

import pytest
from harness import mesh, packets
from harness.backend import answer
from harness.bench import ADDRESS, ADDRESS6, BACKENDS, CLIENT, Bench
from harness.packets import SYN

VLAN = 120


@pytest.fixture(scope="module")
def trunk():
    work = tempfile.mkdtemp(prefix="sluice-vlan-")
    bench = Bench(work, prefix="sluv-", vlan=VLAN)
    yield bench
    bench.destroy()
    shutil.rmtree(work, ignore_errors=True)


@pytest.fixture(params=["af_xdp", "af_packet"])
def web(trunk, request):
    trunk.write_mesh(mesh.simple(BACKENDS[0]))
    trunk.start(trunk.config(driver=request.param))
    return trunk


def test_a_client_of_the_vlan_is_served(web):
    for address in (ADDRESS, ADDRESS6):
        done = web.client.run("ping", "-c", "3", "-i", "0.05", "-W", "2", address, check=False)
        assert " 0% packet loss" in done.stdout, done.stdout
        full = web.client.run("ping", "-c", "1", "-W", "2", "-M", "do", "-s", "1452", address, check=False)
        assert " 0% packet loss" in full.stdout, full.stdout   # 1,500 bytes of IP and the tag
    assert web.ask("/").body == b"b1" and web.ask("/", ipv6=True).body == b"b1"
    data = random.Random(1).randbytes(1 << 20)
    web.backends[0].on("/echo", lambda wire, request: wire.send(answer(200, request.body)))
    assert hashlib.sha256(web.ask("/echo", "POST", body=data).body).digest() == hashlib.sha256(data).digest()
    assert web.metric("sluice_net_rx_other_vlan_total") == 0


def test_other_frames_are_dropped_and_counted(web):
    injector = packets.Injector(web.switch, "trunk0", web.gateway_host.mac("outside0"))
    segment = packets.tcp(CLIENT, ADDRESS, 40000, 80, 1, 0, SYN)

    def frame(tags):
        header = b"".join(bytes.fromhex(t) for t in tags)
        return packets.ethernet(injector.peer, injector.mac, 0x0800, b"")[:12] + header + b"\x08\x00" + segment

    accepted = web.metric("sluice_net_rx_frames_total")
    for _ in range(50):
        injector.frame(frame([]))                            # no tag
        injector.frame(frame(["81000079"]))                  # 121
        injector.frame(frame(["88a80078", "81000078"]))      # a service tag and one of ours
        injector.frame(frame(["81000078", "81000078"]))      # two of ours
    assert web.ask("/after").status == 200
    injector.close()
    assert web.metric("sluice_net_rx_other_vlan_total") == 100
    assert web.metric("sluice_net_rx_stacked_vlan_total") == 100
    assert web.metric("sluice_net_rx_frames_total") > accepted
