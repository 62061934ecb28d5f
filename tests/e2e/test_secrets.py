"""Secrets stay where they belong: thousands of good and bad requests, and not 12 characters of any key in what the
gateway wrote, sent to a client, or counted."""

import random

import pytest

from conftest import DISABLED_KEY, EXPIRED_KEY, NARROW_KEY, PROVIDER_KEY, TENANT_KEY, chat, configuration
from harness import wire
from harness.provider import LAST_CHUNK, STREAM_HEAD, chat_body, chat_events, chunk, response

CHAT = "/v1/chat/completions"
KEYS = [TENANT_KEY, NARROW_KEY, EXPIRED_KEY, DISABLED_KEY, PROVIDER_KEY]
PROMPT = "the-prompt-is-nobodys-business-either"
ANSWER = "and-neither-is-what-the-model-said"


def pieces(secret):
    """What must not be found; the part all keys have in common tells nothing."""
    text = secret.removeprefix("sk-weir-").removeprefix("sk-")
    return [text[i : i + 12] for i in range(len(text) - 11)]


def faulty(connection, request):
    """An answer of a random kind, each with the provider's key where the kind allows it."""
    kind = faulty.dice.randrange(9)
    key = (request.get("authorization") or request.get("x-api-key") or request.get("x-goog-api-key") or "").encode()
    error = b'{"error":{"message":"bad key ' + key + b'"}}'
    if kind == 0:
        connection.send(response(error, 400))
    elif kind == 1:
        connection.send(response(error, 401))
    elif kind == 2:
        connection.send(response(error, 500, framing="chunked"))
    elif kind == 3:
        connection.send(b"HTTP/1.1 200 OK\r\nX-Bad: " + key + b"\0\r\n\r\n")
        connection.close()
    elif kind == 4:
        connection.close()
    elif kind == 5:
        connection.send(STREAM_HEAD + chunk(chat_events((ANSWER,))[1]))
        connection.close()
    elif kind == 6:
        connection.send(STREAM_HEAD + b"".join(chunk(e) for e in chat_events((ANSWER,))) + LAST_CHUNK)
    else:
        connection.send(response(chat_body(ANSWER)))


def requests(dice, count):
    for _ in range(count):
        key = dice.choice(KEYS[:4] + [TENANT_KEY] * 6)
        fields = dice.choice(
            [
                {"Authorization": f"Bearer {key}"},
                {"x-api-key": key},
                {"api-key": key},
                {"x-goog-api-key": key},
                {"Authorization": f"Bearer {key}", "x-api-key": TENANT_KEY},
                {"Authorization": f"Basic {key}"},
                {"Authorization": f"Bearer {key}x"},
                {"Cookie": f"k={key}", "User-Agent": "ok"},
            ]
        )
        body = chat(
            dice.choice(["raw-1", "raw-2", "nobody", "rawalias"]),
            stream=dice.random() < 0.4,
            messages=[{"role": "user", "content": PROMPT}],
        )
        path = dice.choice(
            [CHAT] * 8
            + [
                "/v1/nothing",
                "/v1/embeddings",
                "/raw/v1/files",
                "/raw/v1/other",
                f"/v1beta/models/rawgem-1:generateContent?key={key}",
            ]
        )
        yield wire.request(dice.choice(["POST"] * 9 + ["GET"]), path, fields, body)


@pytest.mark.timeout(400)
def test_no_key_is_ever_written_or_sent_to_a_client(own, raw):
    gateway = own(log={"access": "stdout", "level": "debug"})
    dice = faulty.dice = random.Random(20)
    raw.handler = faulty
    seen, statuses = [], {}
    client, count = None, 0
    for data in requests(dice, 3000):
        try:
            client = client or gateway.connect()
            client.send(data)
            answer = client.read_head()
            try:
                client.read_body(answer, True)
            except wire.Closed as cut:
                answer.body += cut.args[0]
                client.close()
                client = None
            seen.append(answer.head + answer.body)
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            if client and (answer.get("connection") or "").lower() == "close":
                client.close()
                client = None
        except (wire.Closed, OSError):
            client and client.close()
            client = None
        count += 1
    assert {200, 400, 401, 404, 500, 502} <= set(statuses), statuses
    metrics = gateway.get("/metrics", admin=True).body
    answers = b"\n".join(seen)
    gateway.stop_and_check()
    gateway.judged = True
    assert len(gateway.records()) >= count * 0.95
    written = {
        "stdout": gateway.stdout_path.read_bytes(),
        "stderr": gateway.stderr_path.read_bytes(),
        "metrics": metrics,
        "answers": answers,
    }
    for place, text in written.items():
        for key in KEYS:
            found = [p for p in pieces(key) if p.encode() in text]
            assert not found, f"{place} holds {found[0]} of a key"
        if place != "answers":
            assert PROMPT.encode() not in text and ANSWER.encode() not in text, f"{place} holds what was said"


def test_a_key_in_the_environment_is_not_in_what_the_process_shows(start, raw, mock):
    import pathlib

    settings = configuration(mock.port, raw.port)
    settings["providers"]["raw"]["api_key"] = "${CANARY_FOR_RAW}"
    gateway = start(settings, environment={"CANARY_FOR_RAW": PROVIDER_KEY})
    assert gateway.post(CHAT, chat(), {"x-api-key": TENANT_KEY}).status == 200
    assert raw.requests[-1].get("authorization") == f"Bearer {PROVIDER_KEY}"
    assert PROVIDER_KEY.encode() not in pathlib.Path(f"/proc/{gateway.pid}/cmdline").read_bytes()
