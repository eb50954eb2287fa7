-- Hands out the conversions that wait longest to be credited again, to one worker for a while.
-- KEYS    1 deferred conversions     ARGV    1 how many at most, 2 seconds until they are handed out again
-- Answer  their keys
-- Cost    O(answer). A second run hands out others; what nobody finished comes back.
local clock = redis.call('TIME')
local keys = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', clock[1], 'LIMIT', 0, ARGV[1])
for _, key in ipairs(keys) do redis.call('ZADD', KEYS[1], clock[1] + ARGV[2], key) end
return keys
