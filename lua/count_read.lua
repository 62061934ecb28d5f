-- lua/count_read.lua: what all replicas have told, a page at a time.
-- KEYS  hashes, all of one tenant
-- ARGV  about how many bytes to give; the field of the first key to go on behind ('' from its beginning)
-- Gives {which key to go on with (0: all was given), behind which of its fields, then key, field, value of each}; keys
-- count from 1. Fields are given in order, so that nothing is given twice or left out while others are added.

local left, after = tonumber(ARGV[1]), ARGV[2]
local out = {0, ''}
for i, key in ipairs(KEYS) do
    local fields = redis.call('HKEYS', key)
    table.sort(fields)
    for _, field in ipairs(fields) do
        if field > after and string.sub(field, 1, 1) ~= '#' then
            local value = redis.call('HGET', key, field)
            left = left - #field - #value - 48
            if left < 0 and #out > 2 then
                out[1], out[2] = i, after
                return out
            end
            out[#out + 1], out[#out + 2], out[#out + 3] = i, field, value
            after = field
        end
    end
    after = ''
end
return out
