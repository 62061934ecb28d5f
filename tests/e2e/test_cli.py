"""The commands: check, key, mock, usage errors, starting and stopping."""

import hashlib
import json
import re
import resource
import signal
import subprocess
import threading
import time

import pytest

from conftest import TENANT_KEY, chat, configuration
from harness import wire
from harness.gateway import BINARY, PATIENCE, Process, wait_until
from harness.provider import LAST_CHUNK, STREAM_HEAD, chat_events, chunk

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"


def weir(*arguments, given="", cwd=None, env=None):
    import os

    done = subprocess.run(
        [BINARY, *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def check(tmp_path, text, *more, **env):
    path = tmp_path / "weir.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return weir("check", "-c", path, *more, env=env), path


GOOD = """providers:
  openai: {dialect: openai, base_url: https://api.openai.com/v1, api_key: "${SOME_KEY}", models: ["gpt-*"]}
tenants:
  acme: {keys: ["sha256:%s"]}
""" % hashlib.sha256(b"k").hexdigest()


def test_a_good_configuration_checks(tmp_path):
    done, path = check(tmp_path, GOOD, SOME_KEY="sk-CANARY-0123456789")
    assert done.returncode == 0, done.stderr
    assert f"{path}: ok" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "text,line,words",
    [
        ("providers:\n  a: {dialect: openai, base_url: https://x/v1, api_key: k, modles: [a]}\n", 2, "models"),
        ("listne: []\n", 1, "listen"),
        ("http:\n  header_time: 10x\n", 2, ""),
        ("http:\n  body_bytes: -1\n", 2, ""),
        ("http:\n  headers: 18446744073709551617\n", 2, ""),
        ("a: 'b\n", 2, "quoted"),
        ("http:\n\tkeepalive: 1s\n", 2, ""),
        ("workers: 1\nworkers: 2\n", 2, ""),
        ("admin:\n  token: ${NOT_SET_ANYWHERE}\n", 2, "NOT_SET_ANYWHERE"),
        ("models:\n  fast:\n    targets:\n      - {provider: nobody, model: x}\n", 4, "nobody"),
        ("tenants:\n  t:\n    keys: ['sha256:12']\n", 3, ""),
        ("providers:\n  v1: {dialect: openai, base_url: https://x/v1, api_key: k}\n", 2, "v1"),
        ("providers:\n  a: {dialect: klingon, base_url: https://x/v1, api_key: k}\n", 2, ""),
        ("listen:\n  - address: 0.0.0.0:80\n", 2, ""),
        ("log: {level: loud}\n", 1, ""),
    ],
)
def test_each_mistake_is_told_with_its_place(tmp_path, text, line, words):
    done, path = check(tmp_path, text)
    assert done.returncode == 1, done.stdout + done.stderr
    first = done.stderr.splitlines()[0]
    told = re.match(rf"{re.escape(str(path))}:(\d+):(\d+): .+", first)
    assert told and int(told[1]) == line, done.stderr
    assert words in done.stderr
    assert ": ok" not in done.stdout


def test_all_mistakes_are_told_at_once(tmp_path):
    done, _ = check(tmp_path, "wrokers: 1\nhttp: {keepalvie: 1s}\nlog: {level: loud}\n")
    assert len([line for line in done.stderr.splitlines() if re.search(r":\d+:\d+: ", line)]) == 3, done.stderr


def test_a_missing_file_is_told(tmp_path):
    done = weir("check", "-c", tmp_path / "nothing.yaml")
    assert done.returncode == 1 and "nothing.yaml" in done.stderr


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0",
        b"\xff\xfe\x00a",
        b"[" * 5000,
        b"a: &x [*x]\n",
        b"{" * 100 + b"}" * 100,
        b"a: !!python/object:os.system x\n",
        b"\xef\xbb\xbfworkers: x\n",
        b"a" * 200000,
    ],
)
def test_rubbish_is_refused_quickly(tmp_path, data):
    path = tmp_path / "weir.yaml"
    path.write_bytes(data)
    done = weir("check", "-c", path)
    assert done.returncode == 1 and done.stderr


