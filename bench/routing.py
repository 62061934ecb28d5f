#!/usr/bin/env python3
"""What a retry, fallback or hedge configuration costs a request that needs none of it.

One weir, several aliases that lead to the same target: `plain` goes on with nothing, the others do. Nothing fails and no
first token is late, so all that differs is what being ready for it costs. Two measures:

  cpu           CPU time of the worker thread per request or stream, from the scheduler's account; the aliases take turns,
                round after round, and what is reported is the median of each round's ratio to `plain`.
  instructions  the worker's instructions per request or stream, counted by valgrind's callgrind: the same in every run, on
                any machine. Each alias is measured with few and with many requests; the difference counts.

Exit: 0, 1 when a run failed, with --gate also when an alias costs more than 2 % above `plain`.
"""

import argparse
import glob
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

import proxies

PATH = "/v1/chat/completions"
TARGET = 1.02
TOKENS = 20
ALIASES = {  # all names are of the same length, so that bodies are
    "plain": "",
    "retry": "retry: {attempts: 3}, fallback: [other]",
    "hedge": "hedge: {after: p95}",
    "fixed": "hedge: {after: 800ms}",
    "every": "retry: {attempts: 3}, fallback: [other], hedge: {after: p95}, balance: latency",
}
WORKLOADS = {"requests": ("request", []),
             "burst": ("stream", ["--sse", "--expect-events", str(TOKENS + 4), "--header", f"x-mock-tokens: {TOKENS}"]),
             "paced": ("stream", ["--sse", "--expect-events", str(TOKENS + 4), "--header", f"x-mock-tokens: {TOKENS}",
                                  "--header", "x-mock-ttft-ms: 20", "--header", "x-mock-gap-ms: 2"])}


def body(alias, stream):
    text = ('{"model":"%s","messages":[{"role":"system","content":"You answer in one short sentence and never invent a '
            'fact."},{"role":"user","content":"Which way does the water go when the gate is shut?"}]' % alias)
    return text + (',"stream":true,"stream_options":{"include_usage":true}}' if stream else "}")


def configuration(folder, upstream, port, admin):
    models = "".join(
        f"  {name}: {{targets: [{{provider: mock, model: gpt-4o-mini}}]{', ' if more else ''}{more}}}\n"
        for name, more in ALIASES.items())
    return proxies.write(folder, f"weir-{port}.yaml", f"""listen: ["127.0.0.1:{port}"]
admin: {{address: "127.0.0.1:{admin}"}}
workers: 1
providers:
  mock: {{dialect: openai, base_url: "http://127.0.0.1:{upstream}/v1", api_key: sk-provider-bench}}
  spare: {{dialect: openai, base_url: "http://127.0.0.1:{upstream}/v1", api_key: sk-provider-bench}}
models:
{models}  other: {{targets: [{{provider: spare, model: gpt-4o-mini}}]}}
tenants:
  bench:
    keys: [{{name: bench, sha256: "{hashlib.sha256(proxies.KEY.encode()).hexdigest()}"}}]
    limits: {{requests_per_minute: 1000M, tokens_per_minute: 1000000M, concurrent_requests: 1M}}
log: {{access: {folder}/access-{port}.log}}
""")


def weir(program, folder, upstream, wrapper=()):
    port, admin = proxies.free_port(), proxies.free_port()
    command = [*wrapper, os.path.abspath(program), "serve", "-c", configuration(folder, upstream, port, admin)]
    return proxies.Process("weir", command, folder, proxies.PROXY_CPU, port)


