-- Notes that requests got no answer and are not waited for any more: from now on counts how long they may be carried out.
-- KEYS    one hold per object; all of one destination
-- ARGV    1 for how long in ms they may be, then per object what was said of it
-- Answer  nothing
-- Cost    at most three commands per object. A second run counts off another request.
-- Fields  as in hold_objects
for number, hold in ipairs(KEYS) do
  if redis.call('HGET', hold, 'o') == ARGV[number + 1] and redis.call('HINCRBY', hold, 'u', -1) <= 0 then
    redis.call('PEXPIRE', hold, ARGV[1])
  end
end
