"""Limits of tenants: how many get in, what the others are told, and that there is no way around."""

import datetime
import hashlib
import json
import threading
import time

import anthropic
import openai
import pytest
from conftest import TENANT_KEY, chat, tenants
from google import genai
from google.genai.errors import ClientError

from harness import wire
from harness.gateway import one_of, to_midnight, wait_until

KEY = [("Authorization", f"Bearer {TENANT_KEY}")]
OTHER_KEY = "sk-weir-otherTenantOfTheLimits0123456789abc"
MESSAGES = {"model": "claude-opus-4-8", "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
CHAT, CONTENT = "/v1/chat/completions", "/v1beta/models/gemini-2.5-flash:"


@pytest.fixture
def limited(own):
    """limited(limits, …): a gateway whose tenant acme has these limits, beside one that has none."""

    def make(limits, **more):
        acme = {**tenants()["acme"], "limits": limits, **more.pop("tenant", {})}
        other = {"keys": ["sha256:" + hashlib.sha256(OTHER_KEY.encode()).hexdigest()]}
        return own(tenants={"acme": acme, "other": other}, **more)

    return make


def ask(gateway, body=None, path=CHAT, fields=KEY):
    return gateway.post(path, json.dumps(body or chat("gpt-4o-mini", max_tokens=8)).encode(), fields)


def usage(gateway):
    answer = gateway.get("/weir/usage", KEY)
    assert answer.status == 200
    rows = answer.json()["limits"]
    for row in rows:
        assert row["remaining"] == max(0, round(row["max"] - row["used"] - row["reserved"], 12)), row
    return {(row["limit"], row["model"]): row for row in rows}


def test_exactly_as_many_as_allowed_get_in(limited):
    """Three times as many at once as are allowed, on connections that both workers serve."""
    allowed = 40
    gateway = limited({"requests_per_minute": allowed})
    statuses, lock = [], threading.Lock()

    def run():
        with gateway.connect() as client:
            for _ in range(10):
                client.send(wire.request("POST", CHAT, KEY, json.dumps(chat("gpt-4o-mini")).encode()))
                status = client.read_response().status
                with lock:
                    statuses.append(status)

    threads = [threading.Thread(target=run) for _ in range(allowed * 3 // 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * allowed + [429] * (2 * allowed)
    metrics = gateway.get("/metrics", admin=True).body.decode()
    assert f'weir_limit_refusals_total{{tenant="acme",limit="requests_per_minute"}} {2 * allowed}' in metrics
    assert usage(gateway)[("requests_per_minute", None)]["used"] == allowed


def test_a_refusal_says_which_limit_and_when_to_come_back(limited):
    gateway = limited({"requests_per_minute": 1})
    begun = time.monotonic()
    assert ask(gateway).status == 200
    answer = ask(gateway)
    assert answer.status == 429
    assert answer.get("x-weir-error") == "limit_exceeded" and answer.get("x-weir-error-source") == "policy"
    assert answer.get("x-weir-limit") == "requests_per_minute"
    seconds = int(answer.get("retry-after"))
    assert 60 - (time.monotonic() - begun) - 1 <= seconds <= 61
    assert answer.get("x-should-retry") == ("false" if seconds > 60 else None)
    error = answer.json()["error"]
    assert error["type"] == "rate_limit_exceeded" and error["code"] == "limit_exceeded"
    assert error["message"].endswith(f"tenant acme: requests_per_minute 1 reached, retry in {seconds} s")
    record = gateway.record(answer)
    assert record["limit"] == "requests_per_minute" and record["error"] == "limit_exceeded"
    assert record["provider"] == "openai" and record["attempts"] == 0


def test_another_tenant_is_not_touched(limited):
    gateway = limited({"requests_per_minute": 1})
    assert [ask(gateway).status for _ in range(2)] == [200, 429]
    answer = ask(gateway, fields=[("x-api-key", OTHER_KEY)])
    assert answer.status == 200 and answer.get("x-ratelimit-limit-requests") is None
    assert gateway.get("/weir/usage", [("x-api-key", OTHER_KEY)]).json()["limits"] == []


def test_each_sdk_raises_its_rate_limit_error(limited):
    gateway = limited({"requests_per_minute": 1})
    assert ask(gateway).status == 200
    base = f"http://127.0.0.1:{gateway.port}"
    with pytest.raises(openai.RateLimitError) as caught:
        openai.OpenAI(api_key=TENANT_KEY, base_url=base + "/v1", max_retries=0).chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}]
        )
    assert caught.value.code == "limit_exceeded" and caught.value.response.headers["retry-after"]
    with pytest.raises(anthropic.RateLimitError) as caught:
        anthropic.Anthropic(api_key=TENANT_KEY, base_url=base, max_retries=0).messages.create(**MESSAGES)
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    client = genai.Client(api_key=TENANT_KEY, http_options={"base_url": base})
    with pytest.raises(ClientError) as caught:
        client.models.generate_content(model="gemini-2.5-flash", contents="hi")
    assert caught.value.code == 429 and caught.value.status == "RESOURCE_EXHAUSTED"


