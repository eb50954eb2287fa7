-- Makes jobs of conversions that somebody wants to be sent again. What waits already stays as it is.
-- KEYS    1 due, 2 planned, 3 dead, then per conversion: job, sent; all of one destination
-- ARGV    1 plan time in us, 2 1: only answer, write nothing, then per conversion: its id, revision, 1 if who asks risks
--         that what may have been taken counts twice: it is sent again whatever the destination forgets, as what it was
--         called, for it may be there
-- Answer  per conversion 1 planned, or would be | 0 it waits already | -1 the destination has this revision
-- Cost    six commands per conversion. A second run finds them waiting.
-- Fields  as in plan_jobs
local due, planned, dead, plan_us, is_dry = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2] == '1'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local answers = {}
for number = 1, (#KEYS - 3) / 2 do
  local job, sent = KEYS[number * 2 + 2], KEYS[number * 2 + 3]
  local at = number * 3
  local conversion, revision, risks = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local taken = redis.call('GET', sent)
  local certain = taken and not string.find(taken, ' m', 1, true) and string.match(taken, '^(%d+) %-?%d+ %d')
  if redis.call('EXISTS', job) == 1 then
    answers[number] = 0
  elseif certain and tonumber(certain) >= tonumber(revision) then
    answers[number] = -1
    if not is_dry then redis.call('ZREM', dead, conversion) end
  elseif is_dry then
    answers[number] = 1
  else
    local never = taken and string.find(taken, 'never', 1, true)
    local first = never and 1 or 0
    redis.call('HSET', job, 'r', revision, 'n', plan_us, 'p', plan_us, 'a', 0, 't', 0, 'c', 0, 'u', 0, 'b', 0, 'f', first, 'g', risks)
    redis.call('ZADD', due, now, conversion)
    redis.call('ZADD', planned, plan_us, conversion)
    answers[number] = 1
    redis.call('ZREM', dead, conversion) -- it waits
  end
end
return answers
