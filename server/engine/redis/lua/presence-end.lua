-- Says whether a node's lease has lapsed, and forgets it where it has.
--
-- KEYS  1 the leases
-- ARGV  1 the node    2 1 where the lease is to be forgotten
--
-- Answers 1; 0 where it is good.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ends and tonumber(ends) > now then return 0 end
if ends and ARGV[2] == '1' then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 1
