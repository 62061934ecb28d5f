"""A real redis-server on a free loopback port, alone or as a cluster; the ways in which it can be in trouble; and a
proxy that holds, delays or cuts what passes. Nothing is stored on disk but in the directory given."""

import pathlib
import signal
import socket
import subprocess
import threading
import time

from . import wire
from .gateway import wait_until


class Refused(Exception):
    """An error reply; its text begins with its kind."""


class Connection:
    """One blocking connection that speaks RESP2."""

    def __init__(self, port, timeout=5.0, password=None, user=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.sock.makefile("rb")
        if password is not None:
            self.call("AUTH", *([user] if user else []), password)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def call(self, *words):
        """The reply as int, bytes, list or None. Status replies are bytes too."""
        parts = [str(word).encode() if not isinstance(word, bytes) else word for word in words]
        self.sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self.read()

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Refused(rest.decode(errors="replace"))
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            return self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self.read() for _ in range(int(rest))]
        raise ConnectionError(f"not RESP: {line!r}")


class Redis:
    """One server. `arguments` are configuration directives: ("--maxmemory", "1mb")."""

    def __init__(self, directory, *arguments, port=None, password=None, tls=None, cluster=False):
        self.directory, self.arguments = pathlib.Path(directory), [*map(str, arguments)]
        self.port, self.password, self.process, self.tls_port = port or wire.free_port(), password, None, None
        if password:
            self.arguments += ["--requirepass", password]
        if cluster:
            self.arguments += ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
            self.arguments += ["--cluster-config-file", f"nodes-{self.port}.conf"]
            self.arguments += ["--cluster-port", str(wire.free_port())]
        if tls:  # a directory made by certs.make()
            self.tls_port = wire.free_port()
            self.arguments += ["--tls-port", str(self.tls_port), "--tls-auth-clients", "no"]
            self.arguments += ["--tls-cert-file", str(tls / "server.pem"), "--tls-key-file", str(tls / "server.key")]
            self.arguments += ["--tls-ca-cert-file", str(tls / "ca.pem")]
        self.start()

    @property
    def url(self):
        return f"redis://{':' + self.password + '@' if self.password else ''}127.0.0.1:{self.port}/0"

    @property
    def pid(self):
        return self.process.pid

    def start(self, wait=True, *arguments):
        """Starts it (anew: empty, as it saves nothing)."""
        with (self.directory / f"redis-{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
                + ["--dir", str(self.directory), "--enable-debug-command", "yes", *self.arguments, *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        if wait:
            wait_until(self.answers, 15, f"an answer of Redis on port {self.port}")

    def answers(self):
        assert self.process.poll() is None, f"redis-server ended: {self.said()[-2000:]}"
        try:
            with self.connect(timeout=1.0) as c:
                c.call("PING")
            return True
        except (OSError, Refused):
            return False

    def said(self):
        return (self.directory / f"redis-{self.port}.log").read_text(errors="replace")

    def connect(self, timeout=5.0, user=None, password=None):
        return Connection(self.port, timeout, password or self.password, user)

    def call(self, *words):
        """One command on a connection of its own."""
        with self.connect() as c:
            return c.call(*words)

    def keys(self):
        return sorted(self.call("KEYS", "*"))

    def freeze(self):
        """It keeps its connections and answers nothing, as a stopped machine does."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """kill -9: connections are reset, data is gone, the port refuses."""
        self.process.kill()
        self.process.wait()

    def restart(self, *arguments):
        """Killed and started again on the same port, with nothing in it."""
        self.kill()
        self.start(True, *arguments)

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


class Cluster:
    """Masters that share the slots evenly, without replicas until add_replica(). `tls`: clients and nodes speak TLS."""

    def __init__(self, directory, count=3, *arguments, tls=None):
        self.directory, self.tls = directory, tls
        self.arguments = [*arguments, *(["--tls-cluster", "yes"] if tls else [])]
        self.nodes, self.replicas = [self._node() for _ in range(count)], []
        self.ids = [n.call("CLUSTER", "MYID") for n in self.nodes]
        edges = [16384 * i // count for i in range(count + 1)]
        for i, node in enumerate(self.nodes):
            node.call("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            node.call("CLUSTER", "ADDSLOTSRANGE", edges[i], edges[i + 1] - 1)
        for other in self.nodes[1:]:
            self._meet(other)
        wait_until(self.is_whole, 30, "the cluster")

    def _node(self):
        return Redis(self.directory, *self.arguments, cluster=True, tls=self.tls)

    def _meet(self, other):
        bus = other.arguments[other.arguments.index("--cluster-port") + 1]
        self.nodes[0].call("CLUSTER", "MEET", "127.0.0.1", other.tls_port or other.port, bus)

    def add_replica(self, master):
        """A node that has what this one has, and could take over."""
        replica, master_id = self._node(), self.ids[self.nodes.index(master)]
        self.replicas.append(replica)
        self._meet(replica)
        wait_until(lambda: master_id in replica.call("CLUSTER", "NODES"), 15, "the replica to know its master")
        replica.call("CLUSTER", "REPLICATE", master_id)
        wait_until(lambda: b"master_link_status:up" in replica.call("INFO", "replication"), 30, "the replica's copy")
        return replica

    def is_whole(self):
        return all(
            b"cluster_state:ok" in n.call("CLUSTER", "INFO") and len(n.call("CLUSTER", "SLOTS")) >= len(self.nodes)
            for n in self.nodes
        )

    @property
    def url(self):
        return f"rediss://127.0.0.1:{self.nodes[0].tls_port}/0" if self.tls else self.nodes[0].url

    def owner(self, slot):
        """The node that serves it, as the first one knows."""
        for begin, end, (_, port, *_), *_ in self.nodes[0].call("CLUSTER", "SLOTS"):
            if begin <= slot <= end:
                return next(n for n in self.nodes if n.port == port)
        raise AssertionError(f"nobody serves slot {slot}")

    def move(self, slot, to):
        """Moves a slot with all its keys to another node and tells everybody."""
        source = self.owner(slot)
        _, _, to_id = self.begin_move(slot, to)
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)
        for node in [to, source, *[n for n in self.nodes if n not in (to, source)]]:
            node.call("CLUSTER", "SETSLOT", slot, "NODE", to_id)

    def begin_move(self, slot, to):
        """Only begins it: keys that are not there any more are answered with ASK."""
        source = self.owner(slot)
        from_id, to_id = self.ids[self.nodes.index(source)], self.ids[self.nodes.index(to)]
        to.call("CLUSTER", "SETSLOT", slot, "IMPORTING", from_id)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", to_id)
        return source, from_id, to_id

    def stop(self):
        for node in self.nodes + self.replicas:
            node.stop()


class Proxy:
    """Passes bytes between a client and a server on loopback. What it does with the server's answers can be changed
    at any time, for connections that are open too: `hold` keeps them (released in order when it is False again),
    `delay` seconds each piece waits, `cut_after` bytes of answers close the connection, `refuse` closes new
    connections at once; inject() says something in the server's place: garbage, for instance."""

    def __init__(self, target_port):
        self.target_port, self.hold, self.delay, self.cut_after, self.refuse = target_port, False, 0.0, None, False
        self.connections, self.accepted, self.stopping = set(), 0, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def _accept(self):
        while not self.stopping:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.refuse:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port), 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections.add((client, server))
            threading.Thread(target=self._copy, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, True), daemon=True).start()

    def _copy(self, source, target, answers):
        passed = 0
        try:
            while data := source.recv(65536):
                if answers:
                    while self.hold and not self.stopping:
                        time.sleep(0.002)
                    if self.delay:
                        time.sleep(self.delay)
                    if self.cut_after is not None and passed + len(data) >= self.cut_after:
                        target.sendall(data[: max(0, self.cut_after - passed)])
                        break
                passed += len(data)
                target.sendall(data)
        except OSError:
            pass
        for sock in (source, target):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """Ends every connection that is open."""
        with self.lock:
            connections, self.connections = self.connections, set()
        for pair in connections:
            for sock in pair:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                sock.close()

    def inject(self, data):
        """Sends bytes to every client as if the server had said them."""
        with self.lock:
            for client, _ in self.connections:
                try:
                    client.sendall(data)
                except OSError:
                    pass

    def stop(self):
        self.stopping = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # its thread is in accept()
        except OSError:
            pass
        self.listener.close()
        self.cut()
