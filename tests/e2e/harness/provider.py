"""A provider made of raw sockets. A test sets `handler(connection, request)`: it may send any bytes, stall, reset or
cut. Everything it received is kept, connection by connection."""

import contextlib
import json
import select
import socket
import ssl
import threading
import time

from . import wire

CHAT_USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


def response(body=b"", status=200, content_type="application/json", fields=(), framing="length"):
    """The bytes of an answer. `framing`: length, chunked or close."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in fields]
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        body = wire.chunks(body, 64)
    else:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chat_body(text="Hello from the other side", usage=CHAT_USAGE, model="raw-1"):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": usage,
    }


def chat_chunk(delta=None, finish=None, **more):
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "raw-1",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}],
    }
    chunk.update(more)
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


USAGE_CHUNK = chat_chunk(choices=[], usage=CHAT_USAGE)
DONE = b"data: [DONE]\n\n"


def chat_events(words=("Hel", "lo ", "you"), usage=True, done=True):
    """The events of a chat stream, one bytes each."""
    out = [chat_chunk({"role": "assistant", "content": ""})]
    out += [chat_chunk({"content": word}) for word in words]
    out.append(chat_chunk(finish="stop"))
    if usage:
        out.append(USAGE_CHUNK)
    if done:
        out.append(DONE)
    return out


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"x-request-id: req_raw\r\n\r\n"
)


def chunk(data):
    return b"%x\r\n" % len(data) + data + b"\r\n"


LAST_CHUNK = b"0\r\n\r\n"


class Connection(wire.Socket):
    def __init__(self, sock, number):
        super().__init__(sock, timeout=30.0)
        self.number, self.requests, self.ended_at, self.closed_by_us = number, [], None, False
        self.is_answering = False

    def close(self):
        self.closed_by_us = True
        super().close()

    def end(self):
        """For others than the connection's own thread, which may be reading: that a descriptor is closed it would not
        notice, nor would the peer."""
        self.closed_by_us = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def wait_for_end(self, seconds):
        """Blocks until the gateway ends this connection; the time it took, or None."""
        begin = time.monotonic()
        if not self.is_closed_within(seconds):
            return None
        self.ended_at = time.monotonic()
        return self.ended_at - begin


def answer_chat(connection, request):
    """The default handler: a good answer, streamed when asked for."""
    try:
        wanted = json.loads(request.body)
    except ValueError:
        wanted = {}
    if not wanted.get("stream"):
        connection.send(response(chat_body()))
        return
    usage = (wanted.get("stream_options") or {}).get("include_usage")
    connection.send(STREAM_HEAD + b"".join(chunk(e) for e in chat_events(usage=usage)) + LAST_CHUNK)


class Provider:
    """Listens on loopback until stop(); one thread a connection."""

    def __init__(self, certificate=None, key=None):
        self.handler, self.on_connect = answer_chat, None
        self.connections, self.requests, self.errors = [], [], []
        self.lock = threading.Lock()
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate, key)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                sock.settimeout(10)
                sock = self.tls.wrap_socket(sock, server_side=True)
        except (OSError, ssl.SSLError) as error:
            self.errors.append(error)
            sock.close()
            return
        with self.lock:
            connection = Connection(sock, len(self.connections))
            self.connections.append(connection)
        try:
            if self.on_connect and self.on_connect(connection) is False:
                return
            while not connection.closed_by_us:
                request = connection.read_request()
                with self.lock:
                    connection.requests.append(request)
                    self.requests.append(request)
                    connection.is_answering = True
                self.handler(connection, request)
                connection.is_answering = False
        except (wire.Closed, OSError, ValueError):
            pass
        finally:
            connection.ended_at = connection.ended_at or time.monotonic()
            connection.close()
            connection.is_answering = False

    @property
    def bytes_received(self):
        with self.lock:
            return sum(c.received for c in self.connections)

    def settle(self, seconds=3.0):
        """Gives what is left of an earlier test's exchanges a moment to come to its end, so that the next test does not
        meet it."""
        deadline = time.monotonic() + seconds
        while self.is_busy() and time.monotonic() < deadline:
            time.sleep(0.003)

    def is_busy(self):
        with self.lock:
            open_ones = [c for c in self.connections if not c.ended_at]
        poll = select.poll()
        for connection in open_ones:
            if connection.is_answering:
                return True
            with contextlib.suppress(OSError, ValueError):
                poll.register(connection.sock, select.POLLIN)
        return bool(poll.poll(0))

    def reset_script(self):
        self.handler, self.on_connect = answer_chat, None

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # its thread is in accept()
        self.listener.close()
        for connection in list(self.connections):
            connection.end()
