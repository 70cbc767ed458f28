"""libsluice_tcp.so in Python: a TCP/IP stack with the clock and the wire in the caller's hands.

In: configuration, packets as bytes, time in microseconds. Out: packets as bytes, sockets. A Stack owns its C stack; close()
or the garbage collector ends it. Errors are OSError with the errno, as from the socket module.
"""

import ctypes
import errno
import os
import select
import struct
from socket import AF_INET, IPPROTO_TCP, SO_ERROR, SOL_SOCKET, TCP_INFO, inet_ntop, inet_pton

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = os.environ.get("SLUICE_TCP_LIBRARY", os.path.join(ROOT, "build", "tests", "harness", "libsluice_tcp.so"))
NEVER = 2**64 - 1
POLLIN, POLLOUT, POLLERR, POLLHUP, POLLRDHUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP, 0x2000
ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = range(1, 12)
TCP_WINDOW_CLAMP, TCP_CONGESTION, TCP_USER_TIMEOUT = 10, 13, 18  # linux/tcp.h


class Config(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("seed", ctypes.c_uint64), ("now_us", ctypes.c_uint64), ("ipv4", ctypes.c_char_p),
                ("ipv6", ctypes.c_char_p), ("gateway_ipv4", ctypes.c_char_p), ("gateway_ipv6", ctypes.c_char_p),
                ("mtu", ctypes.c_uint32), ("congestion", ctypes.c_char_p), ("initial_cwnd", ctypes.c_uint32),
                ("no_sack", ctypes.c_uint8), ("no_timestamps", ctypes.c_uint8), ("no_window_scale", ctypes.c_uint8),
                ("ecn", ctypes.c_uint8), ("delayed_ack_us", ctypes.c_uint32), ("min_rto_us", ctypes.c_uint32),
                ("max_sockets", ctypes.c_uint32), ("syn_backlog", ctypes.c_uint32)]


class Usage(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("connections", "half_open", "time_wait", "mbufs", "bytes")]

    def __iter__(self):
        return iter(getattr(self, name) for name, _ in self._fields_)


class TcpInfo(ctypes.Structure):
    """The beginning of Linux's struct tcp_info, to min_rtt."""
    _fields_ = [(name, ctypes.c_uint8) for name in ("state", "ca_state", "retransmits", "probes", "backoff", "options", "wscale", "flags")] + \
        [(name, ctypes.c_uint32) for name in (
            "rto", "ato", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets", "last_data_sent", "last_ack_sent",
            "last_data_recv", "last_ack_recv", "pmtu", "rcv_ssthresh", "rtt", "rttvar", "snd_ssthresh", "snd_cwnd", "advmss",
            "reordering", "rcv_rtt", "rcv_space", "total_retrans")] + \
        [(name, ctypes.c_uint64) for name in ("pacing_rate", "max_pacing_rate", "bytes_acked", "bytes_received")] + \
        [(name, ctypes.c_uint32) for name in ("segs_out", "segs_in", "notsent_bytes", "min_rtt")]


