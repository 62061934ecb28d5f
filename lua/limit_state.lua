-- lua/limit_state.lua: what the limiter keeps in Redis, and the arithmetic on it. Stands in front of each limit_*.lua; the
-- two together are one script.
--
-- One key a scope: PREFIX{TENANT}limit is the tenant as a whole, PREFIX{TENANT}limit:MODEL one model of it. The hash tag
-- keeps them in one slot, so that one script takes from all of them or from none. A key's value is a MessagePack array:
--   1 at            the server's time when it was last looked at, µs
--   2 w, 3 n        requests: {second, count, …} oldest first, and their sum; a second is forgotten 61 s after it began, so
--                   that whatever instant 60 s end at, the seconds they touch are all counted
--   4 t, 5 f, 6 ta  tokens missing from the bucket: whole ones, 1/60000000 of one, and when it was last filled, µs
--   7 d, 8 du, 9 dl the UTC day, and what was spent in it: micro-dollars, and pico-dollars below one
--   10 m, 11 mu, 12 ml  the same of the month
--   13 h            by holder (a worker of a replica): what it holds. A holder that has not been heard of for its time to
--                   live holds nothing; x and q alone are remembered for ten minutes longer, after a farewell for a minute
-- Of a holder:
--   1 x             when it lapses, µs
--   2 q             serial number of its last sync
--   3 c, 4 k        requests running, or slots for them; tokens reserved by them
--   5 r, 6 b        requests and tokens taken ahead and not used: they count as if they had just been used
--   7 du, 8 dl, 9 mu, 10 ml  money reserved of the day and of the month
--
-- All numbers are integers below 2^53, which a double holds exactly: money is split at a micro-dollar, tokens at 1/60000000.
-- Nothing is rounded but the wait that a refusal tells. Time is the server's own. A clock that is set back moves what was
-- counted back with it (nothing is forgotten early, no one waits longer than a window); the day or month then goes on.

local MINUTE, SECOND, HOUR, MICRO = 60000000, 1000000, 3600000000, 1000000
local WINDOW, TTL_MAX = 61, 35 * 86400 * 1000
local REMEMBERED, FAREWELL = 600 * SECOND, 60 * SECOND
local floor, max, min = math.floor, math.max, math.min

local function clock()
    local t = redis.call('TIME')
    return tonumber(t[1]) * SECOND + tonumber(t[2])
end

-- ---- calendar ----

local function month_begin_day(month)
    local from_march = month + 1970 * 12 - 2
    local year = floor(from_march / 12)
    local leap = floor(year / 4) - floor(year / 100) + floor(year / 400)
    return year * 365 + leap + floor((153 * (from_march - year * 12) + 2) / 5) - 719468
end

local function month_of(day)
    local month = floor(day * 12 / 366) - 1
    while month_begin_day(month + 1) <= day do month = month + 1 end
    return month
end

-- ---- money: micro-dollars and pico-dollars below one ----

local function money_add(u, l, du, dl) -- never below 0
    u, l = u + du, l + dl
    local carry = floor(l / MICRO)
    u, l = u + carry, l - carry * MICRO
    if u < 0 then return 0, 0 end
    return u, l
end

local function money_fits(u, l, want_u, want_l, max_u, max_l)
    if want_u == 0 and want_l == 0 then want_l = 1 end -- of unknown size: while any is left
    u, l = money_add(u, l, want_u, want_l)
    return u < max_u or (u == max_u and l <= max_l)
end

-- ---- a scope ----

local function clock_set_back(s, now)
    local back = s.at - now
    local seconds = floor(back / SECOND)
    for i = 1, #s.w, 2 do s.w[i] = s.w[i] - seconds end
    s.ta = s.ta - back
    for _, h in pairs(s.h) do h[1] = h[1] - back end
end

local function window_advance(s, now)
    local last, first = floor(now / SECOND) - WINDOW, 1
    while s.w[first] and s.w[first] <= last do
        s.n = s.n - s.w[first + 1]
        first = first + 2
    end
    if first == 1 then return end
    local kept = {}
    for i = first, #s.w do kept[#kept + 1] = s.w[i] end
    s.w = kept
end

local function window_add(s, now, count)
    if count <= 0 then return end
    local second, last = floor(now / SECOND), #s.w - 1
    if last > 0 and s.w[last] >= second then
        s.w[last + 1] = s.w[last + 1] + count
    else
        s.w[last + 2], s.w[last + 3] = second, count
    end
    s.n = s.n + count
