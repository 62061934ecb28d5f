"""Who may call: where the key may stand, which keys are refused and how, and which models a tenant sees."""

import pytest

from conftest import DISABLED_KEY, EXPIRED_KEY, NARROW_KEY, PROVIDER_KEY, TENANT_KEY, chat
from harness import wire

CHAT = "/v1/chat/completions"
PLACES = {
    "bearer": lambda k: {"Authorization": f"Bearer {k}"},
    "bearer in small letters": lambda k: {"authorization": f"bearer {k}"},
    "x-api-key": lambda k: {"x-api-key": k},
    "api-key": lambda k: {"api-key": k},
    "x-goog-api-key": lambda k: {"x-goog-api-key": k},
    "spaces around": lambda k: {"x-api-key": f"  {k} \t"},
    "the same key twice": lambda k: {"Authorization": f"Bearer {k}", "x-api-key": k},
}


@pytest.mark.parametrize("place", PLACES)
def test_the_key_is_taken_from_each_place_and_never_reaches_the_provider(gateway, raw, place):
    answer = gateway.post(CHAT, chat(), PLACES[place](TENANT_KEY))
    assert answer.status == 200, answer.body
    sent = raw.requests[-1]
    assert TENANT_KEY.encode() not in sent.head + sent.body
    assert sent.all("authorization") == [f"Bearer {PROVIDER_KEY}"]
    assert not sent.all("x-api-key") + sent.all("api-key") + sent.all("x-goog-api-key")
    record = gateway.record(answer)
    assert (record["tenant"], record["key_id"]) == ("acme", "main")


@pytest.mark.parametrize(
    "target,rest",
    [
        (f"?key={TENANT_KEY}", ""),
        (f"?alt=json&key={TENANT_KEY}", "?alt=json"),
        (f"?key={TENANT_KEY}&alt=json", "?alt=json"),
        (f"?a=1&key={TENANT_KEY}&b=2", "?a=1&b=2"),
    ],
)
def test_under_v1beta_the_key_may_stand_in_the_query_and_is_taken_out(gateway, raw, target, rest):
    path = "/v1beta/models/rawgem-1:generateContent"
    answer = gateway.post(path + target, {"contents": [{"parts": [{"text": "hi"}]}]})
    assert answer.status == 200, answer.body
    sent = raw.requests[-1]
    assert sent.target == path + rest
    assert sent.all("x-goog-api-key") == [PROVIDER_KEY]
    assert TENANT_KEY not in gateway.stdout_path.read_text()


def test_geminis_other_version_takes_the_key_from_the_query_too(gateway, raw):
    path = "/v1/models/rawgem-1:generateContent"
    answer = gateway.post(f"{path}?key={TENANT_KEY}&alt=json", {"contents": [{"parts": [{"text": "hi"}]}]})
    assert answer.status == 200, answer.body
    assert raw.requests[-1].target == f"{path}?alt=json"
    other = gateway.post(f"{path}?key={NARROW_KEY}", {"contents": []}, {"x-goog-api-key": TENANT_KEY})
    assert other.status == 400 and other.get("x-weir-error") == "conflicting_keys"


@pytest.mark.parametrize("query", ["?key={}", "?beta=true&api_key={}", "?a={}&beta=true"])
def test_a_key_in_a_query_that_none_is_taken_from_goes_no_further(gateway, raw, key, query):
    answer = gateway.post(CHAT + query.format(TENANT_KEY), chat(), key)
    assert answer.status == 200, answer.body
    assert raw.requests[-1].target == CHAT + ("?beta=true" if "beta" in query else "")
    files = gateway.get("/raw/v1/files" + query.format(TENANT_KEY), key)
    assert files.status == 200 and TENANT_KEY not in raw.requests[-1].target


def test_elsewhere_the_query_is_no_place_for_a_key(gateway, raw):
    before = len(raw.requests)
    answer = gateway.post(f"{CHAT}?key={TENANT_KEY}", chat())
    assert answer.status == 401 and answer.get("x-weir-error") == "no_key"
    assert len(raw.requests) == before


CONFLICTS = [
    {"Authorization": f"Bearer {TENANT_KEY}", "x-api-key": NARROW_KEY},
    {"x-api-key": TENANT_KEY, "api-key": NARROW_KEY},
    {"Authorization": f"Bearer {TENANT_KEY}", "x-goog-api-key": "something"},
    [("x-api-key", TENANT_KEY), ("x-api-key", NARROW_KEY)],
    [("Authorization", f"Bearer {TENANT_KEY}"), ("Authorization", f"Bearer {NARROW_KEY}")],
]


@pytest.mark.parametrize("fields", CONFLICTS)
def test_two_different_keys_conflict(gateway, raw, fields):
    before = len(raw.requests)
    answer = gateway.post(CHAT, chat(), fields)
    assert answer.status == 400
    assert answer.get("x-weir-error") in ("conflicting_keys", "bad_request")
    assert len(raw.requests) == before


