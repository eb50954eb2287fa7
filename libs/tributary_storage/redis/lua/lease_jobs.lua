-- Takes due jobs for a while: nobody else takes them before the lease ends.
-- KEYS    1 due, then per conversion: job, sent; all of one destination
-- ARGV    1 now in ms, 2 end of the lease in ms, 3 token of the lease, 4.. conversion ids
-- Answer  per conversion {revision, attempts, plan time, first tried revision, never sent, sent} | {} somebody else has it
-- Cost    four commands per conversion. A second run with another token takes nothing.
local due, now, ends, token = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local answers = {}
for number = 1, (#KEYS - 1) / 2 do
  local job, sent, conversion = KEYS[number * 2], KEYS[number * 2 + 1], ARGV[number + 3]
  local score = redis.call('ZSCORE', due, conversion)
  answers[number] = {}
  if score and tonumber(score) <= now then
    local fields = redis.call('HMGET', job, 'r', 'a', 'p', 't', 'f')
    if fields[1] then
      redis.call('ZADD', due, ends, conversion)
      redis.call('HSET', job, 'l', token)
      fields[6] = redis.call('GET', sent) or ''
      answers[number] = fields
    else
      redis.call('ZREM', due, conversion)
    end
  end
end
return answers
