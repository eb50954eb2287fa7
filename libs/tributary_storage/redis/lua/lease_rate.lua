-- Leases part of a rate that all replicas share: the generic cell rate algorithm (ITU-T I.371), in debt for what a
-- single request takes beyond the burst, so that a request larger than the burst is possible at all.
-- KEYS    1 rate     ARGV    1 units per second, 2 burst in units, 3 units wanted
-- Answer  {1 if all of it was granted or 0, microseconds until something could be}
-- Cost    three commands. A second run takes more.
local per_second, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local interval = 1000000 / per_second
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = arrival - now - burst * interval + interval
if wait > 0 then return {0, math.ceil(wait)} end
arrival = arrival + wanted * interval
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1000)
return {1, 0}
