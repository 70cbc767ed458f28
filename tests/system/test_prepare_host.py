"""scripts/prepare-host: what it changes, that undo is exact, what it refuses.

In: a tree of files that stands for /proc and /sys, and for huge pages this machine's own. Out: files, lines, exit codes.
"""

import json
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "scripts", "prepare-host")
PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
NIC = "0000:3b:00.0"


class Tree:
    def __init__(self, root):
        self.root = str(root)
        self.file(PAGES, "0")
        self.file("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "4")
        self.file("/sys/devices/system/cpu/online", "0-3")
        self.file("/sys/devices/system/cpu/isolated", "")
        self.file("/sys/devices/virtual/workqueue/cpumask", "f")
        for irq, cpus in ((1, "0"), (24, "2"), (25, "0-3")):
            self.file(f"/proc/irq/{irq}/smp_affinity_list", cpus)
        for cpu in range(4):
            self.file(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor", "schedutil")
        device = f"/sys/bus/pci/devices/{NIC}"
        self.file(f"{device}/net/eth0/address", "02:00:00:00:00:01")
        self.file(f"{device}/driver_override", "")
        self.file("/sys/bus/pci/drivers_probe", "")
        for driver in ("vfio-pci", "ixgbe"):
            self.file(f"/sys/bus/pci/drivers/{driver}/unbind", "")
        os.symlink("../../drivers/ixgbe", self.path(f"{device}/driver"))
        os.symlink("../../../kernel/iommu_groups/7", self.path(f"{device}/iommu_group"))
        for name in ("eth0", "eth1"):
            self.file(f"/sys/class/net/{name}/address", "02:00:00:00:00:01")
            self.file(f"/channels/{name}", "combined 8")
        self.routes()

    def path(self, name):
        return self.root + name

    def file(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text + "\n")

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read().strip()

    def routes(self, default=None, ssh=False):
        """eth0 leads to 192.0.2.0/24; the default route where told; an SSH session from 192.0.2.7."""
        lines = ["Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT", "eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0"]
        if default:
            lines.append(f"{default} 00000000 010200C0 0003 0 0 0 00000000 0 0 0")
        self.file("/proc/net/route", "\n".join(lines))
        state = "01" if ssh else "0A"
        self.file("/proc/net/tcp", f"sl local rem st\n0: 0A0200C0:0016 070200C0:C3BA {state} 0:0")

    def snapshot(self):
        out = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                if "/var/" in path or name in ("drivers_probe", "unbind"):   # these only take orders
                    continue
                out[path] = os.readlink(path) if os.path.islink(path) else open(path).read().strip()
        return out

    def run(self, *arguments):
        return subprocess.run([TOOL, *arguments, "--root", self.root], capture_output=True, text=True)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


EVERYTHING = ["apply", "--hugepages", "512", "--isolate", "2-3", "--governor", "2-3", "--channels", "eth1=2", "--bind", NIC]


def test_everything_is_applied_and_undone(tree):
    before = tree.snapshot()
    done = tree.run(*EVERYTHING)
    assert done.returncode == 0, done.stderr
    assert tree.read(PAGES) == "512"
    assert tree.read("/proc/irq/24/smp_affinity_list") == "0,1" and tree.read("/proc/irq/25/smp_affinity_list") == "0,1"
    assert tree.read("/proc/irq/1/smp_affinity_list") == "0", "an interrupt that is elsewhere stays as it is"
    assert tree.read("/sys/devices/virtual/workqueue/cpumask") == "3"
    assert tree.read("/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor") == "performance"
    assert tree.read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") == "schedutil"
    assert tree.read("/channels/eth1") == "combined 2"
    assert os.readlink(tree.path(f"/sys/bus/pci/devices/{NIC}/driver")).endswith("/vfio-pci")
    assert tree.read(f"/sys/bus/pci/devices/{NIC}/driver_override") == "vfio-pci"
    assert "isolcpus=2,3" in done.stdout, "what needs a boot option is said"
    shown = tree.run("show").stdout
    assert f"{PAGES}: was 0, set to 512" in shown
    assert tree.run("undo").returncode == 0
    assert tree.snapshot() == before
    assert tree.run("show").stdout == "nothing is changed\n"


def test_twice_is_as_once(tree):
    before = tree.snapshot()
    assert tree.run(*EVERYTHING).returncode == 0
    applied = tree.snapshot()
    assert tree.run(*EVERYTHING).returncode == 0
    assert tree.snapshot() == applied
    assert tree.run("undo").returncode == 0
    assert tree.snapshot() == before


def test_two_applies_undo_to_the_first_state(tree):
    before = tree.snapshot()
    for pages in ("128", "256"):
        assert tree.run("apply", "--hugepages", pages).returncode == 0
    assert tree.read(PAGES) == "256"
    tree.run("undo")
    assert tree.snapshot() == before


def test_dry_run_changes_nothing(tree):
    before = tree.snapshot()
    done = tree.run(*EVERYTHING, "--dry-run")
    assert done.returncode == 0 and f"{NIC}: ixgbe -> vfio-pci" in done.stdout and f"{PAGES}: 0 -> 512" in done.stdout
    assert tree.snapshot() == before and not os.path.exists(tree.path("/var"))
    tree.run(*EVERYTHING)
    applied = tree.snapshot()
    done = tree.run("undo", "--dry-run")
    assert f"{PAGES}: 512 -> 0" in done.stdout and tree.snapshot() == applied
    assert tree.run("show").stdout.count("set to") == 8


def test_what_somebody_else_changed_is_left_alone(tree):
    tree.run("apply", "--hugepages", "512", "--governor", "2")
    tree.file(PAGES, "1024")
    done = tree.run("undo")
    assert done.returncode == 0 and "left alone" in done.stdout
    assert tree.read(PAGES) == "1024" and tree.read("/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor") == "schedutil"


@pytest.mark.parametrize("default,ssh,words", [("eth0", False, "default route"), (None, True, "SSH session")])
@pytest.mark.parametrize("arguments", [["--bind", NIC], ["--channels", "eth0=2"]])
def test_a_nic_that_is_needed_is_refused(tree, default, ssh, words, arguments):
    tree.routes(default, ssh)
    before = tree.snapshot()
    done = tree.run("apply", *arguments)
    assert done.returncode == 1 and words in done.stderr and "--takeover" in done.stderr
    assert tree.snapshot() == before
    assert tree.run("apply", *arguments, "--takeover").returncode == 0


def test_a_nic_below_the_bridge_with_the_default_route_is_refused(tree):
    tree.routes("br0.7")
    tree.file("/sys/class/net/eth0/upper_br0/x", "")
    tree.file("/sys/class/net/br0/upper_br0.7/x", "")
    done = tree.run("apply", "--bind", NIC)
    assert done.returncode == 1 and "default route" in done.stderr


@pytest.mark.parametrize("arguments,words", [
    (["apply"], "nothing to do"),
    (["apply", "--bind", "0000:99:00.0"], "no PCI device"),
    (["apply", "--isolate", "0-3"], "leave one out"),
    (["apply", "--isolate", "9"], "choose of 0,1,2,3"),
    (["apply", "--channels", "eth9=2"], "interface that is there"),
    (["apply", "--hugepages", "4", "--size", "1G"], "no such setting"),
])
def test_refusals_name_the_cure(tree, arguments, words):
    before = tree.snapshot()
    done = tree.run(*arguments)
    assert done.returncode == 1 and words in done.stderr, done.stderr
    assert tree.snapshot() == before


def test_pages_of_one_node(tree):
    assert tree.run("apply", "--hugepages", "64@1").returncode == 0
    assert tree.read("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages") == "64"


def test_a_cut_in_the_middle_is_undone(tree):
    """The state file has a change before it is made: what a killed run did can be taken back."""
    tree.run("apply", "--hugepages", "512")
    state = tree.path("/var/lib/sluice-prepare-host/state.json")
    saved = json.load(open(state))
    saved["changes"].append({"kind": "file", "path": "/proc/irq/24/smp_affinity_list", "before": "2", "after": "0"})   # recorded, never made
    json.dump(saved, open(state, "w"))
    assert tree.run("undo").returncode == 0
    assert tree.read(PAGES) == "0" and tree.read("/proc/irq/24/smp_affinity_list") == "2"


def test_huge_pages_of_this_machine(tmp_path):
    """The kernel's own files: eight pages more, and back."""
    with open(PAGES) as file:
        before = int(file.read())
    state = str(tmp_path / "state.json")
    done = subprocess.run([TOOL, "apply", "--hugepages", str(before + 8), "--state", state], capture_output=True, text=True)
    try:
        assert done.returncode == 0, done.stderr
        with open("/proc/meminfo") as file:
            assert int(re.search(r"HugePages_Total:\s+(\d+)", file.read()).group(1)) == before + 8
    finally:
        undone = subprocess.run([TOOL, "undo", "--state", state], capture_output=True, text=True)
    assert undone.returncode == 0, undone.stderr
    with open(PAGES) as file:
        assert int(file.read()) == before
