-- Notes in which rooms something may be published and not recorded yet, by Redis's clock.
--
-- KEYS  1 the marks    2 (unmark) up to where the room is recorded
-- ARGV  1 mark, marked or unmark
--       mark:   2 the room                                          Answers when, µs.
--       marked: 2 how old they are at least, ms    3 how many at the most    Answers {room, when, …}, the oldest first.
--       unmark: 2 the room    3 when it was marked    4 up to where it is recorded, "" where that is not known
--               5 for how long that is kept, ms

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

if ARGV[1] == 'mark' then
  -- No two marks have the same: so a later one is told from an earlier one.
  local latest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
  local at = string.format('%.0f', math.max(now, (tonumber(latest or '0')) + 1))
  redis.call('ZADD', KEYS[1], at, ARGV[2])
  return at
end

if ARGV[1] == 'marked' then
  local before = string.format('%.0f', now - ARGV[2] * 1000)
  return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', before, 'WITHSCORES', 'LIMIT', 0, ARGV[3])
end

local at = redis.call('ZSCORE', KEYS[1], ARGV[2])
if at and tonumber(at) == tonumber(ARGV[3]) then redis.call('ZREM', KEYS[1], ARGV[2]) end
if ARGV[4] ~= '' then
  local known = redis.call('GET', KEYS[2])
  if not known or known == ARGV[4] then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5]) end
end
return 1
