-- Answers whom identifiers were seen with.
-- KEYS    ties of one shard     ARGV    none
-- Answer  per identifier its fields and values; none where it was never seen with another
-- Cost    O(ties of the identifiers). A second run answers the same.
-- Fields  v: version. n: newest conversion time of the person. o: the identifier. '+' and 8 bytes: an unfinished link.
--         else: a token, and what is known of the two (`tie_layout`).
local answers = {}
for number, ties in ipairs(KEYS) do answers[number] = redis.call('HGETALL', ties) end
return answers
