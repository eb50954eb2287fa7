-- Settles attempts: done, again later, or given up. A lease that was lost settles nothing.
-- KEYS    1 due, 2 dead, 3 planned, 4 mending, then per conversion: job, sent; all of one destination
-- ARGV    1 token, 2 life of `sent` in seconds, 3 life of what is dead in ms, then per conversion eight: its id, what became
--         of it (taken | again | given_up | dropped), the revision, ms until it is due again, what to remember as sent (of
--         what was given up, if that is not what was known) | "never": no attempt at the creation was taken, that is
--         certain; 1 if this attempt certainly was not taken; what the attempt that was noted last was: "", what it was
--         noted for | unmade, none | unsent, none: it could not leave; 1 if settings are to blame: it is due at once when
--         they are mended
-- Answer  per conversion 1 settled | 0 the lease was lost
-- Cost    at most nineteen commands per conversion. A second run finds the lease gone.
local due, dead, planned, mending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, life, dead_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local answers = {}
for number = 1, (#KEYS - 4) / 2 do
  local job, sent = KEYS[number * 2 + 3], KEYS[number * 2 + 4]
  local at = (number - 1) * 8 + 4
  local conversion, what, revision, delay_ms, remember = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local fields = redis.call('HMGET', job, 'l', 'r', 'c', 'n', 'f', 't', 'u', 'w', 'a')
  answers[number] = 0
  if fields[1] == token then
    answers[number] = 1
    redis.call('HDEL', job, 'l')
    if remember == 'never' then
      redis.call('HSET', job, 'c', 0, 'f', 1)
      fields[3], fields[5] = '0', '1'
    end
    local since = fields[7] or '0'
    if ARGV[at + 5] == '1' and fields[8] == fields[9] then since = '0' end
    if ARGV[at + 6] ~= '' and tonumber(fields[9] or '0') > 0 then redis.call('HINCRBY', job, 'a', -1) end
    if ARGV[at + 6] == 'unsent' then redis.call('HINCRBY', job, 'e', 1) end
    if what == 'again' then
      redis.call('ZADD', due, now + tonumber(delay_ms), conversion)
      redis.call('HSET', job, 'u', since)
      if ARGV[at + 7] == '1' then
        redis.call('ZREMRANGEBYSCORE', mending, '-inf', now) -- they were due
        redis.call('ZADD', mending, now + tonumber(delay_ms), conversion)
        redis.call('PEXPIRE', mending, math.max(redis.call('PTTL', mending), tonumber(delay_ms) + 1000))
      end
    else
      if what == 'taken' or (what == 'given_up' and remember ~= '' and remember ~= 'never') then
        redis.call('SET', sent, remember, 'EX', life)
      elseif fields[3] ~= '0' then
        -- A creation was tried, and never heard of: `m`, it may have been taken. What is known better stays.
        local known = redis.call('GET', sent)
        if not known or string.find(known, 'never', 1, true) then
          redis.call('SET', sent, fields[3] .. ' -1 1 m' .. fields[3] .. ' ' .. since, 'EX', life)
        end
      elseif fields[5] == '1' and fields[6] ~= '0' then
        -- Attempted, so the ledger alone could not tell; and certainly not taken. Whoever tries that again counts on.
        local made = tonumber(fields[9] or '0')
        if ARGV[at + 6] ~= '' and made > 0 then made = made - 1 end
        redis.call('SET', sent, revision .. ' a' .. fields[6] .. ':' .. made .. ' never', 'EX', life)
      end
      if what == 'given_up' then
        redis.call('ZADD', dead, now, conversion)
        redis.call('ZREMRANGEBYSCORE', dead, '-inf', '(' .. string.format('%.0f', now - dead_ms))
        redis.call('PEXPIRE', dead, dead_ms) -- of a destination that is no more
      elseif what == 'taken' or not string.find(redis.call('GET', sent) or '', ' m', 1, true) then
        redis.call('ZREM', dead, conversion) -- of what may have been taken nobody knows more than before
      end
      if tonumber(fields[2]) > tonumber(revision) then
        -- Something newer was planned meanwhile: a message of its own, with attempts of its own.
        local first = what ~= 'taken' and fields[3] == '0' and fields[5] or 0
        redis.call('HSET', job, 'a', 0, 't', 0, 'c', 0, 'u', 0, 'b', 0, 'e', 0, 'p', fields[4], 'f', first, 'g', 0)
        redis.call('ZADD', due, now, conversion)
        redis.call('ZADD', planned, fields[4], conversion)
      else
        redis.call('DEL', job)
        redis.call('ZREM', due, conversion)
        redis.call('ZREM', planned, conversion)
      end
    end
  end
end
return answers
