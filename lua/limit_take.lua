-- lua/limit_take.lua: one request's decision: everything it meets, or nothing. (After limit_state.lua.)
-- KEYS  the tenant's scope; then, if the model has limits of its own, the model's
-- ARGV  holder, its time to live in ms; then for each key 12 numbers: limits of requests, tokens, concurrent requests,
--       day (micro, pico), month (micro, pico), 0 for none; tokens wanted; money wanted of the day (micro, pico), of the
--       month (micro, pico). What is wanted is never more than the limit.
-- Gives 1 if taken, else 0; then of the refusal to be waited for longest: its scope (0, 1) and kind (0 requests, 1 tokens,
--       2 concurrent, 3 day, 4 month), the wait in µs; the day's and the month's number; rows.
-- A refusal writes nothing, unless the clock was set back: then time must go on from there. A taken request counts until its holder's next sync says otherwise, or the holder lapses.

local now = clock()
local id, ttl_us = ARGV[1], tonumber(ARGV[2]) * 1000
local scopes, wants = {}, {}
local refused, wait = nil, 0

local function refuse(scope, kind, us)
    if us > wait then refused, wait = {scope, kind}, us end
end

for i, key in ipairs(KEYS) do
    local at = 3 + (i - 1) * 12
    scopes[i] = scope_open(key, now, limits_of(at), id)
    local first = at + LIMIT_NUMBERS
    wants[i] = {tonumber(ARGV[first]), tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3]),
                tonumber(ARGV[first + 4])}
end

for i, scope in ipairs(scopes) do
    local s, sum, l, w = scope.s, scope.sum, scope.limits, wants[i]
    if l.requests > 0 then refuse(i - 1, 0, window_wait(s, now, l.requests, sum.r)) end
    if l.tokens > 0 then refuse(i - 1, 1, bucket_wait(s, l.tokens, max(w[1], 1), sum.b)) end
    if l.concurrent > 0 and sum.c >= l.concurrent then refuse(i - 1, 2, SECOND) end
    if l.day then
        local u, p = money_add(s.du, s.dl, sum.du, sum.dl)
        if not money_fits(u, p, w[2], w[3], l.day_u, l.day_l) then refuse(i - 1, 3, day_end(s) - now) end
    end
    if l.month then
        local u, p = money_add(s.mu, s.ml, sum.mu, sum.ml)
        if not money_fits(u, p, w[4], w[5], l.month_u, l.month_l) then refuse(i - 1, 4, month_end(s) - now) end
    end
end

local function take(i, scope)
    local s, sum, w, h = scope.s, scope.sum, wants[i], scope.h
    window_add(s, now, 1)
    h.c = h.c + 1
    if scope.limits.tokens > 0 then s.t, h.k = s.t + w[1], h.k + w[1] end
    h.du, h.dl = money_add(h.du, h.dl, w[2], w[3])
    h.mu, h.ml = money_add(h.mu, h.ml, w[4], w[5])
    sum.c, sum.k = sum.c + 1, sum.k + (scope.limits.tokens > 0 and w[1] or 0)
    sum.du, sum.dl = money_add(sum.du, sum.dl, w[2], w[3])
    sum.mu, sum.ml = money_add(sum.mu, sum.ml, w[4], w[5])
end

for i, scope in ipairs(scopes) do
    if not refused then take(i, scope) end
    if not refused or scope.set_back then scope_close(scope, now, id, not refused and now + ttl_us) end
end

local own = scopes[1]
local out = {refused and 0 or 1, refused and refused[1] or 0, refused and refused[2] or 0, wait, own.s.d, own.s.m}
for i, scope in ipairs(scopes) do rows_put(out, scope, i - 1, now) end
return out
