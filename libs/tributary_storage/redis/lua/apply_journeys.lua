-- Adds events to journeys, each once, and answers a whole journey where a conversion may have changed by them.
-- KEYS    journeys of one shard
-- ARGV    1 life in seconds, 2 slack in microseconds: how long after a conversion a touch may still count, then per journey
--         {floor, create time, entries n, tokens m, n x (field, value), m x (token, sighting)}
--         floor: newest version of journeys that are moved into this one, 0: none, -1: none, but answer the whole journey;
--         create time: newest of theirs; field: 8 bytes; value: 1 byte kind, 1 byte flags, 8 bytes time, more;
--         sighting: 8 bytes time, 8 bytes event hash, 1 byte position
-- Answer  per journey {alias, number of its fields} if it has moved and nothing was written, else
--         {false, version, why the answer holds the whole journey, the journey as fields and values}
--         why: 0 it does not, 1 by time, 2 any conversion of the journey may have changed
-- Cost    one read, one write, one expiry per journey, and O(journey) where the whole is answered. A second run adds
--         nothing, keeps the version, and answers the whole journey if it has a conversion, with why = 2.
-- Fields  a: alias. m: version, create time, newest conversion time, first sighting. 8 bytes: an event. else: a token.
local META = '>I8I8I8I8I4I4B'
local CONVERSION, QUARANTINED = 7, 2
local NEVER = 9007199254740991
local life, slack = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function is_earlier(time, high, low, position, time2, high2, low2, position2)
  if time ~= time2 then return time < time2 end
  if high ~= high2 then return high < high2 end
  if low ~= low2 then return low < low2 end
  return position < position2
end

local answers = {}
local at = 3
for number, journey in ipairs(KEYS) do
  local floor, created = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local entries, tokens = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local first = at + 4
  local last = first + 2 * (entries + tokens) - 1
  at = last + 1
  local fields = {'a', 'm'}
  for index = first, last, 2 do fields[#fields + 1] = ARGV[index] end
  local known = redis.call('HMGET', journey, unpack(fields))
  if known[1] then
    answers[number] = {known[1], redis.call('HLEN', journey)}
  else
    local version, create_time, newest, time, high, low, position = 0, 0, 0, NEVER, 0, 0, 0
    if known[2] then version, create_time, newest, time, high, low, position = struct.unpack(META, known[2]) end
    local first_before = struct.pack('>I8I4I4B', time, high, low, position)
    local writes, why, is_known, reaches = {}, 0, false, NEVER
    for index = 1, entries do
      local value = ARGV[first + 2 * index - 1]
      local kind, flags, event_time = struct.unpack('>BBI8', value)
      if known[2 + index] then
        is_known = true
      else
        writes[#writes + 1] = fields[2 + index]
        writes[#writes + 1] = value
      end
      if kind == CONVERSION and math.floor(flags / QUARANTINED) % 2 == 0 then
        if event_time > newest then newest = event_time end
        why = 1
      elseif event_time < reaches then
        reaches = event_time
      end
    end
    local is_someone_else = false
    for index = 1, tokens do
      local sighting = ARGV[first + 2 * (entries + index) - 1]
      local before = known[2 + entries + index]
      if before == sighting then
        is_known = true
      else
        local new_time, new_high, new_low, new_position = struct.unpack('>I8I4I4B', sighting)
        local is_new = not before
        if before then
          is_new = is_earlier(new_time, new_high, new_low, new_position, struct.unpack('>I8I4I4B', before))
        end
        if is_new then
          writes[#writes + 1] = fields[2 + entries + index]
          writes[#writes + 1] = sighting
          if is_earlier(new_time, new_high, new_low, new_position, time, high, low, position) then
            is_someone_else = before ~= first_before
            time, high, low, position = new_time, new_high, new_low, new_position
          end
        end
      end
    end
    if newest > 0 then
      if is_known or is_someone_else or floor ~= 0 then why = 2
      elseif reaches <= newest + slack then why = 1 end
    end
    if #writes > 0 or floor > 0 or not known[2] then
      version = math.max(version + 1, floor + 1, now)
      if create_time == 0 then create_time = now end
      create_time = math.max(create_time, created)
      redis.call('HSET', journey, 'm', struct.pack(META, version, create_time, newest, time, high, low, position),
        unpack(writes))
    end
    redis.call('EXPIRE', journey, life)
    answers[number] = {false, version, why, why > 0 and redis.call('HGETALL', journey) or false}
  end
end
return answers
