"""Everything at once: hundreds of clients of every kind and a provider that fails in every way, drawn from a seed. What
must hold afterwards does not depend on the draw: nobody is given half an answer as a whole one, every request leaves
one record, gauges and descriptors are where they were, and the process ends cleanly. Also: ends while work is under
way."""

import asyncio
import json
import os
import random
import re
import socket
import struct
import time

import pytest

from conftest import TENANT_KEY, chat, configuration
from harness import wire
from harness.gateway import MEMORY, SANITIZED, wait_until
from harness.provider import STREAM_HEAD, chat_chunk, chunk
from test_clients import in_flight

SEED = int(os.environ.get("WEIR_CHAOS_SEED", "20261124"))
SECONDS = 6.0
CLIENTS = 150 if not SANITIZED else 60
AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}

FAULTS = "error_event reset truncate stall garbage bad_event reset_head close_head bad_head".split()
TERMINATORS = {
    "/v1/chat/completions": b"data: [DONE]",
    "/v1/completions": b"data: [DONE]",
    "/v1/responses": b"response.completed",
    "/v1/messages": b"message_stop",
}


def chaotic(mock_port, raw_port):
    """The usual configuration with short deadlines, though not shorter than all of these clients, who share one thread
    on a busy machine, may take; and uploads passed through to the mock."""
    settings = configuration(mock_port, raw_port)
    for provider in settings["providers"].values():
        provider["timeouts"] = {"idle": "2s", "total": "18s"}
    settings["tenants"]["acme"]["passthrough"].append(
        {"provider": "openai", "paths": ["/v1/files*"], "methods": ["GET", "POST", "DELETE"]}
    )
    settings["http"] = {"header_time": "6s", "keepalive": "30s", "drain": "3s", "body_bytes": "1MiB"}
    return settings


ERROR = re.compile(rb'"error"\s*:\s*\{|event: error|"type"\s*:\s*"error"|response\.failed')


class Cut(Exception):
    """The answer ended before it was whole."""


