"""The official SDKs, unchanged but for their address and key, plain and over TLS, through the gateway to the mock."""

import asyncio
import json
import threading

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import types as gtypes
from google.genai.errors import ClientError, ServerError

from conftest import TENANT_KEY
from harness import wire
from harness.gateway import PATIENCE
from harness.provider import STREAM_HEAD, chat_events, chunk

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
USER = [{"role": "user", "content": "say hello"}]


@pytest.fixture(params=["plain", "tls"])
def base(request, gateway, trusting):
    """(URL, options for an SDK's own HTTP client)"""
    if request.param == "plain":
        return f"http://127.0.0.1:{gateway.port}", {}
    return f"https://localhost:{gateway.tls_port}", {"verify": trusting}


def knobs(**values):
    return {f"x-mock-{name.replace('_', '-')}": str(value) for name, value in values.items()}


# OpenAI


@pytest.fixture
def openai_client(base):
    url, options = base
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key=TENANT_KEY, max_retries=0, http_client=openai.DefaultHttpxClient(**options)
    ) as client:
        yield client


def test_openai_chat(openai_client, gateway):
    raw = openai_client.chat.completions.with_raw_response.create(
        model="fast",
        messages=USER,
        extra_headers=knobs(tokens=7, input_tokens=30, cached_tokens=10, reasoning_tokens=4),
    )
    answer = raw.parse()
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 11 and answer.usage.prompt_tokens == 30
    record = gateway.record(raw)
    assert (
        record["input_tokens"],
        record["output_tokens"],
        record["cache_read_tokens"],
        record["reasoning_tokens"],
    ) == (30, 11, 10, 4)
    assert (record["operation"], record["provider"], record["model_requested"]) == ("chat", "openai", "fast")
    assert record["model"].startswith("gpt-4o-mini") and record["cost_usd"] > 0 and record["tokens_estimated"] is False
    assert record["user_agent"].startswith("OpenAI/Python") and record["client"] == "127.0.0.1"


@pytest.mark.parametrize("usage", [True, False])
def test_openai_stream(openai_client, gateway, usage):
    options = {"stream_options": {"include_usage": True}} if usage else {}
    raw = openai_client.chat.completions.with_raw_response.create(
        model="fast", messages=USER, stream=True, extra_headers=knobs(tokens=12, gap_ms=2), **options
    )
    chunks = list(raw.parse())
    told = [c for c in chunks if c.usage]
    assert len(told) == (1 if usage else 0)
    assert all(c.choices for c in chunks if not c.usage)
    assert chunks[-1].choices == [] if usage else chunks[-1].choices[0].finish_reason == "stop"
    record = gateway.record(raw)
    assert (record["output_tokens"], record["chunks"], record["stream"], record["finish_reason"]) == (
        12,
        12,
        True,
        "stop",
    )
    assert record["ttft_ms"] > 0 and record["tpot_ms"] > 0 and record["tokens_estimated"] is False


@pytest.mark.parametrize("stream", [False, True])
def test_openai_tools(openai_client, gateway, stream):
    raw = openai_client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=USER, tools=[TOOL], stream=stream, extra_headers=knobs(tools=1)
    )
    if stream:
        arguments = "".join(
            c.choices[0].delta.tool_calls[0].function.arguments or ""
            for c in raw.parse()
            if c.choices and c.choices[0].delta.tool_calls
        )
    else:
        call = raw.parse().choices[0].message.tool_calls[0]
        assert call.function.name == "get_weather"
        arguments = call.function.arguments
    assert isinstance(json.loads(arguments), dict)
    record = gateway.record(raw)
    assert record["finish_reason"] == "tool_calls"
    assert (record["ttft_ms"] is not None) == stream


def test_openai_reasoning_that_is_shown_comes_before_what_is_visible(openai_client, gateway):
    raw = openai_client.chat.completions.with_raw_response.create(
        model="fast",
        messages=USER,
        stream=True,
        extra_headers=knobs(tokens=5, reasoning_tokens=6, show_reasoning=1, gap_ms=3),
    )
    list(raw.parse())
    record = gateway.record(raw)
    assert record["first_visible_ms"] > record["ttft_ms"] > 0
    assert record["reasoning_tokens"] == 6


