-- Adds up paths that were counted in another life of the store, once.
-- KEYS    1 counts of paths, 2 whether these were added; one hash tag
-- ARGV    1 life in seconds of the second, 2.. count and by how much
-- Answer  1, or 0 where they were added before (nothing was written)
-- Cost    one write per count. A second run within the life answers 0.
if not redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[1]) then return 0 end
for index = 2, #ARGV, 2 do
  if redis.call('HINCRBY', KEYS[1], ARGV[index], ARGV[index + 1]) == 0 then redis.call('HDEL', KEYS[1], ARGV[index]) end
end
return 1
