-- Notes, before the call, that attempts are made: whatever becomes of the reply, it is known that one was made.
-- KEYS    one job per conversion; all of one destination     ARGV    1 token, then per conversion: the revision tried
-- Answer  per conversion the number of the attempt, from 1 | 0 the lease was lost
-- Cost    three commands per conversion. A second run counts another attempt.
local token = ARGV[1]
local answers = {}
for number, job in ipairs(KEYS) do
  local fields = redis.call('HMGET', job, 'l', 't')
  answers[number] = 0
  if fields[1] == token then
    answers[number] = redis.call('HINCRBY', job, 'a', 1)
    if fields[2] == '0' then redis.call('HSET', job, 't', ARGV[number + 1]) end
  end
end
return answers
