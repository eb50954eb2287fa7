-- Takes calls from a quota that all replicas share: the generic cell rate algorithm (ITU-T I.371), in microseconds.
-- KEYS    1 quota     ARGV    1 microseconds per call, 2 burst in calls, 3 calls wanted
-- Answer  {calls granted, microseconds until the next one could be}
-- Cost    three commands. A second run takes more.
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local room = math.floor((now + burst * interval - arrival) / interval)
local granted = math.max(0, math.min(wanted, room))
if granted > 0 then
  arrival = arrival + granted * interval
  redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1000)
end
return {granted, math.ceil(math.max(0, arrival + interval - now - burst * interval))}
