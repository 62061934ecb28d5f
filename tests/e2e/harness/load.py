"""Continuous traffic that counts: threads of clients of every usual kind, each request judged. Whatever is not a whole,
good answer is kept as a failure."""

import socket
import threading

from . import wire

STREAM_END = b"data: [DONE]"


class Load:
    """Runs until stop(). `kinds`: kept (a connection for all requests), fresh (one each), stream (kept, streaming)."""

    def __init__(self, port, key, model, kinds=("kept", "kept", "fresh", "stream", "stream"), pause=0.0):
        self.port, self.key, self.model, self.pause = port, key, model, pause
        self.good, self.failures, self.stopping = 0, [], threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(kind,), daemon=True) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def request(self, stream):
        body = {"model": self.model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
        key = self.key() if callable(self.key) else self.key
        return wire.request("POST", "/v1/chat/completions", {"Authorization": f"Bearer {key}"}, body)

    def run(self, kind):
        client = None
        while not self.stopping.is_set():
            try:
                if client is None:
                    client = wire.connect(self.port, timeout=20.0)
                client.send(self.request(kind == "stream"))
                answer = client.read_response()
                good = answer.status == 200 and answer.complete
                if good and kind == "stream":
                    good = STREAM_END in answer.body
                self.note(good, f"{kind}: {answer.status} {answer.get('x-weir-error')} {answer.body[-200:]!r}")
                if kind == "fresh" or answer.get("connection") == "close":
                    client.close()
                    client = None
            except (OSError, wire.Closed, socket.timeout, ValueError) as error:
                self.note(False, f"{kind}: {type(error).__name__} {error}")
                client = None
            self.stopping.wait(self.pause)
        if client is not None:
            client.close()

    def note(self, good, what):
        with self.lock:
            self.good += good
            if not good:
                self.failures.append(what)

    def stop(self):
        """(good answers, failures)"""
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
        return self.good, self.failures
