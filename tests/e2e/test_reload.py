"""SIGHUP: a new configuration takes the old one's place without a request noticing; a bad one changes nothing."""

import copy
import re
import threading
import time

from conftest import NARROW_KEY, PROVIDER_KEY, TENANT_KEY, chat, configuration
from harness import provider as provider_module
from harness import certs, wire
from harness.gateway import SANITIZED, digest, wait_until
from harness.load import Load
from harness.provider import LAST_CHUNK, STREAM_HEAD, chat_events, chunk

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"
NEW_KEY = "sk-weir-CANARYtenantQ5another0123456789abcdef"


def metric(gateway, name):
    for line in gateway.get("/metrics", admin=True).body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.rpartition(" ")[2])
    return None


def of(gateway):
    return copy.deepcopy(gateway.configuration)


def ask(gateway, key=TENANT_KEY, model="raw-1"):
    return gateway.post(CHAT, chat(model=model), {"Authorization": f"Bearer {key}"})


# ---- what goes wrong ----


def test_a_bad_file_changes_nothing_and_says_where_it_is_wrong(start, mock, raw):
    gateway = start(configuration(mock.port, raw.port))
    good = of(gateway)
    for text, expected in [
        ("tenants: [", "weir.yaml:2:1: not valid YAML"),
        ("tenants: {acme: {keys: 7}}\nlisten: 1x", "weir.yaml:1:"),
        ("listeners: []", "did you mean"),
    ]:
        said = gateway.reload(text)
        assert expected in said and "nothing has changed" in said, said
        assert ask(gateway).status == 200
    bad = of(gateway) if isinstance(gateway.configuration, dict) else copy.deepcopy(good)
    bad["providers"]["raw"]["base_url"] = f"https://127.0.0.1:{raw.port}/v1"
    bad["providers"]["raw"]["tls"] = {"ca": "/nowhere/ca.pem"}
    bad["tenants"] = {}
    said = gateway.reload(bad)
    assert "/nowhere/ca.pem" in said and "nothing has changed" in said
    assert ask(gateway).status == 200
    assert metric(gateway, 'weir_config_reloads_total{result="failed"}') == 4
    assert metric(gateway, 'weir_config_last_reload_successful') == 0
    assert "reloaded in" in gateway.reload(good)
    assert metric(gateway, 'weir_config_reloads_total{result="ok"}') == 1
    assert metric(gateway, 'weir_config_last_reload_successful') == 1
    assert ask(gateway).status == 200


def test_a_port_in_use_and_a_log_that_cannot_be_opened_leave_all_as_it_was(start, mock, raw, tmp_path):
    gateway = start(configuration(mock.port, raw.port))
    for change in (
        lambda c: c["listen"].append({"address": f"127.0.0.1:{raw.port}"}),
        lambda c: c["log"].update(access="/nowhere/at/all/access.log"),
    ):
        settings = of(gateway)
        change(settings)
        settings["tenants"]["acme"]["keys"] = [digest(NEW_KEY)]
        before = gateway.configuration
        said = gateway.reload(settings)
        assert "nothing has changed" in said and "weir.yaml:" in said
        gateway.configuration = before
        assert ask(gateway).status == 200
        assert ask(gateway, NEW_KEY).status == 401


def test_what_needs_a_restart_is_said(start, mock, raw):
    gateway = start(configuration(mock.port, raw.port))
    settings = of(gateway)
    settings["workers"] = 1
    settings["instance"]["name"] = "gw-other"
    said = gateway.reload(settings)
    assert "`workers` takes effect with a restart" in said and "`instance` takes effect with a restart" in said
    assert "otlp" not in said


