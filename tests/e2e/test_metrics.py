"""The metrics page as Prometheus reads it: by its own checker, and by a server of its own that scrapes it. Rules and
dashboards are checked against the page: what they ask for must be there."""

import contextlib
import json
import pathlib
import re
import subprocess
import urllib.parse

import pytest

from conftest import NARROW_KEY, TENANT_KEY, chat, tenants
from harness import records, wire
from harness.gateway import wait_until

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"
OPEN = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
ROOT = pathlib.Path(__file__).parents[2]
RULES = sorted((ROOT / "conf/prometheus").glob("weir.*.yml"))
DASHBOARDS = sorted((ROOT / "conf/grafana").glob("*.json"))


def page(gateway, fields=()):
    answer = gateway.get("/metrics", fields, admin=True)
    assert answer.status == 200
    return answer.body.decode()


def families(text):
    return set(re.findall(r"^# TYPE (\S+) ", text, re.M))


@pytest.fixture
def traffic(gateway, raw):
    """A gateway that has seen some of everything; the trace id of its last stream."""
    for body in (chat(), chat("nobody-serves-it"), chat('raw-"quoted\\" né\n'), chat(stream=True)):
        answer = gateway.post(CHAT, body, AUTH)
    gateway.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": "x"}, AUTH)
    gateway.record(answer)
    return answer.get("x-weir-trace-id")


def test_the_page_passes_prometheus_own_checker(gateway, traffic):
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page(gateway), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr


def test_openmetrics_is_for_who_asks_and_ends_with_its_mark(gateway, traffic):
    answer = gateway.get("/metrics", OPEN, admin=True)
    assert answer.get("content-type") == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.body.endswith(b"\n# EOF\n") and b"# TYPE weir_requests counter" in answer.body
    wanted = "application/openmetrics-text;version=1.0.0"
    for accept in (f"text/plain;version=0.0.4;q=0.5,{wanted};q=0.75", f"{wanted};Q=1.000", f"text/plain, {wanted}"):
        answer = gateway.get("/metrics", {"Accept": accept}, admin=True)
        assert answer.get("content-type").startswith("application/openmetrics-text"), accept
    rather_not = (f"{wanted};q=0.4,text/plain;version=0.0.4;q=0.5", f"{wanted};q=0", f"{wanted} ; q=0.000")
    for accept in ("text/plain", "*/*", "application/openmetrics-text-not", "", *rather_not):
        answer = gateway.get("/metrics", {"Accept": accept}, admin=True)
        assert answer.get("content-type").startswith("text/plain; version=0.0.4"), accept
        assert b"# EOF" not in answer.body and b"trace_id" not in answer.body


def test_exemplars_name_traces_that_are_in_the_bucket(gateway, traffic):
    line = re.compile(
        r'^weir_total_seconds_bucket\{[^}]*model="raw-1"[^}]*le="(\S+)"\} \d+ # \{trace_id="(\w+)"\} (\S+) ', re.M
    )

    def found():
        return {trace: (le, float(value)) for le, trace, value in line.findall(page(gateway, OPEN))}

    wait_until(lambda: traffic in found(), 5, "an exemplar of the last stream")
    le, value = found()[traffic]
    assert value == pytest.approx(float(gateway.record(traffic)["total_ms"]) / 1000, abs=1e-9) and value <= float(le)


def test_the_documentation_names_every_family_and_no_other(gateway, traffic):
    documented = set(re.findall(r"`((?:weir|gen_ai|process)_[a-z_]+)`", (ROOT / "docs/metrics.md").read_text()))
    labels = {"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_modality"}
    assert documented - labels == families(page(gateway))


@contextlib.contextmanager
def prometheus(directory, gateway):
    """A server that scrapes the gateway each second; yields a function that asks its API."""
    port = wire.free_port()
    (directory / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(path) for path in RULES],
                "scrape_configs": [
                    {"job_name": "weir", "static_configs": [{"targets": [f"127.0.0.1:{gateway.admin_port}"]}]}
                ],
            }
        )
    )
    log = (directory / "prometheus.log").open("wb")
    server = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
        ],
        stdout=log,
        stderr=log,
    )

    def ask(path, **query):
        try:
            with wire.connect(port) as client:
                client.send(wire.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(query)}"))
                return client.read_response().json()["data"]
        except (OSError, wire.Closed, ValueError, KeyError):
            return None

    try:
        yield ask
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def test_a_real_prometheus_scrapes_it(gateway, traffic, tmp_path):
    with prometheus(tmp_path, gateway) as ask:

        def value(query):
            found = (ask("query", query=query) or {}).get("result")
            return float(found[0]["value"][1]) if found else None

        wait_until(lambda: value('up{job="weir"}') == 1, 60, "a scrape")
        wait_until(lambda: value('sum(weir_requests_total{model="raw-1"})'), 60, "the requests")
        p95 = wait_until(lambda: value("histogram_quantile(0.95, sum by (le) (weir_total_seconds_bucket))"), 60, "a p95")
        assert 0 < p95 < 60

        def traces():
            found = ask("query_exemplars", query="weir_total_seconds_bucket", start=1, end=4102444800) or []
            return {e["labels"]["trace_id"] for series in found for e in series["exemplars"]}

        wait_until(lambda: traffic in traces(), 60, "an exemplar")
        # every rule can be evaluated, and finds what is there
        wait_until(lambda: value("sum(tenant_provider_model:weir_requests:rate5m)") is not None, 60, "a recorded rate")
        rules = []

        def evaluated():  # each group begins at a moment of its own
            rules[:] = [rule for group in (ask("rules") or {}).get("groups", ()) for rule in group["rules"]]
            assert not [rule for rule in rules if rule["health"] == "err"], rules
            return len(rules) > 15 and all(rule["health"] == "ok" for rule in rules)

        wait_until(evaluated, 60, "each rule's first evaluation")
        targets = []

        def is_up():  # a scrape that a busy machine keeps longer than a second is followed by another
            targets[:] = (ask("targets") or {}).get("activeTargets", ())
            return targets and targets[0]["health"] == "up" and not targets[0]["lastError"]

        wait_until(is_up, 60, "a scrape without an error")


