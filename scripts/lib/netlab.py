"""Test hosts on one machine: network namespaces, veth wires, and the processes inside them.

In: a prefix that names everything made here. Out: Lab, Host. Used by scripts/run, tests/system, perf.
A Lab owns its namespaces and processes; destroy() removes all of them, also those of a killed run.
Ends of a wire that the kernel serves send whole, checksummed frames (no offload over veth).
"""

import ctypes
import glob
import os
import shutil
import signal
import socket
import subprocess
import time

CLONE_NEWNET = 0x40000000
NETNS_DIR = "/run/netns"
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """A host or wire could not be made; the text is for people."""


def sh(*command, check=True, **options):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", **options)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip() or done.returncode}")
    return done


def namespaces(prefix):
    if not os.path.isdir(NETNS_DIR):
        return []
    return sorted(name for name in os.listdir(NETNS_DIR) if name.startswith(prefix))


def pids_in(namespace):
    return [int(pid) for pid in sh("ip", "netns", "pids", namespace, check=False).stdout.split()]


def receive_in_thread(host, dev, cpu):
    """XDP programs run in NAPI, by default on the sender's CPU: a thread of its own is put on the receiver's, as RPS does for sockets."""
    host.run("sh", "-c", f"echo 1 >/sys/class/net/{dev}/threaded")
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path) as file:
                name = file.read().strip()
        except OSError:
            continue
        if name.startswith(f"napi/{dev}-"[:15]):   # the kernel cuts names at 15 bytes
            sh("taskset", "-pc", str(cpu), path.split("/")[2], check=False)


def remove_namespaces(prefix, grace_s=2.0):
    """Ends every process in namespaces with this prefix and removes them; how many were removed."""
    names = namespaces(prefix)
    for blow, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 2.0)):
        living = [pid for name in names for pid in pids_in(name)]
        for pid in living:
            try:
                os.kill(pid, blow)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + wait_s
        while living and time.monotonic() < deadline and any(pids_in(name) for name in names):
            time.sleep(0.02)
    for name in names:
        sh("ip", "netns", "del", name, check=False)
        shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
    return len(names)


class Host:
    """One namespace: a machine of its own as far as the network goes."""

    def __init__(self, lab, name):
        self.lab, self.name, self.ns = lab, name, lab.prefix + name
        sh("ip", "netns", "add", self.ns)
        self.run("ip", "link", "set", "lo", "up")
        for key in ("all", "default"):
            self.sysctl(f"net.ipv6.conf.{key}.accept_dad", 0)
            self.sysctl(f"net.ipv6.conf.{key}.router_solicitations", 0)

    def command(self, *command):
        return ["ip", "netns", "exec", self.ns, *command]

    def run(self, *command, check=True, **options):
        return sh(*self.command(*command), check=check, **options)

    def start(self, *command, log=None, **options):
        """A process that lives as long as the lab, or until stopped by its owner."""
        sink = open(log, "ab") if log else subprocess.DEVNULL
        options.setdefault("stdout", sink)
        options.setdefault("stderr", sink)
        process = subprocess.Popen(self.command(*command), stdin=subprocess.DEVNULL, start_new_session=True, **options)
        if log:
            sink.close()
        self.lab.processes.append(process)
        return process

    def sysctl(self, key, value):
        self.run("sysctl", "-qw", f"{key}={value}", check=False)

    def serve(self, dev, *addresses, steer_cpus=None):
        """The kernel serves this end: addresses, up, plain frames, receive work on the given CPUs."""
        self.run("ethtool", "-K", dev, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        for address in addresses:
            self.run("ip", "addr", "add", address, "dev", dev, *(["nodad"] if ":" in address else []))
        self.run("ip", "link", "set", dev, "arp", "on", "up")
        if steer_cpus is not None:
            self.steer(dev, steer_cpus)

    def steer(self, dev, cpus):
        mask = sum(1 << cpu for cpu in cpus)
        self.run("sh", "-c", f"for q in /sys/class/net/{dev}/queues/rx-*/rps_cpus; do echo {mask:x} >$q; done")

    def leave_bare(self, dev):
        """A user-space stack serves this end: the kernel keeps no address and says nothing on it."""
        self.sysctl(f"net.ipv6.conf.{dev}.disable_ipv6", 1)
        self.run("ip", "addr", "flush", "dev", dev)
        self.run("ethtool", "-K", dev, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        self.run("ip", "link", "set", dev, "arp", "off", "up")

    def mac(self, dev):
        return self.run("cat", f"/sys/class/net/{dev}/address").stdout.strip()

    def hosts_file(self, names):
        """What /etc/hosts says to commands run on this host."""
        folder = f"/etc/netns/{self.ns}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/hosts", "w") as file:
            file.write("127.0.0.1 localhost\n::1 localhost\n")
            file.writelines(f"{address} {name}\n" for name, address in names.items())

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        """A socket of this host, held by the calling process."""
        return self.inside(lambda: socket.socket(family, kind, proto))

    def inside(self, action):
        """What `action` returns when called in this host's network. A thread may visit; it always comes back."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"{NETNS_DIR}/{self.ns}", os.O_RDONLY)
        try:
            if _libc.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            return action()
        finally:
            if _libc.setns(home, CLONE_NEWNET) != 0:
                os._exit(70)  # a thread lost in another namespace must not go on
            os.close(home)
            os.close(there)


class Lab:
    """Owns hosts, wires and processes under one prefix."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.hosts = {}
        self.processes = []
        remove_namespaces(prefix, grace_s=0.2)

    def host(self, name):
        self.hosts[name] = Host(self, name)
        return self.hosts[name]

    def wire(self, a, a_dev, b, b_dev, mtu=1500, queues=1):
        """A veth pair with as many queues each way as are read: one nobody reads would leak frames to the kernel."""
        each = ("mtu", str(mtu), "numrxqueues", str(queues), "numtxqueues", str(queues))
        sh("ip", "link", "add", a_dev, "netns", a.ns, *each, "type", "veth", "peer", "name", b_dev, "netns", b.ns, *each)

    def bridge(self, host, name, devices):
        host.run("ip", "link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        for dev in [name, *devices]:
            host.sysctl(f"net.ipv6.conf.{dev}.disable_ipv6", 1)
            if dev != name:
                host.run("ip", "link", "set", dev, "master", name)
                host.run("ethtool", "-K", dev, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
            host.run("ip", "link", "set", dev, "up")

    def destroy(self):
        """Ends all processes and removes all namespaces; (namespaces removed, processes left)."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        removed = remove_namespaces(self.prefix)
        left = sum(len(pids_in(name)) for name in namespaces(self.prefix))
        self.processes.clear()
        self.hosts.clear()
        return removed, left
