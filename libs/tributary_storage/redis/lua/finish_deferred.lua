-- Forgets deferred conversions that were credited, each only if nothing asked for it again meanwhile.
-- KEYS    1 deferred conversions, 2.. conversions; all of one shard     ARGV    per conversion {its key, number of askings}
-- Answer  how many were forgotten
-- Cost    one read, two writes per conversion. A second run forgets nothing; what was asked for again is handed out again.
local deferred = KEYS[1]
local clock = redis.call('TIME')
local forgotten = 0
for number = 2, #KEYS do
  local key = ARGV[2 * number - 3]
  if (redis.call('HGET', KEYS[number], 'e') or '0') == ARGV[2 * number - 2] then
    redis.call('HDEL', KEYS[number], 'd', 'e')
    redis.call('ZREM', deferred .. ':since', key)
    forgotten = forgotten + redis.call('ZREM', deferred, key)
  else
    redis.call('ZADD', deferred, 'XX', clock[1], key)
  end
end
return forgotten
