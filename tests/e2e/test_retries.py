"""Providers that fail before the client has got anything, and what is tried instead of giving up."""

import hashlib
import json
import select
import threading
import time
from decimal import Decimal

import pytest

from conftest import PROVIDER_KEY, chat, configuration, tenants
from harness import wire
from harness.gateway import PATIENCE, one_of, wait_until
from harness.provider import (
    LAST_CHUNK,
    STREAM_HEAD,
    Provider,
    answer_chat,
    chat_body,
    chat_events,
    chunk,
    response,
)

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def others():
    """Two more providers of raw bytes."""
    made = [Provider(), Provider()]
    yield made
    for provider in made:
        provider.stop()


def provider_of(port, **more):
    return {
        "dialect": "openai",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "api_key": PROVIDER_KEY,
        **more,
    }


@pytest.fixture(scope="module")
def closed_port():
    closed = wire.ClosedPort()
    yield closed.port
    closed.close()


RETRY = {"attempts": 3, "backoff": "1ms"}


@pytest.fixture(scope="module")
def module_gateway(tmp_path_factory, mock, raw_provider, others, closed_port):
    from harness.gateway import Gateway

    def target(provider, model="m", **more):
        return {"provider": provider, "model": model, **more}

    made = configuration(mock.port, raw_provider.port)
    made["providers"] |= {
        "first": provider_of(others[0].port),
        "hasty": provider_of(others[0].port, timeouts={"first_token": "1500ms", "idle": "20s"}),
        "second": provider_of(others[1].port),
        "nobody": provider_of(closed_port),
    }
    made["models"] |= {
        # One for each test that leaves failures behind: a target that fails in a row is left alone.
        **{name: {"targets": [target("first", name)], "retry": RETRY} for name in ("again", "stays", "cut", "left")},
        "silent": {"targets": [target("hasty", "again")], "retry": RETRY},
        "either": {"targets": [target("first", weight=10000), target("second", "other")], "retry": RETRY},
        "down": {"targets": [target("nobody", weight=10000), target("second")], "retry": {"attempts": 2}},
        "chain": {"targets": [target("nobody")], "fallback": ["middle"]},
        "counted": {"targets": [target("hasty", "counted")], "retry": {"attempts": 2, "backoff": "1ms"}, "fallback": ["rest"]},
        "rest": {"targets": [target("second", "counted-too")]},
        "middle": {"targets": [target("first", "in-the-middle")], "fallback": ["end"]},
        "end": {"targets": [target("second", "at-the-end")]},
        "lonely": {"targets": [target("first", "alone")], "retry": {"attempts": 2}, "fallback": ["end"]},
        "hedged": {"targets": [target("first", "gpt-4o")], "hedge": {"after": "1s", "budget": "100%"}},
        "thrifty": {"targets": [target("first", "thrifty")], "hedge": {"after": "20ms", "budget": "10%"}},
        "only": {"targets": [target("first", "only")], "retry": {"attempts": 2, "when": [500]}},
    }
    gateway = Gateway(tmp_path_factory.mktemp("retries"), made)
    yield gateway
    gateway.stop_and_check()


@pytest.fixture
def retrying(module_gateway, others):
    for provider in others:
        provider.reset_script()
        provider.requests.clear()
    yield module_gateway
    wrong = module_gateway.faults()
    assert not wrong, wrong[:5]


def ask(gateway, key, model, **more):
    with gateway.connect(timeout=40.0) as client:
        client.send(wire.request("POST", CHAT, key, chat(model, **more)))
        answer = client.read_head()
        try:
            client.read_body(answer, True)
        except wire.Closed:
            answer.complete = False
        return answer


def failing(times, fail):
    """A handler that fails so many times, then answers."""
    left = [times]
    lock = threading.Lock()

    def handler(connection, request):
        with lock:
            left[0] -= 1
            fails = left[0] >= 0
        if fails:
            fail(connection)
        else:
            answer_chat(connection, request)

    return handler


