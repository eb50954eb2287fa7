-- Adds events to journeys, each once; one that was released takes its quarantined place. Answers a whole journey where a
-- conversion may have changed by them. A journey with too many events loses its oldest; one that lives on loses those that
-- are older than its life.
-- KEYS    journeys of one shard. Beside each, behind its name, with `:ties`: whom its identifier was seen with, with
--         `:consent`: what was decided under it, with `:traces`: its traces (`trace_layout`), with `:firsts`: how it
--         began (`firsts`)
-- ARGV    1 life in seconds, 2 slack in microseconds: how long after a conversion a touch may still count, 3 how many
--         events stay where there are too many (a quarter more is too many), 4 life of ties in seconds, 5 of traces, 6 whether
--         nothing was ever lost or all is back: then whoever is not known was never here, 7 whether what was only seen may
--         earn anything, 8 how many firsts there may be before no event with an id is kept any more; then per journey
--         {answers, entries n, tokens m, traces k, n x (field, value), m x (token, sighting), k x (slot, trace)}
--         answers: 0: as said below, 1: the whole journey if anybody of its person converted, with why = 1;
--         field: 8 bytes; value: 1 byte kind, 1 byte flags, 8 bytes time, more;
--         sighting: 8 bytes time, 8 bytes event hash, 1 byte position
--         trace: 8 bytes time, 8 bytes event hash, 8 bytes of what is alike, more
-- Answer  per journey {version, why the answer holds the whole journey, newest conversion time, the journey as fields and
--         values, of its consent, of its traces behind a byte 1, of its firsts what carries an id and it may have
--         forgotten; its ties as fields and values}; the last two only where why is not 0
--         why: 0 it does not, 1 by time, 2 any conversion of the person may have changed
-- Cost    one read, one write, one expiry per journey, two more reads where it is new, and O(journey) where the whole is
--         answered, after every (quarter of 3) events of a person with too many, and once a day for one older than its
--         life. A second run adds nothing, keeps the version, and answers the whole journey if there is a conversion,
--         with why = 2.
-- Fields  m: see META; its newest conversion time is of the person, as `visit_journeys` tells. a: time of the first touch
--         ever, so that later ones need not be compared with it; s: likewise of what was only seen. 8 bytes: an event.
--         else: a token.
-- Trimmed first go those that are only seen or quarantined: never more than a quarter of 3 push out nothing else.
-- Of a slot the newest two traces stay, of those alike the first: what a journey forgets stays there.
-- The first touch, and the first conversion of each name, are kept beside it: those that were good when they came. For ever
-- once somebody converted, else as long as ties.
-- Since when it is whole: for ever, if nothing is kept of how anybody began under its identifier (firsts; of who never
-- converted as long as ties); else for a life before it, for what came then would have kept it alive; once something goes
-- for its age, from that age on.
-- What carries the id of a click or an interaction is kept beside it, too (firsts, until there are too many): seen again, it
-- is an old one, also where the journey has expired meanwhile or had too many events. What is too old stays for the same.
local META = '>I8I8I8I8I4I4BI4I4I4BI4'
local UNSAID = '\255\255\255\255' -- journeys of before this was kept: whole since never
local CONVERSION, QUARANTINED, NO_TOUCH, NO_CONSENT, INTERNAL, ASSUMED_DENIED, CONSENTED = 7, 2, 4, 8, 16, 32, 64
local FIRST_SEEN_KIND, LAST_SEEN_KIND = 3, 5
local NEVER = 9007199254740991
local DAY = 86400
local AHEAD = 300 -- seconds that an event may be ahead of its acceptance
local HDEL_AT_ONCE = 1000
-- Looked up once, not at every event.
local call, sub, byte, band = redis.call, string.sub, string.byte, bit.band
local unpacked, packed = struct.unpack, struct.pack
local life, slack, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ties_life, traces_life, knows_everybody, keeps_seen = ARGV[4], ARGV[5], ARGV[6] == '1', ARGV[7] == '1'
local most_with_id = tonumber(ARGV[8])
local clock = call('TIME')
local now_seconds = tonumber(clock[1])
local now = clock[1] * 1000000 + clock[2]
local too_old = now - life * 1000000

local function is_earlier(time, high, low, position, time2, high2, low2, position2)
  if time ~= time2 then return time < time2 end
  if high ~= high2 then return high < high2 end
  if low ~= low2 then return low < low2 end
  return position < position2
end

local function has_flag(flags, flag)
  return band(flags, flag) ~= 0
