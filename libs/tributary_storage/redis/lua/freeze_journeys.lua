-- Closes journeys whose people turned out to be other people: from now on `apply_journeys` refuses them and names the alias.
-- KEYS    journeys of one shard     ARGV    1 life in seconds, then per journey the person key it moves to
-- Answer  per journey {the alias that holds, fields and values still in it}
-- Cost    O(fields). The first alias stays: a second run, or another worker, is told that one and what is left to move.
local answers = {}
for number, journey in ipairs(KEYS) do
  redis.call('HSETNX', journey, 'a', ARGV[number + 1])
  redis.call('EXPIRE', journey, ARGV[1])
  answers[number] = {redis.call('HGET', journey, 'a'), redis.call('HGETALL', journey)}
end
return answers
