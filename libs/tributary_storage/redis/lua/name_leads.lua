-- Names the objects of leads: as they were named first, by whichever of what a lead is known by that was.
-- KEYS    per conversion two: the name by its lead's id, the name by its root order, the same twice where it has one; all of
--         one destination
-- ARGV    1 life in s, then per conversion the name that its lead's object gets where it has none
-- Answer  per conversion the name
-- Cost    at most six commands per conversion. A second run answers the same.
local life, answers = ARGV[1], {}
for number = 1, #KEYS / 2 do
  local by_id, by_order = KEYS[number * 2 - 1], KEYS[number * 2]
  local name = redis.call('GET', by_id) or redis.call('GET', by_order) or ARGV[number + 1]
  for _, key in ipairs({by_id, by_order}) do
    if not redis.call('SET', key, name, 'NX', 'EX', life) then redis.call('EXPIRE', key, life) end
  end
  answers[number] = name
end
return answers
