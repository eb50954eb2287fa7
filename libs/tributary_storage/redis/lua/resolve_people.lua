-- Says where the journeys of some people are: one step along the aliases that merges left behind.
-- KEYS    journeys of one shard     ARGV    1 life in seconds
-- Answer  per journey nil (it is where it seems), or {the person key it moved to, 1 if it still holds what must be moved}
-- Cost    one read per journey, one more where it has moved. A second run answers the same; an alias that is used lives on.
local life = ARGV[1]
local answers = {}
for number, journey in ipairs(KEYS) do
  local alias = redis.call('HGET', journey, 'a')
  if alias then
    redis.call('EXPIRE', journey, life)
    answers[number] = {alias, redis.call('HLEN', journey) > 1 and 1 or 0}
  else
    answers[number] = false
  end
end
return answers
