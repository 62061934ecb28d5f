"""Bodies pass byte for byte, however they are cut; what has to be put in or taken out is the only difference."""

import json
import random
import time

import pytest

from conftest import TENANT_KEY, chat
from harness import wire
from harness.provider import (
    CHAT_USAGE,
    DONE,
    LAST_CHUNK,
    STREAM_HEAD,
    USAGE_CHUNK,
    chat_body,
    chat_chunk,
    chat_events,
    chunk,
    response,
)

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"
ODD = (
    b'{ "model" : "raw-1",\r\n\t"messages":[{"role":"user","content":"caf\xc3\xa9 \\u00e9 \\ud83d\\ude00 \\/ '
    b'\xf0\x9f\x98\x80"}], "n":1, "x":[1.0, 1e2, -0, 0.1, 123456789012345678901234567890, 1E-400], "y":{"model":"inner"},'
    b'"metadata":{"model":"x","stream":true} , "top_p" : 1.00 } \n'
)


def test_a_body_reaches_the_provider_byte_for_byte(gateway, raw):
    answer = gateway.post(CHAT, ODD, {**AUTH, "Content-Type": "application/json"})
    assert answer.status == 200
    assert raw.requests[-1].body == ODD
    assert gateway.record(answer)["request_bytes"] == len(ODD)


def test_an_alias_is_spliced_in_and_nothing_else_changes(gateway, raw):
    body = ODD.replace(b'"raw-1"', b'"rawalias"')
    answer = gateway.post(CHAT, body, AUTH)
    assert answer.status == 200 and answer.get("x-weir-model") == "raw-behind-the-alias"
    assert raw.requests[-1].body == body.replace(b'"rawalias"', b'"raw-behind-the-alias"')
    record = gateway.record(answer)
    assert (record["model_requested"], record["provider"]) == ("rawalias", "raw")


def test_a_provider_named_before_the_model_is_taken_off(gateway, raw):
    body = json.dumps(chat("raw/raw-5")).encode()
    assert gateway.post(CHAT, body, AUTH).status == 200
    assert raw.requests[-1].body == body.replace(b"raw/raw-5", b"raw-5")


def test_an_answer_reaches_the_client_byte_for_byte(gateway, raw):
    body = b' {"a":1.0, "b":"\\u00e9\\/", "usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}, "z":1e400}\n\n'
    for framing in ("length", "chunked", "close"):

        def handler(connection, request, framing=framing):
            connection.send(response(body, framing=framing))
            if framing == "close":
                connection.close()

        raw.handler = handler
        answer = gateway.post(CHAT, chat(), AUTH)
        assert answer.status == 200 and answer.body == body, framing
        record = gateway.record(answer)
        assert (record["input_tokens"], record["output_tokens"], record["tokens_estimated"]) == (5, 2, False), framing
        assert record["response_bytes"] == len(body) and record["error"] is None, framing


def cut_everywhere(data):
    return [(data[:i], data[i:]) for i in range(1, len(data))]


def test_a_request_cut_at_every_byte_has_the_same_outcome(gateway, raw):
    data = wire.request(
        "POST", CHAT, AUTH, {"model": "raw-1", "messages": [{"role": "user", "content": "é😀"}]}, chunked=True
    )
    with gateway.connect() as client:  # kept alive: one connection for all the cuts
        client.send(data)
        wanted = client.read_response()
        body = raw.requests[-1].body
        head = [f for f in raw.requests[-1].fields]
        for first, second in cut_everywhere(data):
            client.send(first)
            time.sleep(0.0005)
            client.send(second)
            answer = client.read_response()
            assert (answer.status, answer.body) == (wanted.status, wanted.body), first
            assert raw.requests[-1].body == body and raw.requests[-1].fields == head, first


def test_a_request_a_byte_at_a_time_has_the_same_outcome(gateway, raw):
    data = wire.request("POST", CHAT, AUTH, chat())
    with gateway.connect() as client:
        client.send_each_byte(data, pause=0.0002)
        assert client.read_response().status == 200
    assert raw.requests[-1].json() == chat()


STREAM = (
    b": hello\n\n"
    + b"".join(chat_events(("caf\u00e9".encode().decode(), "\U0001f600", "lo"), usage=False, done=False))
    + b'event: x\r\nid: 1\r\ndata: {"choices":[]}\r\n\r\n'
    + DONE
)


