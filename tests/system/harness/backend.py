"""A backend that records every request it receives and answers as its test says.

In: a test host, an address; rules from path prefix to a function (wire, request) -> None.
Out: `requests`, `connections`, `peers` (of each request), `malformed` (whatever a strict reader refused). One thread each.
Default answer: 200 with the backend's name as its body and in x-served-by.
"""

import socket
import threading
import time

from .http1 import Closed, Malformed, Wire


def answer(status=200, body=b"", headers=()):
    """Bytes of a response with a Content-Length."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class Backend:
    def __init__(self, host, address, port=9080, name=None):
        self.host, self.address, self.port, self.name = host, address, port, name or address
        self.lock = threading.Lock()
        self.live = []
        self.listener = None
        self.reset()
        self.start()

    def reset(self):
        self.rules = {}
        self.requests, self.malformed, self.connections, self.peers = [], [], 0, []

    def start(self):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self.listener = self.host.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, self.port))
        self.listener.listen(1024)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        """Dies as a process does: the port refuses, open connections are reset or closed."""
        listener, self.listener = self.listener, None
        if listener is None:
            return
        try:
            listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        listener.close()
        self.drop_connections()

    def drop_connections(self):
        with self.lock:
            live, self.live = self.live, []
        for wire in live:
            try:
                wire.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            wire.close()

    def on(self, prefix, rule):
        """What to do for targets with this prefix: bytes to send, or a function (wire, request)."""
        self.rules[prefix] = rule

    def paths(self):
        with self.lock:
            return [request.target for request in self.requests]

    def find(self, prefix, timeout_s=3.0):
        """The newest recorded request with this target prefix."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with self.lock:
                for request in reversed(self.requests):
                    if request.target.startswith(prefix):
                        return request
            time.sleep(0.005)
        raise AssertionError(f"{self.name} received no request for {prefix}, only {self.paths()[-5:]}; malformed: {self.malformed}")

    def _accept(self, listener):
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(sock, timeout_s=60)
            wire.peer = peer
            with self.lock:
                self.connections += 1
                self.live.append(wire)
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire):
        try:
            while True:
                request = wire.request()
                with self.lock:
                    self.peers.append(wire.peer)
                rule = next((self.rules[p] for p in sorted(self.rules, key=len, reverse=True) if request.target.startswith(p)), None)
                if getattr(rule, "before_body", False):
                    with self.lock:
                        self.requests.append(request)
                    rule(wire, request)
                    continue
                if request.get("expect", "").lower() == "100-continue":
                    wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                wire.read_body(request)
                with self.lock:
                    self.requests.append(request)
                if rule is None:
                    head = answer(200, self.name, [f"x-served-by: {self.name}"])
                    wire.send(head[: -len(self.name)] if request.method == "HEAD" else head)
                elif callable(rule):
                    rule(wire, request)
                else:
                    wire.send(rule)
        except Closed:
            pass
        except Malformed as wrong:
            with self.lock:
                self.malformed.append(str(wrong))
        except OSError:
            pass
        finally:
            wire.close()
            with self.lock:
                if wire in self.live:
                    self.live.remove(wire)


def before_body(rule):
    """Marks a rule that reads the request's body itself."""
    rule.before_body = True
    return rule
