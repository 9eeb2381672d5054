-- Takes in a room's log that `leave` has given. Run again, or late, it changes nothing.
--
-- KEYS  1 the log's end   2 the log
-- ARGV  1 the move it came by    2 the shard it came from    3 epoch    4 offset    5 gaps    6 floor
--       7 for how long the end is kept, ms    8 how old an event may be, ms
--       9 … offset, meta, record of each event, the newest first
--
-- Answers 1, or 0 where there is a log already, or has been one since.

local epoch, move = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'move'))
local moved = redis.call('HEXISTS', KEYS[1], 'moved') == 1
if (epoch or moved) and (not moved or tonumber(move) >= tonumber(ARGV[1])) then return 0 end

local time = redis.call('TIME')
redis.call('DEL', KEYS[1], KEYS[2])
-- No server has this replication id: the next publish makes offsets jump. Where this log is lost, and taken in again as it
-- was when it left, no offset that it had here is used a second time.
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'offset', ARGV[4], 'replid', '', 'move', ARGV[1], 'from', ARGV[2],
  'arrived', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'gaps', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'floor', ARGV[6]) end
redis.call('PEXPIRE', KEYS[1], ARGV[7])
for index = #ARGV - 2, 9, -3 do
  redis.call('XADD', KEYS[2], ARGV[index] .. '-0', 'm', ARGV[index + 1], 'r', ARGV[index + 2])
end
redis.call('PEXPIRE', KEYS[2], ARGV[8])
return 1
