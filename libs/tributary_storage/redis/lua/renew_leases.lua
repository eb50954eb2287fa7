-- Keeps jobs for a while longer: their outcome is known, and waits for the ledger.
-- KEYS    1 due, then one job per conversion; all of one destination
-- ARGV    1 token, 2 length of the lease in ms, 3.. conversion ids
-- Answer  how many are still ours
-- Cost    two commands per conversion. A second run renews again.
local due, token, lease_ms = KEYS[1], ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local ends = clock[1] * 1000 + math.floor(clock[2] / 1000) + lease_ms
local renewed = 0
for number = 1, #KEYS - 1 do
  if redis.call('HGET', KEYS[number + 1], 'l') == token then
    redis.call('ZADD', due, ends, ARGV[number + 2])
    renewed = renewed + 1
  end
end
return renewed
