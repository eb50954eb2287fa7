-- Takes calls from a quota that all replicas share: the generic cell rate algorithm (ITU-T I.371), in microseconds. While
-- a destination has asked to be called more slowly it is a part of the quota, which grows back to all of it.
-- KEYS    1 quota, 2 state; of one destination
-- ARGV    1 calls per minute, 2 length of that minute in us, 3 calls wanted, 4 how long the whole takes to grow back in us
-- Answer  {calls granted, microseconds until the next one could be}
-- Cost    four commands. A second run takes more.
local minute, wanted, growth = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local slowed = redis.call('HMGET', KEYS[2], 'slow', 'slow_at')
local part = 1
if slowed[1] then part = math.min(1, slowed[1] / 1000 + (now / 1000 - slowed[2]) * 1000 / growth) end
local calls = math.max(1, math.floor(ARGV[1] * part))
local burst = math.max(1, math.floor(calls / 4))
local interval = math.floor(minute / (calls - burst + 1)) + 1
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local room = math.floor((now + burst * interval - arrival) / interval)
local granted = math.max(0, math.min(wanted, room))
if granted > 0 then
  arrival = arrival + granted * interval
  redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1000)
end
return {granted, math.ceil(math.max(0, arrival + interval - now - burst * interval))}
