-- lua/count_mark.lua: one replica numbers its seconds, so that it sees when Redis has lost data. A number follows upon the
-- one that the replica knows, or is not written: what stands there then tells what has become of the data.
-- KEYS  the replica's own hash
-- ARGV  the number that is known to stand there (0: none), the next one, seconds to live
-- Gives the number that stood there (0: none).

local last = tonumber(redis.call('HGET', KEYS[1], 'number') or 0)
if last == tonumber(ARGV[1]) then
    redis.call('HSET', KEYS[1], 'number', ARGV[2])
    redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return last
