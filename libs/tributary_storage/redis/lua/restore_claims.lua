-- Writes claims and orders again that are past their life, as they were but for their time, which is now.
-- KEYS    the bucket of each, all of one shard
-- ARGV    per bucket two: the 7 bytes of field; what follows the time in the value: 4 bytes of a claim, 7 of an order
-- Answer  how many were written; what was there stays as it is, but a registration or a bar: it says of an event that
--         nothing was decided, or not here, and this was
-- Cost    one HSETNX each. A second run finds everything there.
local now = redis.call('TIME')
local units = math.floor(now[1] / 128)
local claim_stamp, order_stamp = struct.pack('>H', units % 65536), string.sub(struct.pack('>I4', units), 2, 4)
local written, REGISTERED = 0, 2
for index, bucket in ipairs(KEYS) do
  local field, rest = ARGV[2 * index - 1], ARGV[2 * index]
  local stamp = #rest == 4 and claim_stamp or order_stamp
  local is_new = redis.call('HSETNX', bucket, field, stamp .. rest)
  if is_new == 0 and #rest == 4 then
    local value = redis.call('HGET', bucket, field)
    if math.floor(string.byte(value, 6) / 64) == REGISTERED and string.sub(value, 3) ~= rest then
      redis.call('HSET', bucket, field, stamp .. rest)
      is_new = 1
    end
  end
  written = written + is_new
end
return written
