-- Keeps jobs for a while longer: they are being sent, or their outcome waits for the ledger.
-- KEYS    1 due, then one job per conversion; all of one destination
-- ARGV    1 token, 2 length of the lease in ms, 3.. conversion ids
-- Answer  per conversion 1 still ours | 0 somebody else has it, or may
-- Cost    two commands per conversion. A second run renews again.
local due, token, lease_ms = KEYS[1], ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local ends = clock[1] * 1000 + math.floor(clock[2] / 1000) + lease_ms
local answers = {}
for number = 1, #KEYS - 1 do
  answers[number] = 0
  if redis.call('HGET', KEYS[number + 1], 'l') == token then
    redis.call('ZADD', due, ends, ARGV[number + 2])
    answers[number] = 1
  end
end
return answers
