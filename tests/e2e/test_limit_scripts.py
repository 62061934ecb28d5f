"""The limiter's Lua scripts against a slow exact model: random schedules on a clock of the test's own, steps of it, ties,
holders that die, messages that come twice."""

import datetime
import random
from fractions import Fraction

import pytest

from harness import redis as redis_server
from harness import scripts

SECOND, MINUTE, DAY = 10**6, 60 * 10**6, 86400 * 10**6
MICRO = 10**6
NOON = int(datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.timezone.utc).timestamp()) * SECOND
TTL = 10 * SECOND
REQUESTS, TOKENS, CONCURRENT, DAILY, MONTHLY = range(5)
NO_LIMIT = (0, 0, 0, 0, 0)  # requests, tokens, concurrent, pico-dollars a day, a month
DELTA = (
    "window running tokens_reserved missing requests_ahead tokens_ahead tokens_back day day_reserved day_spent month month_reserved month_spent"
).split()
WANTS = "requests tokens running day month".split()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = redis_server.Redis(tmp_path_factory.mktemp("redis"))
    with server.connect(60.0) as connection:
        yield connection
    server.stop()


def split(pico):
    return (pico // MICRO, pico % MICRO)


def limit_numbers(limit):
    return (*limit[:3], *split(limit[3]), *split(limit[4]))


def rows_of(numbers):
    """{(scope, kind): (used, reserved, reset µs)}, money in pico-dollars"""
    rows = {}
    assert len(numbers) % 6 == 0
    for i in range(0, len(numbers), 6):
        code, used, used_l, reserved, reserved_l, reset = numbers[i : i + 6]
        money = code % 8 >= DAILY
        rows[(code // 8, code % 8)] = (
            (used * MICRO + used_l, reserved * MICRO + reserved_l, reset) if money else (used, reserved, reset)
        )
    return rows


class Taken:
    def __init__(self, reply):
        self.ok, self.scope, self.kind, self.wait, self.day, self.month = reply[:6]
        self.rows = rows_of(reply[6:])


class Synced:
    def __init__(self, reply, scopes):
        self.new, self.day, self.month = reply[:3]
        self.held, self.got = [], []
        for i in range(scopes):
            n = reply[3 + i * 15 : 18 + i * 15]
            self.held.append(n[:4] + [n[4] * MICRO + n[5], n[6] * MICRO + n[7]])
            self.got.append(n[8:11] + [n[11] * MICRO + n[12], n[13] * MICRO + n[14]])
        self.rows = rows_of(reply[3 + 15 * scopes :])


class Redis:
    """The scripts under test, for one tenant: the tenant's own limits, then perhaps a model's."""

    serial = 0

    def __init__(self, server, limits, ttl=TTL):
        Redis.serial += 1
        self.client, self.limits, self.ttl = server, limits, ttl
        self.keys = [f"test:{{t{Redis.serial}}}limit", f"test:{{t{Redis.serial}}}limit:fast"][: len(limits)]
        self.take_script, self.sync_script, self.view_script = (
            scripts.Script(server, "limit_state", f"limit_{name}", settable_clock=True) for name in ("take", "sync", "view")
        )

    def clock(self, us):
        scripts.set_clock(self.client, self.keys[0], us)

    def take(self, holder, tokens=0, pico=0):
        numbers = []
        for limit in self.limits:
            fit = [min(pico, top) if top else pico for top in limit[3:]]
            numbers += [*limit_numbers(limit), tokens, *split(fit[0]), *split(fit[1])]
        return Taken(self.take_script(self.keys, holder, self.ttl // 1000, *numbers))

    def sync(self, holder, serial, deltas=(), wants=(), ttl=None):
        numbers = []
        for i, limit in enumerate(self.limits):
            d = {name: 0 for name in DELTA} | dict(deltas[i] if i < len(deltas) else {})
            w = {name: 0 for name in WANTS} | dict(wants[i] if i < len(wants) else {})
            numbers += [*limit_numbers(limit), *(d[name] for name in DELTA[:7])]
            numbers += [d["day"], *split(d["day_reserved"]), *split(d["day_spent"])]
            numbers += [d["month"], *split(d["month_reserved"]), *split(d["month_spent"])]
            numbers += [w["requests"], w["tokens"], w["running"], *split(w["day"]), *split(w["month"])]
        return Synced(self.sync_script(self.keys, holder, (self.ttl if ttl is None else ttl) // 1000, serial, *numbers), len(self.limits))

    def view(self):
        numbers = [n for limit in self.limits for n in limit_numbers(limit)]
        return rows_of(self.view_script(self.keys, *numbers))


def month_number(day):
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    return (date.year - 1970) * 12 + date.month - 1


class Scope:
    """The exact model of one scope: every admission is remembered, fractions are fractions."""

    def __init__(self, limit, now):
        self.limit, self.seconds, self.missing, self.at = limit, [], Fraction(0), now
        self.spent = {DAILY: 0, MONTHLY: 0}
        self.period = {DAILY: None, MONTHLY: None}
        self.running = []  # reservations that have not ended

    def advance(self, now):
        self.missing = max(Fraction(0), self.missing - Fraction(self.limit[TOKENS] * (now - self.at), MINUTE))
        self.at = now
        day = now // DAY
        for kind, number in ((DAILY, day), (MONTHLY, month_number(day))):
            if self.period[kind] != number:
                self.period[kind], self.spent[kind] = number, 0
                for r in self.running:
                    r[kind] = 0
        self.seconds = [s for s in self.seconds if s + 61 > now // SECOND]

    def reserved(self, kind):
        return sum(r[kind] for r in self.running)

    def period_end(self, kind, now):
        if kind == DAILY:
            return (now // DAY + 1) * DAY - now
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=now // DAY)
        first = datetime.date(date.year + date.month // 12, date.month % 12 + 1, 1)
        return (first - datetime.date(1970, 1, 1)).days * DAY - now

    def judge(self, now, tokens, pico):
        """{kind: how long to wait} of what does not fit"""
        limit, waits = self.limit, {}
        if limit[REQUESTS] and len(self.seconds) >= limit[REQUESTS]:
            free = sorted(self.seconds)[len(self.seconds) - limit[REQUESTS]]
            waits[REQUESTS] = (free + 61) * SECOND - now
        over = self.missing + max(tokens, 1) - limit[TOKENS]
        if limit[TOKENS] and over > 0:
            waits[TOKENS] = -(-over * MINUTE // limit[TOKENS])
        if limit[CONCURRENT] and len(self.running) >= limit[CONCURRENT]:
            waits[CONCURRENT] = SECOND
        for kind in (DAILY, MONTHLY):
            if limit[kind] and self.spent[kind] + self.reserved(kind) + max(1, min(pico, limit[kind])) > limit[kind]:
                waits[kind] = self.period_end(kind, now)
        return waits

    def take(self, now, tokens, pico):
        self.seconds.append(now // SECOND)
        self.missing += tokens if self.limit[TOKENS] else 0
        reservation = {"tokens": tokens, "periods": dict(self.period)}
        for kind in (DAILY, MONTHLY):
            reservation[kind] = min(pico, self.limit[kind]) if self.limit[kind] else pico
        self.running.append(reservation)
        return reservation

    def end(self, reservation, tokens, pico):
        self.running = [r for r in self.running if r is not reservation]
        if self.limit[TOKENS]:
            self.missing = max(Fraction(0), self.missing + tokens - reservation["tokens"])
        for kind in (DAILY, MONTHLY):
            if reservation["periods"][kind] == self.period[kind]:
                self.spent[kind] += pico

    def rows(self):
        rows, limit = {}, self.limit
        missing = -(-self.missing // 1)
        reserved = min(sum(r["tokens"] for r in self.running), missing)
        if limit[REQUESTS]:
            rows[REQUESTS] = (len(self.seconds), 0)
        if limit[TOKENS]:
            rows[TOKENS] = (missing - reserved, reserved)
        if limit[CONCURRENT]:
            rows[CONCURRENT] = (len(self.running), 0)
        for kind in (DAILY, MONTHLY):
            if limit[kind]:
                rows[kind] = (self.spent[kind], self.reserved(kind))
        return rows


def compare(scopes, rows, all_kinds=False):
    """Answers of decisions tell of requests and tokens only, a view of all."""
    for i, scope in enumerate(scopes):
        for kind, row in scope.rows().items():
            if all_kinds or kind <= TOKENS:
                assert rows[(i, kind)][:2] == row, (i, kind)
            else:
                assert (i, kind) not in rows


def settle_delta(scope, reservation, day, month, tokens, pico):
    limited = bool(scope.limit[TOKENS])
    return {
        "running": -1,
        "tokens_reserved": -reservation["tokens"] if limited else 0,
        "missing": tokens - reservation["tokens"] if limited else 0,
        "day": day,
        "day_reserved": -reservation["own"][DAILY],
        "day_spent": pico,
        "month": month,
        "month_reserved": -reservation["own"][MONTHLY],
        "month_spent": pico,
    }


SHAPES = {
    "requests": [(7, 0, 0, 0, 0)],
    "tokens": [(0, 997, 0, 0, 0)],
    "many tokens": [(0, 999_999_999_989, 0, 0, 0)],
    "money": [(0, 0, 0, 9_007_199_254_740_993, 20_000_000_000_000_001)],
    "all": [(11, 1201, 4, 5_000_000_007, 60_000_000_001)],
    "all, and a model's": [(11, 1201, 5, 5_000_000_007, 0), (6, 701, 3, 0, 2_000_000_011)],
    "one request": [(1, 0, 1, 0, 0)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_random_schedules_are_decided_as_the_model_decides(server, shape):
    rng = random.Random(f"{shape} 1")
    limits = SHAPES[shape]
    redis, now = Redis(server, limits, ttl=60 * DAY), NOON
    scopes = [Scope(limit, now) for limit in limits]
    holders = [f"r{i % 2}:{i}" for i in range(3)]
    serial = dict.fromkeys(holders, 0)
    running, admitted, seen_kinds = [], 0, set()
    cheap = (limits[0][DAILY] or 10**10) // 4
    for step in range(1200):
        now += rng.choice([0, 1, rng.randrange(SECOND), rng.randrange(4 * SECOND)])
        if rng.random() < 0.02:
            now += rng.choice([61 * SECOND - now % SECOND, 60 * SECOND, 5 * MINUTE, 10 * 60 * MINUTE, DAY - now % DAY])
        redis.clock(now)
        for scope in scopes:
            scope.advance(now)
        if running and rng.random() < 0.45:
            holder, reservations, day, month = running.pop(rng.randrange(len(running)))
            top = max(1, limits[0][TOKENS] // 3)
            tokens, pico = rng.choice([0, rng.randrange(top), 2 * top]), rng.choice([0, rng.randrange(cheap), cheap // 3 + 1])
            deltas = [settle_delta(s, r, day, month, tokens, pico) for s, r in zip(scopes, reservations)]
            serial[holder] += 1
            for again in range(rng.choice([1, 1, 2])):  # sent twice: counted once
                reply = redis.sync(holder, serial[holder], deltas)
                assert reply.new == (again == 0)
            for scope, reservation in zip(scopes, reservations):
                scope.end(reservation, tokens, pico)
            compare(scopes, reply.rows)
            continue
        tokens = rng.choice([0, 1, rng.randrange(max(1, min(s[TOKENS] or 1000 for s in limits)))])
        pico = rng.choice([0, 1, rng.randrange(2 * cheap), cheap])
        waits = {(i, k): w for i, s in enumerate(scopes) for k, w in s.judge(now, tokens, pico).items()}
        holder = rng.choice(holders)
        reply = redis.take(holder, tokens, pico)
        assert reply.ok == (not waits), (step, waits)
        assert (reply.day, reply.month) == (now // DAY, month_number(now // DAY))
        if waits:
            longest = max(waits.values())
            assert abs(reply.wait - longest) <= 1 and abs(waits[(reply.scope, reply.kind)] - longest) <= 1
            seen_kinds.add(reply.kind)
        else:
            admitted += 1
            reservations = [scope.take(now, tokens, pico) for scope in scopes]
            for scope, r in zip(scopes, reservations):
                r["own"] = {k: r[k] for k in (DAILY, MONTHLY)}
            running.append((holder, reservations, reply.day, reply.month))
        compare(scopes, reply.rows)
        compare(scopes, redis.view(), True)
    assert admitted > 10 and seen_kinds


def test_who_comes_back_when_told_gets_in_and_not_a_moment_before(server):
    rng = random.Random(2)
    for limit in [(5, 0, 0, 0, 0), (0, 601, 0, 0, 0), (0, 0, 0, 7_000_000, 0), (0, 0, 0, 0, 7_000_000)]:
        redis, now = Redis(server, [limit], ttl=60 * DAY), NOON
        for _ in range(30):
            tokens, pico = rng.randrange(1, 600), 3_000_000
            now += rng.randrange(SECOND)
            redis.clock(now)
            reply = redis.take("a:0", tokens, pico)
            if reply.ok:
                continue
            redis.clock(now + reply.wait - 1)
            assert not redis.take("a:0", tokens, pico).ok
            now += reply.wait
            redis.clock(now)
            assert redis.take("a:0", tokens, pico).ok


def test_a_clock_set_back_neither_gives_more_nor_locks_anybody_out(server):
    """True time only goes on; the server's is set back again and again, by up to an hour."""
    rng = random.Random(3)
    limit = 9
    redis, true, offset = Redis(server, [(limit, 0, 0, 0, 0)]), 0, 0
    admitted, set_back_at = [], -MINUTE * 3
    for _ in range(4000):
        true += rng.randrange(2 * SECOND)
        if rng.random() < 0.006:
            offset, set_back_at = offset - rng.choice([1, 999, rng.randrange(SECOND), 3600 * SECOND]), true
        redis.clock(NOON + true + offset)
        if redis.take("a:0").ok:
            admitted.append(true)
            assert len([t for t in admitted if t > true - MINUTE]) <= limit
        elif true - set_back_at > 2 * 61 * SECOND:  # a set clock lengthens the wait by one window at most
            assert len([t for t in admitted if t > true - 61 * SECOND]) >= limit
    assert len(admitted) > 4000 / 62 * limit / 2


def test_tokens_after_a_clock_set_back_are_no_more_than_the_bucket_gives(server):
    rng = random.Random(4)
    limit = 600
    redis, true, offset = Redis(server, [(0, limit, 0, 0, 0)]), 0, 0
    exact, at = Fraction(0), 0
    for _ in range(3000):
        true += rng.randrange(2 * SECOND)
        if rng.random() < 0.03:
            offset -= rng.choice([1, 999, rng.randrange(SECOND), 3600 * SECOND])
        redis.clock(NOON + true + offset)
        exact, at = max(Fraction(0), exact - Fraction(limit * (true - at), MINUTE)), true
        tokens = rng.randrange(1, 200)
        if redis.take("a:0", tokens).ok:
            exact += tokens
            assert exact <= limit


def test_of_a_dead_holder_nothing_remains(server):
    redis = Redis(server, [(0, 1000, 2, 10_000_000, 0)])
    redis.clock(NOON)
    assert redis.take("dead:0", 10, 6_000_000).ok and redis.take("live:0", 10, 1_000_000).ok
    refused = redis.take("live:0", 10, 1)
    assert not refused.ok and refused.kind == CONCURRENT
    redis.clock(NOON + TTL - 1)
    redis.sync("live:0", 1)
    assert not redis.take("live:0", 10, 1).ok
    redis.clock(NOON + TTL)
    rows = redis.view()
    assert rows[(0, CONCURRENT)][0] == 1 and rows[(0, DAILY)][:2] == (0, 1_000_000)
    assert redis.take("live:0", 10, 9_000_000).ok
    back = redis.sync("dead:0", 1)
    assert back.held[0] == [0, 0, 0, 0, 0, 0], "it is told that it holds nothing any more"


def test_a_serial_number_outlives_its_holders_lapse(server):
    redis = Redis(server, [(0, 1000, 0, 0, 0)])
    redis.clock(NOON)
    assert redis.sync("a:0", 5, [{"missing": 400}]).new
    redis.clock(NOON + 100 * TTL // 10)
    assert redis.take("b:0", 1).ok
    assert not redis.sync("a:0", 5, [{"missing": 400}]).new
    assert redis.view()[(0, TOKENS)][0] <= 401


def test_a_key_that_cannot_be_read_leaves_all_as_it_was(server):
    """Told again when it can be, nothing is missing: neither the tenant's own nor the model's."""
    redis = Redis(server, [(0, 1000, 0, 0, 0), (0, 500, 0, 0, 0)])
    redis.clock(NOON)
    used = [{"missing": 100}, {"missing": 100}]
    for garbage in (b"garbage", b"", b"\x9d" + b"\xc0" * 13):
        redis.client.call("SET", redis.keys[1], garbage)
        for refused in (lambda: redis.sync("a:0", 1, used), lambda: redis.take("a:0", 1), redis.view):
            with pytest.raises(redis_server.Refused):
                refused()
    redis.client.call("DEL", redis.keys[1])
    assert redis.sync("a:0", 1, used).new
    rows = redis.view()
    assert rows[(0, TOKENS)][0] == 100 and rows[(1, TOKENS)][0] == 100


def test_what_is_remembered_of_those_who_ended_is_little_and_ends(server):
    """Processes come and go: none of them may cost every later decision for long."""
    redis = Redis(server, [(0, 100000, 0, 10_000_000, 0)])

    def size():
        assert redis.take("live:0").ok  # looks at all of them
        return redis.client.call("STRLEN", redis.keys[0])

    redis.clock(NOON)
    alone = size()
    for i in range(100):
        assert redis.take(f"{i:016x}:0", 10, 50).ok
    assert redis.sync("f" * 16 + ":0", 3, ttl=0).new
    redis.clock(NOON + MINUTE - 1)
    assert size() < alone + 101 * 35
    assert not redis.sync("f" * 16 + ":0", 3, ttl=0).new, "a farewell that is sent again"
    redis.clock(NOON + TTL + 10 * MINUTE - 1)
    assert size() > alone + 100 * 20
    redis.clock(NOON + TTL + 10 * MINUTE)
    assert size() < alone + 20


def test_lost_data_makes_nothing_negative(server):
    redis = Redis(server, [(5, 1000, 3, 10_000_000, 10_000_000)])
    redis.clock(NOON)
    taken = redis.take("a:0", 500, 5_000_000)
    redis.client.call("DEL", *redis.keys)
    money = {"day": taken.day, "day_reserved": -5_000_000, "day_spent": 1_000_000, "month": taken.month}
    reply = redis.sync("a:0", 1, [{"running": -1, "tokens_reserved": -500, "missing": -400, **money}])
    assert reply.held[0] == [0, 0, 0, 0, 0, 0]
    rows = redis.view()
    assert rows[(0, TOKENS)][:2] == (0, 0) and rows[(0, DAILY)][:2] == (1_000_000, 0)


def test_every_key_has_a_time_to_live_as_long_as_what_is_in_it(server):
    redis = Redis(server, [(5, 1000, 3, 10_000_000, 10_000_000)])
    redis.clock(NOON)
    assert redis.take("a:0", 500).ok
    assert 3600_000 < redis.client.call("PTTL", redis.keys[0]) <= 3800_000
    redis.sync("a:0", 1, [{"missing": 100_000}])
    assert redis.client.call("PTTL", redis.keys[0]) > 100 * 60_000, "the debt must be paid first"
    redis.sync("a:0", 2, [{"day": NOON // DAY, "day_spent": 5}])
    assert redis.client.call("PTTL", redis.keys[0]) > (12 + 47) * 3600_000
    redis.sync("a:0", 3, [{"month": month_number(NOON // DAY), "month_spent": 5}])
    assert redis.client.call("PTTL", redis.keys[0]) > 72 * 3600_000


class Ahead:
    """A holder that takes ahead and lets requests in by itself, reporting now and then."""

    def __init__(self, name):
        self.name, self.serial, self.requests, self.tokens, self.slots, self.money = name, 0, 0, 0, 0, 0
        self.used_requests = self.used_tokens = self.spent = self.running = 0

    def use(self, tokens, pico):
        if self.requests < 1 or self.tokens < tokens or self.slots < 1 or self.money < pico:
            return False
        self.requests, self.tokens, self.slots, self.money = (
            self.requests - 1, self.tokens - tokens, self.slots - 1, self.money - pico,
        )
        self.used_requests, self.used_tokens, self.spent = (
            self.used_requests + 1, self.used_tokens + tokens, self.spent + pico,
        )
        self.running += 1
        return True

    def report(self, redis, day, give_back, wants):
        back = (self.requests, self.tokens, self.slots, self.money) if give_back else (0, 0, 0, 0)
        delta = {
            "window": self.used_requests,
            "requests_ahead": -self.used_requests - back[0],
            "tokens_ahead": -self.used_tokens - back[1],
            "tokens_back": back[1],
            "running": -back[2],
            "day": day,
            "day_reserved": -self.spent - back[3],
            "day_spent": self.spent,
        }
        self.serial += 1
        reply = redis.sync(self.name, self.serial, [delta], [wants])
        self.used_requests = self.used_tokens = self.spent = 0
        got = reply.got[0]
        self.requests += got[0] - back[0]
        self.tokens += got[1] - back[1]
        self.slots += got[2] - back[2]
        self.money += got[3] - back[3]
        running, _, ahead, tokens_ahead, day_reserved, _ = reply.held[0]
        assert (running, ahead, tokens_ahead) == (self.running + self.slots, self.requests, self.tokens)
        assert day_reserved == self.money


def test_what_is_taken_ahead_admits_no_more_than_the_limit(server):
    """Holders that let in from what they took ahead, beside some that ask each time: judged by the instants of use."""
    rng = random.Random(5)
    limit = (60, 6000, 12, 10**12, 0)
    redis, now = Redis(server, [limit]), NOON
    ahead = [Ahead(f"l{i}:0") for i in range(3)]
    used, exact, at, spent, ahead_count, asked_running, serial = [], Fraction(0), now, 0, 0, 0, 0
    for step in range(5000):
        now += rng.choice([0, rng.randrange(60_000), rng.randrange(250_000)])
        redis.clock(now)
        exact, at = max(Fraction(0), exact - Fraction(limit[TOKENS] * (now - at), MINUTE)), now
        tokens, pico, admitted = rng.randrange(1, 150), rng.randrange(10**6), False
        which = rng.randrange(5)
        if which < 3:
            holder = ahead[which]
            admitted = holder.use(tokens, pico)
            ahead_count += admitted
            if holder.running and rng.random() < 0.5:
                holder.running, holder.slots = holder.running - 1, holder.slots + 1
            if rng.random() < 0.4:
                wants = {"requests": rng.randrange(20), "tokens": rng.randrange(2000), "running": rng.randrange(4)}
                holder.report(redis, now // DAY, rng.random() < 0.1, wants | {"day": rng.randrange(10**10)})
        elif which == 3:
            reply = redis.take("asks:0", tokens, pico)
            admitted = reply.ok == 1
            if admitted:
                asked_running += 1
        elif asked_running:
            serial += 1
            asked_running -= 1
            redis.sync("asks:0", serial, [{"running": -1}])
        if rng.random() < 0.1:
            serial += 1
            redis.sync("asks:0", serial)
            for holder in ahead:
                holder.report(redis, now // DAY, False, {})
        if admitted:
            used.append(now)
            exact += tokens
            spent += pico
            assert exact <= limit[TOKENS]
            assert len([t for t in used if t > now - MINUTE]) <= limit[REQUESTS]
            assert sum(h.running for h in ahead) + asked_running <= limit[CONCURRENT]
            assert spent <= limit[DAILY]
    assert len(used) > 200 and ahead_count > 50


def test_what_a_dead_holder_took_ahead_comes_back(server):
    redis = Redis(server, [(10, 1000, 4, 10_000_000, 0)])
    redis.clock(NOON)
    got = redis.sync("dead:0", 1, [], [{"requests": 10, "tokens": 1000, "running": 4, "day": 10_000_000}]).got[0]
    assert got == [5, 500, 2, 5_000_000, 0], "half of what is left at most"
    assert redis.view()[(0, REQUESTS)][:2] == (0, 5)
    redis.clock(NOON + TTL)
    rows = redis.view()
    assert rows[(0, REQUESTS)][:2] == (0, 0) and rows[(0, CONCURRENT)][0] == 0 and rows[(0, DAILY)][1] == 0


def test_who_had_lapsed_cannot_give_back_what_has_refilled_since(server):
    redis = Redis(server, [(0, 1000, 0, 0, 0)])
    redis.clock(NOON)
    assert redis.sync("a:0", 1, [], [{"tokens": 500}]).got[0][1] == 500
    redis.clock(NOON + TTL + MINUTE)
    assert redis.take("b:0", 900).ok
    redis.sync("a:0", 2, [{"tokens_ahead": -500, "tokens_back": 500}])
    assert redis.view()[(0, TOKENS)][:2] == (0, 900)


def test_a_farewell_gives_everything_back_at_once(server):
    redis = Redis(server, [(10, 0, 4, 0, 0)])
    redis.clock(NOON)
    redis.sync("a:0", 1, [], [{"requests": 10, "running": 4}])
    redis.sync("a:0", 2, [], ttl=0)
    rows = redis.view()
    assert rows[(0, REQUESTS)][:2] == (0, 0) and rows[(0, CONCURRENT)][0] == 0


def test_replicas_are_counted_while_they_are_heard_of(server):
    script, key = scripts.Script(server, "limit_replicas"), "test:replicas"
    assert script([key], "a", 10_000) == 1 and script([key], "b", 1) in (1, 2)
    assert script([key], "a", 10_000) in (1, 2) and server.call("PTTL", key) > 10_000
    while script([key], "a", 10_000) != 1:
        pass
    assert script([key], "c", 10_000) == 2 and script([key], "a", 0) == 1
