"""What a hostile or broken TLS client can try: hellos in crumbs, handshakes never finished, floods, old tricks, cut ends.

In: raw TCP, Python's ssl, openssl s_client's commands. Out: alerts, ends and counters, while an honest client is served as ever.
Bounded in count and time; the gateway's namespaces only. RFC 8446 4.6.3, 5 and 6; RFC 5746; RFC 7507; THREATS 11, 12, 16, 18.
"""

import base64
import re
import socket
import ssl
import struct
import threading
import time

import pytest
from harness.backend import answer, before_body
from harness.tls import HOST, TLS12, Talk, context, request


@pytest.fixture
def web(tls):
    tls.simple()
    return tls


def hello(using, sni=HOST):
    """The bytes of a ClientHello, and what goes on with the handshake from memory."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = using.wrap_bio(incoming, outgoing, server_hostname=sni)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read(), session, incoming, outgoing


def finish(sock, session, incoming, outgoing):
    while True:
        try:
            session.do_handshake()
            break
        except ssl.SSLWantReadError:
            if outgoing.pending:
                sock.sendall(outgoing.read())
            data = sock.recv(65536)
            assert data, "the gateway ended the handshake"
            incoming.write(data)
    if outgoing.pending:
        sock.sendall(outgoing.read())


def get(sock, session, incoming, outgoing, target="/"):
    session.write(request(target))
    sock.sendall(outgoing.read())
    while True:
        try:
            return session.read(65536)
        except ssl.SSLWantReadError:
            data = sock.recv(65536)
            assert data, "ended instead of an answer"
            incoming.write(data)


def read_all(sock, session, incoming):
    """Reads until the gateway ends the connection; its alert is raised."""
    while data := sock.recv(65536):
        incoming.write(data)
        try:
            while session.read(65536):
                pass
        except ssl.SSLWantReadError:
            continue


def served(tls):
    return tls.ask("/honest").status == 200


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_a_hello_over_many_segments(web, piece):
    first, session, incoming, outgoing = hello(context(web.pki.ca))
    sock = web.raw()
    for at in range(0, len(first), piece):
        sock.sendall(first[at:at + piece])
        if piece > 1 or at % 16 == 0:
            time.sleep(0.001)   # a segment of its own
    finish(sock, session, incoming, outgoing)
    assert get(sock, session, incoming, outgoing).startswith(b"HTTP/1.1 200")
    sock.close()


def records(message, size):
    """One handshake message over records of this size."""
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(message[at:at + size])) + message[at:at + size] for at in range(0, len(message), size))


def test_a_hello_over_many_records(web):
    first, session, incoming, outgoing = hello(context(web.pki.ca))
    sock = web.raw()
    sock.sendall(records(first[5:], 64))
    finish(sock, session, incoming, outgoing)
    assert get(sock, session, incoming, outgoing).startswith(b"HTTP/1.1 200")
    sock.close()


def ends(sock, timeout_s=20.0):
    """The bytes until the gateway ended it; a connection that stays fails the test."""
    sock.settimeout(timeout_s)
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    except socket.timeout:
        raise AssertionError(f"still open after {timeout_s} s; got {data[:60]!r}") from None
    return data


BROKEN = {
    "SSLv2 hello": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x01\x00\x80\x02\x00\x80" * 3 + b"x" * 20,
    "a record of 2^14+1": b"\x16\x03\x01\x40\x01" + b"\x01" * 16385,
    "a record of 65535": b"\x16\x03\x01\xff\xff" + b"\x01" * 65535,
    "an empty handshake record": b"\x16\x03\x01\x00\x00",
    "application data first": b"\x17\x03\x03\x00\x05hello",
    "an alert first": b"\x15\x03\x03\x00\x02\x02\x28",
    "a change_cipher_spec first": b"\x14\x03\x03\x00\x01\x01",
    "a message of 2^24-1": b"\x16\x03\x01\x00\x04\x01\xff\xff\xff" + b"\x16\x03\x01\x40\x00" + b"\x00" * 16384,
    "a hello that lies about its length": b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03" + b"r" * 32 + b"\xff" * 10,
    "garbage": bytes(range(256)) * 4,
    "zeros": b"\0" * 1000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_hello_is_ended_and_never_answered(web, name):
    sock = web.raw()
    try:
        sock.sendall(BROKEN[name])
    except OSError:
        pass
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    data = ends(sock)
    assert not data or data[0] == 0x15, f"{name}: {data[:40]!r}"
    assert served(web)


def test_a_flood_of_empty_hello_records_ends(web):
    sock = web.raw()
    try:
        for _ in range(200):
            sock.sendall(b"\x16\x03\x01\x00\x00" * 100)
    except OSError:
        pass
    ends(sock)
    assert served(web)


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(web, version):
    """Said by the server: SECLEVEL=0 lets the client ask."""
    printed = web.s_client(version, "-cipher", "ALL:@SECLEVEL=0", data=b"")
    assert re.search("protocol version", printed) and "Cipher is (NONE)" in printed, printed


def test_fallback_scsv(web):
    """A downgrade that somebody on the wire forced (RFC 7507)."""
    printed = web.s_client("-tls1_2", "-fallback_scsv", data=b"")
    assert re.search("inappropriate fallback", printed), printed


@pytest.mark.parametrize("cipher", ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "NULL", "aNULL", "DES-CBC3-SHA", "RC4"])
def test_no_suite_without_forward_secrecy_and_aead(web, cipher):
    printed = web.s_client("-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0", data=b"")
    assert "Cipher is (NONE)" in printed or "no cipher match" in printed or "Error with command" in printed, printed


def test_renegotiation_is_refused(web):
    with Talk(web, "-tls1_2", "-legacy_renegotiation") as talk:
        talk.expect("Secure Renegotiation IS supported")
        talk.say("R\n")
        talk.expect("RENEGOTIATING")
        talk.end(10)
        assert talk.process.returncode is not None or re.search(rb"no_renegotiation|no renegotiation|handshake failure|unexpected", talk.output), talk.output[-2000:]
    assert served(web)


def test_no_compression_and_no_early_data(web):
    for version in ("-tls1_2", "-tls1_3"):
        printed = web.s_client(version, "-comp")
        assert "Compression: NONE" in printed and "HTTP/1.1 200" in printed, printed
    assert "Max Early Data: 0" in web.s_client("-tls1_3") or "Early data was not sent" in web.s_client("-tls1_3")


def forge_early_data(path, limit=16384):
    """The session that openssl s_client left there, as if its ticket had allowed early data (max_early_data, the field of tag 15)."""
    text = open(path).read()
    der = base64.b64decode("".join(line for line in text.splitlines() if not line.startswith("-----")))

    def element(at):
        """(tag, where its content begins, where it ends)."""
        size, start = der[at + 1], at + 2
        if size & 0x80:
            start = at + 2 + (size & 0x7f)
            size = int.from_bytes(der[at + 2:start], "big")
        return der[at], start, start + size

    _, at, end = element(0)
    before, behind = b"", b""
    while at < end:
        tag, _, after = element(at)
        if tag != 0xaf:
            if tag > 0xaf:
                behind += der[at:after]
            else:
                before += der[at:after]
        at = after
    number = limit.to_bytes(limit.bit_length() // 8 + 1, "big")
    body = before + bytes([0xaf, len(number) + 2, 2, len(number)]) + number + behind
    new = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    with open(path, "w") as file:
        file.write("-----BEGIN SSL SESSION PARAMETERS-----\n" + base64.encodebytes(new).decode() + "-----END SSL SESSION PARAMETERS-----\n")


def test_early_data_sent_anyway_is_passed_over(web, tmp_path):
    """RFC 8446 4.2.10: it is skipped, the handshake goes on, and what it said has no effect."""
    session, early = str(tmp_path / "session"), str(tmp_path / "early")
    assert "HTTP/1.1 200" in web.s_client("-tls1_3", "-sess_out", session)
    refused = web.s_client("-tls1_3", "-sess_in", session)
    assert "Early data was not sent" in refused, refused
    forge_early_data(session)
    with open(early, "wb") as file:
        file.write(request("/early"))
    web.backends[0].reset()
    printed = web.s_client("-tls1_3", "-sess_in", session, "-early_data", early)
    assert "Early data was rejected" in printed and "HTTP/1.1 200" in printed, printed
    assert web.backends[0].paths() == ["/s_client"]
    # More than is passed over: an alert, and an end.
    with open(early, "wb") as file:
        file.write(request("/early", method="POST", body=bytes(40000)))
    forge_early_data(session, 1 << 20)
    printed = web.s_client("-tls1_3", "-sess_in", session, "-early_data", early)
    assert "HTTP/1.1 200" not in printed and "unexpected message" in printed, printed
    assert web.backends[0].paths() == ["/s_client"] and served(web)


@pytest.mark.parametrize("command", ["k", "K"])
def test_key_updates_of_the_client(web, command):
    """k: the client's key. K: the gateway is asked to change its own, too (RFC 8446 4.6.3)."""
    with Talk(web, "-tls1_3") as talk:
        talk.expect("Verify return code: 0 (ok)")
        at = 0
        for i in range(5):
            talk.say(f"{command}\n")
            at = talk.expect("KEYUPDATE", at)
            talk.say(f"GET /update{i} HTTP/1.1\n")
            talk.say(f"Host: {HOST}\n\n")
            at = talk.expect("b1", talk.expect("HTTP/1.1 200", at))
    assert [p for p in web.backends[0].paths()] == [f"/update{i}" for i in range(5)]
    assert web.counter("sluice_tls_key_updates_total") >= 5 or web.family("sluice_tls")


