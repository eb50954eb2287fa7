-- Forgets links that are finished: what they changed of people is stored, and credited.
-- KEYS    ties of one shard     ARGV    per identifier the field of a link
-- Answer  how many were forgotten
-- Cost    one write per link. A second run forgets nothing.
local forgotten = 0
for number, ties in ipairs(KEYS) do forgotten = forgotten + redis.call('HDEL', ties, ARGV[number]) end
return forgotten
