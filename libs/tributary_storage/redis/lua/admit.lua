-- Claims plain events, registers ordered ones (step a), counts verdicts, appends one entry; all of one shard and lane.
-- KEYS    1 event log, 2 verdict counters, 3 rounds, 4.. the claim bucket of each event but the rejected, in order; one hash
--         tag
-- ARGV    1 schema, 2 payload (serialised AdmittedEvents: the plain events, in order), 3 letters: per event A (accept),
--         Q (quarantine), R (rejected by the door) or o (ordered: only registered here), or what this script asked for
--         before, h (here it would be decided: is it?) or a byte of 128 + home shard (register it anew, if it still is
--         barred there), 4 claims: 11 bytes per event (R: fillers): 7 of field, 3 of payload digest (2 bits version,
--         22 bits digest), 1 of kind and home shard, 5 rounds: 4 bytes per event, of h and of what is registered anew as
--         this script answered; empty if there are none, 6.. workspace, number of its events, ...
-- Answer  {accept time in microseconds, letters: per plain event A Q R D C, the mask of the entry; per ordered one o (go
--         on to step b), n (as o, and the round is not 0), d (known as a plain event, or decided here), c (another
--         payload), h (registered under an order of another shard: ask there), m (not decided here, nor will it be in
--         this round: register it anew) or u (it was registered anew meanwhile: undecided), known, of 6 bytes each: the
--         claim of each D C d c; of n and m 6 of round; of h 5 of round, 1 of kind and home shard}
-- Home    An order may read otherwise than when its event was first sent: a name is cleaned in another way since. Its
--         event id is known all the same, where it was decided. Where it was not, who asks leaves a bar there: another
--         may be just about to decide it there (admit_orders.lua).
-- Rounds  of a shard: a sorted set, by the field of the claim. Of an event in its own shard: how often it was registered
--         anew, none is 0. In a home shard, where it was not decided: a bar, no registration up to this round decides
--         it there any more. Who registers an event anew does so in a later round than the bar's, so of two who bar each
--         other's home the one who registered it last may decide. The score is time in units of 128 s, and the round in
--         its low 20 bits. Kept for 17 to 19 minutes and longer than whoever it is for may be about to decide; what was
--         lost makes a round start too low, and it is registered anew once more. Claims of the kind of registrations in
--         home shards are bars of an earlier version: nothing was decided there.
-- Cost    one HSETNX per claim, one HINCRBY per workspace and verdict, one XADD. It reads nothing that can refuse after
--         the first write. A second run finds each plain event a duplicate of itself, appends only C and R again, and
--         answers o again: step (a) alone never answers that an ordered event is known. Ordered events are not counted
--         here, so that those found in conflict are counted where they are appended, in step (b).
local event_log, verdicts, rounds = KEYS[1], KEYS[2], KEYS[3]
local schema, payload, letters, claims, asked_rounds = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local call, sub, byte = redis.call, string.sub, string.byte
local RECORD, FIELD, REGISTERED, HOME, MOVE, ROUND = 11, 7, 2, 6, 128, 4
local ROUNDS, KEPT_UNITS, KEPT_SECONDS = 2 ^ 20, 9, 1200
local NAMES = {A = '|ACCEPTED', Q = '|QUARANTINED', R = '|REJECTED', D = '|DUPLICATE', C = '|CONFLICT'}

local now = call('TIME')
local accept_time = now[1] .. string.format('%06d', now[2])
local units = math.floor(now[1] / 128)
local stamp = struct.pack('>H', units % 65536)
local next_key, found, known = 4, {}, {}

-- Digests of different versions, or of an unknown one (0), say nothing: equal.
local function differs(value, tail)
  if sub(value, 3, 5) == sub(tail, 1, 3) then return false end
  local version = math.floor(byte(value, 3) / 64)
  return version ~= 0 and version == math.floor(byte(tail, 1) / 64)
end

local function round_of(field)
  return tonumber(call('ZSCORE', rounds, field) or 0) % ROUNDS
end

local function set_round(field, round)
  call('ZADD', rounds, string.format('%.0f', units * ROUNDS + round), field)
  call('ZREMRANGEBYSCORE', rounds, '-inf', string.format('%.0f', (units - KEPT_UNITS) * ROUNDS))
  call('EXPIRE', rounds, KEPT_SECONDS)
end

-- Returns the letter of an event that is registered in a round, and tells the round.
local function registered(letter, round)
  if round == 0 then return letter end
  known[#known + 1] = struct.pack('>HI4', 0, round)
  return 'n'
end

-- Registers an event anew that does not go on where it was barred; returns what becomes of it.
local function register_anew(bucket, field, tail, barred_home, barred)
  local value, round = call('HGET', bucket, field), round_of(field)
  local home, own = value and byte(value, HOME), byte(tail, HOME - 2)
  local is_barred = home == barred_home and round <= barred
  if home == own and not is_barred then return registered('o', round) end -- another was first
  if home and not is_barred then return 'u' end
  set_round(field, barred + 1)
  call('HSET', bucket, field, stamp .. tail)
  return registered('o', barred + 1)
end

-- Claims one event, or finds the claim that is there; returns what becomes of the event.
local function decide(letter, at, asked)
  local bucket, field, tail = KEYS[next_key], sub(claims, at, at + FIELD - 1), sub(claims, at + FIELD, at + RECORD - 1)
  next_key = next_key + 1
  if letter == 'h' then
    local decided = call('HGET', bucket, field)
    if decided and math.floor(byte(decided, 6) / 64) ~= REGISTERED then
      known[#known + 1] = decided
      return 'd'
    end
    local barred = math.max(round_of(field), asked)
    set_round(field, barred)
    known[#known + 1] = struct.pack('>HI4', 0, barred)
    return 'm'
  end
  if byte(letter) >= MOVE then
    return register_anew(bucket, field, tail, REGISTERED * 64 + byte(letter) - MOVE, asked)
  end
  if call('HSETNX', bucket, field, stamp .. tail) == 1 then return letter end
  local value = call('HGET', bucket, field)
  local is_registered = math.floor(byte(value, 6) / 64) == REGISTERED
  local is_other = differs(value, tail)
  if letter == 'o' then
    local is_at_home = is_registered and not is_other and byte(value, HOME) == byte(tail, HOME - 2)
    if is_at_home then return registered(letter, round_of(field)) end
    local is_elsewhere = is_registered and not is_other
    known[#known + 1] = is_elsewhere and struct.pack('>BI4', 0, round_of(field)) .. sub(value, HOME, HOME) or value
    if is_other then return 'c' end
    return is_elsewhere and 'h' or 'd'
  end
  known[#known + 1] = value
  -- A registered id is of an event with an order: this one has none, so its payload is another.
  return (is_other or is_registered) and 'C' or 'D'
end

local position, keep = 0, false
for run = 6, #ARGV, 2 do
  local counts = {}
  for index = position + 1, position + ARGV[run + 1] do
    local letter = sub(letters, index, index)
    if letter ~= 'R' then
      local asked = asked_rounds ~= '' and struct.unpack('>I4', asked_rounds, (index - 1) * ROUND + 1) or 0
      letter = decide(letter, (index - 1) * RECORD + 1, asked)
    end
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
