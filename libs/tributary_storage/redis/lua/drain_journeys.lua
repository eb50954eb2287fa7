-- Empties journeys that were moved, and points them and others of the same people straight at the new place.
-- KEYS    journeys of one shard     ARGV    1 life in seconds, then per journey {the person key to point at, 1 to empty it}
-- Answer  how many were pointed
-- Cost    O(fields freed). Only aliases are touched, one that is not to be emptied only if it is empty, and they point
--         to smaller keys only: neither a second run nor an older one can undo a newer merge or make a circle.
local pointed = 0
for number, journey in ipairs(KEYS) do
  local target, empties = ARGV[2 * number], ARGV[2 * number + 1] == '1'
  local alias = redis.call('HGET', journey, 'a')
  if alias and (empties or redis.call('HLEN', journey) == 1) then
    if alias < target then target = alias end
    redis.call('DEL', journey)
    redis.call('HSET', journey, 'a', target)
    redis.call('EXPIRE', journey, ARGV[1])
    pointed = pointed + 1
  end
end
return pointed
