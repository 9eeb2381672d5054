-- Writes one register of a room, or erases it.
--
-- KEYS  1 the room's registers    2 which registers the node has in this bucket    3 the nodes that have some
-- ARGV  1 the node    2 its part of the room    3 the room    4 the call's number, which rises with every call of the node
--       5 the value; without it the register is erased
--
-- Answers 1; 0 for a call that a later one has overtaken, on another connection: it has no effect.

local last = redis.call('HGET', KEYS[3], ARGV[1])
if last and tonumber(last) >= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[4])

local field = ARGV[1] .. '/' .. ARGV[2]
local entry = ARGV[2] .. ' ' .. ARGV[3]
if ARGV[5] then
  if redis.call('HSET', KEYS[1], field, ARGV[5]) == 1 then redis.call('SADD', KEYS[2], entry) end
elseif redis.call('HDEL', KEYS[1], field) == 1 then
  redis.call('SREM', KEYS[2], entry)
end
return 1