def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid_and_do_what_their_tests_say():
    promtool("check", "rules", *RULES)
    promtool("check", "config", ROOT / "conf/prometheus/prometheus.yml")
    promtool("test", "rules", ROOT / "tests/prometheus/rules_test.yml")


def test_the_rules_count_exactly_the_errors_that_are_the_providers_or_the_gateways():
    text = (ROOT / "conf/prometheus/weir.rules.yml").read_text()
    counted = re.search(r'weir_requests_total\{error=~"([^"]+)"', text).group(1).split("|")
    assert set(counted) == set(f"{records.ERRORS['provider']} {records.ERRORS['gateway']}".split())
    left_out = re.search(r'weir_requests_total\{error!~"([^"]+)"', text).group(1).split("|")
    assert set(left_out) == set(records.ERRORS["policy"].split())


def names_of(expression):
    """The metrics that an expression names, without their labels, functions and words of the language."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\b(by|on|ignoring|group_left)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"\b(?:weir|gen_ai|process)_[a-z_0-9]+\b(?!\s*(?:=|!))", re.sub(r"\{[^}]*\}", "", bare)))


def known(name, types):
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and types.get(name.removesuffix(suffix)) == "histogram":
            return True
    return types.get(name) in ("counter", "gauge")


def test_everything_that_rules_and_dashboards_ask_for_is_on_the_page(gateway, traffic):
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page(gateway), re.M))
    asked = {}
    for where, target in panels():
        asked.setdefault(where, set()).update(names_of(target["expr"]))
    for path in DASHBOARDS:
        for variable in json.loads(path.read_text())["templating"]["list"]:
            if variable["type"] == "query":
                asked[f"{path.name} ${variable['name']}"] = names_of(variable["definition"])
    for path in RULES:
        for number, expression in enumerate(re.findall(r"expr: (?:>-\n)?((?:.|\n)*?)(?=\n\n|\n +for:|\Z)", path.read_text())):
            asked[f"{path.name} {number}"] = {n for n in names_of(re.sub(r"\w+:\w+:\w+", "", expression))}
    assert len(asked) > 60 and sum(map(len, asked.values())) > 60
    wrong = {where: name for where, names in asked.items() for name in names if not known(name, types)}
    assert not wrong


def panels():
    """Each target of each panel of each dashboard, and where it is."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.name} {panel['title']}", target


def expression_of(target):
    return re.sub(r"\$(\w+)", ".*", re.sub(r"\$__(rate_interval|range)", "1m", target["expr"]))


def test_the_expressions_of_the_dashboards_can_be_parsed(tmp_path):
    rules = [{"record": f"panel:r{i}", "expr": expression_of(target)} for i, (_, target) in enumerate(panels())]
    assert len(DASHBOARDS) == 6 and len(rules) > 40
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "panels.yml")


@pytest.mark.timeout(300)
def test_every_panel_finds_what_it_asks_for(own, redis, raw, tmp_path):
    """A real Prometheus between: each expression has an answer, with the labels that its legend names."""
    few = tenants()
    few["narrow"]["limits"] = {"requests_per_minute": 1}
    gateway = own(
        state={"backend": "redis", "redis": {"url": redis.url, "timeout": "10s"}},
        tenants=few,
        workloads={"asking": {"match": {"path": CHAT}}},
    )
    narrow = {"Authorization": f"Bearer {NARROW_KEY}"}

    def traffic():
        gateway.post(CHAT, chat("fast", stream=True), {**AUTH, "x-mock-gap-ms": "1"})
        gateway.post(CHAT, chat("fast", stream=True), {**AUTH, "x-mock-error": "500"})
        gateway.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": "x"}, AUTH)
        gateway.post(CHAT, chat("fast"), narrow)

    with prometheus(tmp_path, gateway) as ask:

        def unanswered():
            missing = []
            for where, target in panels():
                found = (ask("query", query=expression_of(target)) or {}).get("result") or []
                labels = re.findall(r"{{(\w+)}}", target["legendFormat"])
                if not any(series["value"][1] != "NaN" for series in found):
                    missing.append(where)
                elif not all(any(label in series["metric"] for series in found) for label in labels):
                    missing.append(f"{where}: {target['legendFormat']}")
            return missing

        def answered():
            traffic()
            return not unanswered()

        try:
            wait_until(answered, 60, "an answer for each panel")
        except AssertionError:
            raise AssertionError(f"nothing for {unanswered()}") from None
        assert ask("query", query='weir_requests_total{error="limit_exceeded",model="gpt-4o-mini"}')["result"]
        [minute] = [target for where, target in panels() if where == "limits.json Requests a minute"]
        shown = re.sub(r"rate\((.*)\[1m\]\)", r"\1", expression_of(minute))
        let_in = '60 * sum by (tenant) (weir_requests_total{status!="429"})'

        def values(query):
            return [s["value"][1] for s in (ask("query", query=query) or {}).get("result", ())]

        # two questions, and there may be a scrape between them
        wait_until(lambda: values(let_in) and values(shown) == values(let_in), 60, "only what limits let in, counted")
