"""Strict HTTP/1.1 over a plain socket: both ends of the tests read with this, and repair nothing.

In: a connected socket. Out: Wire (sends bytes, reads heads and bodies), Message.
Anything a strict reader refuses raises Malformed: bare LF, junk in a chunk, a body cut short.
RFC 9112; the oracle for what the gateway forwards.
"""

import re
import socket

HEAD_MAX = 1 << 20
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")


class Malformed(Exception):
    """The peer sent what RFC 9112 forbids."""


class Closed(Exception):
    """The peer closed before the first byte of a message."""


class Message:
    def __init__(self, start, headers):
        self.start, self.headers = start, headers  # headers: list of (lower-case name, value), as received
        self.body, self.trailers = b"", []

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.headers if key == name.lower()]

    @property
    def status(self):
        return int(self.start.split(" ")[1])

    @property
    def method(self):
        return self.start.split(" ")[0]

    @property
    def target(self):
        return self.start.split(" ")[1]

    def __repr__(self):
        return f"<{self.start} {self.headers} {len(self.body)} bytes>"


class Wire:
    def __init__(self, sock, timeout_s=10.0):
        self.sock, self.buffer = sock, b""
        sock.settimeout(timeout_s)

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _more(self):
        data = self.sock.recv(1 << 16)
        self.buffer += data
        return bool(data)

    def line(self, limit=HEAD_MAX):
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > limit:
                raise Malformed(f"a line above {limit} bytes")
            if not self._more():
                raise Malformed(f"closed within a line: {self.buffer[:80]!r}")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise Malformed(f"bare CR, LF or NUL: {line[:120]!r}")
        return line

    def fields(self):
        found = []
        while line := self.line():
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.match(name):
                raise Malformed(f"field line {line[:120]!r}")
            found.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
        return found

    def head(self):
        if not self.buffer:
            try:
                if not self._more():
                    raise Closed()
            except ConnectionResetError:
                raise Closed() from None
        start = self.line().decode("latin-1")
        return Message(start, self.fields())

    def exactly(self, count):
        parts, have = [self.buffer[:count]], min(count, len(self.buffer))
        self.buffer = self.buffer[count:]
        while have < count:
            data = self.sock.recv(min(1 << 18, count - have))
            if not data:
                raise Malformed(f"closed {count - have} bytes before the end of a body")
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def chunks(self, message):
        while True:
            size = self.line()
            if not re.match(rb"[0-9a-fA-F]{1,8}\Z", size):
                raise Malformed(f"chunk size {size[:40]!r}")
            if int(size, 16) == 0:
                message.trailers = self.fields()
                return
            message.body += self.exactly(int(size, 16))
            if self.exactly(2) != b"\r\n":
                raise Malformed("chunk without its CRLF")

    def until_closed(self):
        while self._more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def read_body(self, message):
        coding, lengths = message.all("transfer-encoding"), message.all("content-length")
        if coding and lengths:
            raise Malformed("Transfer-Encoding beside Content-Length")
        if coding:
            if [c.lower() for c in coding] != ["chunked"]:
                raise Malformed(f"Transfer-Encoding {coding}")
            self.chunks(message)
        elif lengths:
            if len(lengths) != 1 or not lengths[0].isdigit():
                raise Malformed(f"Content-Length {lengths}")
            message.body = self.exactly(int(lengths[0]))
        return bool(coding or lengths)

    def request(self):
        message = self.head()
        if not re.match(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP/1\.[01]\Z", message.start):
            raise Malformed(f"request line {message.start[:120]!r}")
        return message

    def response(self, method="GET", interim=None):
        """The final response; interim ones are collected in `interim`."""
        while True:
            message = self.head()
            if not re.match(r"HTTP/1\.1 [1-5][0-9]{2} [\x20-\x7e]*\Z", message.start):
                raise Malformed(f"status line {message.start[:120]!r}")
            if message.status >= 200 or message.status == 101:
                break
            if interim is not None:
                interim.append(message)
        if method == "HEAD" or message.status in (101, 204, 304):
            return message
        if not self.read_body(message):
            message.body = self.until_closed()
        return message

    def is_closed(self, timeout_s=5.0):
        """True when the peer ends the connection within this time; unexpected bytes are an error."""
        self.sock.settimeout(timeout_s)
        try:
            data = self.buffer or self.sock.recv(4096)
        except socket.timeout:
            return False
        except ConnectionResetError:
            return True
        if data:
            raise Malformed(f"bytes after the last response: {data[:80]!r}")
        return True