def test_a_changed_exporter_needs_a_restart_and_is_said_without_its_secret(start, mock, raw):
    exporter = {"endpoint": f"http://127.0.0.1:{raw.port}", "headers": {"x-key": "CANARY-one"}}
    gateway = start(configuration(mock.port, raw.port, otlp={"export": [exporter]}))
    assert "otlp.export" not in gateway.reload(of(gateway))
    for change in ({"headers": {"x-key": "CANARY-two"}}, {"endpoint": "http://127.0.0.1:1"}, {"signals": ["logs"]}):
        settings = of(gateway)
        settings["otlp"] = {"export": [{**exporter, **change}]}
        said = gateway.reload(settings)
        assert "`otlp.export` takes effect with a restart" in said and "CANARY" not in said
        gateway.reload({**settings, "otlp": {"export": [exporter]}})
    assert "`admin" not in said
    assert gateway.record(ask(gateway))["replica"] == "gw-test"


# ---- keys, models, providers ----


def test_new_keys_hold_and_revoked_ones_are_refused_at_once_on_open_connections_too(start, mock, raw):
    gateway = start(configuration(mock.port, raw.port))
    kept = gateway.connect()
    kept.send(wire.request("POST", CHAT, AUTH, chat()))
    assert kept.read_response().status == 200
    begun = gateway.connect()  # its head is half here when the key is taken away
    data = wire.request("POST", CHAT, AUTH, chat())
    begun.send(data[:60])
    uploading = gateway.connect()  # … or its body is
    uploading.send(data[:-5])
    time.sleep(0.1)
    assert ask(gateway, NEW_KEY).status == 401
    settings = of(gateway)
    settings["tenants"]["acme"]["keys"] = [{"name": "second", "sha256": digest(NEW_KEY).removeprefix("sha256:")}]
    assert "reloaded in" in gateway.reload(settings)
    count = len(raw.requests)
    kept.send(wire.request("POST", CHAT, AUTH, chat()))
    assert kept.read_response().get("x-weir-error") == "unknown_key"
    begun.send(data[60:])
    assert begun.read_response().get("x-weir-error") == "unknown_key"
    uploading.send(data[-5:])
    assert uploading.read_response().get("x-weir-error") == "unknown_key"
    assert len(raw.requests) == count
    answer = ask(gateway, NEW_KEY)
    assert answer.status == 200
    assert gateway.record(answer)["key_id"] == "second"


def test_limits_go_on_counting_and_a_changed_one_holds_at_once(start, mock, raw):
    settings = configuration(mock.port, raw.port)
    settings["tenants"]["acme"]["limits"] = {"requests_per_minute": 5}
    gateway = start(settings)
    assert [ask(gateway).status for _ in range(4)] == [200] * 4
    gateway.reload()
    assert [ask(gateway).status for _ in range(2)] == [200, 429]
    settings = of(gateway)
    settings["tenants"]["acme"]["limits"] = {"requests_per_minute": 7}
    gateway.reload(settings)
    assert [ask(gateway).status for _ in range(3)] == [200, 200, 429]


def test_connections_to_a_provider_survive_a_reload_and_those_of_one_that_moved_drain(start, mock, raw):
    gateway = start({**configuration(mock.port, raw.port), "workers": 1})
    assert ask(gateway).status == 200
    first = len(raw.connections)
    settings = of(gateway)
    settings["providers"]["raw"]["api_key"] = PROVIDER_KEY + "2"  # not where it is: the connection may stay
    settings["models"]["another"] = {"targets": [{"provider": "raw", "model": "raw-7"}]}
    gateway.reload(settings)
    answer = ask(gateway, model="another")
    assert answer.status == 200
    assert len(raw.connections) == first
    assert raw.requests[-1].get("authorization") == f"Bearer {PROVIDER_KEY}2"
    assert gateway.record(answer)["connection_reused"] is True

    other = provider_module.Provider()
    try:
        gate, head = threading.Event(), threading.Event()

        def slow(connection, request):
            connection.send(STREAM_HEAD + chunk(chat_events()[0]) + chunk(chat_events()[1]))
            head.set()
            gate.wait(60)
            connection.send(b"".join(chunk(e) for e in chat_events()[2:]) + LAST_CHUNK)

        raw.handler = slow
        live = gateway.connect(timeout=70)
        live.send(wire.request("POST", CHAT, AUTH, chat(stream=True)))
        assert head.wait(30)
        settings = of(gateway)
        settings["providers"]["raw"]["base_url"] = f"http://127.0.0.1:{other.port}/v1"
        gateway.reload(settings)
        assert ask(gateway).status == 200
        assert len(other.requests) == 1
        gate.set()
        answer = live.read_response()
        assert answer.complete and b"[DONE]" in answer.body
        wait_until(lambda: all(c.ended_at for c in raw.connections[first - 1 :]), 5, "the old connections' end")
        raw.reset_script()
        settings["providers"]["raw"]["base_url"] = f"http://127.0.0.1:{raw.port}/v1"
        gateway.reload(settings)
        assert ask(gateway).status == 200
        assert len(other.requests) == 1
    finally:
        other.stop()


