-- Gives conversions back what ClickHouse knows of them, where Redis has lost it: parts, and what was published last.
-- KEYS    conversions of one shard
-- ARGV    1 life in seconds, 2 the moment of the loss it is done for, then per conversion {revision (0: none was
--         published), revision as bytes without differences of credit, parts n, n x (8 bytes event hash, part)}
-- Answer  how many had lost what was published last
-- Cost    O(parts). A second run finds all of it there; what was published since is never replaced.
-- Fields  as `observe_conversions`, and l: the loss after which it was asked for, so that it is asked for once.
local life, loss = ARGV[1], ARGV[2]
local at = 3
local restored = 0
for _, conversion in ipairs(KEYS) do
  local parts = tonumber(ARGV[at + 2])
  for index = 1, parts do
    if redis.call('HSETNX', conversion, ARGV[at + 1 + 2 * index], ARGV[at + 2 + 2 * index]) == 1 then
      redis.call('HINCRBY', conversion, 'n', 1)
    end
  end
  if tonumber(ARGV[at]) > tonumber(redis.call('HGET', conversion, 'r') or '0') then
    redis.call('HSET', conversion, 'r', ARGV[at], 's', ARGV[at + 1])
    restored = restored + 1
  end
  if loss ~= '0' then redis.call('HSET', conversion, 'l', loss) end
  if redis.call('EXISTS', conversion) == 1 then redis.call('EXPIRE', conversion, life) end
  at = at + 3 + 2 * parts
end
return restored