end

-- Tells whether a touch may be the first of its person.
local function is_good(flags)
  if has_flag(flags, QUARANTINED + INTERNAL + NO_TOUCH + NO_CONSENT) then return false end
  return not has_flag(flags, ASSUMED_DENIED) or has_flag(flags, CONSENTED)
end

-- Tells whether a touch carries the id of a click (bytes 19 to 26) or of an interaction (35 to 42).
local function has_id(value)
  return (string.find(value, '[^%z]', 19) or 27) < 27 or string.find(value, '[^%z]', 35) ~= nil
end

-- Tells whether an observation says of which conversion it is (bytes 27 to 42): that of an erased person's says of none.
local function names_one(value)
  return string.find(sub(value, 27, 42), '[^%z]') ~= nil
end

-- Returns up to which time of some those go that are more than may stay; 0: none does.
local function cut(times, most)
  if #times <= most then return 0 end
  table.sort(times)
  return times[#times - math.floor(most)]
end

-- Removes events: those older than a time, then those that are too many. Returns how many stay, the time up to which
-- there were too many, whether a touch went, and whether anything went for its age.
local function trim(journey, oldest)
  local flat = call('HGETALL', journey)
  local lesser, others = {}, {}
  local events = {}
  for index = 1, #flat, 2 do
    if #flat[index] == 8 then
      local value = flat[index + 1]
      local kind, flags, time = unpacked('>BBI8', value)
      local is_lesser = kind >= FIRST_SEEN_KIND and kind <= LAST_SEEN_KIND or has_flag(flags, QUARANTINED)
      local is_old = time < oldest and (kind == CONVERSION or is_lesser or not has_id(value))
      if not is_old then
        local group = is_lesser and lesser or others
        group[#group + 1] = time
      end
      events[#events + 1] = {flat[index], time, is_lesser, is_old, kind ~= CONVERSION and not has_flag(flags, NO_TOUCH)}
    end
  end
  local lesser_until, others_until = 0, 0
  if #lesser + #others > keep * 1.25 then
    lesser_until, others_until = cut(lesser, keep / 4), cut(others, keep)
  end
  local gone, touches_went, has_aged = {}, false, false
  for _, event in ipairs(events) do
    if event[4] or event[2] <= (event[3] and lesser_until or others_until) then
      gone[#gone + 1] = event[1]
      touches_went, has_aged = touches_went or event[5], has_aged or event[4]
    end
  end
  for first = 1, #gone, HDEL_AT_ONCE do
    call('HDEL', journey, unpack(gone, first, math.min(first + HDEL_AT_ONCE - 1, #gone)))
  end
  return #events - #gone, others_until, touches_went, has_aged
end

-- Tells whether one trace is before another in the order of events.
local function is_before(one, other)
  local time, high, low = unpacked('>I8I4I4', one)
  return is_earlier(time, high, low, 0, unpacked('>I8I4I4', other))
end

-- Tells whether two traces are alike.
local function is_alike(one, other)
  return sub(one, 17, 24) == sub(other, 17, 24)
end

-- Returns which of the two fields of a slot takes a trace; nil: it is known, or there are two that are newer.
local function place_of(trace, first, second, held)
  local one, other = held[first], held[second]
  if one and is_alike(one, trace) then return is_before(trace, one) and first or nil end
  if other and is_alike(other, trace) then return is_before(trace, other) and second or nil end
  if not one then return first end
  if not other then return second end
  if is_before(one, other) then return is_before(one, trace) and first or nil end
  return is_before(other, trace) and second or nil
end

-- Adds traces; returns whether there is a new one, and the time of the first that was brought.
local function leave(traces, from, count)
  local names, held, writes, wrote, first = {}, {}, {}, 0, NEVER
  for index = 0, 2 * count - 2, 2 do
    local slot = ARGV[from + index]
    names[index + 1], names[index + 2] = slot .. '#0', slot .. '#1'
  end
  for index, value in ipairs(call('HMGET', traces, unpack(names))) do
    if value then held[names[index]] = value end
  end
  for index = 1, 2 * count, 2 do
    local trace = ARGV[from + index]
    local field = place_of(trace, names[index], names[index + 1], held)
    if field then
      held[field] = trace
      writes[wrote + 1], writes[wrote + 2] = field, trace
      wrote = wrote + 2
    end
    local time = unpacked('>I8', trace)
    if time < first then first = time end
  end
  if wrote > 0 then
    call('HSET', traces, unpack(writes))
    call('EXPIRE', traces, traces_life)
  end
  return wrote > 0, first
end

-- Tells whether a touch makes an id that it carries an old one for what comes later.
local function ages_id(kind, flags, value)
  if kind >= FIRST_SEEN_KIND and kind <= LAST_SEEN_KIND or not has_id(value) then return false end
  return not has_flag(flags, QUARANTINED) and not has_flag(flags, NO_CONSENT)
end

-- Notes the first of some firsts: field -> {8 bytes time, 8 bytes hash, more}; and events that carry ids, as fields and
-- values. `kept` is how long they still live, if that is known: of whom there are none (-2) nothing is read. Returns the
-- times of the first touch ever and of the first that was only seen, of those that were brought.
local function remember(firsts, found, with_ids, kept)
  local fields, writes, has_conversion = {}, {}, false
  for field in pairs(found) do fields[#fields + 1] = field end
  if #with_ids > 0 and (kept == -2 or call('HLEN', firsts) < most_with_id) then writes = with_ids end
  local known = kept ~= -2 and #fields > 0 and call('HMGET', firsts, unpack(fields)) or {}
  for index, field in ipairs(fields) do
    local held = known[index]
    if held and not is_before(found[field], held) then
      found[field] = held
    else
      writes[#writes + 1] = field
      writes[#writes + 1] = found[field]
    end
    has_conversion = has_conversion or #field == 9
  end
  local life = kept or call('TTL', firsts)
  if #writes > 0 then call('HSET', firsts, unpack(writes)) end
  if has_conversion then call('PERSIST', firsts)
  elseif life ~= -1 then call('EXPIRE', firsts, ties_life) end
  return found.a and sub(found.a, 1, 8), found.s and sub(found.s, 1, 8)
end

local answers = {}
local at = 9
for number, journey in ipairs(KEYS) do
  local asks, entries, tokens = ARGV[at] == '1', tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local traces = tonumber(ARGV[at + 3])
  local first = at + 4
  local last = first + 2 * (entries + tokens) - 1
  at = last + 1 + 2 * traces
  local fields = {'m'}
  for index = first, last, 2 do fields[#fields + 1] = ARGV[index] end
  fields[#fields + 1] = 'a'
  fields[#fields + 1] = keeps_seen and 's' or nil
  local known = call('HMGET', journey, unpack(fields))
  local version, create_time, newest, time, high, low, position = 0, 0, 0, NEVER, 0, 0, 0
  local events, trimmed, look, lost, since, kept = 0, 0, 0, 0, 0, nil
  if known[1] then
    version, create_time, newest, time, high, low, position, events, trimmed, look, lost,
      since = unpacked(META, known[1] .. UNSAID)
  else
    local told = call('HGET', journey .. ':ties', 'n')
    if told then
      newest = tonumber(told)
      call('EXPIRE', journey .. ':ties', ties_life)
    end
    -- Had anything come within a life, there would be a journey; and whoever began before left firsts, for ever if they
    -- converted: some conversion before then is forgotten.
    since = math.max(0, now_seconds - life + AHEAD)
    kept = call('TTL', journey .. ':firsts')
    if kept == -1 then newest = math.max(newest, since * 1000000)
    elseif kept == -2 and knows_everybody then since = 0 end
  end
  local writes, why, is_known, reaches, oldest = {}, 0, false, NEVER, NEVER
  local firsts, with_ids, acquired, seen = {}, {}, NEVER, NEVER
  local acquired_at = 2 + entries + tokens
  if known[acquired_at] then acquired = unpacked('>I8', known[acquired_at]) end
  if known[acquired_at + 1] then seen = unpacked('>I8', known[acquired_at + 1]) end
  for index = 1, entries do
    local value = ARGV[first + 2 * index - 1]
    local kind, flags, event_time = unpacked('>BBI8', value)
    local before = known[1 + index]
    if before then is_known = true end
    if not before or has_flag(byte(before, 2), QUARANTINED) and not has_flag(flags, QUARANTINED) then
      writes[#writes + 1] = fields[1 + index]
      writes[#writes + 1] = value
      local field
      if kind == CONVERSION then
        if not has_flag(flags, QUARANTINED) and not has_flag(flags, INTERNAL) and names_one(value) then
          field = 'c' .. sub(value, 11, 18)
        end
      elseif kind >= FIRST_SEEN_KIND and kind <= LAST_SEEN_KIND then
        if keeps_seen and event_time <= seen and is_good(flags) then field, seen = 's', event_time end
      elseif event_time <= acquired and is_good(flags) then
        field, acquired = 'a', event_time
      end
      if field then
        local what = #field == 1 and sub(value, 1, 1) .. sub(value, 11, 18) or sub(value, 27, 42)
        local one = sub(value, 3, 10) .. fields[1 + index] .. what
        if not firsts[field] or is_before(one, firsts[field]) then firsts[field] = one end
      end
      if kind ~= CONVERSION and ages_id(kind, flags, value) then
        with_ids[#with_ids + 1] = fields[1 + index]
        with_ids[#with_ids + 1] = value
      end
    end
    if not before then
      events = events + 1
      if event_time < oldest then oldest = event_time end
    end
    if kind == CONVERSION and not has_flag(flags, QUARANTINED) then
      if event_time > newest then newest = event_time end
      why = 1
    elseif event_time < reaches then
      reaches = event_time
    end
  end
  for index = 1, tokens do
    local sighting = ARGV[first + 2 * (entries + index) - 1]
    local before = known[1 + entries + index]
    if before == sighting then
      is_known = true
    else
      local new_time, new_high, new_low, new_position = unpacked('>I8I4I4B', sighting)
      local is_new = not before
      if before then
        is_new = is_earlier(new_time, new_high, new_low, new_position, unpacked('>I8I4I4B', before))
      end
      if is_new then
        writes[#writes + 1] = fields[1 + entries + index]
        writes[#writes + 1] = sighting
        if is_earlier(new_time, new_high, new_low, new_position, time, high, low, position) then
          time, high, low, position = new_time, new_high, new_low, new_position
        end
      end
    end
  end
  local has_new_trace = false
  if traces > 0 then
    local left
    has_new_trace, left = leave(journey .. ':traces', last + 1, traces)
    reaches = math.min(reaches, left)
  end
  if newest > 0 then
    if is_known then why = 2
    elseif reaches <= newest + slack or asks then why = 1 end
  end
  if next(firsts) or #with_ids > 0 then
    local first_touch, first_seen = remember(journey .. ':firsts', firsts, with_ids, kept)
    if first_touch then
      writes[#writes + 1] = 'a'
      writes[#writes + 1] = first_touch
    end
    if first_seen then
      writes[#writes + 1] = 's'
      writes[#writes + 1] = first_seen
    end
  end
  if #writes > 0 or has_new_trace or not known[1] then
    version = math.max(version + 1, now)
    if create_time == 0 then create_time = now end
    local is_due = now_seconds >= (look > 0 and look or math.floor(create_time / 1000000) + life)
    if oldest < too_old then -- a backfill lives as long as what is new
      look, is_due = now_seconds + life, false
    end
    if is_due or events > keep * 1.25 then
      if #writes > 0 then call('HSET', journey, unpack(writes)) end
      writes = {}
      local trimmed_until, touches_went, has_aged
      events, trimmed_until, touches_went, has_aged = trim(journey, is_due and too_old or 0)
      if trimmed_until > 0 then trimmed = math.max(trimmed, math.floor(trimmed_until / 1000000) + 1) end
      if touches_went then lost = 1 end
      if has_aged or is_due and since > now_seconds then since = math.max(0, math.floor(too_old / 1000000) + 1) end
      if is_due then
        look = now_seconds + DAY
        call('EXPIRE', journey .. ':ties', ties_life)
        if call('TTL', journey .. ':firsts') > 0 then call('EXPIRE', journey .. ':firsts', ties_life) end
      end
    end
    call('HSET', journey, 'm', packed(META, version, create_time, newest, time, high, low, position,
      events, trimmed, look, lost, since), unpack(writes))
  end
  call('EXPIRE', journey, life)
  answers[number] = {version, why, newest}
  if why > 0 then
    local whole = call('HGETALL', journey)
    for _, text in ipairs(call('HGETALL', journey .. ':consent')) do whole[#whole + 1] = text end
    for index, text in ipairs(call('HGETALL', journey .. ':traces')) do
      whole[#whole + 1] = index % 2 == 1 and '\1' .. text or text
    end
    if since > 0 or trimmed > 0 then -- else all that carries an id is there
      local kept = call('HGETALL', journey .. ':firsts')
      for index = 1, #kept, 2 do
        if #kept[index] == 8 then
          whole[#whole + 1] = kept[index]
          whole[#whole + 1] = kept[index + 1]
        end
      end
    end
    answers[number][4], answers[number][5] = whole, call('HGETALL', journey .. ':ties')
  end
end
return answers
