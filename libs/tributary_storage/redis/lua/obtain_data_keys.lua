-- Makes the data keys that are not there yet, renews the life of the others, and returns what is stored.
-- KEYS    one per data key; one hash tag
-- ARGV    1 life in seconds, 2.. per key the wrapped data key that is stored if there is none
-- Answer  per key the wrapped data key that is stored
-- Cost    one SET or EXPIRE per key. A second run changes nothing but the time left.
local life, stored = ARGV[1], {}
for at, key in ipairs(KEYS) do
  local candidate = ARGV[at + 1]
  if redis.call('SET', key, candidate, 'NX', 'EX', life) then
    stored[at] = candidate
  else
    stored[at] = redis.call('GET', key)
    redis.call('EXPIRE', key, life)
  end
end
return stored
