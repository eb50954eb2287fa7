-- Takes back that a destination has conversions: it took them, and reported later that it refused them after all.
-- KEYS    1 due, 2 planned, 3 dead, then per conversion: job, sent; all of one destination
-- ARGV    1 plan time in us, 2 life of `sent` in seconds, 3 ms until they are sent again; -1: never by themselves, then per
--         conversion: its id, the revision that was refused, what to remember as sent instead
-- Answer  per conversion 1 taken back | 0 something else of it is being sent now | -1 the destination took a newer one since
-- Cost    at most six commands per conversion. A second run takes nothing back, and answers the same.
-- Fields  as in plan_jobs
local due, planned, dead, plan_us, life, delay_ms = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local answers = {}
for number = 1, (#KEYS - 3) / 2 do
  local job, sent = KEYS[number * 2 + 2], KEYS[number * 2 + 3]
  local at = number * 3 + 1
  local conversion, revision, instead = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local taken = redis.call('GET', sent)
  local leased = redis.call('HMGET', job, 'l', 'r')
  answers[number] = -1
  if taken == instead then
    answers[number] = 1 -- by an earlier run
  elseif leased[1] then
    answers[number] = 0
  elseif not taken or string.match(taken, '^(%d+) %-?%d+ %d') == revision then
    answers[number] = 1
    redis.call('SET', sent, instead, 'EX', life)
    local never = string.find(instead, 'never', 1, true) and 1 or 0
    if leased[2] then
      redis.call('HSET', job, 'f', never)
      local due_ms = redis.call('ZSCORE', due, conversion)
      if delay_ms >= 0 and due_ms and tonumber(due_ms) < now + delay_ms then redis.call('ZADD', due, now + delay_ms, conversion) end
    elseif delay_ms >= 0 then
      redis.call('HSET', job, 'r', revision, 'n', plan_us, 'p', plan_us, 'a', 0, 't', 0, 'c', 0, 'u', 0, 'b', 0, 'f', never)
      redis.call('ZADD', due, now + delay_ms, conversion)
      redis.call('ZADD', planned, plan_us, conversion)
    else
      redis.call('ZADD', dead, now, conversion)
    end
  end
end
return answers
