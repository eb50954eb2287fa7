-- Lets requests that have begun and not ended hold their objects anew: they wait for something, and go on.
-- KEYS    one hold per object; all of one destination
-- ARGV    1 for how long in ms a request holds its object where nobody notes its end, then per object what is said of it
-- Answer  per object 1 it is held | 0 it is not any more, something else may have been said of it
-- Cost    two commands per object. A second run renews again.
-- Fields  as in hold_objects
local answers = {}
for number, hold in ipairs(KEYS) do
  answers[number] = 0
  if redis.call('HGET', hold, 'o') == ARGV[number + 1] then
    redis.call('PEXPIRE', hold, ARGV[1])
    answers[number] = 1
  end
end
return answers