EVENTS = chat_events()
ROLE_ONLY = STREAM_HEAD + chunk(EVENTS[0])
FAULTS = {
    "503": lambda c: c.send(response({"error": {"message": "no"}}, 503)),
    "429 at once": lambda c: c.send(response({"error": {}}, 429, fields=[("retry-after-ms", "1")])),
    "a reset": lambda c: c.reset(),
    "an end": lambda c: c.close(),
    "garbage": lambda c: c.send(b"\x00\x01\x02 this is no HTTP\r\n\r\n"),
    "an end inside the head": lambda c: (c.send(STREAM_HEAD[:40]), c.close()),
    "a reset after the head": lambda c: (c.send(STREAM_HEAD), c.reset()),
    "an end before the first token": lambda c: (c.send(ROLE_ONLY), c.close()),
    "too many interim answers": lambda c: c.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
    "no first token": lambda c: (c.send(ROLE_ONLY), c.wait_for_end(30)),
    "silence": lambda c: c.wait_for_end(30),
}


TIMEOUTS = ("no first token", "silence")
OF_STREAMS = ("an end inside the head", "a reset after the head", "an end before the first token", "no first token")
CASES = [(fault, True) for fault in FAULTS] + [(fault, False) for fault in FAULTS if fault not in OF_STREAMS]


@pytest.mark.parametrize("fault,stream", CASES)
def test_the_client_does_not_notice(retrying, others, key, fault, stream):
    others[0].handler = failing(2, FAULTS[fault])
    answer = ask(retrying, key, "silent" if fault in TIMEOUTS else "again", stream=stream)
    assert answer.status == 200 and answer.complete and answer.get("x-weir-attempts") == "3"
    if stream:
        assert answer.body == b"".join(chat_events(usage=False))
    else:
        assert json.loads(answer.body) == chat_body()
    record = retrying.record(answer)
    assert record["attempts"] == 3 and record["error"] is None and record["phases"]["retry_ms"] > 0
    bodies = {r.body for r in others[0].requests}
    assert len(others[0].requests) == 3 and len(bodies) == 1


