-- Answers how new journeys are, and what their identifiers were seen with: what was read before still holds if neither has
-- changed.
-- KEYS    journeys of one shard. Beside each, with `:ties` behind its name: whom its identifier was seen with
-- ARGV    none
-- Answer  per journey {version, version of the ties}; 0: there is none
-- Cost    two reads per journey. A second run answers the same.
-- Fields  as `apply_journeys` and `read_ties`.
local answers = {}
for number, journey in ipairs(KEYS) do
  local meta = redis.call('HGET', journey, 'm')
  local ties = redis.call('HGET', journey .. ':ties', 'v')
  answers[number] = {meta and struct.unpack('>I8', meta) or 0, tonumber(ties or '0')}
end
return answers
