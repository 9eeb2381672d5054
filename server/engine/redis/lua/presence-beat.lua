-- Renews a node's lease, by Redis's clock.
--
-- KEYS  1 the leases: until when they are good, ms
-- ARGV  1 the node    2 for how long from now on, ms
--
-- Answers {1 where it had none that was good else 0, node, how long its lease is good yet, ms, …}.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])

local reply = { before and tonumber(before) > now and 0 or 1 }
local leases = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for at = 1, #leases, 2 do
  reply[#reply + 1] = leases[at]
  reply[#reply + 1] = leases[at + 1] - now
end
return reply