def load(path=LIBRARY):
    lib = ctypes.CDLL(path)
    stack, size, buffer = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
    length = ctypes.POINTER(ctypes.c_uint32)
    signatures = {
        "th_create": (ctypes.c_void_p, [ctypes.POINTER(Config), ctypes.POINTER(ctypes.c_char_p)]),
        "th_destroy": (None, [stack]), "th_advance": (None, [stack, ctypes.c_uint64]),
        "th_next_deadline": (ctypes.c_uint64, [stack]), "th_packet_in": (ctypes.c_int, [stack, buffer, size]),
        "th_packet_out": (ctypes.c_long, [stack, buffer, size]), "th_socket": (ctypes.c_int, [stack, ctypes.c_int]),
        "th_read": (ctypes.c_long, [stack, ctypes.c_int, buffer, size]), "th_write": (ctypes.c_long, [stack, ctypes.c_int, buffer, size]),
        "th_shutdown": (ctypes.c_int, [stack, ctypes.c_int, ctypes.c_int]), "th_close": (ctypes.c_int, [stack, ctypes.c_int]),
        "th_poll": (ctypes.c_int, [stack, ctypes.c_int]), "th_listen": (ctypes.c_int, [stack, ctypes.c_int, ctypes.c_int]),
        "th_bind": (ctypes.c_int, [stack, ctypes.c_int, buffer, ctypes.c_uint32]),
        "th_connect": (ctypes.c_int, [stack, ctypes.c_int, buffer, ctypes.c_uint32]),
        "th_accept": (ctypes.c_int, [stack, ctypes.c_int, buffer, length]),
        "th_getsockname": (ctypes.c_int, [stack, ctypes.c_int, buffer, length]),
        "th_getpeername": (ctypes.c_int, [stack, ctypes.c_int, buffer, length]),
        "th_setsockopt": (ctypes.c_int, [stack, ctypes.c_int, ctypes.c_int, ctypes.c_int, buffer, ctypes.c_uint32]),
        "th_getsockopt": (ctypes.c_int, [stack, ctypes.c_int, ctypes.c_int, ctypes.c_int, buffer, length]),
        "th_usage": (None, [stack, ctypes.POINTER(Usage)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


_lib = None


def library():
    global _lib
    if _lib is None:
        _lib = load()
    return _lib


def check(result):
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def pack_address(family, address):
    host, port = address[:2]
    if family == AF_INET:
        return struct.pack("=H", family) + struct.pack("!H", port) + inet_pton(family, host) + bytes(8)
    return struct.pack("=H", family) + struct.pack("!HI", port, 0) + inet_pton(family, host) + bytes(4)


def unpack_address(raw):
    family = struct.unpack_from("=H", raw)[0]
    port = struct.unpack_from("!H", raw, 2)[0]
    return inet_ntop(family, raw[4:8] if family == AF_INET else raw[8:24]), port


class Stack:
    def __init__(self, ipv4=None, ipv6=None, seed=1, now_us=0, **fields):
        self.lib = library()
        encode = lambda text: text.encode() if isinstance(text, str) else text  # noqa: E731
        config = Config(size=ctypes.sizeof(Config), seed=seed, now_us=now_us, ipv4=encode(ipv4), ipv6=encode(ipv6),
                        **{name: encode(value) for name, value in fields.items()})
        why = ctypes.c_char_p()
        self.handle = self.lib.th_create(ctypes.byref(config), ctypes.byref(why))
        if not self.handle:
            raise ValueError(why.value.decode())
        self.now = now_us
        self.buffer = ctypes.create_string_buffer(65536)

    def close(self):
        if getattr(self, "handle", None):
            self.lib.th_destroy(self.handle)
            self.handle = None

    __del__ = close

    def advance(self, now_us):
        self.now = max(self.now, now_us)
        self.lib.th_advance(self.handle, self.now)

    def after(self, us):
        self.advance(self.now + us)

    def deadline(self):
        return self.lib.th_next_deadline(self.handle)

    def packet_in(self, packet):
        return check(self.lib.th_packet_in(self.handle, bytes(packet), len(packet)))

    def packet_out(self):
        """The next packet, or None."""
        length = check(self.lib.th_packet_out(self.handle, self.buffer, len(self.buffer)))
        return self.buffer.raw[:length] if length else None

    def packets(self):
        return list(iter(self.packet_out, None))

    def usage(self):
        usage = Usage()
        self.lib.th_usage(self.handle, ctypes.byref(usage))
        return usage

    def socket(self, family=AF_INET):
        return Socket(self, check(self.lib.th_socket(self.handle, family)), family)

    def listen(self, port, backlog=128, host=None, family=AF_INET):
        s = self.socket(family)
        s.bind((host or ("0.0.0.0" if family == AF_INET else "::"), port))
        s.listen(backlog)
        return s

    def connect(self, address, family=AF_INET, local_port=0):
        s = self.socket(family)
        if local_port:
            s.bind(("0.0.0.0" if family == AF_INET else "::", local_port))
        try:
            s.connect(address)
        except OSError as problem:
            if problem.errno != errno.EINPROGRESS:
                raise
        return s


class Socket:
    """A th_ socket. Calls that would block raise BlockingIOError."""

    def __init__(self, stack, fd, family):
        self.stack, self.fd, self.family = stack, fd, family

    def _call(self, name, *arguments):
        return check(getattr(self.stack.lib, name)(self.stack.handle, self.fd, *arguments))

    def _address(self, name):
        raw, length = ctypes.create_string_buffer(28), ctypes.c_uint32(28)
        result = self._call(name, raw, ctypes.byref(length))
        return result, unpack_address(raw.raw)

    def bind(self, address):
        raw = pack_address(self.family, address)
        self._call("th_bind", raw, len(raw))

    def listen(self, backlog=128):
        self._call("th_listen", backlog)

    def accept(self):
        fd, _ = self._address("th_accept")
        return Socket(self.stack, fd, self.family)

    def connect(self, address):
        raw = pack_address(self.family, address)
        self._call("th_connect", raw, len(raw))

    def recv(self, size=65536):
        raw = ctypes.create_string_buffer(size)
        length = self._call("th_read", raw, size)
        return raw.raw[:length]

    def send(self, data):
        return self._call("th_write", bytes(data), len(data))

    def shutdown(self, how):
        self._call("th_shutdown", how)

    def close(self):
        self._call("th_close")

    def poll(self):
        return self._call("th_poll")

    def getsockname(self):
        return self._address("th_getsockname")[1]

    def getpeername(self):
        return self._address("th_getpeername")[1]

    def setsockopt(self, level, name, value):
        raw = struct.pack("=i", value) if isinstance(value, int) else value
        self._call("th_setsockopt", level, name, raw, len(raw))

    def getsockopt(self, level, name, size=0):
        raw, length = ctypes.create_string_buffer(size or 4), ctypes.c_uint32(size or 4)
        self._call("th_getsockopt", level, name, raw, ctypes.byref(length))
        return raw.raw[:length.value] if size else struct.unpack("=i", raw.raw[:4])[0]

    def error(self):
        return self.getsockopt(SOL_SOCKET, SO_ERROR)

    def info(self):
        return TcpInfo.from_buffer_copy(self.getsockopt(IPPROTO_TCP, TCP_INFO, ctypes.sizeof(TcpInfo)))