def test_retry_after_is_right(limited):
    """A bucket of 600 tokens refills ten a second: who comes back when told to gets in, a second before does not."""
    gateway = limited({"tokens_per_minute": 600})
    body = chat("gpt-4o-mini", max_tokens=560)
    assert ask(gateway, body).status == 200

    def one_more():
        wait_until(lambda: usage(gateway)[("tokens_per_minute", None)]["reserved"] == 0, 3, "the settlement")
        begun = time.monotonic()
        return begun, ask(gateway, body)

    asked, refused = one_more()
    while refused.status == 200:
        asked, refused = one_more()
    seconds, told = int(refused.get("retry-after")), time.monotonic()
    assert 1 <= seconds <= 60 and refused.get("x-weir-limit") == "tokens_per_minute"
    assert seconds <= 8, "what the mock provider counts is little"
    time.sleep(max(0.0, seconds - 1.5))
    early = ask(gateway, body).status
    if time.monotonic() < asked + seconds - 1:  # else it was late itself
        assert early == 429
    time.sleep(max(0.0, told + seconds - time.monotonic()))
    assert ask(gateway, body).status == 200


def test_what_never_fits_is_not_told_to_retry(limited):
    gateway = limited({"tokens_per_minute": 500})
    answer = ask(gateway, chat("gpt-4o-mini", max_tokens=501))
    assert answer.status == 400 and answer.get("x-weir-error") == "never_fits"
    assert answer.get("retry-after") is None and answer.get("x-should-retry") == "false"
    assert answer.get("x-weir-limit") == "tokens_per_minute" and gateway.record(answer)["error"] == "never_fits"
    assert usage(gateway)[("tokens_per_minute", None)]["used"] == 0
    assert ask(gateway, chat("gpt-4o-mini")).status == 200, "a guess alone makes nothing too large"


def test_a_refused_request_uses_up_nothing(limited):
    """The tenant's own limit has room, the model's has not: neither is taken."""
    gateway = limited({"requests_per_minute": 10, "models": {"fast": {"requests_per_minute": 1}}})
    statuses = [ask(gateway, chat("fast")).status for _ in range(4)]
    assert statuses == [200, 429, 429, 429]
    rows = usage(gateway)
    assert rows[("requests_per_minute", None)]["used"] == 1 and rows[("requests_per_minute", "fast")]["used"] == 1
    refused = ask(gateway, chat("fast"))
    assert "tenant acme, model fast: requests_per_minute 1 reached" in refused.json()["error"]["message"]
    assert ask(gateway).status == 200, "another model's limit is not this one's"