@pytest.mark.parametrize(
    "fields,status,error",
    [
        ({}, 401, "no_key"),
        ({"Authorization": "Bearer"}, 401, None),
        ({"Authorization": "Bearer "}, 401, None),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, 401, None),
        ({"Authorization": "Bearer ' OR '1'='1"}, 401, None),
        ({"Authorization": f"Bearer {TENANT_KEY}x"}, 401, "unknown_key"),
        ({"Authorization": f"Bearer {TENANT_KEY[:-1]}"}, 401, "unknown_key"),
        ({"Authorization": f"Bearer {TENANT_KEY.lower()}"}, 401, "unknown_key"),
        ({"x-api-key": "k" * 20000}, 401, "unknown_key"),
        ({"x-api-key": f"sk-weir-{EXPIRED_KEY}"}, 401, "unknown_key"),
        ({"x-api-key": EXPIRED_KEY}, 401, "expired_key"),
        ({"x-api-key": DISABLED_KEY}, 403, "tenant_disabled"),
        ({"Cookie": f"key={TENANT_KEY}"}, 401, "no_key"),
    ],
)
def test_other_keys_are_refused_and_nothing_is_sent(gateway, raw, fields, status, error):
    before = raw.bytes_received
    answer = gateway.post(CHAT, chat(), fields)
    assert answer.status == status, answer.body
    if error:
        assert answer.get("x-weir-error") == error
    assert answer.get("x-weir-error") in ("no_key", "unknown_key", "expired_key", "tenant_disabled")
    assert answer.get("x-weir-error-source") == "policy"
    assert raw.bytes_received == before
    record = gateway.record(answer)
    assert record["status"] == status and record["error"] == answer.get("x-weir-error")
    assert record["provider"] is None and record["attempts"] == 0


def test_a_key_is_judged_before_the_body_is_read(gateway):
    with gateway.connect(timeout=15.0) as client:
        client.send(wire.request("POST", CHAT, {"Content-Length": "500000", "x-api-key": "nobody"}))
        assert client.read_response().status == 401


def test_a_wrong_key_reads_the_same_for_every_wrong_key(gateway):
    one = gateway.post(CHAT, chat(), {"x-api-key": "sk-weir-" + "a" * 43})
    two = gateway.post(CHAT, chat(), {"x-api-key": "zz"})
    assert (one.status, one.body) == (two.status, two.body)


def test_models_outside_the_allow_list_are_not_found(gateway, raw, mock):
    narrow = {"Authorization": f"Bearer {NARROW_KEY}"}
    for model in ("raw-1", "raw/raw-1", "openai/gpt-4o-mini", "gpt-4o", "FAST", "rawalias"):
        before = raw.bytes_received
        answer = gateway.post(CHAT, chat(model), narrow)
        assert (answer.status, answer.get("x-weir-error")) == (404, "model_not_allowed"), (model, answer.body)
        assert raw.bytes_received == before
    for model in ("fast", "gpt-4o-mini"):
        assert gateway.post(CHAT, chat(model), narrow).status == 200


def test_an_unknown_model_is_not_found(gateway, raw, key):
    before = raw.bytes_received
    for model in ("nothing-serves-this", "claude-3", "gemini-pro", "nobody/raw-1", "", "../../x", "a?b", "raw-1\nx"):
        answer = gateway.post(CHAT, chat(model), key)
        assert answer.status in (400, 404), (model, answer.body)
        assert answer.get("x-weir-error") in ("unknown_model", "no_model", "wrong_dialect", "bad_json"), model
    assert raw.bytes_received == before


def test_models_are_listed_as_the_tenant_may_use_them(gateway):
    narrow = gateway.get("/v1/models", {"Authorization": f"Bearer {NARROW_KEY}"})
    assert narrow.status == 200
    listed = narrow.json()
    assert listed["object"] == "list"
    names = {m["id"] for m in listed["data"]}
    assert "fast" in names and "rawalias" not in names
    assert all(m["object"] == "model" for m in listed["data"])
    wide = gateway.get("/v1/models", {"Authorization": f"Bearer {TENANT_KEY}"}).json()
    assert {"fast", "rawalias"} <= {m["id"] for m in wide["data"]}
    assert gateway.get("/v1/models").status == 401


def test_models_are_listed_in_anthropics_shape_when_its_version_is_sent(gateway):
    answer = gateway.get("/v1/models", {"x-api-key": TENANT_KEY, "anthropic-version": "2023-06-01"})
    listed = answer.json()
    assert answer.status == 200 and {"data", "has_more", "first_id", "last_id"} <= set(listed)
    assert all(m["type"] == "model" and "display_name" in m and "created_at" in m for m in listed["data"])


def test_without_tenants_loopback_needs_no_key(start, raw, mock):
    from conftest import providers

    open_gateway = start({"providers": providers(mock.port, raw.port)})
    answer = open_gateway.post(CHAT, chat())
    assert answer.status == 200
    assert open_gateway.record(answer)["tenant"] == "default"
