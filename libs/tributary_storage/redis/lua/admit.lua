-- Claims plain events, registers ordered ones (step a), counts verdicts, appends one entry; all of one shard and lane.
-- KEYS    1 event log, 2 verdict counters, 3.. the claim bucket of each event but the rejected, in order; one hash tag
-- ARGV    1 schema, 2 payload (serialised AdmittedEvents: the plain events, in order), 3 letters: per event A (accept),
--         Q (quarantine), R (rejected by the door) or o (ordered: only registered here), or what this script asked for
--         before, h (here it would be decided: is it?) or a byte of 128 + home shard (register it anew, if it still is
--         registered there), 4 claims: 11 bytes per event (R: fillers): 7 of field, 3 of payload digest (2 bits version,
--         22 bits digest), 1 of kind and home shard, 5.. workspace, number of its events, ...
-- Answer  {accept time in microseconds, letters: per plain event A Q R D C, the mask of the entry; per ordered one o (go
--         on to step b), d (known as a plain event, or decided here), c (another payload), h (registered under an order
--         of another shard: ask there), m (not decided here, nor will it be: register it anew) or u (it was registered
--         under a third order meanwhile: undecided), known: the 6-byte claim of each D C d c h}
-- Home    An order may read otherwise than when its event was first sent: a name is cleaned in another way since. Its
--         event id is known all the same, where it was decided. Where it was not, who asks leaves a bar there, a claim
--         of the kind of registrations: another may be just about to decide it there (admit_orders.lua).
-- Cost    one HSETNX per claim, one HINCRBY per workspace and verdict, one XADD. It reads nothing that can refuse after
--         the first write. A second run finds each plain event a duplicate of itself, appends only C and R again, and
--         answers o again: step (a) alone never answers that an ordered event is known. Ordered events are not counted
--         here, so that those found in conflict are counted where they are appended, in step (b).
local event_log, verdicts = KEYS[1], KEYS[2]
local schema, payload, letters, claims = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local call, sub, byte = redis.call, string.sub, string.byte
local RECORD, FIELD, REGISTERED, HOME, MOVE = 11, 7, 2, 6, 128
local NAMES = {A = '|ACCEPTED', Q = '|QUARANTINED', R = '|REJECTED', D = '|DUPLICATE', C = '|CONFLICT'}

local now = call('TIME')
local accept_time = now[1] .. string.format('%06d', now[2])
local stamp = struct.pack('>H', math.floor(now[1] / 128) % 65536)
local next_key, found, known = 3, {}, {}

-- Digests of different versions, or of an unknown one (0), say nothing: equal.
local function differs(value, tail)
  if sub(value, 3, 5) == sub(tail, 1, 3) then return false end
  local version = math.floor(byte(value, 3) / 64)
  return version ~= 0 and version == math.floor(byte(tail, 1) / 64)
end

-- Claims one event, or finds the claim that is there; returns what becomes of the event.
local function decide(letter, at)
  local bucket, field, tail = KEYS[next_key], sub(claims, at, at + FIELD - 1), sub(claims, at + FIELD, at + RECORD - 1)
  next_key = next_key + 1
  if letter == 'h' then
    local decided = call('HGET', bucket, field)
    if decided and math.floor(byte(decided, 6) / 64) ~= REGISTERED then
      known[#known + 1] = decided
      return 'd'
    end
    call('HSET', bucket, field, stamp .. sub(tail, 1, 3) .. string.char(REGISTERED * 64))
    return 'm'
  end
  if byte(letter) >= MOVE then
    local value = call('HGET', bucket, field)
    if value and byte(value, HOME) == byte(tail, HOME - 2) then return 'o' end -- another was first
    if value and byte(value, HOME) ~= REGISTERED * 64 + byte(letter) - MOVE then return 'u' end
    call('HSET', bucket, field, stamp .. tail)
    return 'o'
  end
  if call('HSETNX', bucket, field, stamp .. tail) == 1 then return letter end
  local value = call('HGET', bucket, field)
  local is_registered = math.floor(byte(value, 6) / 64) == REGISTERED
  local is_other = differs(value, tail)
  if letter == 'o' then
    local is_at_home = is_registered and not is_other and byte(value, HOME) == byte(tail, HOME - 2)
    if is_at_home then return 'o' end
    known[#known + 1] = value
    if is_other then return 'c' end
    return is_registered and 'h' or 'd'
  end
  known[#known + 1] = value
  -- A registered id is of an event with an order: this one has none, so its payload is another.
  return (is_other or is_registered) and 'C' or 'D'
end

local position, keep = 0, false
for run = 5, #ARGV, 2 do
  local counts = {}
  for index = position + 1, position + ARGV[run + 1] do
    local letter = sub(letters, index, index)
    if letter ~= 'R' then letter = decide(letter, (index - 1) * RECORD + 1) end
    found[index] = letter
    counts[letter] = (counts[letter] or 0) + 1
  end
  position = position + ARGV[run + 1]
  for letter, count in pairs(counts) do
    if NAMES[letter] then
      call('HINCRBY', verdicts, ARGV[run] .. NAMES[letter], count)
      keep = keep or letter ~= 'D'
    end
  end
end

local text = table.concat(found)
if keep then
  local mask = string.gsub(text, '%l', '')
  call('XADD', event_log, '*', 'schema', schema, 'payload', payload, 'mask', mask, 'accept_time', accept_time)
end
return {accept_time, text, table.concat(known)}