def test_tokens_are_settled_with_what_the_provider_counted(limited):
    gateway = limited({"tokens_per_minute": 100000})
    answer = ask(gateway, chat("gpt-4o-mini", max_tokens=50000))
    assert answer.status == 200
    record = gateway.record(answer)
    wait_until(lambda: usage(gateway)[("tokens_per_minute", None)]["reserved"] == 0, 3, "the settlement")
    used = int(record["input_tokens"] + record["output_tokens"])
    assert usage(gateway)[("tokens_per_minute", None)]["used"] <= used < 50000, "the reservation was given back"


def test_money_is_counted_exactly_and_runs_out(limited, one_day):
    gateway = limited({"usd_per_day": "0.00001"})
    spent, refused = 0, None
    for _ in range(50):
        asked = to_midnight()
        answer = ask(gateway, chat("gpt-4o-mini", max_tokens=4))
        if answer.status != 200:
            refused = answer
            break
        spent += gateway.record(answer)["cost_usd"]
    assert refused is not None and refused.status == 429 and refused.get("x-weir-limit") == "usd_per_day"
    assert refused.json()["error"]["type"] == "insufficient_quota"
    seconds = int(refused.get("retry-after"))
    assert to_midnight() - 1 <= seconds <= asked + 1
    assert refused.get("x-should-retry") == ("false" if seconds > 60 else None)
    wait_until(lambda: usage(gateway)[("usd_per_day", None)]["reserved"] == 0, 3, "the settlement")
    assert float(spent) == usage(gateway)[("usd_per_day", None)]["used"]


def test_a_slot_is_free_again_when_its_client_leaves(limited):
    gateway = limited({"concurrent_requests": 1})
    body = chat("gpt-4o-mini", stream=True)
    slow = [*KEY, ("x-mock-ttft-ms", "20000")]
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, slow, json.dumps(body).encode()))
        wait_until(lambda: usage(gateway)[("concurrent_requests", None)]["used"] == 1, 3, "the slot is taken")
        refused = ask(gateway)
        assert refused.status == 429 and refused.get("x-weir-limit") == "concurrent_requests"
        assert int(refused.get("retry-after")) == 1
    wait_until(lambda: usage(gateway)[("concurrent_requests", None)]["used"] == 0, 3, "the slot is free")
    assert ask(gateway).status == 200


@one_of(5)
def test_who_leaves_before_the_first_token_has_not_used_the_model_for_nothing(limited):
    gateway = limited({"tokens_per_minute": 1000000, "usd_per_day": 100})
    body = chat("gpt-4o-mini", stream=True, max_tokens=1000)
    body["messages"][0]["content"] = "word " * 7000
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, [*KEY, ("x-mock-head-ms", "20000")], json.dumps(body).encode()))
        wait_until(lambda: usage(gateway)[("tokens_per_minute", None)]["reserved"] > 10000, 3, "the reservation")
        time.sleep(0.5)  # by then it has reached the provider
    wait_until(lambda: usage(gateway)[("tokens_per_minute", None)]["reserved"] == 0, 3, "the settlement")
    assert usage(gateway)[("usd_per_day", None)]["used"] > 0.0013, "9,000 tokens at 0.15 a million"


def test_what_a_provider_refuses_uses_no_tokens(limited):
    gateway = limited({"tokens_per_minute": 100000})
    answer = ask(gateway, chat("gpt-4o-mini", max_tokens=5000), fields=[*KEY, ("x-mock-error", "500")])
    assert answer.status == 500
    wait_until(lambda: usage(gateway)[("tokens_per_minute", None)]["reserved"] == 0, 3, "the settlement")
    assert usage(gateway)[("tokens_per_minute", None)]["used"] == 0


