#!/usr/bin/env python3
"""The traffic a profiled build is made for: a binary that counts how often each of its branches is taken relays chat,
streams in three dialects, TLS and large bodies for a few seconds, and leaves the counts beside its objects.

Not a measurement. What is not run here (an outage, a reload) is compiled as it would be without any counts.
Usage: train.py --weir COUNTING-BINARY --loadgen PROGRAM; `make profiled` calls it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import proxies
from run import BODY, PATH, STREAM, STREAM_UNASKED, TOKENS, prose_body

CLAUDE = ('{"model":"claude-sonnet-4","max_tokens":100,%s"messages":[{"role":"user","content":"Which way does the water '
          'go?"}]}')
GEMINI = '{"contents":[{"role":"user","parts":[{"text":"Which way does the water go?"}]}]}'
GEMINI_PATH = "/v1beta/models/gemini-2.5-flash:"
ASKED = ["--header", f"x-mock-tokens: {TOKENS}"]

# path, how many answers, the generator's arguments
TRAFFIC = [
    (PATH, 4000, ["--body-text", BODY, "--pad", "1000"]),
    (PATH, 3000, ["--sse", "--body-text", STREAM, *ASKED]),
    (PATH, 1000, ["--sse", "--body-text", STREAM_UNASKED, *ASKED]),
    (PATH, 300, ["--sse", "--body-text", STREAM, *ASKED, "--header", "x-mock-gap-ms: 2"]),
    (PATH, 300, ["--body-text", prose_body(16384)]),
    ("/v1/messages", 1000, ["--body-text", CLAUDE % ""]),
    ("/v1/messages", 1000, ["--body-text", CLAUDE % '"stream":true,', *ASKED]),
    (GEMINI_PATH + "generateContent", 1000, ["--body-text", GEMINI]),
    (GEMINI_PATH + "streamGenerateContent?alt=sse", 1000, ["--body-text", GEMINI, *ASKED]),
    ("/v1/embeddings", 300, ["--body-text", '{"model":"gpt-4o-mini","input":"Which way does the water go?"}']),
    ("/v1/models", 300, ["--method", "GET"]),
]
TLS_TRAFFIC = TRAFFIC[:2]


def send(options, url, count, arguments):
    command = [options.loadgen, "--connections", "16", "--count", str(count), "--duration", "60", "--header",
               "Authorization: Bearer " + proxies.KEY, *arguments, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    report = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {"errors": done.stderr[-300:]}
    if report["errors"] or report["requests"] < count:
        raise RuntimeError(f"{url}: {report['errors']} {report.get('error_kinds')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", required=True)
    parser.add_argument("--loadgen", required=True)
    options = parser.parse_args()
    options.weir, options.loadgen = os.path.abspath(options.weir), os.path.abspath(options.loadgen)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = proxies.make_certificate(folder)
        mock = proxies.mock(options.weir, folder).start()
        gateway = proxies.weir(options.weir, folder, mock.port, certificate, key)
        try:
            gateway.start().answers()
            for path, count, arguments in TRAFFIC:
                send(options, f"http://127.0.0.1:{gateway.port}{path}", count, arguments)
            for path, count, arguments in TLS_TRAFFIC:
                send(options, f"https://127.0.0.1:{gateway.tls_port}{path}", count, arguments)
        finally:
            gateway.stop(60)
            mock.stop(60)


if __name__ == "__main__":
    sys.exit(main())
