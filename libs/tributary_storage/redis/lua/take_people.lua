-- Hands out the people who wait longest to be looked at, to one process for a while.
-- KEYS    1 people by when they are looked at     ARGV    1 how many at most, 2 seconds until they are handed out again
-- Answer  {when that is, their names}
-- Cost    O(answer). A second run hands out others; whom nobody counted comes back.
local now = redis.call('TIME')[1]
local people = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, person in ipairs(people) do redis.call('ZADD', KEYS[1], now + ARGV[2], person) end
return {now + ARGV[2], people}
