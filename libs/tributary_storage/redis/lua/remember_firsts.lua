-- Notes how identifiers began: their first touch, and their first conversion of each name, of those that are brought; and
-- the events that carry the id of a click or an interaction.
-- KEYS    firsts of one shard (`firsts`)
-- ARGV    1 life of those of whom no conversion is known, in seconds, 2 how many fields there may be before no event is kept
--         any more, then per key {n, n x (field, first)}
--         first: 8 bytes time, 8 bytes event hash, more; of an event (a field of 8 bytes) as its journey has it
-- Answer  per key how many fields changed
-- Cost    one read per field, two of an event, up to two writes, one expiry per key. A second run changes nothing.
local life, most_with_id = ARGV[1], tonumber(ARGV[2])

local function is_before(one, other)
  local time, high, low = struct.unpack('>I8I4I4', one)
  local time2, high2, low2 = struct.unpack('>I8I4I4', other)
  if time ~= time2 then return time < time2 end
  if high ~= high2 then return high < high2 end
  return low < low2
end

local answers = {}
local at = 3
for number, firsts in ipairs(KEYS) do
  local writes = {}
  local ttl = redis.call('TTL', firsts)
  local has_conversion = false
  for _ = 1, tonumber(ARGV[at]) do
    local field, first = ARGV[at + 1], ARGV[at + 2]
    local held = redis.call('HGET', firsts, field)
    local is_event, is_news = #field == 8, not held
    if is_event then is_news = not held and redis.call('HLEN', firsts) + #writes / 2 < most_with_id
    elseif held then is_news = is_before(first, held) end
    if is_news then
      writes[#writes + 1] = field
      writes[#writes + 1] = first
    end
    has_conversion = has_conversion or #field == 9
    at = at + 2
  end
  at = at + 1
  if #writes > 0 then redis.call('HSET', firsts, unpack(writes)) end
  if has_conversion then redis.call('PERSIST', firsts)
  elseif ttl ~= -1 then redis.call('EXPIRE', firsts, life) end
  answers[number] = #writes / 2
end
return answers
