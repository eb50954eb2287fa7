-- Claims plain events, registers ordered ones (step a), counts verdicts, appends one entry; all of one shard and lane.
-- KEYS    1 event log, 2 verdict counters, 3.. the claim bucket of each plain event that is not rejected, then of each
--         registration; in order, one hash tag
-- ARGV    1 schema, 2 payload (serialised AdmittedEvents: the plain events), 3 letters: per plain event A (accept),
--         Q (quarantine) or R (rejected by the door), 4 claims: 11 bytes per plain event (R: fillers),
--         5 registrations: 11 bytes per ordered event, 6.. workspace, number of its plain events, ...
--         The 11 bytes: 7 of field, 3 of payload digest (2 bits version, 22 bits digest), 1 of kind and home shard.
-- Answer  {accept time in microseconds, mask: A Q R D C per plain event, registered: per registration O (go on to step b)
--         D (known as a plain event) or C (another payload), known: the 6-byte claim of each D and C, plain ones first}
-- Cost    one HSETNX per claim, one HINCRBY per workspace and verdict, one XADD. It reads nothing that can refuse after
--         the first write. A second run finds each event a duplicate of itself, appends only C and R again, and answers
--         O again: step (a) alone never answers D for an ordered event.
local event_log, verdicts = KEYS[1], KEYS[2]
local schema, payload, letters, claims, registrations = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local call, sub, byte = redis.call, string.sub, string.byte
local CLAIM, FIELD = 11, 7
local NAMES = {A = '|ACCEPTED', Q = '|QUARANTINED', R = '|REJECTED', D = '|DUPLICATE', C = '|CONFLICT'}

local now = call('TIME')
local accept_time = now[1] .. string.format('%06d', now[2])
local stamp = struct.pack('>H', math.floor(now[1] / 128) % 65536)
local next_key, mask, registered, known = 3, {}, {}, {}

-- Digests of different versions, or of an unknown one (0), say nothing: equal.
local function differs(value, tail)
  if sub(value, 3, 5) == sub(tail, 1, 3) then return false end
  local version = math.floor(byte(value, 3) / 64)
  return version ~= 0 and version == math.floor(byte(tail, 1) / 64)
end

-- Returns the claim that is already there, or nil after making it.
local function claim(records, at)
  local bucket, field, tail = KEYS[next_key], sub(records, at, at + FIELD - 1), sub(records, at + FIELD, at + CLAIM - 1)
  next_key = next_key + 1
  if call('HSETNX', bucket, field, stamp .. tail) == 1 then return nil end
  return call('HGET', bucket, field), tail
end

local position, keep = 0, false
for run = 6, #ARGV, 2 do
  local counts = {}
  for index = position + 1, position + ARGV[run + 1] do
    local letter = sub(letters, index, index)
    if letter ~= 'R' then
      local value, tail = claim(claims, (index - 1) * CLAIM + 1)
      if value then
        -- A registered id is of an event with an order: this one has none, so its payload is another.
        local is_registered = math.floor(byte(value, 6) / 64) == 2
        letter = (is_registered or differs(value, tail)) and 'C' or 'D'
        known[#known + 1] = value
      end
    end
    mask[index] = letter
    counts[letter] = (counts[letter] or 0) + 1
    keep = keep or letter ~= 'D'
  end
  position = position + ARGV[run + 1]
  for letter, count in pairs(counts) do
    call('HINCRBY', verdicts, ARGV[run] .. NAMES[letter], count)
  end
end

for at = 1, #registrations, CLAIM do
  local value, tail = claim(registrations, at)
  local letter = 'O'
  if value then
    if differs(value, tail) then
      letter = 'C'
    elseif math.floor(byte(value, 6) / 64) ~= 2 then
      letter = 'D'
    end
    if letter ~= 'O' then known[#known + 1] = value end
  end
  registered[#registered + 1] = letter
end

local text = table.concat(mask)
if keep then
  call('XADD', event_log, '*', 'schema', schema, 'payload', payload, 'mask', text, 'accept_time', accept_time)
end
return {accept_time, text, table.concat(registered), table.concat(known)}
