-- Takes out of journeys which conversions some observations were of: that they were made stays. None of them is the first
-- conversion of its name any more: that is the earliest other one that the journey holds, or the own that is brought where
-- that is earlier, as the journey forgets; if there is any.
-- KEYS    journeys of one shard. Beside each, behind its name, with `:firsts`: how it began (`firsts`)
-- ARGV    per journey {events n, n x (8 bytes: its field, 8 bytes: digest of its name, the own first of that name as
--         `firsts` has it; empty: none is known, 8 bytes: the number of the erased order, in whose place observations of
--         it are told from those of others; empty: it is not known)}
-- Answer  per journey how many observations were changed
-- Cost    two reads and up to three writes per event, and O(journey) where it was a first. A second run changes nothing.
local CONVERSION, QUARANTINED, INTERNAL = 7, 2, 16
local NO_CONVERSION = string.rep('\0', 16)

local function is_before(one, other)
  local time, high, low = struct.unpack('>I8I4I4', one)
  local time2, high2, low2 = struct.unpack('>I8I4I4', other)
  if time ~= time2 then return time < time2 end
  if high ~= high2 then return high < high2 end
  return low < low2
end

-- Returns the earliest good observation of a name that says of which conversion it is, or the own
-- that is brought, as `firsts` has it.
local function earliest(journey, name, own)
  local found = own ~= '' and own or nil
  local flat = redis.call('HGETALL', journey)
  for index = 1, #flat, 2 do
    local field, value = flat[index], flat[index + 1]
    if #field == 8 and value:byte(1) == CONVERSION and value:sub(11, 18) == name then
      local is_good = bit.band(value:byte(2), QUARANTINED + INTERNAL) == 0 and value:sub(27, 42) ~= NO_CONVERSION
      local first = value:sub(3, 10) .. field .. value:sub(27, 42)
      if is_good and (not found or is_before(first, found)) then found = first end
    end
  end
  return found
end

local at, answers = 1, {}
for number, journey in ipairs(KEYS) do
  local events, changed = tonumber(ARGV[at]), 0
  for index = 1, events do
    local last = at + 4 * index
    local field, name, own, order = ARGV[last - 3], ARGV[last - 2], ARGV[last - 1], ARGV[last]
    local value = redis.call('HGET', journey, field)
    if value and value:byte(1) == CONVERSION then
      local left = value:sub(1, 26) .. NO_CONVERSION .. order
      local is_less = order == '' and value:sub(27, 42) == NO_CONVERSION  -- a run that knew the number came before
      if left ~= value and not is_less then
        redis.call('HSET', journey, field, left)
        changed = changed + 1
      end
    end
    local first = redis.call('HGET', journey .. ':firsts', 'c' .. name)
    if first and first:sub(9, 16) == field then
      local other = earliest(journey, name, own)
      if other then redis.call('HSET', journey .. ':firsts', 'c' .. name, other)
      else redis.call('HDEL', journey .. ':firsts', 'c' .. name) end
    end
  end
  at = at + 1 + 4 * events
  answers[number] = changed
end
return answers
