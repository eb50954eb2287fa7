-- Writes the epoch of a Redis, or adds a role to the one that is there.
-- KEYS    1 epoch     ARGV    1 role, 2.. field, value, ... of the epoch to write if there is none
-- Answer  {0 found | 1 written, field, value, ...}; what was found stays as it is, but for the role
-- Cost    constant. A second run changes nothing.
local written = 0
if redis.call('EXISTS', KEYS[1]) == 0 then
  for at = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
  written = 1
end
redis.call('HSETNX', KEYS[1], 'role_' .. ARGV[1], 1)
return {written, redis.call('HGETALL', KEYS[1])}