def test_print_tells_what_is_in_force_without_secrets(tmp_path):
    done, _ = check(tmp_path, GOOD, "--print", SOME_KEY="sk-CANARY-0123456789")
    assert done.returncode == 0
    assert "base_url" in done.stdout and "keepalive" in done.stdout
    assert "CANARY" not in done.stdout + done.stderr


def test_a_new_key_is_printed_once_with_its_digest():
    done = weir("key", "new", "--tenant", "acme")
    assert done.returncode == 0
    key = re.search(r"sk-weir-[A-Za-z0-9_-]{20,}", done.stdout)[0]
    assert hashlib.sha256(key.encode()).hexdigest() in done.stdout
    other = re.search(r"sk-weir-[A-Za-z0-9_-]{20,}", weir("key", "new").stdout)[0]
    assert other != key


@pytest.mark.parametrize("given", ["sk-weir-abc", "sk-weir-abc\n", "  sk-weir-abc \r\n"])
def test_hash_reads_a_key_without_the_space_around_it(given):
    done = weir("key", "hash", given=given)
    assert done.returncode == 0
    assert hashlib.sha256(b"sk-weir-abc").hexdigest() in done.stdout
    assert "sk-weir-abc" not in done.stdout + done.stderr


def test_hash_of_nothing_fails():
    assert weir("key", "hash", given="").returncode in (1, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["serve", "--nonsense"],
        ["check", "-c"],
        ["key"],
        ["key", "burn"],
        ["mock", "--listen"],
        ["mock", "--listen", "nowhere"],
        [],
    ],
)
def test_bad_usage_is_exit_2_with_a_hint(arguments):
    done = weir(*arguments)
    assert done.returncode in ((2,) if arguments != ["mock", "--listen", "nowhere"] else (1, 2)), done.stderr
    assert done.stderr and "\x1b[" not in done.stderr


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["serve", "--nonsense"], "--nonsense: not known"),
        (["serve", "-c"], "-c: not known, or its value is missing"),
        (["serve", "--demo", "-c", "x.yaml"], "--demo: it stands alone"),
        (["check", "x.yaml"], "x.yaml: not known"),
        (["check", "--print", "--json"], "--print: not together with --json"),
        (["key", "burn"], "either `new` or `hash`"),
        (["key", "hash", "sk-weir-x"], "the key is read from standard input"),
        (["key", "new", "--tenant"], "--tenant: not known, or its value is missing"),
        (["key", "new", "--tenant", "a b"], "--tenant: a name is letters"),
        (["top", "--nonsense"], "--nonsense: not known"),
    ],
)
def test_bad_usage_says_what_is_wrong(arguments, said):
    done = weir(*arguments)
    assert done.returncode == 2 and said in done.stderr and "usage: weir " + arguments[0] in done.stderr, done.stderr
    assert "sk-weir-x" not in done.stderr


