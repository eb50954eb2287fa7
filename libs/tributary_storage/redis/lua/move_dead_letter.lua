-- Puts dead letters that say the same back into their log, as one entry, and takes them away; or one that is among the
-- dead letters in the place of another.
-- KEYS    1 the stream that the entry is put into, then streams of dead letters, one of which may be the same; one hash
--         tag
-- ARGV    1 how many dead letters, then per dead letter the number of its stream in KEYS and its id, then name and value
--         of each field of the entry
-- Answer  1, or 0 if none of these dead letters is there (any more)
-- Cost    one XADD, one XDEL per dead letter. A second run finds no dead letter and does nothing.
local fields, is_there = 2 + 2 * ARGV[1], false
for at = 2, fields - 2, 2 do
  is_there = is_there or #redis.call('XRANGE', KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 1]) > 0
end
if not is_there then return 0 end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, fields))
for at = 2, fields - 2, 2 do
  redis.call('XDEL', KEYS[tonumber(ARGV[at])], ARGV[at + 1])
end
return 1
