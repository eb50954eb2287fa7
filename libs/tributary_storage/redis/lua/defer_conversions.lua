-- Notes that conversions have to be credited again, later: durable, before the events that ask for it are acknowledged.
-- KEYS    1 deferred conversions, 2.. conversions; all of one shard
-- ARGV    1 life in seconds, 2 bytes of causes kept at most, then per conversion {its key, causes}
-- Answer  how many were not deferred before
-- Cost    one read, two writes per conversion. A second run, or another event, adds its causes to those that wait, as long
--         as there is room: the earliest come last, which is what wins where one message is read from both.
local deferred, life, room = KEYS[1], ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local added = 0
for number = 2, #KEYS do
  local key, causes = ARGV[2 * number - 1], ARGV[2 * number]
  local before = redis.call('HGET', KEYS[number], 'd')
  if before and #before + #causes > room then causes = before elseif before then causes = causes .. before end
  redis.call('HSET', KEYS[number], 'd', causes)
  redis.call('HINCRBY', KEYS[number], 'e', 1)
  redis.call('EXPIRE', KEYS[number], life)
  added = added + redis.call('ZADD', deferred, 'NX', clock[1], key)
end
return added
