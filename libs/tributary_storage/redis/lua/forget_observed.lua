-- Takes out of journeys which conversions some observations were of: that they were made stays. None of them is the first
-- conversion of its name any more: that is the earliest other one that the journey holds, if it holds any.
-- KEYS    journeys of one shard. Beside each, behind its name, with `:firsts`: how it began (`firsts`)
-- ARGV    per journey {events n, n x (8 bytes: its field, 8 bytes: digest of its name)}
-- Answer  per journey how many observations were changed
-- Cost    two reads and up to three writes per event, and O(journey) where it was a first. A second run changes nothing.
local CONVERSION, QUARANTINED, INTERNAL = 7, 2, 16
local NO_CONVERSION = string.rep('\0', 16)

-- Returns the earliest good observation of a name that says of which conversion it is, as `firsts` has it.
local function earliest(journey, name)
  local found
  local flat = redis.call('HGETALL', journey)
  for index = 1, #flat, 2 do
    local field, value = flat[index], flat[index + 1]
    if #field == 8 and value:byte(1) == CONVERSION and value:sub(11, 18) == name then
      local is_good = bit.band(value:byte(2), QUARANTINED + INTERNAL) == 0 and value:sub(27, 42) ~= NO_CONVERSION
      local first = value:sub(3, 10) .. field .. value:sub(27, 42)
      if is_good and (not found or first < found) then found = first end
    end
  end
  return found
end

local at, answers = 1, {}
for number, journey in ipairs(KEYS) do
  local events, changed = tonumber(ARGV[at]), 0
  for index = 1, events do
    local field, name = ARGV[at + 2 * index - 1], ARGV[at + 2 * index]
    local value = redis.call('HGET', journey, field)
    if value and value:byte(1) == CONVERSION and value:sub(27, 42) ~= NO_CONVERSION then
      redis.call('HSET', journey, field, value:sub(1, 26) .. NO_CONVERSION)
      changed = changed + 1
    end
    local first = redis.call('HGET', journey .. ':firsts', 'c' .. name)
    if first and first:sub(9, 16) == field then
      local other = earliest(journey, name)
      if other then redis.call('HSET', journey .. ':firsts', 'c' .. name, other)
      else redis.call('HDEL', journey .. ':firsts', 'c' .. name) end
    end
  end
  at = at + 1 + 2 * events
  answers[number] = changed
end
return answers
