-- Adds what people decided to the consent ledgers of their identifiers, each decision once.
-- KEYS    journeys of one shard. Beside each, with `:consent` behind its name: the ledger of its identifier
-- ARGV    per journey {decisions n, n x (field, value)}
-- Answer  per journey {newest conversion time of its person, as far as it was told; decisions that the ledger holds;
--         places of those decisions, from 1, that it did not hold}
-- Cost    one read and at most one write per decision, two reads per journey, three of one that has expired. A second run adds nothing. Of two that
--         differ in their texts alone the smaller stays, whichever came first.
local META = '>I8I8I8I8I4I4BI4I4I4BI4'
local UNSAID = '\255\255\255\255' -- journeys of before this was kept: whole since never
local answers = {}
local at = 1
for number, journey in ipairs(KEYS) do
  local ledger, decisions, new = journey .. ':consent', tonumber(ARGV[at]), {}
  for index = at + 1, at + 2 * decisions, 2 do
    local known = redis.call('HGET', ledger, ARGV[index])
    if not known then new[#new + 1] = (index - at + 1) / 2 end
    if not known or ARGV[index + 1] < known then redis.call('HSET', ledger, ARGV[index], ARGV[index + 1]) end
  end
  at = at + 1 + 2 * decisions
  local newest = tonumber(redis.call('HGET', journey .. ':ties', 'n') or '0')
  local meta = redis.call('HGET', journey, 'm')
  if meta then
    local _, _, told = struct.unpack(META, meta .. UNSAID)
    if told > newest then newest = told end
  elseif newest == 0 and redis.call('TTL', journey .. ':firsts') == -1 then
    newest = 1 -- converted once, and its journey has expired
  end
  answers[number] = {newest, redis.call('HLEN', ledger), new}
end
return answers
