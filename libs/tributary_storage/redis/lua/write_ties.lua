-- Keeps whom identifiers were seen with, each only if nothing has changed since it was read.
-- KEYS    ties of one shard
-- ARGV    1 life in seconds, then per identifier {expected version, fields n, n x (field, value)}
-- Answer  per identifier 1 (written) or 0 (moved: nothing was written; read again)
-- Cost    one read and one write per identifier. A second run finds its own write and answers 0.
-- Fields  as `read_ties`.
local life = ARGV[1]
local answers = {}
local at = 2
for number, ties in ipairs(KEYS) do
  local fields = tonumber(ARGV[at + 1])
  local version = redis.call('HGET', ties, 'v') or '0'
  if version ~= ARGV[at] then
    answers[number] = 0
  else
    local written = {unpack(ARGV, at + 2, at + 1 + 2 * fields)}
    written[#written + 1], written[#written + 2] = 'v', string.format('%.0f', tonumber(version) + 1)
    if version == '0' then written[#written + 1], written[#written + 2] = 'n', '0' end
    redis.call('HSET', ties, unpack(written))
    redis.call('EXPIRE', ties, life)
    answers[number] = 1
  end
  at = at + 2 + 2 * fields
end
return answers
