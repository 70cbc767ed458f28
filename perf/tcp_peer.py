"""Linux's end of perf/tcp_goodput and perf/idle_connections: a server, or one transfer, over the kernel's TCP.

In: serve ADDRESS | put HOST SECONDS | get HOST SECONDS | hold HOST:PORT N SOURCE... (port 7: connected, any other: after one HTTP
request on each). Out: "ready" (serve, hold), or one number: goodput in bytes per second, from the first connection attempt to the last byte acknowledged (put) or received (get).
Speaks to itself and to tcp_gateway alike: sink on port 9 (answers the count at end of stream), source on 19 ("N\\n" asks).
"""

import os
import resource
import signal
import socket
import sys
import threading
import time

HOLD, SINK, SOURCE = 7, 9, 19
IP_BIND_ADDRESS_NO_PORT = 24
CHUNK_BYTES = 262144


def cubic(connection):
    """Also where the machine's default is another (BBR is, on some). Set before connect or listen."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    return connection


def connected(host, port):
    connection = cubic(socket.socket())
    connection.settimeout(60)
    connection.connect((host, port))
    return connection


def sink(connection):
    buffer, total = bytearray(CHUNK_BYTES), 0
    while n := connection.recv_into(buffer):
        total += n
    connection.sendall(b"%d\n" % total)


def source(connection):
    wanted, chunk = int(connection.makefile("rb").readline()), bytes(CHUNK_BYTES)
    while wanted > 0:
        wanted -= connection.send(chunk[:min(wanted, CHUNK_BYTES)])


def serve_one(work, connection):
    try:
        work(connection)
    except (OSError, ValueError):
        pass   # the client has had enough
    finally:
        connection.close()


def serve(address):
    def accept(port, work):
        with socket.create_server((address, port), backlog=64) as listener:
            cubic(listener)
            while True:
                threading.Thread(target=serve_one, args=(work, listener.accept()[0]), daemon=True).start()

    for port, work in ((SINK, sink), (SOURCE, source)):
        threading.Thread(target=accept, args=(port, work), daemon=True).start()
    print("ready", flush=True)
    signal.pause()


def put(host, seconds):
    began = time.monotonic()
    with connected(host, SINK) as connection:
        sent, chunk = 0, bytes(CHUNK_BYTES)
        while time.monotonic() - began < seconds:
            sent += connection.send(chunk)
        connection.shutdown(socket.SHUT_WR)
        taken = int(connection.makefile("rb").readline())
    if taken != sent:
        sys.exit(f"sent {sent} bytes, the sink got {taken}")
    return taken / (time.monotonic() - began)


def get(host, seconds):
    began = time.monotonic()
    with connected(host, SOURCE) as connection:
        connection.sendall(b"%d\n" % (1 << 40))
        taken, buffer = 0, bytearray(CHUNK_BYTES)
        while time.monotonic() - began < seconds:
            n = connection.recv_into(buffer)
            if n == 0:
                sys.exit(f"the source ended after {taken} bytes")
            taken += n
        return taken / (time.monotonic() - began)


def hold(host, port, number, sources):
    """Opens connections from each source in turn, says so, and keeps them until it is stopped."""
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
    request = f"GET /0 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    held = []
    for i in range(number):
        connection = socket.socket()
        connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)   # the port is chosen at connect
        connection.bind((sources[i % len(sources)], 0))
        connection.settimeout(30)
        connection.connect((host, port))
        if port != HOLD:
            connection.sendall(request)
            answer = connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(b"\r\n\r\n"):
                sys.exit(f"connection {i} is answered {answer[:200]!r}")
        held.append(connection)
    print("ready", flush=True)
    signal.pause()


def main():
    command, host = sys.argv[1], sys.argv[2]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if command == "serve":
        serve(host)
    elif command == "hold":
        host, port = host.split(":")
        hold(host, int(port), int(sys.argv[3]), sys.argv[4:])
    else:
        print(f"{({'put': put, 'get': get}[command])(host, float(sys.argv[3])):.0f}")


if __name__ == "__main__":
    main()
