-- Takes fields out of conversions and families and puts others in, of each in one step: whoever reads it sees the ones or
-- the others.
-- KEYS    conversions of one shard
-- ARGV    1 life in seconds (0: as it is), then per conversion {fields to take out n, n x field, fields to put in m, m x (field, text)}
-- Answer  per conversion how many were taken out
-- Cost    O(fields). A second run changes nothing but the time left.
-- Fields  as `observe_conversions`; of a family the members, which n need not count.
local life, at, answers = ARGV[1], 2, {}
for number, conversion in ipairs(KEYS) do
  local gone, taken = tonumber(ARGV[at]), 0
  for index = 1, gone do taken = taken + redis.call('HDEL', conversion, ARGV[at + index]) end
  at = at + gone + 1
  local put = tonumber(ARGV[at])
  for index = 1, put do redis.call('HSET', conversion, ARGV[at + 2 * index - 1], ARGV[at + 2 * index]) end
  at = at + 2 * put + 1
  if put > 0 and life ~= '0' then redis.call('EXPIRE', conversion, life) end
  answers[number] = taken
end
return answers
