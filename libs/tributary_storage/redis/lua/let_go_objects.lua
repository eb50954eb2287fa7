-- Notes that requests were answered, or were not made: others may begin where none is left that may still be carried out.
-- KEYS    one hold per object; all of one destination
-- ARGV    per object what was said of it
-- Answer  nothing
-- Cost    at most four commands per object. A second run counts off another request.
-- Fields  as in hold_objects
for number, hold in ipairs(KEYS) do
  if redis.call('HGET', hold, 'o') == ARGV[number] then
    redis.call('HINCRBY', hold, 'u', -1)
    if redis.call('HINCRBY', hold, 'n', -1) <= 0 then redis.call('DEL', hold) end
  end
end
