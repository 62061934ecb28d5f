-- lua/limit_replicas.lua: which replicas there are, for who must share a limit out without Redis.
-- KEYS  PREFIXreplicas, a sorted set of names by when they lapse (server time, ms)
-- ARGV  this replica's name, its time to live in ms (0: it leaves)
-- Gives how many there are, this one included as long as it does not leave.

local t = redis.call('TIME')
local now, ttl = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if ttl == 0 then
    redis.call('ZREM', KEYS[1], ARGV[1])
else
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + ttl), ARGV[1])
    redis.call('PEXPIRE', KEYS[1], 10 * ttl)
end
return redis.call('ZCARD', KEYS[1])
