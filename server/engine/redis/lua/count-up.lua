-- Gives names a count that is higher than all given before.
--
-- KEYS  1 the latest count   2… the names' counts
-- ARGV  1 for how long counts are kept, ms
--
-- By the clock, in microseconds: a server that has lost the latest count, or got another's data, goes on above it.

local now = redis.call('TIME')
local count = tonumber(now[1]) * 1000000 + tonumber(now[2])
local latest = tonumber(redis.call('GET', KEYS[1]) or '0')
if count <= latest then count = latest + 1 end
local text = string.format('%.0f', count)
for index = 2, #KEYS do redis.call('SET', KEYS[index], text, 'PX', ARGV[1]) end
-- For as long as the others, at least.
redis.call('SET', KEYS[1], text, 'PX', ARGV[1])
return text
