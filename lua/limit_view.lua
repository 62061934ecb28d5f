-- lua/limit_view.lua: where a tenant stands. Changes nothing. (After limit_state.lua.)
-- KEYS  scopes of one tenant
-- ARGV  for each key 7 numbers: its limits, as in limit_take.lua
-- Gives rows.

local now, out = clock(), {}
for i, key in ipairs(KEYS) do
    rows_put(out, scope_open(key, now, limits_of(1 + (i - 1) * LIMIT_NUMBERS)), i - 1, now, true)
end
return out
