"""Lua scripts alone: loaded into a real redis-server, with a clock that the test sets instead of the server's."""

import hashlib
import pathlib

LUA = pathlib.Path(__file__).parents[3] / "lua"
CLOCK = "redis.call('TIME')"
TEST_CLOCK = "redis.call('HMGET', KEYS[1] .. ':clock', 's', 'us')"


class Script:
    """A script: files of lua/ in a row. `settable_clock`: it reads the time that set_clock() wrote."""

    def __init__(self, connection, *names, settable_clock=False):
        text = "".join((LUA / f"{name}.lua").read_text() for name in names)
        if settable_clock:
            assert text.count(CLOCK) == 1
            text = text.replace(CLOCK, TEST_CLOCK)
        self.connection, self.sha1 = connection, hashlib.sha1(text.encode()).hexdigest()
        assert connection.call("SCRIPT", "LOAD", text).decode() == self.sha1

    def __call__(self, keys, *arguments):
        return self.connection.call("EVALSHA", self.sha1, len(keys), *keys, *arguments)


def set_clock(connection, key, us):
    connection.call("HSET", key + ":clock", "s", us // 1000000, "us", us % 1000000)
