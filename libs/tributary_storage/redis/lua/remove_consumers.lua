-- Removes the consumers of a group that have been idle for long and hold nothing, in one step: between looking and
-- removing nobody can be handed an entry, and with a consumer its pending list would be deleted.
-- KEYS    1 stream     ARGV    1 group, 2 milliseconds without a command that count as long
-- Answer  names of those removed; none where there is no such stream or group
-- Cost    two commands, and one per consumer removed. A second run finds nobody.
local group, long = ARGV[1], tonumber(ARGV[2])
local removed = {}
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], group)
if consumers.err then
  return removed
end
for _, flat in ipairs(consumers) do
  local told = {}
  for at = 1, #flat, 2 do
    told[flat[at]] = flat[at + 1]
  end
  if told.pending == 0 and told.idle >= long then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, told.name)
    removed[#removed + 1] = told.name
  end
end
return removed