def load(options, port, workload, alias, more):
    command = [os.path.abspath(options.loadgen), "--cpu", str(proxies.LOAD_CPU), "--header",
               "Authorization: Bearer " + proxies.KEY, "--body-text", body(alias, workload != "requests"),
               *WORKLOADS[workload][1], *more, f"http://127.0.0.1:{port}{PATH}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if not done.stdout.strip():
        raise RuntimeError(f"{workload} of {alias}: no report: {done.stderr[-300:]}")
    report = json.loads(done.stdout.splitlines()[-1])
    if report["errors"] or not report["requests"]:
        raise RuntimeError(f"{workload} of {alias}: {report['errors']} errors {report['error_kinds']}")
    return report


def cpu_us(options, proxy, workload, alias):
    watched = [a for pid in proxy.pids() for a in ("--watch", str(pid))]
    report = load(options, proxy.port, workload, alias,
                  ["--connections", "16", *watched, "--warmup", "0.2", "--duration", str(options.seconds)])
    workers = sum(t["cpu_ns"] for t in report["threads"] if t["name"].startswith("worker-"))
    return workers / 1e3 / report["requests"]


def measure_cpu(options, folder, mock):
    proxy, out = weir(options.weir, folder, mock.port).start(), {}
    try:
        for workload in options.workload.split(","):
            rounds = []
            for r in range(options.rounds):
                names = list(ALIASES)
                order = names[r % len(names):] + names[:r % len(names)]
                rounds.append({name: cpu_us(options, proxy, workload, name) for name in order})
                print(f"  cpu {workload} round {r + 1}/{options.rounds}", file=sys.stderr)
            out[workload] = {
                name: {"us": statistics.median(r[name] for r in rounds),
                       "ratio": statistics.median(r[name] / r["plain"] for r in rounds),
                       "range": [min(r[name] / r["plain"] for r in rounds), max(r[name] / r["plain"] for r in rounds)]}
                for name in ALIASES}
    finally:
        proxy.stop()
    return out


def instructions_by_thread(options, folder, mock, workload, alias, count):
    """Threads are numbered in the order they begin, which is the same in every run."""
    for old in glob.glob(os.path.join(folder, "callgrind.out*")):
        os.remove(old)
    wrapper = ["valgrind", "--tool=callgrind", "--separate-threads=yes",
               "--callgrind-out-file=" + os.path.join(folder, "callgrind.out")]
    proxy = weir(options.weir, folder, mock.port, wrapper).start()
    try:
        load(options, proxy.port, workload, alias,
             ["--connections", "1" if workload == "paced" else "4", "--count", str(count), "--duration", "120"])
    finally:
        proxy.stop()
    found = {path.rsplit("-", 1)[-1]: re.search(r"^(?:totals|summary): (\d+)", open(path).read(), re.M)
             for path in glob.glob(os.path.join(folder, "callgrind.out-*"))}
    return {thread: int(total.group(1)) for thread, total in found.items() if total}


def measure_instructions(options, folder, mock):
    """The thread that does more the more requests there are is the worker."""
    out = {}
    for workload in options.workload.split(","):
        each, many = {}, options.count // (8 if workload == "paced" else 1)  # these take their time
        few = many // 4
        for name in ALIASES:
            short, long = (instructions_by_thread(options, folder, mock, workload, name, n) for n in (few, many))
            each[name] = max(long[t] - short.get(t, 0) for t in long) / (many - few)
            print(f"  instructions {workload} {name}: {each[name]:.0f}", file=sys.stderr)
        out[workload] = {name: {"instructions": n, "ratio": n / each["plain"]} for name, n in each.items()}
    return out


def report(measure, results):
    missed = False
    for workload, table in results.items():
        unit = WORKLOADS[workload][0]
        print(f"\n{workload}: {measure} per {unit}, beside an alias that goes on with nothing")
        for name, row in table.items():
            over = name != "plain" and row["ratio"] > TARGET
            missed |= over
            value = row.get("us", row.get("instructions"))
            spread = f"[{row['range'][0]:.3f}–{row['range'][1]:.3f}]" if "range" in row else ""
            said = "" if name == "plain" else f"≤ {TARGET:g} {'MISSED' if over else 'ok'}"
            print(f"  {name:8} {value:12.2f}  {row['ratio']:.4f} {spread:15} {said}")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default="build/release/weir")
    parser.add_argument("--loadgen", default="build/release/loadgen")
    parser.add_argument("--json", help="also write everything measured to this file")
    parser.add_argument("--measure", default="cpu,instructions", help="comma list of: cpu instructions")
    parser.add_argument("--workload", default=",".join(WORKLOADS), help="comma list of: " + " ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--count", type=int, default=2000, help="requests of the longer run under callgrind")
    parser.add_argument("--gate", action="store_true", help="exit 1 when an alias costs more than 2 %%")
    options = parser.parse_args()
    measures = {"cpu": measure_cpu, "instructions": measure_instructions}
    results, missed = {}, False
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        os.chmod(folder, 0o711)
        mock = proxies.mock(os.path.abspath(options.weir), folder).start()
        try:
            for name in options.measure.split(","):
                if name == "instructions" and proxies.find_program("valgrind") is None:
                    print("valgrind is not installed: instructions are left out", file=sys.stderr)
                    continue
                results[name] = measures[name](options, folder, mock)
                missed |= report(name, results[name])
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            print(f"bench failed: {error}", file=sys.stderr)
            return 1
        finally:
            mock.stop()
    if options.json:
        os.makedirs(os.path.dirname(os.path.abspath(options.json)), exist_ok=True)
        with open(options.json, "w") as f:
            json.dump({"rounds": options.rounds, "seconds": options.seconds, "results": results, "target": TARGET,
                       "missed": missed}, f, indent=1)
    return 1 if options.gate and missed else 0


if __name__ == "__main__":
    sys.exit(main())
