-- Makes due what waits because settings were to blame, after all that is due already: what waited came to nothing before.
-- KEYS    1 due, 2 mending; both of one destination
-- ARGV    1 how many at most
-- Answer  how many were looked at: as many as may be, then there may be more
-- Cost    two commands per conversion, and three. A second run finds none.
-- What was tried since, or is being tried, is due at another time than was noted, and stays as it is.
local due, mending = KEYS[1], KEYS[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local found = redis.call('ZRANGE', mending, 0, tonumber(ARGV[1]) - 1, 'WITHSCORES')
for at = 1, #found, 2 do
  local score = tonumber(found[at + 1])
  if score > now and tonumber(redis.call('ZSCORE', due, found[at]) or '0') == score then
    redis.call('ZADD', due, now, found[at])
  end
  redis.call('ZREM', mending, found[at])
end
return #found / 2