# ---- listeners, certificates, logs ----


def test_listeners_come_and_go_and_connections_of_one_that_is_gone_live_on(start, mock, raw):
    gateway = start(configuration(mock.port, raw.port))
    extra = wire.free_port()
    settings = of(gateway)
    settings["listen"].append({"address": f"127.0.0.1:{extra}"})
    gateway.reload(settings)
    kept = wire.connect(extra)
    kept.send(wire.request("POST", CHAT, AUTH, chat()))
    assert kept.read_response().status == 200
    settings["listen"].pop()
    gateway.reload(settings)
    try:
        wire.connect(extra, 2.0).close()
        raise AssertionError("it still listens")
    except ConnectionRefusedError:
        pass
    kept.send(wire.request("POST", CHAT, AUTH, chat()))
    assert kept.read_response().status == 200
    kept.close()
    assert ask(gateway).status == 200


def served_certificate(port):
    import ssl

    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10)


def test_a_changed_certificate_is_served_from_then_on(start, mock, raw, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
        certs.make(directory)
    gateway = start(configuration(mock.port, raw.port), tls=first)
    before = served_certificate(gateway.tls_port)
    gateway.reload()
    assert served_certificate(gateway.tls_port) == before
    for name in ("server.pem", "server.key"):
        (first / name).write_bytes((second / name).read_bytes())
    gateway.reload()
    assert served_certificate(gateway.tls_port) != before
    (first / "server.key").write_text("rubbish")
    assert "nothing has changed" in gateway.reload()
    assert served_certificate(gateway.tls_port) != before


def test_the_access_log_moves(start, mock, raw, tmp_path):
    """The recorder follows a reload within a moment: what is asked until then may go where it went before."""
    gateway = start(configuration(mock.port, raw.port))
    log, asked = tmp_path / "access.log", []

    def ask_one():
        asked.append(ask(gateway).status)
        return asked[-1] == 200

    def in_file():
        return log.read_text().count("\n") if log.exists() else 0

    def all_written():
        return len(gateway.records()) + in_file() == len(asked)

    def move(access):
        settings = of(gateway)
        settings["log"]["access"] = access
        gateway.reload(settings)

    assert ask_one()
    wait_until(all_written, 5, "the first record")
    move(str(log))
    wait_until(lambda: ask_one() and in_file() > 0, 5, "a record in the file")
    wait_until(all_written, 5, "every record in one of the two")
    before = len(gateway.records())
    assert ask_one()
    wait_until(all_written, 5, "another record")
    assert len(gateway.records()) == before
    kept = in_file()
    move("none")
    wait_until(lambda: str(log) not in gateway.open_paths(), 5, "the file to be closed")
    assert ask_one()
    move("stdout")
    wait_until(lambda: ask_one() and len(gateway.records()) > before, 5, "a record in the standard output")
    assert in_file() == kept and len(gateway.records()) + kept < len(asked)
    assert set(asked) == {200}


def test_a_changed_admin_token_holds_at_once(start, mock, raw):
    gateway = start(configuration(mock.port, raw.port))

    def asked(*tokens):
        with wire.connect(gateway.admin_port) as client:
            statuses = []
            for token in tokens:
                fields = {"Authorization": f"Bearer {token}"} if token else {}
                client.send(wire.request("GET", "/metrics", fields, host=f"127.0.0.1:{gateway.admin_port}"))
                statuses.append(client.read_response().status)
            return statuses

    assert asked(None) == [200]
    for token in ("an-admin-token-of-one-day", "an-admin-token-of-another-day"):
        settings = of(gateway)
        settings["admin"]["token"] = token
        assert "restart" not in gateway.reload(settings)
        wait_until(lambda: asked(token) == [200], 5, "the new token")
        assert asked(None) == [401] and asked(token + "x") == [401]
    assert "an-admin-token" not in gateway.said()


# ---- under load ----


def test_more_than_twenty_reloads_under_load_fail_no_request_and_leave_nothing(start, mock, raw):
    gateway = start(configuration(mock.port, raw.port))
    load = Load(gateway.port, TENANT_KEY, "gpt-4o-mini")
    wait_until(lambda: load.good > 20, 20, "traffic")
    files, memory = [], []
    for i in range(24):
        settings = of(gateway)
        settings["providers"]["raw"]["base_url"] = f"http://127.0.0.1:{raw.port}/v{1 + i % 2}"
        host = ("localhost", "127.0.0.1")[i % 2]  # the provider that is used moves every time
        settings["providers"]["openai"]["base_url"] = f"http://{host}:{mock.port}/v1"
        settings["tenants"]["acme"]["limits"] = {"requests_per_minute": 100000 + i}
        settings["models"][f"alias-{i}"] = {"targets": [{"provider": "openai", "model": "gpt-4o-mini"}]}
        assert "reloaded in" in gateway.reload(settings)
        before = load.good
        wait_until(lambda: load.good > before + 5, 20, "more traffic")
        files.append(gateway.open_files())
        memory.append(gateway.resident_bytes())
    good, failures = load.stop()
    assert not failures, f"{len(failures)} of {good + len(failures)} failed: {failures[:5]}"
    assert good > 120
    # half of the reloads together may not have left anything: a descriptor each would be twelve more
    wait_until(lambda: gateway.open_files() <= max(files[:12]) + 8, 5, f"the descriptors' end: {files}")
    if not SANITIZED:
        assert memory[-1] - memory[11] < 4 << 20, memory
    assert metric(gateway, 'weir_config_reloads_total{result="ok"}') == 24
    busy = re.compile(r'weir_upstream_connections\{provider="openai",state="busy"\} (\d+)')
    wait_until(lambda: busy.findall(gateway.get("/metrics", admin=True).body.decode()) == ["0"], 5, "none busy")


def test_signals_in_quick_succession_end_with_the_newest_file(start, mock, raw):
    gateway = start(configuration(mock.port, raw.port))
    import signal

    for i in range(30):
        settings = of(gateway)
        settings["tenants"]["acme"]["keys"] = [digest(f"{NEW_KEY}-{i}")]
        gateway.write(settings)
        gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: ask(gateway, f"{NEW_KEY}-29").status == 200, 10, "the newest")
    assert ask(gateway, f"{NEW_KEY}-28").status == 401
    assert ask(gateway, NARROW_KEY, "gpt-4o-mini").status == 200


def test_a_drain_may_come_while_a_reload_is_under_way(start, mock, raw):
    gateway = start(configuration(mock.port, raw.port))
    import signal

    assert ask(gateway).status == 200
    gateway.process.send_signal(signal.SIGHUP)
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(60) == 0
    gateway.judged = True
    assert not gateway.faults()