@pytest.mark.parametrize("cut", ["whole", "bytes", "chunk a byte", "random"])
def test_a_stream_reaches_the_client_byte_for_byte_however_it_is_cut(gateway, raw, cut):
    whole = STREAM_HEAD + chunk(STREAM) + LAST_CHUNK

    def handler(connection, request):
        if cut == "whole":
            connection.send(whole)
        elif cut == "bytes":
            connection.send_each_byte(whole, pause=0.0001)
        elif cut == "chunk a byte":
            connection.send(STREAM_HEAD + b"".join(chunk(STREAM[i : i + 1]) for i in range(len(STREAM))) + LAST_CHUNK)
        else:
            rest, dice = whole, random.Random(7)
            while rest:
                size = dice.randint(1, 60)
                connection.send(rest[:size])
                rest = rest[size:]
                time.sleep(0.0005)

    raw.handler = handler
    answer = gateway.post(CHAT, chat(stream=True, stream_options={"include_usage": True}), AUTH)
    assert answer.status == 200 and answer.body == STREAM
    record = gateway.record(answer)
    assert (record["error"], record["stream"], record["finish_reason"], record["chunks"]) == (None, True, "stop", 3)
    assert record["ttft_ms"] is not None and record["first_visible_ms"] is not None


@pytest.mark.parametrize(
    "written,asked",
    [
        (b"", False),
        (b',"stream_options":{}', False),
        (b',"stream_options":null', False),
        (b',"stream_options":{"include_usage":false}', False),
        (b',"stream_options":{"include_usage":null}', False),
        (b',"stream_options":{ "include_obfuscation" : false }', False),
        (b',"stream_options":{"include_usage":true}', True),
    ],
)
def test_usage_is_asked_for_and_its_chunk_taken_out_when_the_client_did_not_ask(gateway, raw, written, asked):
    body = b'{"model":"raw-1", "messages":[ ],"stream":true' + written + b' , "top_p":1.0}'
    answer = gateway.post(CHAT, body, AUTH)
    sent = raw.requests[-1].body
    assert json.loads(sent)["stream_options"]["include_usage"] is True
    if asked:
        assert sent == body
    else:
        stripped = {k: v for k, v in json.loads(sent).items() if k != "stream_options"}
        assert stripped == {k: v for k, v in json.loads(body).items() if k != "stream_options"}
        assert b'"top_p":1.0' in sent
        if not written:  # nothing but the member itself was put in
            assert sent.replace(b'"stream_options":{"include_usage":true},', b"") == body
        if b"include_obfuscation" in written:
            assert json.loads(sent)["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert answer.body == b"".join(chat_events(usage=asked))
    record = gateway.record(answer)
    assert (record["input_tokens"], record["output_tokens"], record["tokens_estimated"]) == (11, 3, False)


@pytest.mark.parametrize("step", [1, 3, 50, 100000])
def test_only_the_usage_chunk_is_taken_out_however_the_stream_is_cut(gateway, raw, step):
    kept = [
        b": comment\n\n",
        *chat_events(usage=False, done=False)[:-1],
        chat_chunk({"content": "\u00e9"}, usage=None),
        chat_chunk(finish="stop"),
        b'data: {"choices":[],"prompt_filter_results":[{"a":1}]}\n\n',
    ]
    stream = b"".join(kept) + USAGE_CHUNK + DONE

    def handler(connection, request):
        connection.send(STREAM_HEAD)
        for i in range(0, len(stream), step):
            connection.send(chunk(stream[i : i + step]))
        connection.send(LAST_CHUNK)

    raw.handler = handler
    answer = gateway.post(CHAT, chat(stream=True), AUTH)
    assert answer.body == b"".join(kept) + DONE
    assert gateway.record(answer)["output_tokens"] == CHAT_USAGE["completion_tokens"]


def test_a_provider_may_forbid_the_injection(start, raw, mock):
    from conftest import configuration

    settings = configuration(mock.port, raw.port)
    settings["providers"]["raw"]["usage"] = "never"
    own = start(settings)
    body = json.dumps(chat(stream=True)).encode()
    answer = own.post(CHAT, body, AUTH)
    assert raw.requests[-1].body == body
    record = own.record(answer)
    assert record["tokens_estimated"] is True and record["output_tokens"] > 0


def test_bytes_are_passed_on_as_they_come_not_at_the_end(gateway, raw):
    """Each event must reach the client before the next one is sent: nothing is held back."""
    import threading

    seen = threading.Event()

    def handler(connection, request):
        connection.send(STREAM_HEAD)
        for event in chat_events(usage=False):
            seen.clear()
            connection.send(chunk(event))
            assert seen.wait(25)
        connection.send(LAST_CHUNK)

    raw.handler = handler
    for options in ({"stream_options": {"include_usage": True}}, {}):  # raw relay, and with events taken out
        with gateway.connect() as client:
            client.send(wire.request("POST", CHAT, AUTH, chat(stream=True, **options)))
            answer = client.read_head()
            got = b""
            for event in chat_events(usage=False):
                while len(got) < len(event):
                    got += client.read_chunk(answer)
                assert got == event
                got = b""
                seen.set()


def test_a_large_body_and_a_large_answer_pass_whole(gateway, raw):
    text = "".join(random.Random(3).choices('abc é\u4e00\U0001f600"\\\n', k=150000))
    body = json.dumps(chat(messages=[{"role": "user", "content": text}]), ensure_ascii=False).encode()
    big = json.dumps(chat_body(text * 8)).encode()
    raw.handler = lambda c, r: c.send(response(big))
    answer = gateway.post(CHAT, body, AUTH)
    assert raw.requests[-1].body == body
    assert answer.body == big
    assert gateway.record(answer)["output_tokens"] == 3


def test_pipelined_requests_are_answered_in_order_and_one_by_one(gateway, raw):
    def handler(connection, request):
        time.sleep(0.02 if request.json()["model"].endswith("0") else 0)
        connection.send(response(chat_body(request.json()["model"])))

    raw.handler = handler
    with gateway.connect() as client:
        client.send(b"".join(wire.request("POST", CHAT, AUTH, chat(f"raw-{i}")) for i in range(8)))
        for i in range(8):
            answer = client.read_response()
            assert answer.json()["choices"][0]["message"]["content"] == f"raw-{i}"
    last = gateway.record(answer)
    assert last["phases"]["queue_ms"] + last["phases"]["receive_ms"] + last["phases"]["loop_ms"] >= 0


def test_nothing_is_answered_after_connection_close(gateway, raw):
    before = len(raw.requests)
    with gateway.connect() as client:
        client.send(
            wire.request("POST", CHAT, {**AUTH, "Connection": "close"}, chat())
            + wire.request("POST", CHAT, AUTH, chat("raw-never"))
        )
        answer = client.read_response()
        assert answer.status == 200 and answer.get("connection").lower() == "close"
        assert client.read_to_end() == b""
    assert len(raw.requests) == before + 1


def test_http_1_0_gets_no_chunks_and_an_end(gateway, raw):
    data = wire.request("POST", CHAT, AUTH, chat(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    with gateway.connect() as client:
        client.send(data)
        answer = client.read_head()
        body = client.read_to_end()
    assert answer.status == 200 and answer.get("transfer-encoding") is None
    assert body == b"".join(chat_events(usage=False))


def test_expect_100_continue_is_honoured_and_not_passed_on(gateway, raw):
    body = json.dumps(chat()).encode()
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, {**AUTH, "Expect": "100-continue", "Content-Length": str(len(body))}))
        assert client.read_head().status == 100
        client.send(body)
        assert client.read_response().status == 200
    assert raw.requests[-1].body == body and not raw.requests[-1].all("expect")


@pytest.mark.parametrize(
    "fields,target,status",
    [({"x-api-key": "nobody"}, CHAT, 401), (AUTH, "/v1/nothing", 404), ({**AUTH, "Content-Encoding": "br"}, CHAT, 415)],
)
def test_a_refusal_comes_instead_of_100_continue(gateway, raw, fields, target, status):
    before = raw.bytes_received
    interim = []
    with gateway.connect() as client:
        client.send(wire.request("POST", target, {**fields, "Expect": "100-continue", "Content-Length": "9999"}))
        assert client.read_response(interim=interim).status == status
    assert not interim and raw.bytes_received == before


def test_a_short_body_then_an_end_never_reaches_the_provider(gateway, raw, trace):
    trace_id, fields = trace
    before = raw.bytes_received
    with gateway.connect(timeout=15.0) as client:
        data = wire.request("POST", CHAT, {**AUTH, **fields}, chat())
        client.send(data[:-5])
        client.finish_writing()
        client.read_to_end()
    assert raw.bytes_received == before
    assert gateway.record(trace_id)["error"] in ("client_gone", "bad_request")


def test_connections_are_reused_on_both_sides(gateway, raw):
    with gateway.connect() as client:
        for _ in range(5):
            client.send(wire.request("POST", CHAT, AUTH, chat()))
            answer = client.read_response()
    assert gateway.record(answer)["connection_reused"] is True
    record = gateway.record(answer)
    assert record["phases"]["connect_ms"] == 0 and record["phases"]["dns_ms"] == 0 and record["phases"]["tls_ms"] == 0