def test_what_prints_data_prints_json_when_asked(tmp_path):
    new = json.loads(weir("key", "new", "--json", "--tenant", "acme", "--name", "ci").stdout)
    assert new["sha256"] == hashlib.sha256(new["key"].encode()).hexdigest()
    assert (new["tenant"], new["name"]) == ("acme", "ci")
    assert json.loads(weir("key", "hash", "--json", given=new["key"]).stdout) == {"sha256": new["sha256"]}
    done, _ = check(tmp_path, "workers: 2\nlog: {levle: info}\nhttp: {drain: x}\n", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1 and done.stderr == "" and told["ok"] is False
    assert [(m["line"], m["column"], m["level"]) for m in told["messages"]] == [(2, 7, "error"), (3, 15, "error")]
    assert "did you mean `level`" in told["messages"][0]["message"]
    fine, _ = check(tmp_path, "workers: 2\n", "--json")
    assert fine.returncode == 0 and json.loads(fine.stdout)["ok"] is True


@pytest.mark.parametrize("name", ["-a", ".a", "_a", "a b", "a" * 65])
def test_a_name_that_the_configuration_would_not_take_is_not_taken_here(name):
    assert weir("key", "new", "--tenant", name).returncode == 2


@pytest.mark.parametrize("command", [["serve"], ["check"], ["mock"], ["key"], ["key", "new"], ["key", "hash"]])
def test_help_has_examples_and_no_colour(command):
    done = weir(*command, "--help")
    assert done.returncode == 0 and "weir " + command[0] in done.stdout and "\x1b[" not in done.stdout
    assert re.search("example", done.stdout, re.I)


def test_help_lists_the_commands():
    done = weir("--help")
    assert done.returncode == 0
    for command in ("serve", "check", "mock", "key"):
        assert command in done.stdout


def test_version():
    done = weir("--version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout)


def test_a_port_in_use_names_the_key_to_change(tmp_path, raw):
    path = tmp_path / "weir.yaml"
    path.write_text(
        json.dumps(
            {
                "listen": [{"address": f"127.0.0.1:{raw.port}"}],
                "admin": {"address": f"127.0.0.1:{wire.free_port()}"},
                "store": {"enabled": False},
            }
        )
    )
    done = weir("serve", "-c", path)
    assert done.returncode == 1 and str(raw.port) in done.stderr and "listen" in done.stderr, done.stderr


def test_what_cannot_be_opened_is_told_with_its_place(tmp_path, raw):
    path = tmp_path / "weir.yaml"
    free = [wire.free_port() for _ in range(2)]
    for admin, log, place, key in (
        (raw.port, "none", "2:18", "admin.address"),
        (free[1], "nowhere/access.log", "3:15", "log.access"),
    ):
        path.write_text(
            f"listen: [{{address: 127.0.0.1:{free[0]}}}]\nadmin: {{address: 127.0.0.1:{admin}}}\nlog: {{access: {log}}}\n"
        )
        done = weir("serve", "-c", path)
        assert done.returncode == 1 and f"weir.yaml:{place}: {key}" in done.stderr, done.stderr


def test_too_few_descriptors_to_begin_with_are_told(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("workers: 2\nadmin: {address: 127.0.0.1:0}\nlisten: [{address: 127.0.0.1:0}]\n")
    done = subprocess.run(
        [BINARY, "serve", "-c", path],
        capture_output=True,
        text=True,
        timeout=30,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)),
    )
    assert done.returncode == 1 and "only 20 files may be open" in done.stderr, done.stderr


def test_a_bad_configuration_starts_nothing(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("workers: lots\n")
    done = weir("serve", "-c", path)
    assert done.returncode == 1 and "weir.yaml:1:" in done.stderr


def test_sigterm_lets_a_stream_finish_takes_no_new_work_and_ends_in_order(own, raw):
    gateway = own(http={"drain": "40s"})
    release = threading.Event()

    def handler(connection, request):
        connection.send(STREAM_HEAD + chunk(chat_events()[0]) + chunk(chat_events()[1]))
        release.wait(PATIENCE)
        connection.send(b"".join(chunk(e) for e in chat_events(usage=False)[2:]) + LAST_CHUNK)

    raw.handler = handler
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, AUTH, chat(stream=True)))
        answer = client.read_head()
        client.read_chunk(answer)
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refused(gateway.port), 3, "the listener's end")
        release.set()
        client.read_body(answer, True)
    assert b"".join(chat_events(usage=False)) == answer.body
    assert gateway.process.wait(60) == 0
    assert gateway.record(answer)["error"] is None
    gateway.judged = True
    assert not gateway.faults()


def refused(port):
    try:
        with wire.connect(port, 1.0) as client:
            client.send(wire.request("GET", "/readyz"))
            return client.read_response().status == 503
    except (OSError, wire.Closed):
        return True


def test_a_stream_that_does_not_end_is_cut_at_the_drain_limit(own, raw):
    gateway = own(http={"drain": "600ms"})
    raw.handler = lambda c, r: (c.send(STREAM_HEAD + b"".join(chunk(e) for e in chat_events()[:3])), c.wait_for_end(30))
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, AUTH, chat(stream=True)))
        answer = client.read_head()
        client.read_chunk(answer)
        begin = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(60) == 0
        assert 0.4 < time.monotonic() - begin < 25  # the stream is there for 30 s
        rest = client.read_to_end()
    assert b"[DONE]" not in rest and b'"error"' in rest
    assert gateway.record(answer)["error"] == "draining"
    gateway.judged = True
    assert not gateway.faults()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once_in_order(own, raw, second):
    gateway = own(http={"drain": "30s"})
    raw.handler = lambda c, r: (c.send(STREAM_HEAD + chunk(chat_events()[0])), c.wait_for_end(30))
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, AUTH, chat(stream=True)))
        answer = client.read_head()
        begin = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "draining: " in gateway.said(), 5, "the first to be seen: two of a kind would be one")
        gateway.process.send_signal(second)
        assert gateway.process.wait(60) == 0
        assert time.monotonic() - begin < 25  # the stream is there for 30 s
    assert gateway.record(answer)["error"] == "draining"
    gateway.judged = True


