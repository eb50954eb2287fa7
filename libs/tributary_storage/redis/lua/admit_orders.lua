-- Claims the orders of events and the events' ids beside them (step b), counts verdicts, appends one entry; all of one
-- order shard and lane.
-- KEYS    1 event log, 2 verdict counters, 3 rounds, then two per event of letter A or Q: claim bucket of its id, bucket of
--         its order
-- ARGV    1 schema, 2 payload (serialised AdmittedEvents), 3 letters: per event A (accept), Q (quarantine: claimed by id
--         only, it must not hold an order against a good event), or what step (a) found: C (conflict), D (duplicate),
--         4 claims: 11 bytes per event as in admit.lua (C, D: fillers), 5 orders: 11 bytes per event: 7 of field, 1 rank
--         (1 to 4; 0: states no value), 3 of value digest, 6 rounds: 4 bytes per event, as step (a) answered; empty if all
--         are 0, 7.. workspace, number of its events, ...
-- Answer  {accept time in microseconds, mask: A Q D C, M (a further observation of a known order: counted as DUPLICATE,
--         appended), V (an equal rank stated another value for the order: counted as CONFLICT, appended), B (this round is
--         barred: it may be being decided under an order of another shard) or U (so it is by a bar of an earlier version)
--         per event; B and U are not counted, in the log they are D; known: 6-byte claim of each D found here, first 10
--         bytes of the order of each M and V, 6 bytes of the barred round of each B, in order}
-- Cost    two HSETNX per event of a new order, one HINCRBY per workspace and verdict, one XADD. Nothing can refuse after
--         the first write but a bucket of another type, which nobody makes. A second run finds each A, M and Q a
--         duplicate of itself; C and V are appended again.
-- Bar     as in admit.lua. One of an earlier version is a claim of the kind of registrations, and holds for 17 to 19 minutes.
-- Order   10 bytes: 3 of time in units of 128 s, 1 of ranks that stated a value (a bit each), 3 + 3 of value digest of rank
--         1 and 2; where a workspace ranks more sources, 6 more once rank 3 or 4 stated one.
local event_log, verdicts, rounds = KEYS[1], KEYS[2], KEYS[3]
local schema, payload, letters, claims, orders, own_rounds = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local call, sub, byte, char = redis.call, string.sub, string.byte, string.char
local RECORD, FIELD, REGISTERED, BARRED_UNITS, ROUND, ROUNDS = 11, 7, 2, 8, 4, 2 ^ 20
local MERGED, NOTHING, MORE_RANKS, ORDER = 192, string.rep('\0', 7), string.rep('\0', 6), 10
local NAMES = {A = '|ACCEPTED', Q = '|QUARANTINED', D = '|DUPLICATE', M = '|DUPLICATE', C = '|CONFLICT', V = '|CONFLICT'}

local now = call('TIME')
local accept_time = now[1] .. string.format('%06d', now[2])
local units = math.floor(now[1] / 128)
local stamp = struct.pack('>H', units % 65536)
local order_stamp = sub(struct.pack('>I4', units), 2, 4)
local next_key, mask, known = 4, {}, {}
local has_rounds = call('EXISTS', rounds) == 1

-- Returns the order with one more rank's statement, or nil if that rank stated another value before.
local function with_statement(order, rank, digest)
  if rank == 0 then return order end
  local ranks, bit, first = byte(order, 4), 2 ^ (rank - 1), 3 * rank + 2
  if math.floor(ranks / bit) % 2 == 1 then
    return sub(order, first, first + 2) == digest and order or nil
  end
  if first > #order then order = order .. MORE_RANKS end
  return sub(order, 1, 3) .. char(ranks + bit) .. sub(order, 5, first - 1) .. digest .. sub(order, first + 3)
end

-- Returns up to which round nobody decides an event here any more, nil if it was not barred.
local function barred_round(field)
  local score = has_rounds and call('ZSCORE', rounds, field)
  return score and tonumber(score) % ROUNDS
end

-- Returns whether an event is decided here.
local function is_decided(bucket, field)
  local value = call('HGET', bucket, field)
  return value and math.floor(byte(value, 6) / 64) ~= REGISTERED
end

-- Decides on one event, writes its claims, and returns its letter.
local function decide(letter, at, round)
  local claim_bucket, order_bucket = KEYS[next_key], KEYS[next_key + 1]
  next_key = next_key + 2
  local field, tail = sub(claims, at, at + FIELD - 1), sub(claims, at + FIELD, at + RECORD - 1)
  local barred = barred_round(field)
  if barred and barred >= round and not is_decided(claim_bucket, field) then
    known[#known + 1] = struct.pack('>HI4', 0, barred)
    return 'B'
  end
  if call('HSETNX', claim_bucket, field, stamp .. tail) == 0 then
    local value = call('HGET', claim_bucket, field)
    if math.floor(byte(value, 6) / 64) ~= REGISTERED then
      known[#known + 1] = value
      return 'D'
    end
    local age = (units - struct.unpack('>H', value)) % 65536
    if age <= BARRED_UNITS or age >= 65536 - BARRED_UNITS then return 'U' end
    call('HSET', claim_bucket, field, stamp .. tail)
  end
  if letter == 'Q' then return 'Q' end
  local order_field, rank = sub(orders, at, at + FIELD - 1), byte(orders, at + FIELD)
  local digest = sub(orders, at + FIELD + 1, at + RECORD - 1)
  local new_order = with_statement(order_stamp .. NOTHING, rank, digest)
  if call('HSETNX', order_bucket, order_field, new_order) == 1 then return 'A' end
  local order = call('HGET', order_bucket, order_field)
  known[#known + 1] = sub(order, 1, ORDER)
  local joined = with_statement(order, rank, digest)
  if not joined then
    call('HDEL', claim_bucket, field) -- it was made above, on the way: a conflict claims nothing
    return 'V'
  end
  call('HSET', claim_bucket, field, stamp .. sub(tail, 1, 3) .. char(MERGED))
  if joined ~= order then call('HSET', order_bucket, order_field, joined) end
  return 'M'
end

local position, keep = 0, false
for run = 7, #ARGV, 2 do
  local counts = {}
  for index = position + 1, position + ARGV[run + 1] do
    local letter = sub(letters, index, index)
    if letter == 'A' or letter == 'Q' then
      local round = own_rounds ~= '' and struct.unpack('>I4', own_rounds, (index - 1) * ROUND + 1) or 0
      letter = decide(letter, (index - 1) * RECORD + 1, round)
    end
    mask[index] = letter
    counts[letter] = (counts[letter] or 0) + 1
    keep = keep or (letter ~= 'D' and letter ~= 'B' and letter ~= 'U')
  end
  position = position + ARGV[run + 1]
  for letter, count in pairs(counts) do
    if NAMES[letter] then call('HINCRBY', verdicts, ARGV[run] .. NAMES[letter], count) end
  end
end

local text = table.concat(mask)
if keep then
  local letters_kept = string.gsub(text, '[BU]', 'D')
  call('XADD', event_log, '*', 'schema', schema, 'payload', payload, 'mask', letters_kept, 'accept_time', accept_time)
end
return {accept_time, text, table.concat(known)}
