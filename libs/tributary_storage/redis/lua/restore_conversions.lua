-- Gives conversions back what ClickHouse knows of them, where Redis has lost it: parts, and what was published last.
-- KEYS    conversions of one shard
-- ARGV    1 life in seconds, then per conversion {revision, revision as bytes without differences of credit, parts n,
--         n x (8 bytes event hash, part)}
-- Answer  how many had lost what was published
-- Cost    O(parts). A second run finds all of it there; what was published since is never replaced.
local life = ARGV[1]
local at = 2
local restored = 0
for _, conversion in ipairs(KEYS) do
  local parts = tonumber(ARGV[at + 2])
  for index = 1, parts do
    if redis.call('HSETNX', conversion, ARGV[at + 1 + 2 * index], ARGV[at + 2 + 2 * index]) == 1 then
      redis.call('HINCRBY', conversion, 'n', 1)
    end
  end
  if redis.call('HSETNX', conversion, 'r', ARGV[at]) == 1 then
    redis.call('HSET', conversion, 's', ARGV[at + 1])
    restored = restored + 1
  end
  redis.call('EXPIRE', conversion, life)
  at = at + 3 + 2 * parts
end
return restored