def test_a_client_that_waits_in_its_handshake_is_ended(web):
    """transport_socket_connect_timeout, 15 s; nobody else notices."""
    first, *_ = hello(context(web.pki.ca))
    half = [web.raw() for _ in range(20)]
    for i, sock in enumerate(half):
        sock.sendall(first[: i * 10] if i < 10 else first)
    assert served(web)
    for sock in half:
        ends(sock, timeout_s=30)
        sock.close()


def test_a_flood_of_half_open_handshakes_is_bounded(web):
    """Many at once, each with a hello that costs a signature: an honest client is served in between, and all of them end."""
    first, *_ = hello(context(web.pki.ca))
    flood = []
    for i in range(300):
        try:
            sock = web.raw(timeout_s=5)
            sock.sendall(first)
            flood.append(sock)
        except OSError:
            pass
        if i % 100 == 50:
            assert served(web)
    assert served(web)
    for sock in flood:
        sock.close()
    deadline = time.monotonic() + 20
    while web.counter("sluice_tls_openssl_objects") > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert web.counter("sluice_tls_openssl_objects") == 0, "what gave up is given back"
    assert served(web)


def test_established_connections_are_served_during_a_flood(web):
    """Handshakes run beside the worker: an open connection gets all of its answers, in order (THREATS 18; the times are in perf/)."""
    stop = threading.Event()

    def flood():
        while not stop.is_set():
            try:
                with web.connect(using=context(None), timeout_s=5):
                    pass
            except OSError:
                pass

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
    with web.connect() as wire:
        for thread in threads:
            thread.start()
        try:
            for i in range(200):
                wire.send(request(f"/during{i}"))
                assert wire.response().status == 200
        finally:
            stop.set()
            for thread in threads:
                thread.join(10)


