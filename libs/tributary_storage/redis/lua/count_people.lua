-- Counts people as other paths than before, each only if he was not handed out to somebody else since.
-- KEYS    1 people by when they are looked at, then per person {his counted path, counts of paths}; all of one shard
-- ARGV    1 life in seconds, then per person {his name, until when he was handed out, expected counted path, new one (empty:
--         none), n, n x {count, by how much}}
-- Answer  how many were counted
-- Cost    one read and one write per person, one write per count. A second run finds its own and counts nobody.
local life, counted, sums, at = ARGV[1], 0, {}, 2
for number = 1, (#KEYS - 1) / 2 do
  local path, counts = KEYS[2 * number], KEYS[2 * number + 1]
  local name, lease, last = ARGV[at], tonumber(ARGV[at + 1]), at + 4 + 2 * tonumber(ARGV[at + 4])
  local due = tonumber(redis.call('ZSCORE', KEYS[1], name) or lease + 1)
  if due <= lease and (redis.call('GET', path) or '') == ARGV[at + 2] then
    counted = counted + 1
    if ARGV[at + 3] ~= '' then
      redis.call('SET', path, ARGV[at + 3], 'EX', life)
    elseif ARGV[at + 2] ~= '' then
      redis.call('DEL', path)
    end
    local sum = sums[counts] or {}
    sums[counts] = sum
    for index = at + 5, last, 2 do sum[ARGV[index]] = (sum[ARGV[index]] or 0) + ARGV[index + 1] end
    if due == lease then redis.call('ZREM', KEYS[1], name) end
  end
  at = last + 1
end
for counts, sum in pairs(sums) do
  for count, by in pairs(sum) do
    if by ~= 0 and redis.call('HINCRBY', counts, count, by) == 0 then redis.call('HDEL', counts, count) end
  end
end
return counted
