"""Fixtures. `gateway` is shared by a whole run, with the mock provider and a raw-socket one behind it; `start` makes
one with a configuration of its own. Whatever was started is stopped with SIGTERM at the end, and then judged: exit
status, sanitizer reports, and every line of its access log."""

import ssl
import time

import pytest

from harness import certs, provider, wire
from harness import redis as redis_server
from harness.gateway import BINARY, Gateway, Mock, digest, to_midnight

TENANT_KEY = "sk-weir-CANARYtenantQ7mainkey0123456789abcdef"
NARROW_KEY = "sk-weir-CANARYtenantQ8narrow0123456789abcdef"
EXPIRED_KEY = "sk-weir-CANARYtenantQ9expired0123456789abcd"
DISABLED_KEY = "sk-weir-CANARYtenantQ6disabled0123456789abc"
PROVIDER_KEY = "sk-CANARYproviderZ4key9876543210zyxwvutsrq"


def pytest_sessionstart():
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not built: run `make` first", returncode=1)


def providers(mock_port, raw_port):
    def one(dialect, port, models, path=""):
        return {
            "dialect": dialect,
            "base_url": f"http://127.0.0.1:{port}{path}",
            "api_key": PROVIDER_KEY,
            "models": models,
        }

    return {
        "openai": one("openai", mock_port, ["gpt-*", "text-embedding-*", "omni-*", "tts-*", "dall-e-*"], "/v1"),
        "anthropic": one("anthropic", mock_port, ["claude-*"]),
        "gemini": one("gemini", mock_port, ["gemini-*"]),
        "raw": one("openai", raw_port, ["raw-*"], "/v1"),
        "raw-anthropic": one("anthropic", raw_port, ["rawclaude-*"]),
        "raw-gemini": one("gemini", raw_port, ["rawgem-*"]),
    }


def tenants():
    return {
        "acme": {
            "keys": [
                {"name": "main", "sha256": digest(TENANT_KEY).removeprefix("sha256:")},
                {"name": "old", "sha256": digest(EXPIRED_KEY).removeprefix("sha256:"), "expires": "2024-01-01"},
            ],
            "passthrough": [
                {"provider": "raw", "paths": ["/v1/files*"], "methods": ["GET", "POST", "DELETE"]},
                {"provider": "openai", "paths": ["/v1/files*"], "methods": ["GET"]},
            ],
            "tags": {"plan": "gold"},
        },
        "narrow": {"keys": [digest(NARROW_KEY)], "models": ["fast", "gpt-4o-mini"]},
        "asleep": {"keys": [digest(DISABLED_KEY)], "disabled": True},
    }


def configuration(mock_port, raw_port, **more):
    """What most tests run with; `more` replaces or adds top-level keys."""
    base = {
        "instance": {"name": "gw-test"},
        "workers": 2,
        "providers": providers(mock_port, raw_port),
        "models": {
            "fast": {"targets": [{"provider": "openai", "model": "gpt-4o-mini"}]},
            "smart": {"targets": [{"provider": "anthropic", "model": "claude-opus-4-8"}]},
            "rawalias": {"targets": [{"provider": "raw", "model": "raw-behind-the-alias"}]},
        },
        "tenants": tenants(),
        "http": {"header_time": "20s", "keepalive": "30s", "drain": "3s", "body_bytes": "1MiB"},
        "log": {"access": "stdout", "level": "info"},
    }
    base.update(more)
    return base


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """A server for one file of tests."""
    server = redis_server.Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return certs.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def trusting(certificates):
    """A client's TLS context that knows the test authority."""
    return ssl.create_default_context(cafile=str(certificates / "ca.pem"))


@pytest.fixture(scope="session")
def mock(tmp_path_factory):
    mock = Mock(tmp_path_factory.mktemp("mock"))
    yield mock
    assert mock.stop() == 0, mock.said()[-2000:]


@pytest.fixture(scope="session")
def raw_provider():
    raw = provider.Provider()
    yield raw
    raw.stop()


@pytest.fixture
def raw(raw_provider):
    """The raw-socket provider, with its default script before and after."""
    raw_provider.reset_script()
    raw_provider.settle()
    yield raw_provider
    raw_provider.reset_script()


class Shared:
    """The gateway that most tests use. One that died is judged in the test that killed it, and started anew."""

    def __init__(self, make):
        self.make, self.gateway = make, None

    def get(self):
        if self.gateway is None or not self.gateway.is_alive():
            self.gateway = self.make()
        return self.gateway


@pytest.fixture(scope="session")
def shared(tmp_path_factory, mock, raw_provider, certificates):
    shared = Shared(
        lambda: Gateway(
            tmp_path_factory.mktemp("gateway"), configuration(mock.port, raw_provider.port), tls=certificates
        )
    )
    yield shared
    if shared.gateway and shared.gateway.is_alive():
        shared.gateway.stop_and_check()


@pytest.fixture
def gateway(shared):
    gateway = shared.get()
    yield gateway
    if not gateway.is_alive():
        gateway.stop_and_check()
    wrong = gateway.faults()
    assert not wrong, f"{len(wrong)} faults:\n" + "\n".join(map(str, wrong[:5]))


@pytest.fixture
def start(tmp_path_factory):
    """start(configuration, …): a gateway of the test's own, stopped and judged when the test ends."""
    started = []

    def make(configuration, **more):
        gateway = Gateway(tmp_path_factory.mktemp("own"), configuration, **more)
        started.append(gateway)
        return gateway

    yield make
    wrong = []
    for gateway in started:
        if not getattr(gateway, "judged", False):
            try:
                gateway.stop_and_check()
            except AssertionError as error:
                wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def own(start, mock, raw):
    """own(**more): the usual configuration with other top-level keys."""
    return lambda **more: start(configuration(mock.port, raw.port, **more))


@pytest.fixture
def one_day():
    """The test does not see a new day begin: what was counted for the old one would be gone."""
    if to_midnight() < 100:
        time.sleep(to_midnight() + 1)


@pytest.fixture
def key():
    return {"Authorization": f"Bearer {TENANT_KEY}"}


def chat(model="raw-1", **more):
    return {"model": model, "messages": [{"role": "user", "content": "say hello"}], **more}


@pytest.fixture
def trace():
    """(trace id, request fields that carry it)"""
    trace_id, traceparent = wire.new_trace()
    return trace_id, {"traceparent": traceparent}
