-- Notes that conversions have to be credited again, later: durable, before the events that ask for it are acknowledged.
-- KEYS    1 deferred conversions, 2.. conversions; all of one shard. Beside 1, with `:since` behind its name: since when each
--         waits
-- ARGV    1 life in seconds, 2 bytes of causes kept at most, 3 when the oldest event that asks was accepted, microseconds,
--         then per conversion {its key, causes}
-- Answer  how many were not deferred before
-- Cost    one read, two writes per conversion. A second run, or another event, adds its causes to those that wait, as long
--         as there is room: the earliest come last, which is what wins where one message is read from both.
local deferred, life, room, since = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local clock = redis.call('TIME')
local added = 0
for number = 2, #KEYS do
  local key, causes = ARGV[2 * number], ARGV[2 * number + 1]
  local before = redis.call('HGET', KEYS[number], 'd')
  if before and #before + #causes > room then causes = before elseif before then causes = causes .. before end
  redis.call('HSET', KEYS[number], 'd', causes)
  redis.call('HINCRBY', KEYS[number], 'e', 1)
  redis.call('EXPIRE', KEYS[number], life)
  redis.call('ZADD', deferred .. ':since', 'LT', since, key)
  added = added + redis.call('ZADD', deferred, 'NX', clock[1], key)
end
return added
