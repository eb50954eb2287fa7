-- Halves how fast a destination is called, because it asked for it; not again for what was on its way by then.
-- KEYS    1 state
-- ARGV    1 ms within which a second request to slow down is the same one, 2 the least that stays, in thousandths,
--         3 how long the whole takes to grow back in ms
-- Answer  how fast it is called from now on, in thousandths of its quota
-- Cost    three commands. A second run at once changes nothing.
-- Fields  of the state, slow: thousandths of the quota, slow_at: since when, in ms; it grows from then on
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local fields = redis.call('HMGET', KEYS[1], 'slow', 'slow_at')
local part = 1000
if fields[1] then
  part = math.min(1000, fields[1] + (now - fields[2]) * 1000 / tonumber(ARGV[3]))
  if now - fields[2] < tonumber(ARGV[1]) then return math.floor(part) end
end
part = math.max(tonumber(ARGV[2]), math.floor(part / 2))
redis.call('HSET', KEYS[1], 'slow', part, 'slow_at', now)
return part
