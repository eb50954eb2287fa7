-- Makes the data keys that are not there yet, renews the life of the others, and returns what is stored. None is made for
-- what happened before its person was erased.
-- KEYS    two per data key: it, and its tombstone (until when its person was erased, microseconds); one hash tag
-- ARGV    1 life in seconds, 2.. per data key two: the wrapped data key that is stored if there is none, and when the
--         newest event happened that it is for, microseconds
-- Answer  per data key the wrapped one that is stored; empty: it was erased since
-- Cost    GET and EXPIRE per key that is there, two GET and one SET per other. A second run changes nothing but the time
--         left.
local life, stored = ARGV[1], {}
for at = 1, #KEYS / 2 do
  local key = KEYS[2 * at - 1]
  local known = redis.call('GET', key)
  if known then
    redis.call('EXPIRE', key, life)
  else
    local until_micros = redis.call('GET', KEYS[2 * at])
    if until_micros and tonumber(ARGV[2 * at + 1]) <= tonumber(until_micros) then
      known = ''
    else
      known = ARGV[2 * at]
      redis.call('SET', key, known, 'EX', life)
    end
  end
  stored[at] = known
end
return stored
