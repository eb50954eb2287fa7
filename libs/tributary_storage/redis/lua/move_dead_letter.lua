-- Puts one dead letter back into its log, or what is left of it among the dead letters, and takes it away.
-- KEYS    1 dead letters, 2 the stream it is put into, which may be the same; one hash tag
-- ARGV    1 id of the dead letter, 2.. name and value of each field of the entry
-- Answer  1, or 0 if there is no such dead letter (any more)
-- Cost    one XADD. A second run finds no dead letter and does nothing.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