class Client:
    """One connection and what is to be read from it."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.left = False

    @classmethod
    async def open(cls, chaos, receive_buffer=None):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        tls = chaos.trusting if chaos.random.random() < 0.2 else None
        port = chaos.gateway.tls_port if tls else chaos.gateway.port
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        limit = receive_buffer or 65536
        more = {"ssl": tls, "server_hostname": "localhost"} if tls else {}
        reader, writer = await asyncio.open_connection(sock=sock, limit=limit, **more)
        return cls(reader, writer)

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def send_in_pieces(self, rng, data):
        at = 0
        while at < len(data):
            n = rng.choice((1, 7, 100, 1500, 40000, 200000))
            await self.send(data[at : at + n])
            at += n
            if rng.random() < 0.3:
                await asyncio.sleep(rng.random() * 0.01)

    async def line(self):
        data = await self.reader.readuntil(b"\r\n")
        return data[:-2]

    async def read_answer(self, pause=0.0):
        """(status, fields, body). Raises Cut when the framing was not completed."""
        try:
            return await self.read_whole(pause)
        except (asyncio.IncompleteReadError, ConnectionError, OSError, asyncio.LimitOverrunError) as error:
            raise Cut(str(error)) from error

    async def read_whole(self, pause):
        status, fields = 100, {}
        while status < 200:
            status = int((await self.line()).split()[1])
            fields = {}
            while line := await self.line():
                name, _, value = line.partition(b":")
                fields[name.decode().lower()] = value.strip().decode("latin-1")
        body = bytearray()
        if fields.get("transfer-encoding") == "chunked":
            while size := int(await self.line(), 16):
                body += await self.reader.readexactly(size)
                await self.line()
                if pause:
                    await asyncio.sleep(pause)
            while await self.line():
                pass
        elif "content-length" in fields:
            body += await self.reader.readexactly(int(fields["content-length"]))
        elif status not in (204, 304):
            body += await self.reader.read(-1)
        return status, fields, bytes(body)

    def reset(self):
        sock = self.writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self):
        self.writer.close()


class Chaos:
    def __init__(self, gateway, trusting, seed):
        self.gateway, self.trusting, self.random = gateway, trusting, random.Random(seed)
        self.begun, self.lost, self.broken_answers, self.wrong, self.kinds = [], 0, 0, [], {}
        self.stale = []  # uploads that met the end of a pooled connection; what has been sent cannot be sent again

    # ---- requests ----

    def fields(self, **knobs):
        trace_id, traceparent = wire.new_trace()
        fields = {**AUTH, "traceparent": traceparent}
        fields.update({f"x-mock-{name.replace('_', '-')}": str(value) for name, value in knobs.items()})
        return trace_id, fields

    def generation(self, stream, **knobs):
        """A request to a random endpoint that generates; (trace id, path, bytes)."""
        rng = self.random
        trace_id, fields = self.fields(**knobs)
        text = "x" * rng.choice((1, 10, 3000, 60000))
        messages = [{"role": "user", "content": text}]
        kind = rng.randrange(6)
        if kind == 0:
            path, body = "/v1/messages", {"model": "claude-opus-4-8", "max_tokens": 4000, "messages": messages}
        elif kind == 1:
            path = f"/v1beta/models/gemini-2.5-flash:{'streamGenerateContent' if stream else 'generateContent'}"
            body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        elif kind == 2:
            path, body = "/v1/responses", {"model": "gpt-4o-mini", "input": text}
        elif kind == 3:
            path, body = "/v1/completions", {"model": "gpt-4o-mini", "prompt": text}
        else:
            path, body = "/v1/chat/completions", {"model": rng.choice(("fast", "gpt-4o")), "messages": messages}
        if kind != 1:
            body["stream"] = stream
        elif stream and rng.random() < 0.5:
            path += "?alt=sse"
        if kind > 3 and rng.random() < 0.3:
            body["stream_options"] = {"include_usage": True}
        return trace_id, path, wire.request("POST", path, fields, body, chunked=rng.random() < 0.3)

    def upload(self, **knobs):
        rng = self.random
        trace_id, fields = self.fields(**knobs)
        body = rng.randbytes(rng.choice((0, 1, 1000, 70000, 600000)))
        data = wire.request("POST", "/openai/v1/files", fields, body, chunked=False)
        if rng.random() < 0.5:
            head = wire.request("POST", "/openai/v1/files", {**fields, "Transfer-Encoding": "chunked"})
            data = head + wire.chunks(body, 9000)
        return trace_id, "/openai/v1/files", data

    def note(self, trace_id):
        self.begun.append(trace_id)

    def complain(self, text):
        self.wrong.append(text)

    def check_whole(self, path, stream, answer, faulty):
        """A good answer must be one; a bad one must not look like it."""
        status, fields, body = answer
        failed = status != 200 or ERROR.search(body) is not None
        mark = TERMINATORS.get(path)
        whole = bool(body) if not stream or mark is None else mark in body
        if not faulty and (failed or not whole):
            self.complain(f"{path} stream={stream}: {status} {fields.get('x-weir-error')} {body[-200:]}")
        if faulty and stream and mark and mark in body[-200:] and not failed and self.must_fail(faulty):
            self.complain(f"{path}: a stream with {faulty} looks complete: {body[-300:]}")

    @staticmethod
    def must_fail(fault):
        return fault in ("reset", "truncate", "stall", "reset_head", "close_head", "bad_head")

    # ---- kinds of clients ----

    async def reader(self):
        """Sends a few requests, one after the other or pipelined, and reads every answer."""
        rng = self.random
        client = await Client.open(self)
        count = rng.randrange(1, 5)
        requests = []
        for _ in range(count):
            stream = rng.random() < 0.6
            knobs = {"tokens": rng.choice((1, 3, 40)), "gap_ms": rng.choice((0, 0, 1)), "ttft_ms": rng.choice((0, 5))}
            if rng.random() < 0.2:
                knobs.update(split=rng.choice((1, 50, 999)))
            if rng.random() < 0.1:
                knobs.update(interim=2, noise=1)
            requests.append((stream, *self.generation(stream, **knobs)))
        for one in requests:
            self.note(one[1])
        pipelined = rng.random() < 0.3
        sender = asyncio.ensure_future(client.send(b"".join(r[3] for r in requests))) if pipelined else None
        for stream, _, path, data in requests:
            if not pipelined:
                await client.send_in_pieces(rng, data)
            self.check_whole(path.split("?")[0], stream, await client.read_answer(), None)
        if sender:
            await sender
        client.close()

    async def failing(self):
        """The provider goes wrong; what the client gets must not look right."""
        rng = self.random
        fault, stream = rng.choice(FAULTS), rng.random() < 0.7
        knobs = {"fault": fault, "fault_after": rng.randrange(6), "tokens": 12, "gap_ms": rng.choice((0, 1))}
        if rng.random() < 0.3:
            knobs["fault_bytes"] = rng.randrange(1, 900)
        trace_id, path, data = self.generation(stream, **knobs)
        client = await Client.open(self)
        self.note(trace_id)
        await client.send(data)
        try:
            self.check_whole(path.split("?")[0], stream, await client.read_answer(), fault)
        except Cut:
            self.broken_answers += 1
        client.close()

    async def leaving(self):
        """Leaves at a random offset of its request or of the answer, in one of three ways."""
        rng = self.random
        if rng.random() < 0.3:
            trace_id, _, data = self.upload(tokens=50)
        else:
            trace_id, _, data = self.generation(True, tokens=300, gap_ms=2, token_bytes=50)
        client = await Client.open(self)
        self.note(trace_id)
        way = rng.randrange(3)
        if rng.random() < 0.5:
            await client.send(data[: rng.randrange(1, len(data))])
            await asyncio.sleep(rng.choice((0, 0.001, 0.02)))
            self.lost += way == 0  # a reset may overtake what the client's kernel has not sent yet
        else:
            await client.send(data)
            await asyncio.wait_for(client.reader.read(rng.choice((1, 100, 5000))), 10)
        if way == 0:
            client.reset()
        elif way == 1 or client.writer.get_extra_info("ssl_object"):
            client.close()
        else:
            client.writer.write_eof()
            await asyncio.wait_for(client.reader.read(-1), 10)
            client.close()

    async def slow(self):
        """Reads more than fits into all buffers, slowly; gets all of it."""
        client = await Client.open(self, receive_buffer=4096)
        trace_id, path, data = self.generation(True, tokens=250, token_bytes=2000)
        self.note(trace_id)
        await client.send(data)
        await asyncio.sleep(0.3)
        self.check_whole(path.split("?")[0], True, await client.read_answer(pause=0.0001), None)
        client.close()

    async def uploading(self):
        """A body passed through, with a provider that takes it, answers early, or does not read at all."""
        rng = self.random
        way = rng.choice(("whole", "whole", "early", "unread", "fault"))
        knobs = {"early": {"early": 1}, "unread": {"stall_read": 1}, "fault": {"fault": rng.choice(FAULTS)}}
        knobs = knobs.get(way, {})
        trace_id, path, data = self.upload(**knobs)
        client = await Client.open(self)
        self.note(trace_id)
        sender = asyncio.ensure_future(client.send_in_pieces(rng, data))
        try:
            status, _, body = await client.read_answer()
            if way == "whole" and status == 502 and b'"code":"reset"' in body:
                self.stale.append(trace_id)
            elif way == "whole" and (status != 200 or not body):
                self.complain(f"{path}: {status} {body[:200]}")
        except Cut:
            if way == "whole":
                self.complain(f"{path}: cut")
        sender.cancel()
        client.reset()

    async def refused(self):
        """Mistakes of the client's own."""
        rng = self.random
        trace_id, fields = self.fields()
        data, status = rng.choice(
            (
                (wire.request("POST", "/v1/chat/completions", fields, chat("no-such-model")), 404),
                (wire.request("POST", "/v1/chat/completions", fields, b"{]"), 400),
                (wire.request("POST", "/v1/nothing", fields, b"{}"), 404),
                (wire.request("POST", "/v1/chat/completions", {**fields, "Authorization": "Bearer x"}, b"{}"), 401),
                (wire.request("POST", "/v1/chat/completions", fields, b"x" * 1100000), 413),
                (b"NONSENSE\r\n\r\n", 400),
            )
        )
        client = await Client.open(self)
        self.note(trace_id)
        sender = asyncio.ensure_future(client.send(data))
        try:
            answer = await client.read_answer()
            if answer[0] != status:
                self.complain(f"{data[:60]}: {answer[0]}, not {status}")
        except Cut:
            if status != 413:  # a body still on its way may meet the end of the connection
                self.complain(f"{data[:60]}: no answer")
        sender.cancel()
        client.reset()

    # ---- the storm ----

    async def client_loop(self, until):
        kinds = [self.reader] * 5 + [self.failing] * 4 + [self.leaving] * 4 + [self.uploading] * 3
        kinds += [self.refused] * 2 + [self.slow]
        while time.monotonic() < until:
            kind = self.random.choice(kinds)
            self.kinds[kind.__name__] = self.kinds.get(kind.__name__, 0) + 1
            try:
                await asyncio.wait_for(kind(), 20)
            except Cut as error:
                self.complain(f"{kind.__name__}: the answer was cut: {error}")
            except asyncio.TimeoutError:
                self.complain(f"{kind.__name__}: no end within 20 s")
            except OSError as error:
                if kind not in (self.leaving, self.uploading, self.refused, self.failing):
                    self.complain(f"{kind.__name__}: {error!r}")

    async def storm(self, clients, seconds):
        until = time.monotonic() + seconds
        await asyncio.gather(*(self.client_loop(until) for _ in range(clients)))


