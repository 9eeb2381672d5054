-- Hands on an event of a room without history, unless its key has been seen.
--
-- KEYS  1 the publish's key
-- ARGV  1 what goes out   2 the room's pub/sub name   3 PUBLISH or SPUBLISH   4 for how long the key is remembered, ms
--
-- Answers 1, or 0 for a key that has been seen.

if not redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[4]) then return 0 end
redis.call(ARGV[3], ARGV[2], ARGV[1])
return 1
