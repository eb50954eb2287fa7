-- Takes note of what came of a call with a shared credential: some failures in a row open its circuit, a probe that fails
-- keeps it open twice as long, one call that is answered closes it. Calls that were under way when it opened say nothing new.
-- KEYS    1 circuit
-- ARGV    1 1 if it was answered, 2 how many ms ago it began, 3 failures until it opens, 4 the first pause in ms, 5 the
--         longest one in ms, 6 for how long failures count in ms
-- Answer  ms for which nobody calls from now on; 0: it is closed
-- Cost    at most four commands. A second run counts a failure again.
-- Fields  as in admit_calls
local is_ok, ago, most = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3])
local first, longest, life = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if is_ok then
  redis.call('DEL', KEYS[1])
  return 0
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local fields = redis.call('HMGET', KEYS[1], 'failures', 'pause', 'open_until')
local failures, pause, open_until = tonumber(fields[1] or '0') + 1, tonumber(fields[2] or '0'), tonumber(fields[3] or '0')
if pause > 0 and now - ago >= open_until then
  pause = math.min(longest, 2 * pause)
  open_until = now + pause
elseif pause == 0 and failures >= most then
  pause, open_until = first, now + first
end
redis.call('HSET', KEYS[1], 'failures', failures, 'pause', pause, 'open_until', open_until, 'probe_until', 0)
redis.call('PEXPIRE', KEYS[1], life + pause)
return math.max(0, pause > 0 and open_until - now or 0)