def metric(gateway, name):
    text = gateway.get("/metrics", admin=True).body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)


@pytest.mark.slow
def test_a_storm_leaves_nothing_behind_but_one_record_a_request(start, mock, raw, certificates, trusting):
    gateway = start(chaotic(mock.port, raw.port), tls=certificates)
    files = gateway.open_files()
    chaos = Chaos(gateway, trusting, SEED)
    asyncio.run(chaos.storm(CLIENTS, SECONDS))
    said = f"seed {SEED}, {chaos.kinds}, {chaos.broken_answers} cut"
    assert not chaos.wrong, f"{said}: {len(chaos.wrong)} wrong:\n" + "\n".join(chaos.wrong[:8])
    assert len(chaos.begun) > 200 and chaos.broken_answers > 10, said
    wait_until(lambda: metric(gateway, "weir_in_flight") == 0, 10, "weir_in_flight 0")
    wait_until(lambda: metric(gateway, "weir_client_connections") == 0, 10, "weir_client_connections 0")
    wait_until(
        lambda: gateway.open_files() <= files + metric(gateway, "weir_upstream_connections"), 10, "the descriptors' end"
    )
    assert metric(gateway, "weir_records_dropped_total") == 0
    gateway.judged = True
    assert gateway.stop() == 0
    begun = set(chaos.begun)
    missing = len(begun) - len(gateway.records())
    assert 0 <= missing <= chaos.lost, f"{said}: {missing} of {len(begun)} left no record, {chaos.lost} may"
    wrong = gateway.faults()
    assert not wrong, f"{said}: {len(wrong)} faults:\n" + "\n".join(map(str, wrong[:8]))
    assert all(r["connection_reused"] for r in gateway.seen if r["trace_id"] in chaos.stale)
    known = [r["trace_id"] for r in gateway.seen if r["trace_id"] in begun]
    assert len(known) == len(set(known)), "two records for one request"


