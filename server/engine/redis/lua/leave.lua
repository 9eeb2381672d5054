-- Freezes a room's log here, because the room goes to another shard. Run again, it answers the same.
--
-- KEYS  1 the log's end   2 the log
-- ARGV  1 the shard it goes to     2 the most moves of this room that the caller knows of
--       3 for how long the end is kept, ms    4 what is published: a notice    5 the room's pub/sub name
--       6 PUBLISH or SPUBLISH      7 how many bytes of the log at the most; the newest are taken
--
-- Answers {"", move, epoch, offset, gaps, floor, offset, meta, record, …}, the newest event first; epoch and what follows
-- are "" where there was no log. {">shard move"} where the room has moved to another shard before.

local moved, move, epoch, last, gaps, floor =
  unpack(redis.call('HMGET', KEYS[1], 'moved', 'move', 'epoch', 'offset', 'gaps', 'floor'))
if moved and moved ~= ARGV[1] then return { '>' .. moved .. ' ' .. move } end

if not moved then
  move = string.format('%.0f', math.max(tonumber(move or '0'), tonumber(ARGV[2])) + 1)
  redis.call('HSET', KEYS[1], 'moved', ARGV[1], 'move', move)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call(ARGV[6], ARGV[5], ARGV[4])
end

local reply = { '', move, epoch or '', last or '', gaps or '', floor or '' }
local edge, bytes = '+', 0
while true do
  local part = redis.call('XREVRANGE', KEYS[2], edge, '-', 'COUNT', 16)
  for _, entry in ipairs(part) do
    bytes = bytes + #entry[2][4]
    if bytes > tonumber(ARGV[7]) then return reply end
    reply[#reply + 1] = string.sub(entry[1], 1, -3)
    reply[#reply + 1] = entry[2][2]
    reply[#reply + 1] = entry[2][4]
    edge = '(' .. entry[1]
  end
  if #part < 16 then return reply end
end