end

-- Until one more fits, with `more` that count beside the window; and until it is empty. µs
local function window_wait(s, now, limit, more)
    local left = s.n + more
    if left < limit then return 0 end
    for i = 1, #s.w, 2 do
        left = left - s.w[i + 1]
        if left < limit then return max(1, (s.w[i] + WINDOW) * SECOND - now) end
    end
    return SECOND -- what others took ahead comes back within about a second
end

local function window_reset(s, now)
    local last = #s.w - 1
    return last > 0 and (s.w[last] + WINDOW) * SECOND - now or 0
end

local function bucket_settle(s, tokens, ahead) -- more missing, or less; what is taken ahead stays missing
    s.t = s.t + tokens
    if s.t < ahead or s.t < 0 then s.t, s.f = max(ahead, 0), 0 end
end

local function bucket_advance(s, limit, now, ahead)
    local spent = now - s.ta
    if spent > 0 then
        local whole = min(floor(spent / MINUTE), 9000)
        local rest = spent % MINUTE
        local fast, slow = floor(limit / MINUTE), limit % MINUTE
        s.f = s.f - slow * rest % MINUTE
        if s.f < 0 then s.t, s.f = s.t - 1, s.f + MINUTE end
        s.t = s.t - whole * limit - fast * rest - floor(slow * rest / MINUTE)
        s.ta = now
    end
    bucket_settle(s, 0, ahead)
end

local function bucket_missing(s)
    return s.f > 0 and s.t + 1 or s.t
end

local function bucket_wait(s, limit, tokens, ahead)
    local over = s.t + tokens - limit
    if over + (s.f > 0 and 1 or 0) <= 0 then return 0 end
    local wait = max(1, math.ceil((over * MINUTE + s.f) / limit))
    return tokens + ahead > limit and max(wait, SECOND) or wait
end

local function periods_advance(s, now)
    local day = floor(now / SECOND / 86400)
    if s.d == day then return end
    local month = month_of(day)
    local next_day, next_month = day > s.d, month > s.m
    if next_day then s.du, s.dl = 0, 0 end
    if next_month then s.mu, s.ml = 0, 0 end
    for _, h in pairs(s.h) do
        if next_day and h[3] then h[7], h[8] = 0, 0 end
        if next_month and h[3] then h[9], h[10] = 0, 0 end
    end
    s.d, s.m = day, month
end

local function day_end(s)
    return (s.d + 1) * 86400 * SECOND
end

local function month_end(s)
    return month_begin_day(s.m + 1) * 86400 * SECOND
end

-- What all holders but one hold together. Those that have lapsed hold nothing.
local function others_of(s, now, but)
    local c, k, r, b, du, dl, mu, ml, holders = 0, 0, 0, 0, 0, 0, 0, 0, 0
    for id, h in pairs(s.h) do
        if id == but then
            -- its own are added by sum_with()
        elseif h[1] > now then
            c, k, r, b, holders = c + h[3], k + h[4], r + h[5], b + h[6], holders + 1
            if h[7] + h[8] > 0 then du, dl = money_add(du, dl, h[7], h[8]) end
            if h[9] + h[10] > 0 then mu, ml = money_add(mu, ml, h[9], h[10]) end
        elseif h[1] + REMEMBERED > now then
            if h[3] then s.h[id] = {h[1], h[2]} end
        else
            s.h[id] = nil
        end
    end
    return {c = c, k = k, r = r, b = b, du = du, dl = dl, mu = mu, ml = ml, holders = holders}
end

local function sum_with(o, h)
    local du, dl = money_add(o.du, o.dl, h.du, h.dl)
    local mu, ml = money_add(o.mu, o.ml, h.mu, h.ml)
    return {c = o.c + h.c, k = o.k + h.k, r = o.r + h.r, b = o.b + h.b, du = du, dl = dl, mu = mu, ml = ml,
            holders = o.holders + 1}
end

-- The limits of a scope, LIMIT_NUMBERS of ARGV from `at` on; 0: none.
local LIMIT_NUMBERS = 7
local function limits_of(at)
    local l = {requests = tonumber(ARGV[at]), tokens = tonumber(ARGV[at + 1]), concurrent = tonumber(ARGV[at + 2]),
               day_u = tonumber(ARGV[at + 3]), day_l = tonumber(ARGV[at + 4]),
               month_u = tonumber(ARGV[at + 5]), month_l = tonumber(ARGV[at + 6])}
    l.day, l.month = l.day_u + l.day_l > 0, l.month_u + l.month_l > 0
    return l
