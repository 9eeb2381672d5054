-- Reads a value, and for how long it is kept yet, ms.
--
-- KEYS  1 the value
--
-- Answers both, or nothing.

local value = redis.call('GET', KEYS[1])
if not value then return {} end
return { value, redis.call('PTTL', KEYS[1]) }
