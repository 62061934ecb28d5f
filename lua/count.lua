-- lua/count.lua: one replica tells what it has counted so far. A field holds all that this replica has counted of its
-- group since the slot began, not what was added: told twice it is the same, and what was lost can be told again.
-- KEYS  hashes, all of one tenant
-- ARGV  this replica, the number of this telling; then for each key: seconds to live, how many fields, field and value of each
-- Gives for each key the number this replica told it last (0: never). A telling with a number that is not above it
-- changes nothing: it has been overtaken on its way.

local mine, number = '#' .. ARGV[1], tonumber(ARGV[2])
local at, last = 3, {}
for i, key in ipairs(KEYS) do
    local ends = at + 1 + 2 * tonumber(ARGV[at + 1])
    last[i] = tonumber(redis.call('HGET', key, mine) or 0)
    if number > last[i] then
        redis.call('HSET', key, mine, ARGV[2], unpack(ARGV, at + 2, ends))
        redis.call('EXPIRE', key, ARGV[at])
    end
    at = ends + 1
end
return last