def test_openai_embeddings(openai_client, gateway):
    raw = openai_client.embeddings.with_raw_response.create(model="text-embedding-3-small", input=["a", "b", "c"])
    answer = raw.parse()
    assert len(answer.data) == 3 and len(answer.data[0].embedding) > 0
    record = gateway.record(raw)
    assert record["operation"] == "embeddings" and record["input_tokens"] > 0 and record["ttft_ms"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_openai_responses(openai_client, gateway, stream):
    raw = openai_client.responses.with_raw_response.create(
        model="gpt-4o", input="hi", stream=stream, extra_headers=knobs(tokens=9)
    )
    if stream:
        events = list(raw.parse())
        assert events[0].type == "response.created" and events[-1].type == "response.completed"
        assert "".join(e.delta for e in events if e.type == "response.output_text.delta")
    else:
        assert raw.parse().output_text
    record = gateway.record(raw)
    assert (record["operation"], record["output_tokens"], record["error"]) == ("responses", 9, None)


def test_openai_others(openai_client, gateway):
    assert openai_client.completions.create(model="gpt-3.5-turbo-instruct", prompt="x").choices[0].text
    assert openai_client.moderations.create(model="omni-moderation-latest", input="x").results
    assert openai_client.images.generate(model="dall-e-3", prompt="x").data
    assert openai_client.audio.speech.create(model="tts-1", voice="alloy", input="x").read()
    models = [m.id for m in openai_client.models.list()]
    assert "fast" in models


def test_openai_stream_helper(openai_client):
    with openai_client.chat.completions.stream(model="fast", messages=USER) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content


@pytest.mark.parametrize(
    "status,error",
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (401, openai.InternalServerError),
    ],
)
def test_openai_errors_keep_their_kind(openai_client, status, error):
    with pytest.raises(error) as caught:
        openai_client.chat.completions.create(model="fast", messages=USER, extra_headers=knobs(error=status))
    assert caught.value.body["message"]


def test_openai_own_errors_keep_their_kind(base, openai_client):
    with pytest.raises(openai.NotFoundError) as caught:
        openai_client.chat.completions.create(model="nobody-serves-this", messages=USER)
    assert caught.value.code == "unknown_model" and caught.value.response.headers["x-weir-error-source"] == "policy"
    url, options = base
    stranger = openai.OpenAI(
        base_url=f"{url}/v1", api_key="sk-weir-nobody", max_retries=0, http_client=openai.DefaultHttpxClient(**options)
    )
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()


@pytest.mark.parametrize("fault", ["error_event", "truncate", "reset"])
def test_openai_broken_stream_is_an_exception_not_a_short_answer(openai_client, gateway, fault):
    raw = openai_client.chat.completions.with_raw_response.create(
        model="fast", messages=USER, stream=True, extra_headers=knobs(fault=fault, fault_after=4, gap_ms=3)
    )
    with pytest.raises((openai.APIError, httpx2.HTTPError)):
        for _ in raw.parse():
            pass
    assert gateway.record(raw)["error"] in ("stream_error", "truncated", "reset")


def test_openai_closing_a_stream_frees_the_provider(openai_client, gateway, raw):
    ended = threading.Event()

    def handler(connection, request):
        connection.send(STREAM_HEAD + b"".join(chunk(e) for e in chat_events()[:3]))
        if connection.wait_for_end(PATIENCE) is not None:
            ended.set()
        connection.close()

    raw.handler = handler
    response = openai_client.chat.completions.with_raw_response.create(model="raw-1", messages=USER, stream=True)
    stream = response.parse()
    next(iter(stream))
    stream.close()
    assert ended.wait(PATIENCE)
    assert gateway.record(response)["error"] == "client_gone"


