-- Takes fields out of conversions and families and puts others in, of each in one step: whoever reads it sees the ones or
-- the others.
-- KEYS    conversions of one shard
-- ARGV    1 life in seconds (0: as it is), then per conversion {fields to take out n, n x field, fields to put in m, m x (field, text)}
-- Answer  per conversion how many were taken out
-- Cost    O(fields). A second run changes nothing but the time left.
-- Fields  as `observe_conversions`: n counts parts.
local life, at, answers = ARGV[1], 2, {}
for number, conversion in ipairs(KEYS) do
  local gone, taken, parts = tonumber(ARGV[at]), 0, 0
  for index = 1, gone do
    local was_there = redis.call('HDEL', conversion, ARGV[at + index])
    taken = taken + was_there
    if #ARGV[at + index] == 8 then parts = parts - was_there end
  end
  at = at + gone + 1
  local put = tonumber(ARGV[at])
  for index = 1, put do
    local field = ARGV[at + 2 * index - 1]
    local is_new = redis.call('HSET', conversion, field, ARGV[at + 2 * index])
    if #field == 8 then parts = parts + is_new end
  end
  if parts ~= 0 then redis.call('HINCRBY', conversion, 'n', parts) end
  at = at + 2 * put + 1
  if put > 0 and life ~= '0' then redis.call('EXPIRE', conversion, life) end
  answers[number] = taken
end
return answers