# --- Ends --------------------------------------------------------------------------------------------


def cut(wire):
    """TCP FIN without close_notify."""
    raw = socket.socket(fileno=wire.sock.detach())
    raw.shutdown(socket.SHUT_WR)
    return raw


def test_a_request_truncated_by_the_client_is_no_request(web):
    """The chunks so far look whole to nobody: the backend must not take them for the end."""
    seen = threading.Event()

    @before_body
    def read(wire, message):
        seen.set()
        try:
            wire.read_body(message)
        finally:
            web.bodies = getattr(web, "bodies", []) + [message.body]
        wire.send(answer(200, "whole"))

    web.backends[0].on("/upload", read)
    wire = web.connect()
    wire.send(request("/upload", method="POST", headers=["Transfer-Encoding: chunked"]) + b"5\r\nhello\r\n")
    assert seen.wait(10)
    raw = cut(wire)
    assert b"HTTP/1.1 200" not in ends(raw)
    raw.close()
    assert served(web)


def test_a_flipped_bit_ends_the_connection_with_bad_record_mac(web):
    first, session, incoming, outgoing = hello(context(web.pki.ca))
    sock = web.raw()
    sock.sendall(first)
    finish(sock, session, incoming, outgoing)
    assert get(sock, session, incoming, outgoing).startswith(b"HTTP/1.1 200")
    session.write(request("/flipped"))
    record = bytearray(outgoing.read())
    record[20] ^= 1
    sock.sendall(bytes(record))
    with pytest.raises(ssl.SSLError) as told:
        read_all(sock, session, incoming)
    assert told.value.reason == "SSLV3_ALERT_BAD_RECORD_MAC", told.value
    assert "/flipped" not in web.backends[0].paths()
    sock.close()


@pytest.mark.parametrize("name, bytes_", [
    ("plain text after the handshake", b"GET /clear HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
    ("a record above 2^14+256", b"\x17\x03\x03\x41\x01" + b"x" * 16641),
    ("a record too short for its tag", b"\x17\x03\x03\x00\x05hello"),
    ("a handshake record in clear text", b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"),
    ("an alert in clear text", b"\x15\x03\x03\x00\x02\x01\x00"),
])
def test_unprotected_bytes_after_the_handshake_end_the_connection(web, name, bytes_):
    first, session, incoming, outgoing = hello(context(web.pki.ca))
    sock = web.raw()
    sock.sendall(first)
    finish(sock, session, incoming, outgoing)
    assert get(sock, session, incoming, outgoing).startswith(b"HTTP/1.1 200")
    sock.sendall(bytes_)
    ends(sock)
    sock.close()
    assert "/clear" not in web.backends[0].paths() and served(web)


def test_many_wrong_macs_tell_nothing_but_bad_record_mac(web):
    """Whatever is wrong within a record, the answer is one and the same (no oracle)."""
    told = set()
    for size in (24, 40, 100, 1000):
        first, session, incoming, outgoing = hello(context(web.pki.ca, maximum=TLS12))
        sock = web.raw()
        sock.sendall(first)
        finish(sock, session, incoming, outgoing)
        sock.sendall(b"\x17\x03\x03" + struct.pack(">H", size) + b"\x5a" * size)
        try:
            read_all(sock, session, incoming)
        except ssl.SSLError as wrong:
            told.add(wrong.reason)
        sock.close()
    assert told == {"SSLV3_ALERT_BAD_RECORD_MAC"}, told
