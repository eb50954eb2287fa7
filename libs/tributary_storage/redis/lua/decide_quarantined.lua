-- Carries out what was decided about one quarantined event: moves its claim, claims its order, counts it anew, and appends
-- the decision to the event log, in one step; all of the shard in which the event was claimed.
-- KEYS    1 event log, 2 verdict counters, 3 claim bucket of its id, 4 claim bucket of its order, where it has one
-- ARGV    1 schema, 2 payload (serialised AdmittedEvents: one event), 3 A (release) or X (reject), 4 claim: 11 bytes as in
--         admit.lua, 5 order: 11 bytes as in admit_orders.lua, empty without one, 6 workspace
-- Answer  {accept time in microseconds, letter, known}
--         letter: A released; M released, a further observation of a known order; X rejected; V the order is known with
--         another value of an equal rank: stays in quarantine, nothing was written; D it is in quarantine no more (known:
--         its 6-byte claim); N nothing is claimed under its id, or only barred: nothing was written
-- Cost    one read, and at most two writes, two HINCRBY, one XADD. A second run finds what was released D; what was
--         rejected is appended again, which says the same.
-- Order   as in admit_orders.lua.
local event_log, verdicts, claims, orders = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local schema, payload, letter, claim, order, workspace = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local call, sub, byte, char = redis.call, string.sub, string.byte, string.char
local FIELD, QUARANTINED, REGISTERED, MERGED, NOTHING, MORE_RANKS = 7, 1, 2, 192, string.rep('\0', 7), string.rep('\0', 6)

local now = call('TIME')
local accept_time = now[1] .. string.format('%06d', now[2])

-- Returns the order with one more rank's statement, or nil if that rank stated another value before.
local function with_statement(known, rank, digest)
  if rank == 0 then return known end
  local ranks, bit, first = byte(known, 4), 2 ^ (rank - 1), 3 * rank + 2
  if math.floor(ranks / bit) % 2 == 1 then
    return sub(known, first, first + 2) == digest and known or nil
  end
  if first > #known then known = known .. MORE_RANKS end
  return sub(known, 1, 3) .. char(ranks + bit) .. sub(known, 5, first - 1) .. digest .. sub(known, first + 3)
end

local field = sub(claim, 1, FIELD)
local value = call('HGET', claims, field)
local kind_was = value and math.floor(byte(value, 6) / 64)
if not value or kind_was == REGISTERED then return {accept_time, 'N', ''} end
if kind_was ~= QUARANTINED then return {accept_time, 'D', value} end

if letter == 'A' then
  local kind, verdict = 0, '|ACCEPTED'
  if order ~= '' then
    local order_field, rank, digest = sub(order, 1, FIELD), byte(order, FIELD + 1), sub(order, FIELD + 2)
    local known = call('HGET', orders, order_field)
    local stamp = sub(struct.pack('>I4', math.floor(now[1] / 128)), 2, 4)
    local joined = with_statement(known or stamp .. NOTHING, rank, digest)
    if not joined then return {accept_time, 'V', ''} end
    if known then letter, kind, verdict = 'M', MERGED, '|DUPLICATE' end
    if joined ~= known then call('HSET', orders, order_field, joined) end
  end
  call('HSET', claims, field, sub(value, 1, 5) .. char(kind))
  call('HINCRBY', verdicts, workspace .. '|QUARANTINED', -1)
  call('HINCRBY', verdicts, workspace .. verdict, 1)
end
call('XADD', event_log, '*', 'schema', schema, 'payload', payload, 'mask', letter, 'accept_time', accept_time)
return {accept_time, letter, ''}