# ---- ends ----


def dripping(connection, request):
    """An endless stream, an event every 20 ms; it ends when its connection does."""
    try:
        connection.send(STREAM_HEAD)
        while True:
            connection.send(chunk(chat_chunk({"content": "drip "})))
            time.sleep(0.02)
    except OSError:
        pass


def lasting(seconds):
    def handler(connection, request):
        connection.send(STREAM_HEAD + chunk(chat_chunk({"content": "begun"})))
        time.sleep(seconds)
        connection.send(chunk(chat_chunk(finish="stop")) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    return handler


def begin_streams(gateway, count, **more):
    clients = []
    for _ in range(count):
        client = gateway.connect(timeout=40.0, **more)
        client.send(wire.request("POST", "/v1/chat/completions", AUTH, chat(stream=True)))
        clients.append(client)
    return clients


def judge(gateway, status=0):
    """It has been told to end: does it, cleanly, and with sound records?"""
    gateway.judged = True
    assert gateway.process.wait(60) == status, gateway.said()[-2000:]
    wrong = gateway.faults()
    assert not wrong, "\n".join(map(str, wrong[:5]))


def test_live_streams_finish_while_draining(own, raw):
    gateway = own(http={"drain": "30s"})
    raw.handler = lasting(1.0)
    clients = begin_streams(gateway, 20)
    heads = [client.read_head() for client in clients]
    gateway.process.terminate()
    for client, head in zip(clients, heads):
        assert b"[DONE]" in client.read_body(head, True).body
    begin = time.monotonic()
    judge(gateway)
    assert time.monotonic() - begin < 25, "it waited for more than its streams"
    assert [r["error"] for r in gateway.records()] == [None] * 20


def test_streams_that_last_longer_are_cut_with_an_error_event(own, raw):
    gateway = own(http={"drain": "500ms"})
    raw.handler = dripping
    clients = begin_streams(gateway, 10)
    heads = [client.read_head() for client in clients]
    gateway.process.terminate()
    for client, head in zip(clients, heads):
        with pytest.raises(wire.Closed):
            client.read_body(head, True)
        assert b'"code":"draining"' in head.body and b"[DONE]" not in head.body
    judge(gateway)
    assert [(r["status"], r["error"]) for r in gateway.records()] == [(200, "draining")] * 10


def test_a_second_signal_cuts_at_once_and_still_records_everything(own, raw):
    gateway = own(http={"drain": "60s"})
    raw.handler = dripping
    clients = begin_streams(gateway, 10)
    heads = [client.read_head() for client in clients]
    begin = time.monotonic()
    gateway.process.terminate()
    wait_until(lambda: "draining: " in gateway.said(), 5, "the first to be seen: two at a time would be one")
    gateway.process.terminate()
    judge(gateway)
    assert time.monotonic() - begin < 40  # less than the 60 s it would have
    assert [r["error"] for r in gateway.records()] == ["draining"] * 10
    del heads


def endless(connection, request):
    event = chunk(chat_chunk({"content": "x" * 16384}))
    connection.sock.settimeout(30)
    try:
        connection.send(STREAM_HEAD)
        while True:
            connection.send(event)
    except OSError:
        pass


@pytest.mark.slow
def test_300_clients_that_never_read_stay_within_memory_and_do_not_hold_up_the_end(own, raw):
    gateway = own(http={"drain": "1s"})
    raw.handler = endless
    base, count = gateway.resident_bytes(), 300 if not SANITIZED else 60
    clients = begin_streams(gateway, count, receive_buffer=4096)
    wait_until(lambda: in_flight(gateway) == count, 20, "all of them under way")
    time.sleep(2.0)
    grown = gateway.resident_bytes() - base
    assert grown < count * (1 << 20) * MEMORY, f"{grown >> 20} MiB for {count} clients"
    assert gateway.get("/healthz").status == 200
    begin = time.monotonic()
    gateway.process.terminate()
    judge(gateway)
    assert time.monotonic() - begin < 45
    found = gateway.records()
    assert len(found) == count and {r["error"] for r in found} == {"draining"}
    for client in clients:
        client.close()