def test_the_fields_are_coherent_with_the_usage(limited):
    gateway = limited(
        {
            "requests_per_minute": 10,
            "tokens_per_minute": 100000,
            "models": {"fast": {"requests_per_minute": 4, "tokens_per_minute": 1000}},
        }
    )
    answer = ask(gateway, chat("fast", max_tokens=10))
    assert answer.get("x-ratelimit-limit-requests") == "4", "the scarcer of the two"
    assert answer.get("x-ratelimit-remaining-requests") == "3"
    assert answer.get("x-ratelimit-limit-tokens") == "1000"
    assert 0 < int(answer.get("x-ratelimit-remaining-tokens")) < 1000
    assert answer.get("x-ratelimit-reset-requests") in ("60s", "61s")
    assert answer.get("x-ratelimit-reset-tokens").endswith("s")
    other = ask(gateway)
    assert other.get("x-ratelimit-limit-requests") == "10" and other.get("x-ratelimit-remaining-requests") == "8"
    listed = gateway.get("/v1/models", KEY)
    assert listed.get("x-ratelimit-remaining-requests") == "8", "asking for models is no request to a provider"
    missing = gateway.get("/v1/nothing", KEY)
    assert missing.status == 404 and missing.get("x-ratelimit-remaining-requests") == "8"


