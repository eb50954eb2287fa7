-- Plans revisions of conversions for one destination: one job per conversion, which always brings the newest revision.
-- KEYS    1 due, 2 planned, then per conversion: job, sent; all of one destination
-- ARGV    1 how long a first message is held in ms, then per conversion: its id, revision, previous revision, plan time
--         in us, 1: only if the destination may have something of it
-- Answer  per conversion 1 planned | 0 known already | -1 not planned: the destination has nothing of it
-- Cost    five commands per conversion. A second run finds every revision known.
-- Fields  r: newest revision planned, n: when. t: revision being tried, a: its attempts, p: when it was planned.
--         c: the creation that was tried first, and may have been taken. f: 1 where nothing was ever taken, for certain. l: lease.
--         u: since when, in ms, it is not known whether t was taken; 0: it is. w: the attempt that left it unknown first.
--         k: by what the destination knows c. b: when, in ms, t was tried first, later by how long it stood still while it
--         was due; 0: not yet. g: 1 where somebody asked for it who risks that what may have been taken counts twice.
--         e: how often t could not leave, which is no attempt.
local due, planned, hold_ms = KEYS[1], KEYS[2], tonumber(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local answers = {}
for number = 1, (#KEYS - 2) / 2 do
  local job, sent = KEYS[number * 2 + 1], KEYS[number * 2 + 2]
  local at = (number - 1) * 5 + 2
  local conversion, revision, previous, plan_us = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local known = redis.call('HGET', job, 'r')
  local taken = redis.call('GET', sent)
  local never = taken and string.find(taken, 'never', 1, true)
  if taken then taken = string.match(taken, '^%d+') end
  answers[number] = 0
  if ARGV[at + 4] == '1' and not known and (not taken or never) then
    answers[number] = -1
  elseif tonumber(revision) > tonumber(known or taken or '0') then
    answers[number] = 1
    redis.call('HSET', job, 'r', revision, 'n', plan_us)
    if not known then
      -- The first revision of all was never sent; of a later one the ledger knows, where `sent` has been forgotten.
      local first = never or (not taken and previous == '0')
      redis.call('HSET', job, 'p', plan_us, 'a', 0, 't', 0, 'c', 0, 'u', 0, 'b', 0, 'f', first and 1 or 0)
      redis.call('ZADD', due, first and now + hold_ms or now, conversion)
      redis.call('ZADD', planned, plan_us, conversion)
    end
  end
end
return answers
