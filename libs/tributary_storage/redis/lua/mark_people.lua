-- Notes that the paths of people may have changed: they are looked at in a while.
-- KEYS    1 people by when they are looked at     ARGV    1 seconds until then, 2.. people
-- Answer  how many did not wait before
-- Cost    O(people). A second run moves nobody back. Whoever was handed out waits for an earlier moment than his lease
--         ends at, so that who holds him learns of it.
local due = redis.call('TIME')[1] + ARGV[1]
local added = 0
for first = 2, #ARGV, 1000 do
  local people = {}
  for index = first, math.min(first + 999, #ARGV) do
    people[#people + 1] = due
    people[#people + 1] = ARGV[index]
  end
  added = added + redis.call('ZADD', KEYS[1], 'LT', unpack(people))
end
return added