def test_openai_async_many_at_once(base, gateway):
    url, options = base

    async def run():
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1",
            api_key=TENANT_KEY,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(**options),
        ) as client:

            async def one(i):
                stream = await client.chat.completions.create(
                    model="fast", messages=USER, stream=True, extra_headers=knobs(tokens=i % 9 + 3, gap_ms=1)
                )
                return sum([1 async for c in stream if c.choices and c.choices[0].delta.content])

            return await asyncio.gather(*[one(i) for i in range(40)])

    assert asyncio.run(run()) == [i % 9 + 3 for i in range(40)]


def test_openai_timeout_of_the_client_is_recorded(openai_client, gateway):
    trace_id, traceparent = wire.new_trace()
    with pytest.raises(openai.APITimeoutError):
        openai_client.with_options(timeout=2.0).chat.completions.create(
            model="fast", messages=USER, extra_headers={**knobs(head_ms=20000), "traceparent": traceparent}
        )
    assert gateway.record(trace_id)["error"] == "client_gone"


# Anthropic


@pytest.fixture(params=["x-api-key", "bearer"])
def anthropic_client(request, base):
    url, options = base
    key = {"api_key": TENANT_KEY} if request.param == "x-api-key" else {"auth_token": TENANT_KEY}
    with anthropic.Anthropic(
        base_url=url, max_retries=0, http_client=anthropic.DefaultHttpxClient(**options), **key
    ) as client:
        yield client


def test_anthropic_message(anthropic_client, gateway):
    raw = anthropic_client.messages.with_raw_response.create(
        model="claude-opus-4-8",
        max_tokens=50,
        messages=USER,
        extra_headers=knobs(tokens=8, input_tokens=40, cached_tokens=10, cache_write_tokens=5),
    )
    answer = raw.parse()
    assert answer.content[0].text and answer.stop_reason == "end_turn" and answer.usage.output_tokens == 8
    record = gateway.record(raw)
    assert (
        record["input_tokens"],
        record["output_tokens"],
        record["cache_read_tokens"],
        record["cache_write_tokens"],
    ) == (40, 8, 10, 5)
    assert (record["operation"], record["provider"], record["finish_reason"]) == ("chat", "anthropic", "end_turn")


