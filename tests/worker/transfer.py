"""One transfer between Linux TCP and echo_gateway, every byte checked against the fixed pattern (echo_application.cc).

Usage: transfer.py down|up|echo HOST BYTES. Exit 0 and a line with the rate, or 1 and what differed.
"""

import socket
import sys
import threading
import time

BLOCK_BYTES = 1_000_003
SINK, SOURCE, ECHO = 9, 19, 7


def pattern():
    block = bytearray(BLOCK_BYTES)
    x = 12345
    for i in range(BLOCK_BYTES):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        block[i] = x >> 24
    return bytes(block)


class Checker:
    """Compares a stream, piece by piece, with the pattern."""

    def __init__(self, block):
        self.block = block
        self.offset = 0

    def take(self, piece):
        done = 0
        while done < len(piece):
            at = self.offset % BLOCK_BYTES
            n = min(len(piece) - done, BLOCK_BYTES - at)
            if piece[done:done + n] != self.block[at:at + n]:
                sys.exit(f"differs between {self.offset} and {self.offset + n}")
            done += n
            self.offset += n


def receive(connection, checker, total):
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)
    while checker.offset < total:
        n = connection.recv_into(buffer)
        if n == 0:
            sys.exit(f"end of stream at {checker.offset} of {total}")
        checker.take(view[:n])


def send(connection, block, total):
    view = memoryview(block)
    sent = 0
    while sent < total:
        at = sent % BLOCK_BYTES
        sent += connection.send(view[at:at + min(total - sent, 262144)])
    connection.shutdown(socket.SHUT_WR)


def main():
    direction, host, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
    block = pattern()
    port = {"down": SOURCE, "up": SINK, "echo": ECHO}[direction]
    connection = socket.create_connection((host, port), timeout=30)
    start = time.monotonic()
    checker = Checker(block)
    if direction == "down":
        connection.sendall(b"%d\n" % total)
        receive(connection, checker, total)
    elif direction == "up":
        send(connection, block, total)
        answer = connection.makefile().readline().strip()
        if answer != f"ok {total}":
            sys.exit(f"the sink says: {answer!r}")
    else:
        sender = threading.Thread(target=send, args=(connection, block, total), daemon=True)
        sender.start()
        receive(connection, checker, total)
        if connection.recv(1):
            sys.exit("more bytes than were sent")
    print(f"{direction} {host} {total} bytes, {total / (time.monotonic() - start) / 1e6:.1f} MB/s")


if __name__ == "__main__":
    main()
