-- Tells the journeys of one person's identifiers when the person converted last, and answers what they hold. From then on
-- `apply_journeys` says of a touch at any of them that it may change a conversion at another.
-- KEYS    journeys of one shard. Beside each, behind its name, with `:ties`: whom its identifier was seen with, with
--         `:consent`: what was decided under it, with `:traces`: its traces, with `:firsts`: how it began (`firsts`)
-- ARGV    1 life of ties in seconds, then per journey {newest conversion time of the person, as far as it is known, in
--         microseconds; the version it shall be above: 0 for none, and then it does not change}
-- Answer  per journey {version, version before, newest conversion time, the journey as fields and values, of its consent,
--         of its traces behind a byte 1, of its firsts what carries an id and it may have forgotten}; the last only where
--         somebody converted; version 0: there is no journey, and of the last only what lies beside it; -1: likewise, and
--         somebody converted under its identifier, nobody knows when; -2: likewise, and somebody came under it
-- Cost    two reads, one more where there is no journey, up to two writes per journey, and O(journey) where it is
--         answered. A second run finds the newest conversion time told, and moves the version once more: what was computed
--         before is computed again.
-- Fields  as `apply_journeys`. Of ties, n: newest conversion time of the person, for a journey that begins later.
local META = '>I8I8I8I8I4I4BI4I4I4BI4'
local UNSAID = '\255\255\255\255' -- journeys of before this was kept: whole since never
local life = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local answers = {}
for number, journey in ipairs(KEYS) do
  local newest, floor = tonumber(ARGV[2 * number]), tonumber(ARGV[2 * number + 1])
  local meta = redis.call('HGET', journey, 'm')
  local told = redis.call('HGET', journey .. ':ties', 'n')
  newest = math.max(newest, tonumber(told or '0'))
  local version, before, may_lack = 0, 0, true
  if meta then
    local held = {struct.unpack(META, meta .. UNSAID)}
    version, before, may_lack = held[1], held[1], held[9] > 0 or held[12] > 0
    if held[3] > newest then newest = held[3] end
    if floor > 0 then version = math.max(version + 1, floor + 1, now) end
    if version ~= before or newest ~= held[3] then
      redis.call('HSET', journey, 'm', struct.pack(META, version, held[2], newest, held[4], held[5], held[6], held[7],
        held[8], held[9], held[10], held[11], held[12]))
    end
  else
    local kept = redis.call('TTL', journey .. ':firsts')
    if kept == -1 then
      version = -1
      newest = math.max(newest, now)
    elseif kept >= 0 then version = -2 end
  end
  if told then
    if newest > tonumber(told) then redis.call('HSET', journey .. ':ties', 'n', string.format('%.0f', newest)) end
    redis.call('EXPIRE', journey .. ':ties', life)
  end
  local whole = false
  if newest > 0 then
    whole = redis.call('HGETALL', journey)
    for _, text in ipairs(redis.call('HGETALL', journey .. ':consent')) do whole[#whole + 1] = text end
    for index, text in ipairs(redis.call('HGETALL', journey .. ':traces')) do
      whole[#whole + 1] = index % 2 == 1 and '\1' .. text or text
    end
    if may_lack then
      local kept = redis.call('HGETALL', journey .. ':firsts')
      for index = 1, #kept, 2 do
        if #kept[index] == 8 then
          whole[#whole + 1] = kept[index]
          whole[#whole + 1] = kept[index + 1]
        end
      end
    end
    if #whole == 0 then whole = false end
  end
  answers[number] = {version, before, newest, whole}
end
return answers
