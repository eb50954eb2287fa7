-- Notes, before the call, that attempts are made: whatever becomes of the reply, it is known that one was made. The
-- lease begins anew, so that it covers the call however long its preparation took.
-- KEYS    1 due, 2 planned, 3 state, then per conversion: job, sent; all of one destination
-- ARGV    1 token, 2 length of the lease in ms, then per conversion eight: its id, the revision tried, 1 if it is
--         the creation, how many attempts at this revision were made under an earlier job, by what the destination knows
--         it, 1 if the attempt before, which was not settled, certainly was not taken: a part of what was refused as a
--         whole, the newest revision that is known: where an older one is tried, nobody may have planned that any more;
--         what to remember as the value of what was taken, where an attempt before may have changed it; "": it holds
-- Answer  per conversion the number of the attempt at this revision, over all jobs, from 1 | 0 the lease was lost
-- Cost    at most eleven commands per conversion. A second run counts another attempt.
-- Fields  of the state, m: the highest revision ever tried, which tells an older copy of these jobs
local due, planned, state, token, lease_ms = KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2])
local before = redis.call('HGET', state, 'm')
local highest = before
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local ends = now + lease_ms
local answers = {}
for number = 1, (#KEYS - 3) / 2 do
  local job, sent, at = KEYS[number * 2 + 2], KEYS[number * 2 + 3], number * 8 - 5
  local conversion, revision, creates = ARGV[at], ARGV[at + 1], ARGV[at + 2] == '1'
  local fields = redis.call('HMGET', job, 'l', 't', 'c', 'n', 'u', 'b', 'w', 'a', 'r')
  answers[number] = 0
  if fields[1] == token then
    if fields[2] ~= revision then
      redis.call('HSET', job, 't', revision, 'a', ARGV[at + 3], 'e', 0)
      fields[5], fields[6] = '0', '0'
      -- Another message than the one tried before: it has the time of its own plan.
      if fields[2] ~= '0' then
        redis.call('HSET', job, 'p', fields[4])
        redis.call('ZADD', planned, fields[4], conversion)
      end
    elseif ARGV[at + 5] == '1' and fields[7] == fields[8] then
      fields[5] = '0'
    end
    if tonumber(ARGV[at + 6]) > tonumber(fields[9]) then
      redis.call('HSET', job, 'r', ARGV[at + 6], 'n', string.format('%.0f', now * 1000))
    end
    if creates and fields[3] == '0' then redis.call('HSET', job, 'c', revision, 'k', ARGV[at + 4]) end
    if (fields[6] or '0') == '0' then redis.call('HSET', job, 'b', now) end
    answers[number] = redis.call('HINCRBY', job, 'a', 1)
    -- From now on it may be taken: whoever comes after a death knows since when.
    if (fields[5] or '0') == '0' then redis.call('HSET', job, 'u', now, 'w', answers[number]) end
    if ARGV[at + 7] ~= '' then
      -- The doubt is not of this attempt alone: it stays until one is taken, whatever becomes of this one.
      local taken = redis.call('GET', sent)
      if taken and not string.find(taken, ' m', 1, true) then
        local unsure = string.gsub(taken, '^(%d+) %-?%d+ ', '%1 ' .. ARGV[at + 7] .. ' ')
        if unsure ~= taken then redis.call('SET', sent, unsure, 'KEEPTTL') end
      end
    end
    redis.call('ZADD', due, ends, conversion)
    if tonumber(revision) > tonumber(highest or '0') then highest = revision end
  end
end
if highest ~= before then redis.call('HSET', state, 'm', highest) end
return answers