def test_the_fields_speak_the_callers_dialect(limited):
    gateway = limited({"requests_per_minute": 3, "tokens_per_minute": 100000})
    answer = ask(gateway, MESSAGES, "/v1/messages")
    assert answer.status == 200 and answer.get("x-ratelimit-limit-requests") is None
    assert answer.get("anthropic-ratelimit-requests-limit") == "3"
    assert answer.get("anthropic-ratelimit-requests-remaining") == "2"
    reset = datetime.datetime.fromisoformat(answer.get("anthropic-ratelimit-requests-reset").replace("Z", "+00:00"))
    ahead = (reset - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert 30 < ahead <= 62
    assert answer.get("anthropic-ratelimit-tokens-limit") == "100000"


WAYS_AROUND = {
    "another header for the key": (CHAT, [("x-api-key", TENANT_KEY)], chat("gpt-4o-mini")),
    "its case": (CHAT, [("AUTHORIZATION", f"bearer {TENANT_KEY}")], chat("gpt-4o-mini")),
    "spaces around it": (CHAT, [("Authorization", f"Bearer  {TENANT_KEY} ")], chat("gpt-4o-mini")),
    "a forwarded address": (CHAT, [*KEY, ("X-Forwarded-For", "10.0.0.1")], chat("gpt-4o-mini")),
    "an alias": (CHAT, KEY, chat("fast")),
    "provider and model": (CHAT, KEY, chat("openai/gpt-4o-mini")),
    "another endpoint": ("/v1/embeddings", KEY, {"model": "text-embedding-3-small", "input": "hi"}),
    "another dialect": ("/v1/messages", KEY, MESSAGES),
    "Gemini": ("/v1beta/models/gemini-2.5-flash:generateContent", KEY, CONTENTS),
    "the key in the query": (f"/v1beta/models/gemini-2.5-flash:generateContent?key={TENANT_KEY}", [], CONTENTS),
    "a pass-through": ("/raw/v1/files", KEY, {"purpose": "batch"}),
    "two headers with the key": (CHAT, [*KEY, ("x-api-key", TENANT_KEY), ("api-key", TENANT_KEY)], chat("gpt-4o-mini")),
    "a header of weir's": (CHAT, [*KEY, ("x-weir-workload", "other"), ("x-weir-session", "s")], chat("gpt-4o-mini")),
    "a query": (CHAT + "?api-version=1", KEY, chat("gpt-4o-mini")),
    "a question that makes no tokens": (f"{CONTENT}countTokens", KEY, CONTENTS),
    "tokens counted": ("/v1/messages/count_tokens", KEY, {k: v for k, v in MESSAGES.items() if k != "max_tokens"}),
    "Gemini's embeddings": (f"{CONTENT}embedContent", KEY, {"content": CONTENTS["contents"][0]}),
    "responses": ("/v1/responses", KEY, {"model": "gpt-4o-mini", "input": "hi"}),
    "speech": ("/v1/audio/speech", KEY, {"model": "tts-1", "input": "hi", "voice": "alloy"}),
}


@pytest.mark.parametrize("way", WAYS_AROUND)
def test_there_is_no_way_around(limited_once, way):
    path, fields, body = WAYS_AROUND[way]
    answer = ask(limited_once, body, path, fields)
    assert answer.status == 429 and answer.get("x-weir-limit") == "requests_per_minute", way


def test_nor_by_another_way_to_send_it(limited_once):
    body = json.dumps(chat("gpt-4o-mini")).encode()
    head = f"POST {CHAT} HTTP/%s\r\nHost: elsewhere.example\r\n{KEY[0][0]}: {KEY[0][1]}\r\n%s\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    whole = (head % ("1.1", f"Content-Length: {len(body)}")).encode() + body
    ways = {
        "HTTP/1.0": ((head % ("1.0", f"Content-Length: {len(body)}")).encode() + body, 1),
        "in chunks": ((head % ("1.1", "Transfer-Encoding: chunked")).encode() + chunks, 1),
        "one behind another": (5 * whole, 5),
    }
    for way, (sent, count) in ways.items():
        with limited_once.connect() as client:
            client.send(sent)
            assert [client.read_response().status for _ in range(count)] == [429] * count, way


@pytest.mark.parametrize("path", ["//v1/chat/completions", "/v1/chat/completions/", "/v1/chat/%63ompletions", "/V1/chat/completions"])
def test_other_spellings_of_a_path_are_none(limited_once, path):
    assert ask(limited_once, chat("gpt-4o-mini"), path).status == 404


@pytest.mark.parametrize("spelling", ["gemini-2%2E5-flash", "gemini-2%2e5-flash", "%67emini-2.5-flash", "gemini%2D2.5-flash"])
def test_other_spellings_of_a_model_in_a_path_are_none(limited, spelling):
    """The provider would decode them; the limit and the price of the model would not be found."""
    gateway = limited({"models": {"gemini-2.5-flash": {"requests_per_minute": 1}}}, tenant={"models": ["gemini-*"]})
    assert ask(gateway, CONTENTS, "/v1beta/models/gemini-2.5-flash:generateContent").status == 200
    assert ask(gateway, CONTENTS, "/v1beta/models/gemini-2.5-flash:generateContent").status == 429
    assert ask(gateway, CONTENTS, f"/v1beta/models/{spelling}:generateContent").status == 404


@pytest.fixture
def limited_once(limited):
    gateway = limited({"requests_per_minute": 1})
    assert ask(gateway).status == 200
    return gateway


def test_a_pass_through_is_counted_and_let_in_only_while_anything_is_left(limited):
    gateway = limited({"requests_per_minute": 2})
    assert gateway.get("/raw/v1/files", KEY).status == 200
    assert usage(gateway)[("requests_per_minute", None)]["used"] == 1
    assert gateway.get("/raw/v1/files", KEY).status == 200
    assert gateway.get("/raw/v1/files", KEY).status == 429


def test_unknown_models_and_keys_use_up_nothing(limited):
    gateway = limited({"requests_per_minute": 2})
    assert ask(gateway, chat("no-such-model")).status == 404
    assert ask(gateway, fields=[("x-api-key", "sk-weir-nobody")]).status == 401
    assert usage(gateway)[("requests_per_minute", None)]["used"] == 0


def test_everybody_is_a_tenant_too(own):
    gateway = own(tenants={}, tenant_defaults={"limits": {"requests_per_minute": 1}})
    assert [ask(gateway, fields=[]).status for _ in range(2)] == [200, 429]


def test_usage_takes_get_only_and_a_key(limited_once):
    assert limited_once.get("/weir/usage").status == 401
    refused = limited_once.post("/weir/usage", b"{}", KEY)
    assert refused.status == 405 and refused.get("allow") == "GET"
    answer = limited_once.get("/weir/usage", KEY).json()
    assert set(answer) == {"tenant", "time", "scope", "limits", "today", "month"} and answer["scope"] == "replica"
    assert answer["month"]["since"] <= answer["today"]["since"] <= answer["time"]
