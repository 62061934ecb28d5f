-- lua/limit_sync.lua: what a holder has done since it was last heard of; its heartbeat; and, if it wants, requests, tokens
-- and money ahead. (After limit_state.lua.)
-- KEYS  the tenant's scope; then models'
-- ARGV  holder, its time to live in ms, serial number; then for each key 31 numbers:
--        7  limits, as in limit_take.lua
--        7  to be added: requests to the window, requests running, tokens reserved by them, tokens missing, requests taken
--           ahead, tokens taken ahead; of the latter, tokens given back unused
--        5  the day these belong to; money reserved of it (micro, pico), money spent (micro, pico)
--        5  the same of the month
--        7  wanted ahead, at most: requests, tokens, running requests, money of the day (micro, pico), of the month
-- Gives 1 if this serial number was new (else nothing is added, nothing given); the day's and the month's number; then
--       for each key 15 numbers: what it now holds (running, tokens reserved, requests ahead, tokens ahead,
--       money of the day (micro, pico), of the month (micro, pico)), what it got ahead (as wanted); then rows.
-- Sent again with the same serial number it adds nothing, so a holder repeats it until it is answered. Money counts in the
-- period it was reserved in only. A time to live of 0 is a farewell.

local NUMBERS = 31
local now = clock()
local id, ttl_us, serial = ARGV[1], tonumber(ARGV[2]) * 1000, tonumber(ARGV[3])
local NOTHING = {0, 0, 0, 0, 0, 0, 0}
local scopes, got = {}, {}

local function add(scope, h, a, at)
    local s = scope.s
    window_add(s, now, a(at))
    h.c, h.k = max(h.c + a(at + 1), 0), max(h.k + a(at + 2), 0)
    local back = min(a(at + 6), h.b) -- who had lapsed has nothing to give back: it has begun to refill
    h.r, h.b = max(h.r + a(at + 4), 0), max(h.b + a(at + 5), 0)
    bucket_settle(s, a(at + 3) - back, scope.others.b + h.b)
    if a(at + 7) == s.d then
        h.du, h.dl = money_add(h.du, h.dl, a(at + 8), a(at + 9))
        s.du, s.dl = money_add(s.du, s.dl, a(at + 10), a(at + 11))
    end
    if a(at + 12) == s.m then
        h.mu, h.ml = money_add(h.mu, h.ml, a(at + 13), a(at + 14))
        s.mu, s.ml = money_add(s.mu, s.ml, a(at + 15), a(at + 16))
    end
    scope.sum = sum_with(scope.others, h)
end

-- Of what is left nobody gets more than half his share, so that there is always something for who asks one by one.
local function part(wanted, left, holders)
    return max(0, min(wanted, floor(left / (2 * holders))))
end

local function money_part(wanted_u, wanted_l, max_u, max_l, u, l, holders)
    local left_u, left_l = money_add(max_u, max_l, -u, -l)
    local share = floor(left_u / (2 * holders))
    if wanted_u < share then return wanted_u, wanted_l end
    return share, 0
end

local function wants_any(a, at)
    for i = at, at + 6 do
        if a(i) > 0 then return true end
    end
    return false
end

local function give(scope, h, a, at)
    local s, sum, l = scope.s, scope.sum, scope.limits
    local g = {0, 0, 0, 0, 0, 0, 0}
    local n = sum.holders
    if l.requests > 0 then g[1] = part(a(at), l.requests - s.n - sum.r, n) end
    if l.tokens > 0 then g[2] = part(a(at + 1), l.tokens - bucket_missing(s), n) end
    if l.concurrent > 0 then g[3] = part(a(at + 2), l.concurrent - sum.c, n) end
    if l.day then
        local u, p = money_add(s.du, s.dl, sum.du, sum.dl)
        g[4], g[5] = money_part(a(at + 3), a(at + 4), l.day_u, l.day_l, u, p, n)
    end
    if l.month then
        local u, p = money_add(s.mu, s.ml, sum.mu, sum.ml)
        g[6], g[7] = money_part(a(at + 5), a(at + 6), l.month_u, l.month_l, u, p, n)
    end
    h.r, h.b, h.c, s.t = h.r + g[1], h.b + g[2], h.c + g[3], s.t + g[2]
    h.du, h.dl = money_add(h.du, h.dl, g[4], g[5])
    h.mu, h.ml = money_add(h.mu, h.ml, g[6], g[7])
    return g
end

for i, key in ipairs(KEYS) do scopes[i] = scope_open(key, now, limits_of(4 + (i - 1) * NUMBERS), id) end

local own = scopes[1]
local new = serial > own.h.q
own.h.q = max(own.h.q, serial)

for i, scope in ipairs(scopes) do
    local base = 4 + (i - 1) * NUMBERS
    local function a(at) return tonumber(ARGV[base + at]) end
    local h = scope.h
    got[i] = NOTHING
    if new then
        add(scope, h, a, LIMIT_NUMBERS)
        if ttl_us > 0 and wants_any(a, LIMIT_NUMBERS + 17) then got[i] = give(scope, h, a, LIMIT_NUMBERS + 17) end
    end
    scope.sum = sum_with(scope.others, h)
end

-- Written when all could be read: else a key that holds something else would have the others count this number alone.
local lapses = ttl_us > 0 and now + ttl_us or now + FAREWELL - REMEMBERED
for _, scope in ipairs(scopes) do scope_close(scope, now, id, lapses) end

local out = {new and 1 or 0, own.s.d, own.s.m}
for i in ipairs(KEYS) do
    local h = scopes[i].h
    for _, v in ipairs({h.c, h.k, h.r, h.b, h.du, h.dl, h.mu, h.ml}) do out[#out + 1] = v end
    for _, v in ipairs(got[i]) do out[#out + 1] = v end
end
for i, scope in ipairs(scopes) do rows_put(out, scope, i - 1, now) end
return out
