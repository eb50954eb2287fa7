-- Destroys what is kept of conversions, but for fields that stay, each only if nothing was published of it since that was
-- read; where they go from every total, the path that each is counted as is taken back in the same step, so that it is
-- taken back once.
-- KEYS    1 highest revision published of the shard, 2.. conversions of it. Beside 1, with `:paths` behind its name: the
--         changes of paths
-- ARGV    1 whether paths are taken back (1 or 0), then per conversion {expected last revision, n, n x field that stays}
-- Answer  {how many there were, of how many something was published: they are there still}
-- Cost    O(fields). A second run finds nothing, or nothing but what stays, and writes nothing.
-- Fields  as `observe_conversions`: n counts parts, of which some may stay.
local takes_back, forgotten, moved, at = ARGV[1] == '1', 0, 0, 2
for number = 2, #KEYS do
  local conversion, stays, gone, parts, fields = KEYS[number], {}, {}, 0, {}
  local last = at + 1 + tonumber(ARGV[at + 1])
  for index = at + 2, last do stays[ARGV[index]] = true end
  local known = redis.call('HMGET', conversion, 'r', 'c')
  local is_current = not known[1] or known[1] == ARGV[at]
  if is_current then fields = redis.call('HKEYS', conversion) else moved = moved + 1 end
  for _, field in ipairs(fields) do
    if not stays[field] then
      if field ~= 'n' then gone[#gone + 1] = field end
    elseif #field == 8 then
      parts = parts + 1
    end
  end
  if is_current and takes_back and known[2] then redis.call('RPUSH', KEYS[1] .. ':paths', known[2] .. '\0') end
  for first = 1, #gone, 1000 do
    redis.call('HDEL', conversion, unpack(gone, first, math.min(first + 999, #gone)))
  end
  if #gone > 0 then forgotten = forgotten + 1 end
  if is_current and parts == 0 then
    redis.call('HDEL', conversion, 'n')
  elseif #gone > 0 then
    redis.call('HSET', conversion, 'n', parts)
  end
  at = last + 1
end
return {forgotten, moved}
