"""The access log: reading it, and what must hold for every single line of it."""

import json
import re
from decimal import Decimal

FIELDS = """time replica trace_id span_id parent_id tenant key_id tags session workload release method path operation
provider model_requested model stream status error error_source limit attempts cache finish_reason input_tokens
output_tokens cache_read_tokens cache_write_tokens reasoning_tokens tokens_estimated cost_usd waste_usd total_ms ttft_ms
first_visible_ms tpot_ms chunks gap_max_ms phases limiter_ms tls_in_ms settle_ms overhead_ms cpu_ms provider_ms rtt_ms
in_flight request_bytes response_bytes connection_reused client user_agent provider_request_id""".split()
PHASES = """receive admit queue dns connect tls send wait generate drain retry loop""".split()

ERRORS = {
    "client": """bad_request bad_json conflicting_keys no_model bad_weir_header not_found method_not_allowed
        receive_timeout body_too_large uri_too_long unsupported_encoding head_too_large upgrade_refused client_gone
        client_stalled""",
    "policy": """no_key unknown_key expired_key tenant_disabled path_not_allowed model_not_allowed unknown_model
        limit_exceeded never_fits limiter_down""",
    "provider": """dns_failed connect_failed connect_timeout tls_failed send_timeout first_token_timeout idle_timeout
        total_timeout reset truncated bad_response provider_auth no_target rate_limited overloaded provider_error
        provider_rejected stream_error wrong_dialect""",
    "gateway": "queue_full queue_timeout too_busy draining internal",
}
SOURCE_OF = {name: source for source, names in ERRORS.items() for name in names.split()}

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
HEX = re.compile(r"^[0-9a-f]+$")


def parse(line):
    """One record; every number an exact Decimal."""
    return json.loads(line, parse_float=Decimal, parse_int=Decimal)


def faults(record):
    """What is wrong with a record, as a list of sentences; empty when it is sound."""
    wrong = []

    def expect(truth, text):
        if not truth:
            wrong.append(text)

    missing = set(FIELDS) - set(record)
    extra = set(record) - set(FIELDS)
    if missing or extra:
        return [f"fields missing {sorted(missing)}, unknown {sorted(extra)}"]
    phases = record["phases"]
    if set(phases) != {f"{p}_ms" for p in PHASES}:
        return [f"phases are {sorted(phases)}"]

    expect(
        sum(phases.values()) == record["total_ms"],
        f"phases sum to {sum(phases.values())}, total_ms is {record['total_ms']}",
    )
    expect(all(ms >= 0 for ms in phases.values()), "a phase is negative")
    expect(record["total_ms"] > 0, "total_ms is not above 0")
    overhead = phases["admit_ms"] + phases["queue_ms"] + phases["loop_ms"]
    expect(record["overhead_ms"] == overhead, f"overhead_ms {record['overhead_ms']} is not admit+queue+loop {overhead}")
    for name, value in list(record.items()) + list(phases.items()):
        if name.endswith("_ms") and isinstance(value, Decimal):
            expect(value.as_tuple().exponent >= -6, f"{name} has more than 6 decimals")
            expect(value >= 0, f"{name} is negative")
    for name in ("ttft_ms", "first_visible_ms"):
        if record[name] is not None:
            expect(record[name] <= record["total_ms"], f"{name} is above total_ms")
    if record["ttft_ms"] is not None and record["first_visible_ms"] is not None:
        expect(record["first_visible_ms"] >= record["ttft_ms"], "first_visible_ms is before ttft_ms")

    expect(TIME.match(record["time"]), f"time is {record['time']}")
    for name, digits in (("trace_id", 32), ("span_id", 16)):
        value = record[name]
        expect(len(value) == digits and HEX.match(value) and int(value, 16) != 0, f"{name} is {value}")
    expect(record["parent_id"] is None or len(record["parent_id"]) == 16, "parent_id is not 16 digits")

    error, source = record["error"], record["error_source"]
    expect((error is None) == (source is None), f"error {error} with error_source {source}")
    if error is not None:
        expect(SOURCE_OF.get(error) == source, f"error {error} with error_source {source}")
    expect((error == "limit_exceeded") == (record["limit"] is not None), f"error {error} with limit {record['limit']}")
    status = record["status"]
    expect(200 <= status <= 599, f"status is {status}")
    if error is None:
        expect(status < 400, f"status {status} without an error")
    expect(record["cache"] in ("off", "hit", "miss", "bypass"), f"cache is {record['cache']}")
    expect(isinstance(record["tags"], dict), "tags is not an object")
    expect(set(record["rtt_ms"]) == {"client", "provider"}, "rtt_ms lacks a side")
    expect(isinstance(record["stream"], bool), "stream is not a boolean")
    for name in (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "chunks",
        "in_flight",
        "request_bytes",
        "response_bytes",
        "attempts",
    ):
        value = record[name]
        if value is not None:
            expect(value >= 0 and value == value.to_integral_value(), f"{name} is {value}")
    if record["cost_usd"] is not None:
        expect(record["cost_usd"] >= 0, "cost_usd is negative")
    return wrong
