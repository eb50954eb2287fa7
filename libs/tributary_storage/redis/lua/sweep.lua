-- Removes the claims or orders of some buckets that are past their life.
-- KEYS    1..20 buckets of one shard
-- ARGV    1 life in units of 128 s, 2 bytes of time at the start of a value (2: claims, 3: orders)
-- Answer  {how many were removed, how many the largest bucket still holds, how many buckets have lost the small encoding}
-- Cost    reads the buckets whole: about 2 microseconds per claim removed. A second run finds nothing to remove.
local life, bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local span = 256 ^ bytes
local now = math.floor(redis.call('TIME')[1] / 128) % span
local removed, largest, outgrown = 0, 0, 0
for _, bucket in ipairs(KEYS) do
  local past, pairs_in_it = {}, redis.call('HGETALL', bucket)
  if #pairs_in_it > 0 and redis.call('OBJECT', 'ENCODING', bucket) == 'hashtable' then outgrown = outgrown + 1 end
  for at = 1, #pairs_in_it, 2 do
    local stored = 0
    for index = 1, bytes do stored = stored * 256 + string.byte(pairs_in_it[at + 1], index) end
    local age = (now - stored) % span
    -- The last part of the circle is the near future: a clock was set back.
    if age > life and age < span - 1024 then past[#past + 1] = pairs_in_it[at] end
  end
  largest = math.max(largest, #pairs_in_it / 2 - #past)
  for at = 1, #past, 1000 do -- Lua passes at most some 8 000 values to one command
    removed = removed + redis.call('HDEL', bucket, unpack(past, at, math.min(at + 999, #past)))
  end
end
return {removed, largest, outgrown}