def test_anthropic_stream(anthropic_client, gateway):
    trace_id, traceparent = wire.new_trace()
    with anthropic_client.messages.stream(
        model="claude-opus-4-8",
        max_tokens=50,
        messages=USER,
        extra_headers={**knobs(tokens=11, gap_ms=2, ping=2), "traceparent": traceparent},
    ) as s:
        text = "".join(s.text_stream)
        final = s.get_final_message()
    assert text and final.usage.output_tokens == 11
    record = gateway.record(trace_id)
    assert (record["output_tokens"], record["chunks"], record["stream"], record["error"]) == (11, 11, True, None)
    assert record["ttft_ms"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_tools(anthropic_client, gateway, stream):
    tool = {"name": "get_weather", "description": "w", "input_schema": {"type": "object", "properties": {}}}
    raw = anthropic_client.messages.with_raw_response.create(
        model="claude-opus-4-8", max_tokens=50, messages=USER, tools=[tool], stream=stream, extra_headers=knobs(tools=1)
    )
    if stream:
        parts = [
            e.delta.partial_json
            for e in raw.parse()
            if e.type == "content_block_delta" and e.delta.type == "input_json_delta"
        ]
        assert isinstance(json.loads("".join(parts)), dict)
    else:
        assert raw.parse().content[-1].name == "get_weather"
    assert gateway.record(raw)["finish_reason"] == "tool_use"


def test_anthropic_count_tokens_and_models(anthropic_client, gateway):
    assert anthropic_client.messages.count_tokens(model="claude-opus-4-8", messages=USER).input_tokens > 0
    models = [m.id for m in anthropic_client.models.list()]
    assert models[0] == "smart" and all(m.startswith("claude-") for m in models[1:])
    assert anthropic_client.messages.create(model="smart", max_tokens=5, messages=USER).content


@pytest.mark.parametrize(
    "status,error",
    [
        (400, anthropic.BadRequestError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.InternalServerError),
    ],
)
def test_anthropic_errors_keep_their_kind(anthropic_client, status, error):
    with pytest.raises(error) as caught:
        anthropic_client.messages.create(
            model="claude-opus-4-8", max_tokens=5, messages=USER, extra_headers=knobs(error=status)
        )
    assert caught.value.body["type"] == "error"


def test_anthropic_own_errors_keep_their_kind(anthropic_client):
    with pytest.raises(anthropic.NotFoundError) as caught:
        anthropic_client.messages.create(model="nobody-serves-this", max_tokens=5, messages=USER)
    assert caught.value.body["error"]["type"] == "not_found_error"


@pytest.mark.parametrize("fault", ["error_event", "truncate"])
def test_anthropic_broken_stream_is_an_exception(anthropic_client, gateway, fault):
    raw = anthropic_client.messages.with_raw_response.create(
        model="claude-opus-4-8",
        max_tokens=50,
        messages=USER,
        stream=True,
        extra_headers=knobs(fault=fault, fault_after=5, gap_ms=3),
    )
    with pytest.raises((anthropic.APIError, httpx2.HTTPError)):
        for _ in raw.parse():
            pass
    assert gateway.record(raw)["error"] in ("stream_error", "truncated", "reset")


# Gemini


@pytest.fixture(params=["default", "v1beta"])
def gemini_client(request, base):
    """Newer SDKs ask under /v1/models/, older ones and those told so under /v1beta/models/."""
    url, options = base
    version = {} if request.param == "default" else {"api_version": request.param}
    return genai.Client(
        api_key=TENANT_KEY,
        http_options=gtypes.HttpOptions(
            base_url=url, **version, client_args=dict(options), async_client_args=dict(options)
        ),
    )


def gemini_config(**values):
    trace_id, traceparent = wire.new_trace()
    return trace_id, {"http_options": {"headers": {**knobs(**values), "traceparent": traceparent}}}


def test_gemini_generate(gemini_client, gateway):
    trace_id, config = gemini_config(tokens=6, input_tokens=20, cached_tokens=5, reasoning_tokens=3)
    answer = gemini_client.models.generate_content(model="gemini-2.5-flash", contents="hi", config=config)
    assert answer.text
    record = gateway.record(trace_id)
    assert (
        record["input_tokens"],
        record["output_tokens"],
        record["cache_read_tokens"],
        record["reasoning_tokens"],
    ) == (20, 9, 5, 3)
    assert (record["operation"], record["provider"], record["finish_reason"]) == ("generate_content", "gemini", "STOP")
    assert record["model_requested"] == "gemini-2.5-flash"


def test_gemini_stream(gemini_client, gateway):
    trace_id, config = gemini_config(tokens=10, gap_ms=2)
    parts = [
        c.text
        for c in gemini_client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi", config=config)
    ]
    assert len([p for p in parts if p]) >= 9
    record = gateway.record(trace_id)
    assert (record["output_tokens"], record["stream"], record["error"]) == (10, True, None)
    assert record["ttft_ms"] > 0


def test_gemini_tools(gemini_client, gateway):
    trace_id, config = gemini_config(tools=1)
    config["tools"] = [{"function_declarations": [{"name": "get_weather", "description": "w"}]}]
    answer = gemini_client.models.generate_content(model="gemini-2.5-flash", contents="hi", config=config)
    assert answer.function_calls[0].name == "get_weather"


def test_gemini_embed_and_count(gemini_client, gateway):
    answer = gemini_client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
    assert answer.embeddings[0].values
    answer = gemini_client.models.count_tokens(model="gemini-2.5-flash", contents="hi")
    assert answer.total_tokens > 0


def test_gemini_errors_keep_their_kind(gemini_client):
    with pytest.raises(ClientError) as caught:
        gemini_client.models.generate_content(
            model="gemini-2.5-flash", contents="hi", config=gemini_config(error=400)[1]
        )
    assert caught.value.code == 400
    with pytest.raises(ServerError):
        gemini_client.models.generate_content(
            model="gemini-2.5-flash", contents="hi", config=gemini_config(error=500)[1]
        )
    with pytest.raises(ClientError) as caught:
        gemini_client.models.generate_content(model="nobody-serves-this", contents="hi")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
