-- Replaces how data keys are wrapped, where nobody changed them since they were read. Their lives stay.
-- KEYS    one per data key; one hash tag
-- ARGV    1.. per key two: as it was read, as it shall be stored
-- Answer  how many were replaced
-- Cost    one GET per key, one SET per key replaced. A second run changes nothing.
local replaced = 0
for at, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[2 * at - 1] then
    redis.call('SET', key, ARGV[2 * at], 'KEEPTTL')
    replaced = replaced + 1
  end
end
return replaced
