-- Puts an erasure that is under way in the place of what was read of it, unless somebody has changed it since.
-- KEYS    1 the erasures that are not finished
-- ARGV    1 its id, 2 what was read; empty: there was none, 3 what is kept from now on; empty: nothing
-- Answer  1 if it is done, 0 if there is something else: read again
-- Cost    one read, one write. A second run finds something else, and changes nothing.
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1])
else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
