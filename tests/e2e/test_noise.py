"""Random damage on both sides: whatever comes, the gateway stays up, every exchange leaves one sound record, and a
whole request right after is served. WEIR_NOISE_SEED gives another sequence; a seed that found something is added to
SEEDS."""

import json
import os
import random
import time

import pytest

from conftest import TENANT_KEY, chat
from harness import wire
from harness.gateway import wait_until
from harness.provider import LAST_CHUNK, STREAM_HEAD, answer_chat, chat_body, chat_events, chunk, response
from test_clients import in_flight

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"
SEEDS = [int(os.environ["WEIR_NOISE_SEED"])] if "WEIR_NOISE_SEED" in os.environ else [1]
WORDS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b":",
    b" ",
    b"\t",
    b",",
    b"0",
    b"-1",
    b"ffffffffffffffff",
    b"chunked",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\u0000",
    b"data: ",
    b"[DONE]",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"HTTP/1.1",
    b"%00",
    b"/",
    b"a" * 5000,
    b";",
    b"null",
    b"1e999",
    b"traceparent: 00-",
    b"\x80",
]


def damage(dice, data):
    data = bytearray(data)
    for _ in range(dice.choice([0, 1, 1, 1, 2, 4])):
        at, kind = dice.randrange(len(data)), dice.randrange(5)
        if kind == 0:
            data[at] = dice.randrange(256)
        elif kind == 1:
            data[at:at] = dice.choice(WORDS)
        elif kind == 2:
            del data[at : at + dice.choice([1, 2, 8, 40])]
        elif kind == 3:
            end = min(len(data), at + dice.randrange(1, 60))
            data[at:at] = data[at:end]
        else:
            data[at : at + 1] = dice.choice(WORDS)
    return bytes(data) or b"x"


def requests():
    body = chat(stream=True, messages=[{"role": "user", "content": 'é \U0001f600 \\ "'}], max_tokens=9, n=1)
    return [
        wire.request("POST", CHAT, AUTH, chat()),
        wire.request(
            "POST",
            CHAT,
            {
                **AUTH,
                "x-weir-tag-a": "b",
                "x-weir-timing": "a;dur=1",
                "traceparent": wire.new_trace()[1],
                "x-weir-debug": "1",
            },
            body,
        ),
        wire.request("POST", CHAT, AUTH, body, chunked=True),
        wire.request(
            "POST", "/v1/messages", {"x-api-key": TENANT_KEY}, {"model": "rawclaude-1", "max_tokens": 3, "messages": []}
        ),
        wire.request(
            "POST", f"/v1beta/models/rawgem-1:streamGenerateContent?alt=sse&key={TENANT_KEY}", {}, {"contents": []}
        ),
        wire.request("GET", "/raw/v1/files?x=y", AUTH),
        wire.request("GET", "/v1/models", AUTH),
        wire.request("POST", "/raw/v1/files", AUTH, b"0123456789" * 30, chunked=True),
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_requests(gateway, raw, seed):
    dice, kinds, statuses = random.Random(seed), requests(), set()
    patience = max(0.05, 5 * min(seconds_of(gateway) for _ in range(5)))  # many are not answered
    for _ in range(1200):
        data = b"".join(damage(dice, dice.choice(kinds)) for _ in range(dice.choice([1, 1, 2])))
        client = gateway.connect(timeout=patience)
        try:
            cut = dice.randrange(len(data))
            client.send(data[:cut])
            client.send(data[cut:])
            if dice.random() < 0.5:
                client.finish_writing()
            if dice.random() < 0.8:
                statuses.add(client.read_response().status)
        except (OSError, wire.Closed, ValueError, AssertionError):
            pass
        client.reset() if dice.random() < 0.3 else client.close()
    assert {200, 400, 401} <= statuses
    settle(gateway)


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_answers(gateway, raw, seed):
    dice = random.Random(seed)
    anthropic = b"".join(
        f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode()
        for e in (
            {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 9, "output_tokens": 1}}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        )
    )
    stream = b"".join(chat_events(usage=True))
    answers = [response(chat_body(), framing=f, fields=[("x-request-id", "r")]) for f in ("length", "chunked", "close")]
    answers += [
        STREAM_HEAD + b"".join(chunk(e) for e in chat_events()) + LAST_CHUNK,
        STREAM_HEAD + wire.chunks(stream, 13),
        STREAM_HEAD + wire.chunks(anthropic, 50),
        response({"error": {"message": "k"}}, 429, fields=[("retry-after", "1")]),
        b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" + response(chat_body()),
    ]

    def handler(connection, request):
        data = damage(dice, dice.choice(answers))
        cut = dice.randrange(len(data))
        connection.send(data[:cut])
        if dice.random() < 0.1:
            time.sleep(0.002)
        connection.send(data[cut:])
        connection.close() if dice.random() < 0.8 else connection.reset()

    raw.handler = handler
    kinds = requests()[:6]
    for _ in range(900):
        client = gateway.connect(timeout=0.5)
        try:
            client.send(dice.choice(kinds))
            client.read_response()
        except (OSError, wire.Closed, ValueError, AssertionError):
            pass
        client.close()
    raw.handler = answer_chat
    settle(gateway)


def seconds_of(gateway):
    """What a good request takes here and now."""
    begin = time.monotonic()
    assert gateway.post(CHAT, chat(), AUTH).status == 200
    return time.monotonic() - begin


def settle(gateway):
    answer = gateway.post(CHAT, chat(), AUTH)
    assert answer.status == 200
    gateway.record(answer)
    wait_until(lambda: in_flight(gateway) == 0, 6, "weir_in_flight 0")
