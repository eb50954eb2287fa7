-- Names the objects of leads: as they were named first, by whichever of what a lead is known by that was.
-- KEYS    per conversion four: the claims by its lead's id, those by its root order, the same twice where it has one; and
--         where an earlier version kept these; all of one destination
-- ARGV    1 life in s, then per conversion five: its field, its name sealed under the id, the same under the root order, and
--         what was claimed by the one and by the other and is no more, sealed likewise: that is overwritten. '': nothing
-- Answer  per conversion two: what was claimed before, by id, or by root order; with nothing written for it. '' and '': the
--         name is claimed
-- Cost    at most ten commands per conversion. A second run answers the same.
local life, answers = ARGV[1], {}
for number = 0, #KEYS / 4 - 1 do
  local by_id, by_order, old_by_id, old_by_order = unpack(KEYS, number * 4 + 1, number * 4 + 4)
  local field, own_by_id, own_by_order, lost_by_id, lost_by_order = unpack(ARGV, number * 5 + 2, number * 5 + 6)
  local claimed_by_id, claimed_by_order = redis.call('HGET', by_id, field), redis.call('HGET', by_order, field)
  local is_lost_by_id, is_lost_by_order = claimed_by_id == lost_by_id, claimed_by_order == lost_by_order
  if is_lost_by_id then claimed_by_id = false end
  if is_lost_by_order then claimed_by_order = false end
  local before_by_id, before_by_order = '', ''
  if claimed_by_id then
    if claimed_by_id ~= own_by_id then before_by_id = claimed_by_id end
  elseif claimed_by_order and claimed_by_order ~= own_by_order then
    before_by_order = claimed_by_order
  end
  if before_by_id == '' and before_by_order == '' then
    if is_lost_by_id then redis.call('HDEL', by_id, field) end
    if is_lost_by_order then redis.call('HDEL', by_order, field) end
    redis.call('HSETNX', by_id, field, own_by_id)
    redis.call('HSETNX', by_order, field, own_by_order)
    redis.call('EXPIRE', by_id, life)
    redis.call('EXPIRE', by_order, life)
    redis.call('DEL', old_by_id, old_by_order)
  end
  answers[number * 2 + 1], answers[number * 2 + 2] = before_by_id, before_by_order
end
return answers