def test_a_log_that_nobody_reads_does_not_hold_up_traffic(tmp_path, mock, raw):
    """Standard output is a full pipe: requests go on."""
    import os

    port, admin = wire.free_port(), wire.free_port()
    path = tmp_path / "weir.yaml"
    path.write_text(
        json.dumps(
            configuration(
                mock.port,
                raw.port,
                listen=[{"address": f"127.0.0.1:{port}"}],
                admin={"address": f"127.0.0.1:{admin}"},
                store={"enabled": False},
            )
        )
    )
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [BINARY, "serve", "-c", path],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=(tmp_path / "stderr.log").open("wb"),
    )
    os.close(writing)
    try:

        def up():
            assert process.poll() is None, (tmp_path / "stderr.log").read_text()
            try:
                wire.connect(port, 1.0).close()
                return True
            except OSError:
                return False

        wait_until(up, 20, "the port")
        with wire.connect(port) as client:
            for _ in range(300):  # a record is over 1 KiB: far more than a pipe holds
                client.send(wire.request("POST", CHAT, AUTH, chat()))
                assert client.read_response().status == 200
        os.close(reading)  # and now writing fails: SIGPIPE must not end it
        with wire.connect(port) as client:
            for _ in range(20):
                client.send(wire.request("POST", CHAT, AUTH, chat()))
                assert client.read_response().status == 200
    finally:
        process.terminate()
        assert process.wait(60) == 0, (tmp_path / "stderr.log").read_text()


def test_the_mock_speaks_every_dialect_by_itself(mock):
    with wire.connect(mock.port) as client:
        client.send(wire.request("POST", CHAT, {"x-mock-tokens": "3"}, chat("gpt-4o", stream=True)))
        assert wire.events(client.read_response().body)[-1] == b"[DONE]"
        client.send(
            wire.request(
                "POST",
                "/v1/messages",
                {},
                {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
            )
        )
        assert client.read_response().json()["type"] == "message"
        client.send(
            wire.request(
                "POST", "/v1beta/models/gemini-x:generateContent", {}, {"contents": [{"parts": [{"text": "x"}]}]}
            )
        )
        assert client.read_response().json()["candidates"]
        client.send(wire.request("POST", CHAT, {"x-mock-error": "429", "x-mock-retry-after": "3"}, chat("gpt-4o")))
        answer = client.read_response()
        assert answer.status == 429 and answer.get("retry-after") == "3"


def try_demo(demo):
    def ready():
        said = demo.said()
        assert demo.is_alive(), said
        key, port = re.search(r"sk-weir-[A-Za-z0-9_-]+", said), re.search(r"http://127\.0\.0\.1:(\d+)", said)
        return (key[0], int(port[1]), int(re.search(r"(\d+)/metrics", said)[1])) if "Ctrl-C" in said else None

    key, port, admin_port = wait_until(ready, 20, "the demo's key")
    with wire.connect(port) as client:
        client.send(wire.request("GET", "/v1/models", {"Authorization": f"Bearer {key}"}))
        models = client.read_response()
        assert models.status == 200 and models.json()["data"]
        client.send(wire.request("POST", CHAT, {"Authorization": f"Bearer {key}"}, chat("fast", stream=True)))
        assert client.read_response().body.endswith(b"data: [DONE]\n\n")
    with wire.connect(admin_port) as client:
        client.send(wire.request("GET", "/metrics", host=f"127.0.0.1:{admin_port}"))
        assert client.read_response().status == 200
    return port


def test_demo_serves_and_prints_its_key_whoever_has_its_usual_ports(tmp_path):
    demos = []
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            demos.append(Process(["serve", "--demo"], tmp_path / name))
            try_demo(demos[-1])
    finally:
        ends = [(demo.stop(), demo.said()) for demo in demos]
    assert [end[0] for end in ends] == [0, 0], ends