end

-- One holder's own, nothing when it had lapsed; scope_close() keeps it.
local function holder_of(s, id, now)
    local h = s.h[id]
    if not h then return {q = 0, c = 0, k = 0, r = 0, b = 0, du = 0, dl = 0, mu = 0, ml = 0} end
    if h[1] <= now then return {q = h[2], c = 0, k = 0, r = 0, b = 0, du = 0, dl = 0, mu = 0, ml = 0} end
    return {q = h[2], c = h[3], k = h[4], r = h[5], b = h[6], du = h[7], dl = h[8], mu = h[9], ml = h[10]}
end

-- A scope as it is now, as one holder sees it; `id` nil: as nobody does.
local function scope_open(key, now, limits, id)
    local v = redis.call('GET', key)
    local s
    if v then
        v = cmsgpack.unpack(v)
        s = {at = v[1], w = v[2], n = v[3], t = v[4], f = v[5], ta = v[6], d = v[7], du = v[8], dl = v[9], m = v[10],
             mu = v[11], ml = v[12], h = v[13]}
    else
        s = {at = now, w = {}, n = 0, t = 0, f = 0, ta = now, d = -1, du = 0, dl = 0, m = -1, mu = 0, ml = 0, h = {}}
    end
    local set_back = now < s.at
    if set_back then clock_set_back(s, now) end
    s.at = now
    periods_advance(s, now)
    window_advance(s, now)
    local others = others_of(s, now, id)
    local h = id and holder_of(s, id, now)
    local sum = h and sum_with(others, h) or others
    if limits.tokens > 0 then bucket_advance(s, limits.tokens, now, sum.b) end
    return {key = key, s = s, others = others, h = h, sum = sum, limits = limits, set_back = set_back}
end

-- A key lives as long as anything in it matters: holders and windows an hour, a debt until it is paid, money two days
-- beyond its period.
local function scope_close(scope, now, id, lapses)
    local s, h, ttl = scope.s, scope.h, HOUR + 2 * MINUTE
    if lapses then s.h[id] = {lapses, h.q, h.c, h.k, h.r, h.b, h.du, h.dl, h.mu, h.ml} end
    if scope.limits.tokens > 0 then ttl = max(ttl, s.t / scope.limits.tokens * MINUTE + MINUTE) end
    if s.du + s.dl > 0 then ttl = max(ttl, day_end(s) - now + 48 * HOUR) end
    if s.mu + s.ml > 0 then ttl = max(ttl, month_end(s) - now + 48 * HOUR) end
    redis.call('SET', scope.key, cmsgpack.pack({s.at, s.w, s.n, s.t, s.f, s.ta, s.d, s.du, s.dl, s.m, s.mu, s.ml, s.h}),
               'PX', min(math.ceil(ttl / 1000), TTL_MAX))
end

-- The rows of a scope, six numbers each: scope * 8 + kind; used (for money: micro, pico); reserved (the same); µs until all
-- of it is free again if nothing else came. Of requests and tokens only, unless `all` are wanted.
local function rows_put(out, scope, index, now, all)
    local s, sum, l = scope.s, scope.sum, scope.limits
    local function row(kind, used, used_l, reserved, reserved_l, reset)
        local n = #out
        out[n + 1], out[n + 2], out[n + 3] = index * 8 + kind, used, used_l
        out[n + 4], out[n + 5], out[n + 6] = reserved, reserved_l, reset
    end
    if l.requests > 0 then row(0, s.n, 0, sum.r, 0, window_reset(s, now)) end
    if l.tokens > 0 then
        local missing = bucket_missing(s)
        local reserved = min(sum.k + sum.b, missing)
        row(1, missing - reserved, 0, reserved, 0, math.ceil((s.t * MINUTE + s.f) / l.tokens))
    end
    if not all then return end
    if l.concurrent > 0 then row(2, sum.c, 0, 0, 0, 0) end
    if l.day then row(3, s.du, s.dl, sum.du, sum.dl, day_end(s) - now) end
    if l.month then row(4, s.mu, s.ml, sum.mu, sum.ml, month_end(s) - now) end
end