def tries(gateway, **labels):
    """weir_attempts_total by outcome, of the samples with these labels."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    found = {}
    for line in gateway.get("/metrics", admin=True).body.decode().splitlines():
        if line.startswith("weir_attempts_total{") and all(label in line for label in wanted):
            found[line.split('outcome="')[1].split('"')[0]] = int(line.split()[-1])
    return found


def test_tries_that_nobody_noticed_are_counted_at_their_own_target(retrying, others, key):
    steps = [FAULTS["503"], FAULTS["silence"]]  # the second one is ended by a deadline
    others[0].handler = lambda c, r: steps.pop(0)(c)
    answer = ask(retrying, key, "counted")
    assert answer.status == 200 and answer.get("x-weir-provider") == "second"
    hasty = {"tenant": "acme", "provider": "hasty", "model": "counted"}
    wanted = {"overloaded": 1, "first_token_timeout": 1}
    wait_until(lambda: tries(retrying, **hasty) == wanted, what="two tries at its first target")
    assert tries(retrying, tenant="acme", provider="second", model="counted-too") == {"answered": 1}
    page = retrying.get("/metrics", admin=True).body.decode()
    assert 'weir_requests_total{tenant="acme",provider="hasty",model="counted"' not in page


@one_of(4)
def test_a_provider_that_is_down_is_passed_over_at_once(retrying, others, key):
    answer = ask(retrying, key, "down")
    assert answer.status == 200 and answer.get("x-weir-provider") == "second"
    record = retrying.record(answer)
    assert record["attempts"] in (1, 2) and record["provider"] == "second"
    assert record["phases"]["retry_ms"] < 100  # without the back-off of another try at the same one


def test_each_of_a_chain_gets_its_own_models_name(retrying, others, key):
    others[0].handler = failing(1, FAULTS["503"])
    answer = ask(retrying, key, "chain")
    assert answer.status == 200 and answer.get("x-weir-model") == "at-the-end"
    assert answer.get("x-weir-attempts") == "3"
    assert json.loads(others[0].requests[0].body)["model"] == "in-the-middle"
    assert json.loads(others[1].requests[0].body)["model"] == "at-the-end"
    record = retrying.record(answer)
    assert record["model_requested"] == "chain" and record["provider"] == "second"


def test_a_large_body_is_sent_again_byte_for_byte(retrying, others, key):
    others[0].handler = failing(2, FAULTS["503"])
    text = "".join(hashlib.sha256(str(i).encode()).hexdigest() for i in range(12000))
    answer = ask(retrying, key, "again", user=text)
    assert answer.status == 200 and answer.get("x-weir-attempts") == "3"
    wanted = chat("again", user=text)
    assert [json.loads(r.body) for r in others[0].requests] == [wanted] * 3
    assert len({r.body for r in others[0].requests}) == 1


def test_an_early_refusal_during_the_upload_is_worth_another_try(retrying, others, key):
    def early(connection, first):
        connection.send(response({"error": {}}, 503, fields=[("connection", "close")]))
        connection.close()

    begun = []

    def on_connect(connection):
        begun.append(connection)
        if len(begun) == 1:
            connection.sock.recv(100)
            early(connection, None)
            return False
        return True

    with others[0].lock:
        for connection in others[0].connections:
            connection.end()
    others[0].on_connect = on_connect
    answer = ask(retrying, key, "again", user="x" * 900_000)
    assert answer.status == 200 and int(answer.get("x-weir-attempts")) >= 2
    assert json.loads(others[0].requests[-1].body)["user"] == "x" * 900_000


def test_a_refusal_that_stays_is_passed_on_without_the_key(retrying, others, key):
    body = {"error": {"message": f"no entry with {PROVIDER_KEY} today"}}
    others[0].handler = lambda c, r: c.send(response(body, 503, fields=[("x-request-id", "req_9")]))
    answer = ask(retrying, key, "stays")
    assert answer.status == 503 and answer.complete and answer.get("x-weir-attempts") == "3"
    assert answer.get("x-request-id") == "req_9"
    assert PROVIDER_KEY.encode() not in answer.body and b"no entry with ***" in answer.body
    record = retrying.record(answer)
    assert record["error"] == "overloaded" and record["status"] == 503 and record["attempts"] == 3


def test_nothing_is_tried_again_once_a_token_is_out(retrying, others, key):
    def handler(connection, request):
        connection.send(STREAM_HEAD + b"".join(chunk(e) for e in EVENTS[:3]))
        connection.reset()

    others[0].handler = handler
    answer = ask(retrying, key, "cut", stream=True)
    assert not answer.complete and len(others[0].requests) == 1
    record = retrying.record(answer)
    assert record["error"] in ("truncated", "reset") and record["attempts"] == 1


def test_the_head_and_what_was_held_come_with_the_first_token(retrying, others, key):
    go = threading.Event()

    def handler(connection, request):
        connection.send(STREAM_HEAD + chunk(EVENTS[0]) + chunk(b": still here\n\n"))
        go.wait(30)
        connection.send(b"".join(chunk(e) for e in EVENTS[1:]) + LAST_CHUNK)

    others[0].handler = handler
    with retrying.connect(timeout=40) as client:
        client.send(wire.request("POST", CHAT, key, chat("again", stream=True)))
        wait_until(lambda: others[0].requests, what="the request")
        readable, _, _ = select.select([client.sock], [], [], 0.1)
        assert not readable
        go.set()
        answer = client.read_response()
    assert answer.status == 200 and answer.body.startswith(EVENTS[0] + b": still here\n\n")
    wait = float(next(p for p in answer.get("server-timing").split(", ") if p.startswith("wait;")).split("=")[1])
    assert wait >= 100 * 0.9  # as it was when the head went out
    assert retrying.record(answer)["phases"]["wait_ms"] >= 90


def test_a_client_that_leaves_ends_the_tries(retrying, others, key):
    others[0].handler = lambda c, r: c.send(response({"error": {}}, 429, fields=[("retry-after", "5")]))
    trace_id, fields = wire.new_trace()
    with retrying.connect() as client:
        client.send(wire.request("POST", CHAT, {**key, "traceparent": fields}, chat("left")))
        wait_until(lambda: others[0].requests, what="the request")
    record = retrying.record(trace_id)
    assert record["error"] == "client_gone" and record["attempts"] == 1 and len(others[0].requests) == 1


def test_ten_thousand_reuses_without_an_error_that_anyone_sees(retrying, others, key):
    """The provider ends a connection that was idle, some by a reset, just when the next request comes on it."""

    def handler(connection, request):
        if len(connection.requests) % 7 == 0:
            connection.reset() if connection.number % 2 else connection.close()
        else:
            connection.send(response(b'{"ok":1}'))

    others[1].handler = handler
    wrong, body = [], json.dumps(chat("end")).encode()
    request = wire.request("POST", CHAT, key, body)

    def client_run():
        try:
            with retrying.connect(timeout=60) as client:
                for _ in range(1250):
                    client.send(request)
                    answer = client.read_response()
                    if answer.status != 200:
                        wrong.append((answer.status, answer.body[:200]))
        except Exception as error:  # noqa: BLE001: any of them is a visible error
            wrong.append(error)

    threads = [threading.Thread(target=client_run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:5]
    assert len(others[1].requests) > 10_000 + 1_000  # so many went out a second time
    ended = {"tenant": "acme", "provider": "second", "model": "at-the-end"}
    wait_until(lambda: tries(retrying, **ended).get("answered", 0) >= 10_000, what="all of them in the metrics")
    assert tries(retrying, **ended)["stale"] >= 1_000 and "reset" not in tries(retrying, **ended)


def test_the_sdk_streams_over_a_failing_provider(retrying, others):
    import openai

    from conftest import TENANT_KEY

    others[0].handler = failing(2, FAULTS["503"])
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{retrying.port}/v1", api_key=TENANT_KEY, max_retries=0)
    stream = client.chat.completions.create(model="again", stream=True, messages=[{"role": "user", "content": "hi"}])
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert text == "Hello you" and len(others[0].requests) == 3


def health(gateway, provider, model):
    page = gateway.get("/metrics", admin=True).body.decode()
    for state in ("up", "cooling", "probing"):
        if f'weir_target_health{{provider="{provider}",model="{model}",state="{state}"}} 1\n' in page:
            return state
    return None


def test_a_target_that_asks_for_it_is_left_alone_by_all_workers(retrying, others, key):
    refusals = []

    def refuse(connection, request):
        refusals.append(time.monotonic())
        connection.send(response({"error": {}}, 429, fields=[("retry-after-ms", "5000")]))

    others[0].handler = refuse
    assert health(retrying, "first", "alone") == "up"
    first = ask(retrying, key, "lonely")
    assert first.status == 200 and first.get("x-weir-provider") == "second" and len(refusals) == 2
    assert health(retrying, "first", "alone") == "cooling"
    before = len(others[0].requests)
    for i in range(20):  # on connections of their own: both workers get some
        answer = ask(retrying, key, "lonely")
        if time.monotonic() - refusals[1] > 4.9:
            assert i > 1, "hardly any were asked in time"
            break
        assert answer.get("x-weir-provider") == "second" and len(others[0].requests) == before
    others[0].reset_script()
    wait_until(lambda: ask(retrying, key, "lonely").get("x-weir-provider") == "first", 10, "the first one's return")
    wait_until(lambda: health(retrying, "first", "alone") == "up", what="the end of the probe")  # just after its answer
    assert "first/alone: left alone for 5000 ms (rate_limited)" in retrying.said()
    assert "first/alone: works again" in retrying.said()


def test_when_all_are_left_alone_the_client_hears_when_to_come_back(retrying, others, key):
    others[0].handler = lambda c, r: c.send(response({"error": {}}, 429, fields=[("retry-after", "30")]))
    begun = time.monotonic()
    assert ask(retrying, key, "only").status == 429
    answer = ask(retrying, key, "only")
    assert answer.status == 503 and answer.get("x-weir-error") == "no_target"
    assert 29 - (time.monotonic() - begun) <= int(answer.get("retry-after")) <= 30
    record = retrying.record(answer)
    assert record["error"] == "no_target" and record["attempts"] == 0 and record["provider"] is None


# ---- hedging ----


def slow_then_quick(provider):
    """Answers every second stream quickly, and the others not before they are told to."""
    go, number, lock = threading.Event(), [0], threading.Lock()

    def handler(connection, request):
        with lock:
            number[0] += 1
            slow = number[0] % 2 == 1
        if slow and not go.wait(30):
            return
        answer_chat(connection, request)

    provider.handler = handler
    return go


def test_the_quicker_of_two_answers_and_the_slower_is_cancelled(retrying, others, key):
    go = slow_then_quick(others[0])
    answer = ask(retrying, key, "hedged", stream=True, stream_options={"include_usage": True})
    assert answer.status == 200 and answer.complete and answer.body == b"".join(chat_events())
    assert answer.get("x-weir-attempts") == "2"
    record = retrying.record(answer)
    assert record["attempts"] == 2 and record["phases"]["retry_ms"] >= 1000 and record["error"] is None
    slow = next(c for c in others[0].connections if c.requests and c.requests[-1] is others[0].requests[-2])
    assert slow.is_closed_within(PATIENCE)
    go.set()
    usage = {"in": Decimal(11), "out": Decimal(3)}
    each = (usage["in"] * Decimal("2.5") + usage["out"] * 10) / 1_000_000
    lost = usage["in"] * Decimal("2.5") / 1_000_000
    assert record["waste_usd"] == lost and record["cost_usd"] == each + lost


def test_waste_is_counted_for_its_tenant(retrying, others, key):
    def counter(name):
        page = retrying.get("/metrics", admin=True).body.decode()
        wanted = f'{name}{{tenant="acme",provider="first",model="gpt-4o"}} '
        return Decimal(next((line.split()[-1] for line in page.splitlines() if line.startswith(wanted)), "0"))

    raced = {"tenant": "acme", "provider": "first", "model": "gpt-4o"}
    before = counter("weir_waste_tokens_total"), counter("weir_waste_usd_total")
    tried = tries(retrying, **raced)
    go = slow_then_quick(others[0])
    answer = ask(retrying, key, "hedged", stream=True, stream_options={"include_usage": True})
    record = retrying.record(answer)
    assert record["waste_usd"] > 0


    def ended():
        return {name: count - tried.get(name, 0) for name, count in tries(retrying, **raced).items()}

    wait_until(lambda: sum(ended().values()) == 2, what="the end of both tries")
    assert ended() == {"answered": 1, "lost": 1}
    assert counter("weir_waste_tokens_total") - before[0] == 11
    assert counter("weir_waste_usd_total") - before[1] == record["waste_usd"]
    go.set()


def test_what_a_loser_used_counts_against_its_tenants_limits(own, raw, key):
    limits = {"tokens_per_minute": 60, "usd_per_day": 5}  # a token a second comes back
    hedged = {"targets": [{"provider": "raw", "model": "gpt-4o"}], "hedge": {"after": "1s", "budget": "100%"}}
    gateway = own(models={"hedged": hedged}, tenants={"acme": {**tenants()["acme"], "limits": limits}})
    go = slow_then_quick(raw)
    answer = ask(gateway, key, "hedged", stream=True, max_tokens=3, stream_options={"include_usage": True})
    assert answer.status == 200 and answer.complete and answer.get("x-weir-attempts") == "2"
    go.set()

    def rows():
        rows = {row["limit"]: row for row in gateway.get("/weir/usage", key).json()["limits"]}
        return rows["usd_per_day"]["reserved"] == 0 and rows

    settled = wait_until(rows, 3, "the settlement")
    assert 14 + 11 - 10 <= settled["tokens_per_minute"]["used"] <= 14 + 11, "the winner's 14 and what the loser was sent"
    record = gateway.record(answer)
    assert settled["usd_per_day"]["used"] == float(record["cost_usd"]) and record["waste_usd"] > 0


def test_the_debug_comment_tells_the_cost_that_the_record_tells(retrying, others, key):
    go = slow_then_quick(others[0])
    answer = ask(retrying, {**key, "x-weir-debug": "1"}, "hedged", stream=True)
    go.set()
    assert answer.complete and answer.get("x-weir-attempts") == "2"
    comment = next(line for line in answer.body.splitlines() if line.startswith(b": weir "))
    told, record = json.loads(comment.removeprefix(b": weir "), parse_float=Decimal), retrying.record(answer)
    assert record["waste_usd"] > 0 and told["cost_usd"] == record["cost_usd"]
    assert told["input_tokens"] == record["input_tokens"] and told["output_tokens"] == record["output_tokens"]


@pytest.mark.parametrize("slow, quick", [("nobody-knows-its-price", "gpt-4o"), ("gpt-4o", "nobody-knows-its-price")])
def test_a_cost_is_not_told_without_the_price_of_a_loser_but_what_is_known_counts(own, raw, key, slow, quick):
    raced = {
        "targets": [{"provider": "raw", "model": slow, "weight": 10000}, {"provider": "raw", "model": quick}],
        "balance": "latency",  # the second one of the two is drawn for the hedge
        "hedge": {"after": "80ms", "budget": "100%"},
    }
    limits = {"usd_per_day": 5}
    gateway = own(models={"raced": raced}, tenants={"acme": {**tenants()["acme"], "limits": limits}})
    go = threading.Event()

    def handler(connection, request):
        if json.loads(request.body)["model"] == slow and not go.wait(10):
            return
        events = b"".join(chat_events()).replace(b'"raw-1"', b'"%s"' % request.json()["model"].encode())
        connection.send(STREAM_HEAD + chunk(events) + LAST_CHUNK)

    raw.handler = handler
    answer = ask(gateway, key, "raced", stream=True)
    while answer.get("x-weir-attempts") != "2":  # one of ten thousand draws
        answer = ask(gateway, key, "raced", stream=True)
    go.set()
    record = gateway.record(answer)
    winner = (11 * Decimal("2.5") + 3 * 10) / 1_000_000
    loser = 11 * Decimal("2.5") / 1_000_000
    known = winner if quick == "gpt-4o" else loser
    assert record["cost_usd"] is None and record["waste_usd"] == (0 if quick == "gpt-4o" else loser)

    def used():
        answer = gateway.get("/weir/usage", key).json()
        rows = {row["limit"]: row for row in answer["limits"]}
        return rows["usd_per_day"]["used"], answer["today"]["cost_usd"], answer["today"]["waste_usd"]

    wait_until(lambda: used() == (float(known), float(known), float(record["waste_usd"])), 4, "what is known of it")


def test_a_budget_is_kept(retrying, others, key):
    others[0].handler = lambda c, r: (time.sleep(0.15), answer_chat(c, r))
    attempts = []
    for _ in range(30):
        answer = ask(retrying, key, "thrifty", stream=True)
        assert answer.status == 200 and answer.complete
        attempts.append(int(answer.get("x-weir-attempts")))
    assert sum(a == 2 for a in attempts) == 3  # one of ten
