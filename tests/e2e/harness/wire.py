"""Raw HTTP/1.1 on sockets, both ways: nothing here is lenient, nothing is added that the caller did not write."""

import itertools
import json
import os
import select
import socket
import ssl
import struct
import time


class Closed(Exception):
    """The peer ended the connection before the message was whole."""


class Message:
    """A parsed head and its decoded body, with the bytes as they came."""

    def __init__(self, start, fields, head):
        self.start, self.fields, self.head = start, fields, head
        self.body, self.raw_body, self.trailers, self.complete = b"", b"", [], False

    @property
    def status(self):
        return int(self.start.split()[1])

    def all(self, name):
        return [value for key, value in self.fields if key == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def json(self):
        return json.loads(self.body)

    @property
    def target(self):
        return self.start.split()[1]


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    fields = []
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            fields.append((name.lower(), value.strip(" \t")))
    return Message(lines[0], fields, head)


class Socket:
    """A connection with a buffer; every read is bounded in time."""

    def __init__(self, sock, timeout=10.0):
        self.sock, self.buffer, self.received, self.timeout = sock, b"", 0, timeout
        sock.settimeout(timeout)

    def send(self, data):
        self.sock.sendall(data)

    def send_each_byte(self, data, pause=0.0):
        for i in range(len(data)):
            try:
                self.sock.sendall(data[i : i + 1])
            except OSError:
                return  # the peer has refused already: what it said is still to be read
            if pause:
                time.sleep(pause)

    def fill(self):
        """Reads more into the buffer; False at the end of the connection."""
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            return False
        self.received += len(data)
        self.buffer += data
        return bool(data)

    def read_until(self, mark, limit=1 << 20):
        while mark not in self.buffer:
            if len(self.buffer) > limit or not self.fill():
                raise Closed(self.buffer)
        data, self.buffer = self.buffer.split(mark, 1)
        return data + mark

    def read_exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise Closed(self.buffer)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_to_end(self):
        while self.fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def read_head(self):
        return parse_head(self.read_until(b"\r\n\r\n"))

    def read_chunk(self, message):
        """One chunk's data, b"" for the last (its trailers are kept)."""
        line = self.read_until(b"\r\n")
        size = int(line.split(b";")[0].strip(), 16)
        message.raw_body += line
        if size == 0:
            while True:
                line = self.read_until(b"\r\n")
                if line == b"\r\n":
                    return b""
                name, _, value = line.decode("latin-1").partition(":")
                message.trailers.append((name.lower(), value.strip()))
        data = self.read_exactly(size)
        if self.read_exactly(2) != b"\r\n":
            raise AssertionError("a chunk does not end in CRLF")
        message.body += data
        return data

    def read_body(self, message, is_response, to_head_request=False, heard=None):
        """The rest of the message. `heard` is an event that is set when the first chunk of it has come."""
        if is_response and (to_head_request or message.status in (204, 304) or message.status < 200):
            pass
        elif message.get("transfer-encoding", "").lower() == "chunked":
            while self.read_chunk(message):
                if heard is not None:
                    heard.set()
        elif message.get("content-length") is not None:
            message.body = self.read_exactly(int(message.get("content-length")))
        elif is_response:
            message.body = self.read_to_end()
        message.complete = True
        return message

    def read_response(self, to_head_request=False, interim=None):
        """The final response; 1xx heads are appended to `interim`."""
        while True:
            message = self.read_head()
            if message.status >= 200:
                return self.read_body(message, True, to_head_request)
            if interim is not None:
                interim.append(message)

    def read_request(self):
        message = self.read_head()
        return self.read_body(message, False)

    def is_closed_within(self, seconds):
        """True when the peer ends the connection in that time (bytes that come meanwhile are kept)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.sock], [], [], max(0.0, deadline - time.monotonic()))
            if ready and not self.fill():
                return True
        return False

    def reset(self):
        """Ends with a RST."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.close()

    def finish_writing(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(port, timeout=10.0, tls=None, receive_buffer=None):
    """A client's connection to 127.0.0.1; `tls` is an ssl context."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", port))
    if tls:
        sock = tls.wrap_socket(sock, server_hostname="localhost")
    return Socket(sock, timeout)


FIRST_PORT, PORT_COUNT = 10000, 22000
_port_steps = itertools.count(os.getpid() * 1009)


def free_port():
    """A port below those the kernel gives to outgoing connections, so that nothing takes it before its server does.
    Each test process walks through ports of its own: several may run beside each other."""
    while True:
        port = FIRST_PORT + next(_port_steps) * 7 % PORT_COUNT
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class ClosedPort:
    """A port that refuses connections for as long as this lives: it is taken, so nobody else can listen there."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]

    def close(self):
        self.sock.close()


def new_trace():
    """A trace id of our own choosing and the header that carries it, to find the record of a request by."""
    trace_id = os.urandom(16).hex()
    return trace_id, f"00-{trace_id}-{os.urandom(8).hex()}-01"


def request(method, target, fields=(), body=None, host="localhost", chunked=False):
    """The bytes of a request; `body` may be bytes or something to be sent as JSON."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    fields = list(fields.items()) if isinstance(fields, dict) else list(fields)
    lines += [f"{name}: {value}" for name, value in fields]
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        lines.append("Content-Type: application/json")
    if body is not None:
        lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
        if chunked:
            body = chunks(body)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def chunks(body, size=7):
    out = b""
    for i in range(0, len(body), size):
        part = body[i : i + size]
        out += b"%x\r\n" % len(part) + part + b"\r\n"
    return out + b"0\r\n\r\n"


def events(body):
    """The data of each event of a stream, in order."""
    out = []
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
        if data:
            out.append(b"\n".join(data))
    return out
