-- Erases some of the registers that a node has in a bucket.
--
-- KEYS  1 which registers it has there    2 the nodes that have some
-- ARGV  1 the node    2 how many at the most    3 what the names of rooms' registers begin with, of the same slot
--
-- Answers 1 where there are more.

for _, entry in ipairs(redis.call('SRANDMEMBER', KEYS[1], ARGV[2])) do
  local part, room = string.match(entry, '^(%d+) (.*)$')
  -- In this order: where a slot is on its way to another server the first may fail, and is tried again then.
  redis.call('HDEL', ARGV[3] .. room, ARGV[1] .. '/' .. part)
  redis.call('SREM', KEYS[1], entry)
end
if redis.call('EXISTS', KEYS[1]) == 1 then return 1 end
redis.call('HDEL', KEYS[2], ARGV[1])
return 0
