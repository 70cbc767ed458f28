"""A kernel's TCP on the other end of libsluice_tcp.so: a TUN device in a test host, and the loop that carries packets and time.

In: a host, an address for each end. Out: Wire, whose until() runs both ends until something is so. No frame has a link header:
what the kernel routes to the device is an IP packet for us. Owns the device, not the stack.
"""

import fcntl
import os
import select
import struct
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PATIENCE_S = 30  # until something is wrong: no test waits so long for what works


def mark(packet):
    """An IPv4 packet with ECT as a router in trouble would send it on: CE, the header's checksum following (RFC 1624)."""
    old = struct.unpack_from("!H", packet)[0]
    new = old | 3
    total = (~struct.unpack_from("!H", packet, 10)[0] & 0xFFFF) + (~old & 0xFFFF) + new
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", new) + packet[2:10] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + packet[12:]


class Wire:
    """Joins `stack` (sluice_tcp.Stack) with the kernel of `host` over the device `dev`."""

    def __init__(self, host, dev, *addresses):
        self.host, self.dev, self.addresses, self.mtu = host, dev, addresses, 0
        self.fd = host.inside(self._open)
        host.run("ip", "link", "set", dev, "up")
        self.set_mtu(1500)
        self.stack = None
        self.seen = []       # (from us, packet)
        self.lose = None     # called with (from us, number of the packet): True loses it
        self.mark = None     # the same for IPv4 packets that the path marks as in a queue (RFC 3168)
        self.held = False    # packets of ours wait
        self.counts = [0, 0]

    def _open(self):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", self.dev.encode(), IFF_TUN | IFF_NO_PI))
        return fd

    def set_mtu(self, mtu):
        """Below 1280 the kernel takes IPv6 off the device."""
        if mtu == self.mtu:
            return
        self.mtu = mtu
        self.host.run("ip", "link", "set", self.dev, "mtu", str(mtu))
        for address in self.addresses:
            if ":" not in address or mtu >= 1280:
                self.host.run("ip", "addr", "replace", address, "dev", self.dev, *(["nodad"] if ":" in address else []))

    def attach(self, stack):
        """`stack` begins at virtual time 0, now."""
        while self._read() is not None:  # what the last stack left behind
            pass
        self.stack, self.epoch, self.seen, self.counts = stack, time.monotonic_ns(), [], [0, 0]
        self.lose, self.mark, self.held = None, None, False
        return stack

    def close(self):
        os.close(self.fd)

    def _read(self):
        try:
            return os.read(self.fd, 65536)
        except BlockingIOError:
            return None

    def _pass(self, ours, packet):
        """What comes out at the other end, None if nothing does."""
        self.counts[ours] += 1
        number = self.counts[ours]
        if self.lose is not None and self.lose(ours, number):
            return None
        if self.mark is not None and self.mark(ours, number) and packet[1] & 3 in (1, 2):
            return mark(packet)
        return packet

    def turn(self, wait_s=0.0):
        """One round: packets from the kernel, time, packets to it. Waits for a packet or a timer if nothing happened."""
        busy = False
        for _ in range(64):
            packet = self._read()
            if packet is None:
                break
            busy = True
            self.seen.append((False, packet))
            arrived = self._pass(False, packet)
            if arrived is not None:
                self.stack.packet_in(arrived)
        now = (time.monotonic_ns() - self.epoch) // 1000
        self.stack.advance(now)
        while not self.held:
            packet = self.stack.packet_out()
            if packet is None:
                break
            busy = True
            self.seen.append((True, packet))
            arrived = self._pass(True, packet)
            if arrived is not None:
                os.write(self.fd, arrived)
        if not busy and wait_s > 0:
            due_s = max(0.0, (self.stack.deadline() - now) / 1e6)
            select.select([self.fd], [], [], min(wait_s, due_s))

    def until(self, done, what="the condition"):
        """Runs until done() is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S} s"
            self.turn(0.002)

    def run(self, seconds):
        """Lets time pass."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn(0.005)

    def flags(self, ours, sock):
        """TCP flags of the IPv4 packets of our socket's connection seen from one end, in order."""
        mine, theirs = sock.getsockname()[1], sock.getpeername()[1]
        ports = struct.pack("!HH", *((mine, theirs) if ours else (theirs, mine)))
        found = []
        for from_us, packet in self.seen:
            at = (packet[0] & 15) * 4
            if from_us == ours and packet[0] >> 4 == 4 and packet[9] == 6 and packet[at:at + 4] == ports:
                found.append(packet[at + 13])
        return found
