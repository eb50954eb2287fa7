-- Notes of links that what they changed of people is credited: who meets them stores it, and credits nothing again.
-- KEYS    ties of one shard     ARGV    per identifier the field of a link
-- Answer  how many were noted
-- Cost    one read and at most one write per link. A second run notes nothing; a link that is forgotten stays so.
-- Values  a link that is credited ends with a line feed, which its JSON never does.
local noted = 0
for number, ties in ipairs(KEYS) do
  local link = redis.call('HGET', ties, ARGV[number])
  if link and string.sub(link, -1) ~= '\n' then
    redis.call('HSET', ties, ARGV[number], link .. '\n')
    noted = noted + 1
  end
end
return noted
